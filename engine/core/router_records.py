"""What the smart order router reads and writes, and what it learns; ``engine.core.router`` says what it does with them.

Prices in 1/10,000, fees in 1/10,000 a share (negative: a rebate), quantities in shares, latency in ns. Rates are parts
of PART, costs are times PART: all integers, so that the same outcomes give the same orders everywhere.
"""

from enum import IntEnum

import numpy as np

from engine.core.compiled import njit
from engine.core.events import TimeInForce

VENUES = 8
LEVELS = 10
ACTIONS = 3
PART = 4096  # parts of a rate
MOST_SHARES = 1 << 23
MOST_AWAY = 1 << 24  # how far from the best price a level is looked at: $1,677
NO_BOUND = 1 << 40
INFEASIBLE = 1 << 62
LOT = 100
MEMORY = 5  # an outcome is forgotten by 1/32 with each later one
SIZE_MEMORY = 3  # as MEMORY, of the size that is found at the midpoint
GRAIN = 8  # bits of a share that learned counts keep
BRANCHES = 2 * VENUES * ACTIONS + 2


class Action(IntEnum):
    TAKE = 0
    MIDPOINT = 1
    POST = 2


class Reason(IntEnum):
    """Why an order is sent where it is, and why shares are not sent."""

    NONE = 0
    BEST_PRICE = 1  # no other venue displays so good a price
    CHEAPEST = 2  # several display it, and this one is cheaper by fee, rebate and chance
    SWEEP = 3  # beyond the best price, with all that is better
    PROTECTED = 4  # so that no better protected quote is traded through
    MIDPOINT = 5  # half the spread is worth the chance to miss
    POST = 6  # resting is expected to be cheaper than taking
    WHOLE = 7  # all or nothing, here alone
    # of shares that are not sent
    WAITING = 20  # whatever there is costs more than waiting
    LIMIT = 21  # nothing is left within the limit
    LEAST_SIZE = 22  # what is left is below every least size, or would make another order trade through
    NOT_WHOLE = 23  # no venue displays all of it without trading through another
    NO_MARKET = 24  # no open venue displays the other side
    MALFORMED = 25  # no side, no quantity or limit, or more than MOST_SHARES


TAKE, MIDPOINT, POST = int(Action.TAKE), int(Action.MIDPOINT), int(Action.POST)
BEST_PRICE, CHEAPEST, SWEEP = int(Reason.BEST_PRICE), int(Reason.CHEAPEST), int(Reason.SWEEP)
PROTECTED, AT_MIDPOINT, POSTED = int(Reason.PROTECTED), int(Reason.MIDPOINT), int(Reason.POST)
WHOLE, WAITING, LIMIT = int(Reason.WHOLE), int(Reason.WAITING), int(Reason.LIMIT)
LEAST_SIZE, NOT_WHOLE = int(Reason.LEAST_SIZE), int(Reason.NOT_WHOLE)
NO_MARKET, MALFORMED = int(Reason.NO_MARKET), int(Reason.MALFORMED)
DAY, IOC = int(TimeInForce.DAY), int(TimeInForce.IOC)
FOK = 2

VENUE = np.dtype(
    [
        ("open", "<i8"),
        ("displays", "<i8"),  # 1: has displayed quotes that can be taken
        ("protected", "<i8"),  # 1: its best quotes may not be traded through
        ("midpoint", "<i8"),  # 1: takes midpoint orders
        ("posts", "<i8"),  # 1: takes displayed orders that rest
        ("fees", "<i8", (ACTIONS,)),
        ("latency", "<i8"),
        ("min_qty", "<i8"),  # the least order
        ("prior", "<i8", (ACTIONS,)),  # rates that are expected before anything is learned, in PART
        ("asked", "<i8", (ACTIONS,)),  # decayed shares, GRAIN bits finer
        ("got", "<i8", (ACTIONS,)),
        ("hidden", "<i8"),  # shares usually found at the midpoint, GRAIN bits finer; 0: not known, all are asked for
    ]
)

# What is displayed: sides 0 bid, 1 ask, best level first; the first size of 0 ends a side.
CONSOLIDATED = np.dtype(
    [("price", "<i8", (VENUES, 2, LEVELS)), ("size", "<i8", (VENUES, 2, LEVELS))],
)

INTENT = np.dtype(
    [
        ("side", "<i8"),  # +1 buy, -1 sell
        ("qty", "<i8"),
        ("limit", "<i8"),
        ("urgency", "<i8"),  # what waiting is expected to cost a share
        ("rests", "<i8"),  # 1: orders may rest; 0: everything is immediate or cancelled
        ("whole", "<i8"),  # 1: all or nothing
        ("tried", "<i8"),  # a bit for each venue whose midpoint has been tried already
    ]
)

CHILD = np.dtype(
    [
        ("venue", "<i8"),
        ("action", "<i8"),
        ("price", "<i8"),  # its limit; of a midpoint order the midpoint as it was
        ("qty", "<i8"),
        ("time_in_force", "<i8"),
        ("reason", "<i8"),
        ("sweep", "<i8"),  # 1: sent with orders for every better protected quote
        ("rate", "<i8"),  # of it that is expected to be done, in PART
        ("cost", "<i8"),  # expected, of all its shares over the best displayed price, times PART
    ]
)

# One decision: its answer, and where it is worked out.
ROUTE = np.dtype(
    [
        ("children", "<i8"),
        ("unsent", "<i8"),
        ("why", "<i8"),  # Reason of the unsent
        ("cost", "<i8"),  # expected, of all shares asked for over ``best``, times PART
        ("best", "<i8"),  # best displayed price of the other side
        ("miss", "<i8"),  # over ``best``
        ("middle", "<i8"),
        ("child", CHILD, (VENUES * ACTIONS,)),
        ("depth", "<i8", (VENUES,)),  # levels that can be taken
        ("away", "<i8", (VENUES, LEVELS)),  # their prices over ``best``
        ("size", "<i8", (VENUES, LEVELS)),
        ("expected", "<i8", (VENUES, LEVELS)),  # cost a share, times PART
        ("offered", "<i8", (VENUES, ACTIONS)),  # shares, 0: not an option; TAKE: all levels
        ("price", "<i8", (VENUES, ACTIONS)),
        ("flat", "<i8", (VENUES, ACTIONS)),  # cost a share of MIDPOINT and POST, times PART
        ("level", "<i8", (VENUES,)),  # next level to take, and shares taken of it
        ("used", "<i8", (VENUES,)),
        ("split", "<i8", (VENUES, ACTIONS)),  # shares of the solution at hand
        ("chosen", "<i8", (VENUES, ACTIONS)),  # of the best one
        ("bound", "<i8"),  # worst price that the best one may take, over ``best``; NO_BOUND: no rule binds
        ("excluded", "<i8", (BRANCHES,)),
        ("raised", "<i8", (BRANCHES,)),
    ]
)


@njit(cache=True, inline="always")
def learned_rate(venue, action):
    """How much of what is asked for at a venue is got, in PART; the prior where nothing was asked yet."""
    asked = venue.asked[action]
    return venue.got[action] * PART // asked if asked > 0 else venue.prior[action]


@njit(cache=True)
def note_outcome(venue, action, asked, got):
    """Learns from one order that has come to its end: ``got`` of ``asked`` shares.

    Where all that was asked for was found at the midpoint, twice as much may have been there.
    """
    venue.asked[action] += (asked << GRAIN) - (venue.asked[action] >> MEMORY)
    venue.got[action] += (got << GRAIN) - (venue.got[action] >> MEMORY)
    if action == MIDPOINT and got > 0:
        found = (got if got < asked else 2 * got) << GRAIN
        venue.hidden += (found - venue.hidden) >> SIZE_MEMORY if venue.hidden > 0 else found


@njit(cache=True)
def relax(venue):
    """Brings what was learned 1/32 nearer to the prior. Called by the clock, so that a venue that gave nothing, and is
    therefore not asked any more, comes to be tried again."""
    for action in range(ACTIONS):
        expected = venue.asked[action] * venue.prior[action] // PART
        venue.got[action] += (expected - venue.got[action]) >> MEMORY
