"""What the parts of the matching engine share: orders as they come in, books, and reports of what happened.

Prices are integers in 1/10,000, quantities whole shares. Sides: +1 buy, -1 sell; as an index, 0 buy, 1 sell.
Everything has a fixed capacity; what does not fit is refused, and counted under its reason in ``counts``.
"""

from enum import IntEnum

import msgspec
import numpy as np

INSTRUMENTS = 512
LEVELS = 512  # prices a side of one book may have at once
ORDERS = 1 << 16  # orders that may rest at once, over all books
SLOT_BITS = 16
NONE = -1
NO_LIMIT = 1 << 40  # the price of a buy order that takes any; a sell order's is 0
MOST_PRICE = (1 << 32) - 1  # what ITCH's four bytes hold
MOST_QTY = (1 << 32) - 1
REASONS = 16


class ReportKind(IntEnum):
    """What a report says. ``visible`` are displayed shares: put on show, or taken off it."""

    ENTERED = 1  # an order was taken in: reference, side, price, qty
    EXECUTED = 2  # qty at price; reference, owner, tag: the resting order; taker_*: the incoming one
    RESTED = 3  # what is left of an incoming order stands in the book
    EXPIRED = 4  # what is left of an order ends without resting; reason says why
    REDUCED = 5  # qty shares were taken off an order, which keeps its place
    DELETED = 6  # a resting order was taken out; qty: what it still had
    REFUSED = 7  # the order was not taken in; nothing was changed; reason says why
    REFRESHED = 8  # an iceberg shows its next slice, under a new ``shown``, behind all that stands there
    CROSSED = 9  # an order was executed in an auction: qty at price; one for each side of a match number
    CROSS = 10  # the auction: qty in all, at price, under its own match number


class Reason(IntEnum):
    """Why an order was refused, or ended by itself."""

    NONE = 0
    MALFORMED = 1  # a field, or fields together, that mean no order
    HALTED = 2
    WRONG_PHASE = 3  # immediate while orders are only collected; on-open when no opening is to come
    NO_ORDER_ROOM = 4
    NO_PRICE_ROOM = 5
    NO_REPORT_ROOM = 6
    IMMEDIATE = 7  # what an immediate or market order did not get
    UNFILLED = 8  # fill-or-kill, and less was there
    MINIMUM = 9  # an immediate order's minimum quantity was not there
    POST_ONLY = 10  # would have traded
    SELF_MATCH = 11
    COLLAR = 12  # its limit lies beyond the collar; it has traded up to it
    AUCTION_OVER = 13  # an auction order that the auction has not executed


class OrderKind(IntEnum):
    LIMIT = 0
    MARKET = 1
    MIDPOINT = 2  # executes at the middle of the displayed touch, up to its price where it has one


class TimeInForce(IntEnum):
    DAY = 0
    IMMEDIATE = 1
    FILL_OR_KILL = 2
    OPENING = 3  # takes part in the opening auction alone
    CLOSING = 4


class Prevention(IntEnum):
    """What an incoming order does when it meets an order of its own group."""

    CANCEL_NEWEST = 0
    CANCEL_OLDEST = 1
    DECREMENT_BOTH = 2
    ALLOW = 3  # trades with it


class Phase(IntEnum):
    CONTINUOUS = 0
    HALTED = 1  # nothing trades, nothing is taken in; orders may be cancelled and cut
    COLLECTING = 2  # nothing trades, orders are taken in for the auction that ends this


# Numba folds plain integers into the code; members of an enumeration it would have to look up.
ENTERED, EXECUTED, RESTED, EXPIRED, REDUCED, DELETED, REFUSED, REFRESHED, CROSSED, CROSS = map(int, ReportKind)
LIMIT, MARKET, MIDPOINT = map(int, OrderKind)
DAY, IMMEDIATE, FILL_OR_KILL, OPENING, CLOSING = map(int, TimeInForce)
CANCEL_NEWEST, CANCEL_OLDEST, DECREMENT_BOTH, ALLOW = map(int, Prevention)
CONTINUOUS, HALTED, COLLECTING = map(int, Phase)
# Where an order stands: a price's displayed or hidden queue, the midpoint's, or (3, 4: the time in force) an auction's.
DISPLAYED, HIDDEN, PEGGED = 0, 1, 2

EVERYTHING = MOST_QTY


class NewOrder(msgspec.Struct, frozen=True):
    """An order as it comes in. ``display``: shares shown at a time; 0 shows none, fewer than ``qty`` is an iceberg.

    ``price`` is ignored for market orders, and may be 0 (no limit) for midpoint orders. An order that meets one of
    its own ``group`` (other than 0) does what its ``prevention`` says.
    """

    instrument: int
    side: int
    price: int
    qty: int
    kind: int = LIMIT
    time_in_force: int = DAY
    display: int = EVERYTHING
    min_qty: int = 0
    post_only: bool = False
    group: int = 0
    prevention: int = CANCEL_NEWEST
    owner: int = 0
    tag: int = 0


class Report(msgspec.Struct, frozen=True):
    """What happened, for Python: serials stand for references (``REPORT`` has the fields' meaning)."""

    kind: ReportKind
    serial: int = 0
    side: int = 0
    price: int = 0
    qty: int = 0
    remaining: int = 0
    visible: int = 0
    shown: int = 0
    match_number: int = 0
    taker_serial: int = 0
    reason: Reason = Reason.NONE


NEW_ORDER = np.dtype(
    [
        ("price", "<i8"),
        ("qty", "<i8"),
        ("display", "<i8"),
        ("min_qty", "<i8"),
        ("owner", "<i8"),  # 0 the simulated crowd, 1.. an account
        ("tag", "<i8"),  # the owner's own name for the order
        ("instrument", "<i4"),
        ("group", "<i4"),
        ("side", "i1"),
        ("kind", "i1"),
        ("time_in_force", "i1"),
        ("post_only", "i1"),
        ("prevention", "i1"),
    ],
    align=True,
)
ORDER = np.dtype(
    [
        ("reference", "<i8"),  # serial << 16 | slot; 0: the slot is free
        ("price", "<i8"),
        ("qty", "<i8"),  # open in all
        ("visible", "<i8"),  # of which displayed now
        ("instrument", "<i8"),
        ("side", "<i8"),
        ("group", "<i4"),
        ("next", "<i4"),
        ("previous", "<i4"),
        ("queue", "i1"),
        ("prevention", "i1"),
        # the second cache line
        ("shown", "<i8"),  # the reference under which market data shows it; rises with its priority
        ("display", "<i8"),
        ("min_qty", "<i8"),
        ("owner", "<i8"),
        ("tag", "<i8"),
        ("unused", "<i8", (3,)),
    ],
    align=True,
)
QUEUE = np.dtype([("shares", "<i8"), ("head", "<i4"), ("tail", "<i4")])  # shares: displayed ones where they are
LEVEL = np.dtype([("price", "<i8"), ("queues", QUEUE, (2,))])  # displayed, hidden
MATCHING = np.dtype(
    [
        ("next_serial", "<i8"),
        ("next_match", "<i8"),
        ("resting", "<i8"),  # orders, auctions' and midpoint ones too
        ("tick", "<i8"),  # limit prices are multiples of it
        ("collar", "<i8"),  # 1/10,000 of the touch (or the last price) that an order may trade through; 0: no collar
        ("free", "<i4"),
        ("instruments", "<i4"),
        ("stopped", "<i8"),  # the reason for which the order that is being matched takes no more
        ("counts", "<i8", (REASONS,)),  # orders refused, or ended by themselves, by reason
        ("last", "<i8", (INSTRUMENTS,)),  # price of the last trade; 0: none, unless it was set
        ("phase", "<i4", (INSTRUMENTS,)),
        ("pegged", "<i4", (INSTRUMENTS,)),  # midpoint orders in the book
        ("depth", "<i4", (INSTRUMENTS, 2)),
        ("levels", LEVEL, (INSTRUMENTS, 2, LEVELS)),  # rising in attraction: the best price is the last
        ("pegs", QUEUE, (INSTRUMENTS, 2)),  # by time of entry
        ("auctions", QUEUE, (INSTRUMENTS, 2, 2)),  # [opening or closing, side], by price and time of entry
        ("orders", ORDER, (ORDERS,)),
    ]
)
REPORT = np.dtype(
    [
        ("kind", "<i2"),
        ("queue", "<i2"),  # where the order stands; the auction of a CROSS
        ("side", "<i4"),
        ("instrument", "<i4"),
        ("reason", "<i4"),
        ("reference", "<i8"),
        ("shown", "<i8"),
        ("price", "<i8"),
        ("qty", "<i8"),
        ("visible", "<i8"),
        ("remaining", "<i8"),
        ("match_number", "<i8"),
        ("owner", "<i8"),
        ("tag", "<i8"),
        ("taker_reference", "<i8"),
        ("taker_owner", "<i8"),
        ("taker_tag", "<i8"),
    ]
)


def matching_state(instruments: int, next_match: int = 1, *, tick: int = 1, collar: int = 0) -> np.record:
    """Empty books for ``instruments`` symbols; the first execution gets ``next_match``."""
    if not 0 < instruments <= INSTRUMENTS:
        raise ValueError(f"instruments: {instruments}, expected 1..{INSTRUMENTS}")
    if tick < 1 or collar < 0:
        raise ValueError(f"tick and collar: {tick} and {collar}, expected at least 1 and 0")
    state = np.zeros(1, MATCHING)
    state["next_serial"] = 1
    state["next_match"] = next_match
    state["instruments"] = instruments
    state["tick"], state["collar"] = tick, collar
    for name in ("pegs", "auctions"):
        state[name]["head"] = state[name]["tail"] = NONE
    state["orders"][0]["next"] = np.append(np.arange(1, ORDERS, dtype=np.int32), np.int32(NONE))
    return state[0]


def report_buffer(size: int = 2 * ORDERS + 16) -> np.ndarray:
    """Where ``enter`` and the rest write their reports. What would need more room than is left is not done."""
    return np.zeros(size, REPORT)


def new_orders(*orders: NewOrder) -> np.ndarray:
    """NEW_ORDER [n] of ``orders``."""
    rows = np.zeros(len(orders), NEW_ORDER)
    for row, order in zip(rows, orders, strict=True):
        for name in NEW_ORDER.fields or ():
            row[name] = getattr(order, name)
    return rows


def counts_by_reason(state: np.record) -> dict[str, int]:
    """Orders refused, or ended by themselves, by reason; those that occurred."""
    return {reason.name.lower(): int(state["counts"][reason]) for reason in Reason if state["counts"][reason]}
