"""The engine's whole state: one structured record of fixed capacities, dumpable and comparable by hash.

Prices in 1/10,000, quantities in shares, money in 1/10,000 of the currency, times in ns UTC on the
engine's clock.
"""

from enum import IntEnum

import numpy as np

from engine.core.books import books_dtype
from engine.core.cache_lines import in_lines
from engine.core.capacities import INSTRUMENTS as INSTRUMENTS
from engine.core.capacities import MARKETS, RECENT_ORDERS, VENUES
from engine.core.capacities import STRATEGIES as STRATEGIES
from engine.core.executions import EXECUTIONS
from engine.core.health_record import health_dtype
from engine.core.kill import KILLS
from engine.core.orders import ORDER
from engine.core.parents import PARENT
from engine.core.risk_record import (
    BUNDLE,
    HOLDING,
    HOLDINGS,
    LEVEL,
    LEVEL_ROWS,
    LOT_RING,
    POSITION,
    RECENT,
    SECURITY,
    VENUE_FEE,
)
from engine.core.router_records import CONSOLIDATED, INTENT, ROUTE
from engine.core.router_records import VENUE as TERMS
from engine.core.schedules import SCHEDULE
from engine.core.signature import SIGNERS
from engine.core.strangers import STRANGER, STRANGERS

ORDERS = 16_384  # slots, recycled; a power of two, for an order's slot is its id modulo this
SCHEDULES = 128  # parents that can be worked by a schedule at once
PARAMETER_BYTES = 1024
ARTIFACT_BYTES = 128 * 1024
MEMORY_BYTES = 1024 * 1024
KINDS = 128


class Phase(IntEnum):
    """Where the session is."""

    CLOSED = 0
    PRE_OPEN = 1
    OPEN = 2


class StrategyState(IntEnum):
    NONE = 0
    LOADING = 1
    RUNNING = 2
    PAUSED = 3
    FLATTENING = 4
    STOPPED = 5
    FAULTED = 6


class Anomaly(IntEnum):
    """What should not happen, happened, was counted, and did no harm."""

    UNKNOWN_ORDER = 1
    ILLEGAL_MOVE = 2
    ORDER_TABLE_FULL = 3
    KERNEL_FAULT = 4
    TARGET_OUT_OF_RANGE = 5
    BOOK_UNKNOWN_ORDER = 6
    BOOK_FULL = 7
    OVERFILL = 8
    BOOK_REFUSED = 9  # a message of the feed that cannot be: a known id, a price or a size out of range
    LATE_FILL = 10  # of an order that had ended
    DUPLICATE_REPORT = 11  # an execution that was reported before, a bust of what is busted
    SCHEDULES_FULL = 12  # a parent that is to be worked by a schedule, and no slot for it
    NO_PERSON = 20  # a command that needs a named person came without one
    ACTION_REFUSED = 21  # a corporate action, an adjustment or a re-enabling that does not fit
    COMMAND_REFUSED = 13  # a kill of no known scope or level, a re-arming that is not for these persons
    KERNEL_HUNG = 14  # it was called and never came back
    UNKNOWN_VENUE = 15  # a record of a venue that is not traded at
    OTHER_VENUE = 16  # a report of an order that stands at another venue
    INTENT_REFUSED = 17  # of a strategy that is not running, or none of the kinds that a strategy may write


# What kernels see of each instrument. ``bar_date`` is the session (yyyymmdd) of the last closed bar.
MARKET = in_lines(
    [
        ("bid", "<i8"),
        ("bid_size", "<i8"),
        ("ask", "<i8"),
        ("ask_size", "<i8"),
        ("last", "<i8"),
        ("open", "<i8"),
        ("high", "<i8"),
        ("low", "<i8"),
        ("close", "<i8"),
        ("volume", "<i8"),
        ("bar_date", "<i8"),
        ("last_qty", "<i8"),
        ("last_side", "<i8"),  # who took: +1 a buyer, -1 a seller, 0 not known (see ``market.taker_side``)
        ("trading", "<i8"),  # 1 while the security trades
        ("venue_halted", "<i8"),  # 1 while no venue trades it (an operational halt of each)
    ]
)

# What one venue says of an instrument; kept where there are several of them.
VENUE_QUOTE = np.dtype(
    [
        ("bid", "<i8"),
        ("bid_size", "<i8"),
        ("ask", "<i8"),
        ("ask_size", "<i8"),
        ("trading", "<i8"),  # 1 trading, 2 halted; 0 while it has said neither
        ("halted", "<i8"),  # 1 during an operational halt
        ("changes", "<i8"),  # of its touch
        ("spent", "<i8"),  # ``changes`` when an order of ours that was sent at this touch came to its end
        ("spent_at", "<i8"),
    ]
)

# Where one venue stands. ``phase`` and ``date`` are of its own session, ``code`` the newest Session event of it.
VENUE_STATE = np.dtype(
    [
        ("up", "<i8"),  # its order session
        ("stale", "<i8"),  # its feed
        ("phase", "<i8"),
        ("date", "<i8"),
        ("code", "<i8"),
        ("awaiting", "<i8"),  # orders that it has said nothing of since it was sent something of them
        ("awaited_since", "<i8"),  # its newest answer, or the first message that awaits one
        ("rejects", "<i8"),  # in a row
        ("out_until", "<i8"),  # left out by the router for its rejects
    ]
)

# The bar that is being built.
BAR = np.dtype([("open", "<i8"), ("high", "<i8"), ("low", "<i8"), ("close", "<i8"), ("volume", "<i8")])


# ``desk_key`` and ``strategy_key`` are digests of their names, 0 for none: what kills find them by.
SLOT = np.dtype([("state", "<i8"), ("capital", "<i8"), ("desk", "<i8"), ("desk_key", "<i8"), ("strategy_key", "<i8")])

# A venue's newest mass cancel: its id (0: none is waited for) and instrument (-1: all), how many timers it has waited,
# and up to which slot of the order table its orders have been asked for one by one since.
MASS_CANCEL = np.dtype([("id", "<i8"), ("instrument", "<i8"), ("waited", "<i8"), ("asked", "<i8")])

# Why an instrument does not trade: a Break (0 for none) and the match number or order id that it is about.
BREAK = np.dtype([("code", "<i8"), ("value", "<i8")])

# What a strategy's kernel reads and keeps; apart from SLOT, which every event looks at.
STORE = np.dtype(
    [
        ("parameters", "u1", (PARAMETER_BYTES,)),
        ("artifact", "u1", (ARTIFACT_BYTES,)),
        ("memory", "u1", (MEMORY_BYTES,)),
    ]
)

BOOKS = books_dtype(instruments=INSTRUMENTS, buckets=1 << 15, far_blocks=2_000)  # 73,728 orders; 3.1 MB

STATE = np.dtype(
    [
        # what is made of cache lines comes first, for the record begins on one
        ("levels", LEVEL, (LEVEL_ROWS,)),
        ("holdings", HOLDING, (HOLDINGS, INSTRUMENTS)),
        ("securities", SECURITY, (INSTRUMENTS,)),
        ("recent", RECENT, (STRATEGIES, RECENT_ORDERS)),
        ("positions", POSITION, (STRATEGIES, INSTRUMENTS)),
        ("market", MARKET, (INSTRUMENTS,)),
        ("orders", ORDER, (ORDERS,)),
        ("parents", PARENT, (STRATEGIES, INSTRUMENTS)),
        ("stores", STORE, (STRATEGIES,)),
        ("books", BOOKS, (MARKETS,)),  # by venue
        ("wakes", "<i8", (KINDS,)),  # by kind of event: a bit for each strategy that it wakes
        ("now", "<i8"),
        ("date", "<i8"),
        ("phase", "<i8"),
        ("instruments", "<i8"),
        ("session_code", "<i8"),  # of the day: the newest Session event that holds for all venues together
        ("venue_count", "<i8"),
        ("venue_up", "<i8"),  # 1 while any order session is
        ("stale_venues", "<i8"),  # how many feeds are stale
        ("feed_stale", "<i8"),  # 1 while all of them are
        ("hang_after", "<i8"),  # without an answer for so long, a venue is left out; 0: never
        ("relaxed_at", "<i8"),  # when what the router has learned came nearer to what was expected
        ("routed", "<i8"),  # records that the router has written in this step
        ("events", "<i8"),
        ("emitted", "<i8"),  # records that the current step has written
        ("anomalies", "<i8"),
        ("next_order_id", "<i8"),
        ("next_parent", "<i8"),
        ("next_deadline", "<i8"),
        ("timer_interval", "<i8"),
        ("reprice_after", "<i8"),
        ("fee_per_share", "<i8"),
        ("commission_ppm", "<i8"),  # of the value, in millionths
        ("opened_at", "<i8"),  # the session, by the exchange's stamp
        ("bundle", BUNDLE),
        ("venue_fees", VENUE_FEE, (VENUES,)),
        ("bars", BAR, (INSTRUMENTS,)),
        ("slots", SLOT, (STRATEGIES,)),
        ("plans", SCHEDULE, (STRATEGIES,)),  # by which a strategy's parents are worked; qty 0: at once
        ("schedules", SCHEDULE, (SCHEDULES,)),
        ("scheduled", "<i8", (SCHEDULES,)),  # 1 + strategy * INSTRUMENTS + instrument of each, 0: free
        ("executions", EXECUTIONS),
        ("breaks", BREAK, (INSTRUMENTS,)),
        ("unexplained", BREAK),  # of which no instrument is known: nothing trades
        ("strangers", STRANGER, (STRANGERS,)),  # orders of our account that are not ours
        ("kills", KILLS),
        ("mass_cancels", MASS_CANCEL, (VENUES,)),
        ("signers", "<i8", (SIGNERS,)),  # who gives the command that comes next, as digests; 0 for nobody
        ("lots", LOT_RING, (STRATEGIES, INSTRUMENTS)),
        ("health", health_dtype(INSTRUMENTS)),
        ("venues", VENUE_STATE, (MARKETS,)),
        ("quotes", VENUE_QUOTE, (MARKETS, INSTRUMENTS)),
        ("terms", TERMS, (MARKETS,)),  # what the router knows of each venue
        ("displayed", CONSOLIDATED),  # of the instrument that is routed last, as the next two
        ("intent", INTENT),
        ("route", ROUTE),
    ]
)

# The most records one step can emit: a bar an instrument; for each strategy its kernel's records (KERNEL_RECORDS at the
# most) and for each instrument an order, or a cancel and that of a replace on its way; and SWEEP cancels that a kill
# asks for once more; and what the router may write. A kill itself cancels up to ORDERS orders, in one message a venue,
# and calls no kernel.
KERNEL_RECORDS = 1024
SWEEP = 2048
ROUTED = 4096
OUTPUTS = 2 * INSTRUMENTS + STRATEGIES * (KERNEL_RECORDS + 2 * INSTRUMENTS) + SWEEP + ROUTED + 1
assert OUTPUTS > ORDERS + 1 + VENUES, "a kill's records fit"
