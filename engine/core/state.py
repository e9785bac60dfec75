"""The engine's whole state: one structured record of fixed capacities, dumpable and comparable by hash.

Prices in 1/10,000, quantities in shares, money in 1/10,000 of the currency, times in ns UTC on the
engine's clock.
"""

from enum import IntEnum

import numpy as np

from engine.core.books import books_dtype
from engine.core.executions import EXECUTIONS
from engine.core.health_record import health_dtype
from engine.core.kill import KILLS
from engine.core.orders import ORDER
from engine.core.parents import PARENT
from engine.core.signature import SIGNERS

INSTRUMENTS = 512
STRATEGIES = 16
ORDERS = 16_384  # slots, recycled; a power of two, for an order's slot is its id modulo this
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
    COMMAND_REFUSED = 12  # a kill of no known scope or level, a re-arming that is not for these persons
    KERNEL_HUNG = 13  # it was called and never came back


# What kernels see of each instrument. ``bar_date`` is the session (yyyymmdd) of the last closed bar.
MARKET = np.dtype(
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
        ("venue_halted", "<i8"),  # 1 while this venue does not trade it (an operational halt)
    ]
)

# The bar that is being built.
BAR = np.dtype([("open", "<i8"), ("high", "<i8"), ("low", "<i8"), ("close", "<i8"), ("volume", "<i8")])

LIMITS = np.dtype(
    [
        ("max_order_qty", "<i8"),
        ("max_order_notional", "<i8"),
        ("max_position_qty", "<i8"),
        ("max_gross_notional", "<i8"),
    ]
)

# ``cost`` is what the open quantity was bought for (negative for shorts): cost / position = average cost.
POSITION = np.dtype(
    [
        ("position", "<i8"),
        ("cost", "<i8"),
        ("realised", "<i8"),
        ("fees", "<i8"),
        ("working_buy", "<i8"),
        ("working_sell", "<i8"),
    ]
)

# ``desk_key`` and ``strategy_key`` are digests of their names, 0 for none: what kills find them by.
SLOT = np.dtype(
    [("state", "<i8"), ("capital", "<i8"), ("desk_key", "<i8"), ("strategy_key", "<i8"), ("limits", LIMITS)]
)

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
        ("books", BOOKS),  # first: its buckets are cache lines
        ("stores", STORE, (STRATEGIES,)),
        ("wakes", "<i8", (KINDS,)),  # by kind of event: a bit for each strategy that it wakes
        ("now", "<i8"),
        ("date", "<i8"),
        ("phase", "<i8"),
        ("instruments", "<i8"),
        ("venue_up", "<i8"),
        ("feed_stale", "<i8"),
        ("events", "<i8"),
        ("emitted", "<i8"),  # records that the current step has written
        ("anomalies", "<i8"),
        ("next_order_id", "<i8"),
        ("next_parent", "<i8"),
        ("next_deadline", "<i8"),
        ("timer_interval", "<i8"),
        ("reprice_after", "<i8"),
        ("fee_per_share", "<i8"),
        ("firm_limits", LIMITS),
        ("market", MARKET, (INSTRUMENTS,)),
        ("bars", BAR, (INSTRUMENTS,)),
        ("orders", ORDER, (ORDERS,)),
        ("slots", SLOT, (STRATEGIES,)),
        ("positions", POSITION, (STRATEGIES, INSTRUMENTS)),
        ("parents", PARENT, (STRATEGIES, INSTRUMENTS)),
        ("executions", EXECUTIONS),
        ("breaks", BREAK, (INSTRUMENTS,)),
        ("unexplained", BREAK),  # of which no instrument is known: nothing trades
        ("kills", KILLS),
        ("signers", "<i8", (SIGNERS,)),  # who gives the command that comes next, as digests; 0 for nobody
        ("health", health_dtype(INSTRUMENTS)),
    ]
)

# The most records one step can emit: a bar an instrument, for each strategy its kernel's records (KERNEL_RECORDS at the
# most) and a cancel for each instrument, and SWEEP cancels that a kill asks for once more (of a replace that is not
# answered, two at once). A kill itself cancels up to ORDERS orders, and calls no kernel.
KERNEL_RECORDS = 1024
SWEEP = 2048
OUTPUTS = 2 * INSTRUMENTS + STRATEGIES * (KERNEL_RECORDS + INSTRUMENTS) + SWEEP + 1
assert OUTPUTS > ORDERS + 1, "a kill's records fit"
