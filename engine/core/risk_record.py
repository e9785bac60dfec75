"""Records of the risk that is held: levels with their limits and totals, holdings, lots, and what a security allows.

Quantities in shares, prices in 1/10,000, money in 1/10,000 of the currency, times in ns on the engine's clock.
"""

import numpy as np

from engine.core.cache_lines import in_lines
from engine.core.capacities import DESKS, INSTRUMENTS, LOTS, STRATEGIES
from engine.core.limit_names import MEASURED

# What a firm, desk or strategy holds in one instrument. ``cost`` is what the open quantity was bought for (negative
# for shorts): cost / position = average cost. ``exposure`` is the sum over strategies of the larger of both sides, if
# all that works there were filled.
HOLDING_FIELDS: list[tuple] = [
    ("position", "<i8"),
    ("cost", "<i8"),
    ("realised", "<i8"),
    ("fees", "<i8"),
    ("working_buy", "<i8"),
    ("working_sell", "<i8"),
    ("exposure", "<i8"),
]
HOLDING = in_lines(HOLDING_FIELDS)
HOLDINGS = 1 + DESKS  # row 0 is the firm's, desks follow; a strategy's stands in POSITION

# What one strategy holds of one instrument.
POSITION = in_lines(
    [
        *HOLDING_FIELDS,
        ("fifo_realised", "<i8"),  # as ``realised``, with the oldest lots closed first
        ("fee_parts", "<i8"),  # millionths of 1/10,000 that commissions on the value were rounded by
    ]
)

# One of the four levels an order must pass. Totals are over everything below it, at the marks. What checks read
# comes first.
LEVEL = in_lines(
    [
        ("limit", "<i8", (MEASURED + 1,)),  # by Limit; -1 where nothing passes
        ("gross", "<i8"),  # exposure at the marks
        ("net", "<i8"),  # position at the marks
        ("buying", "<i8"),  # what works, at the marks
        ("selling", "<i8"),
        ("day_loss", "<i8"),  # 0 in a day of profit
        ("drawdown", "<i8"),
        ("order_bucket", "<i8"),  # 1e-9 orders
        ("message_bucket", "<i8"),
        ("leaked_at", "<i8"),
        ("orders", "<i8"),  # of the day
        ("cancels", "<i8"),
        ("executions", "<i8"),
        ("throttled", "<i8"),  # 1 until a person re-enables it
        ("venues", "<i8"),  # a bit each
        ("hours_from", "<i8"),  # after the opening
        ("hours_until", "<i8"),
        ("instruments", "<i8", (INSTRUMENTS // 64,)),  # a bit each
        ("cost", "<i8"),
        ("realised", "<i8"),
        ("fees", "<i8"),
        ("day_began", "<i8"),  # profit then
        ("peak", "<i8"),  # the highest profit
        ("reenabled_by", "<i8"),
        ("reenabled_at", "<i8"),
    ]
)
DESK_LEVELS = 1
STRATEGY_LEVELS = DESK_LEVELS + DESKS
SYMBOL_LEVELS = STRATEGY_LEVELS + STRATEGIES
LEVEL_ROWS = SYMBOL_LEVELS + INSTRUMENTS

SECURITY = np.dtype(
    [
        ("mark", "<i8"),  # the price that all totals are at
        ("holders", "<i4"),  # a bit for each strategy with exposure
        ("restricted", "<i2"),
        ("price_test", "<i2"),  # Rule 201 is in force
        ("heard_at", "<i8"),
        ("skew", "<i8"),  # ts_recv - ts_event of the last market data
        ("allotted", "<i8"),  # shares of the firm's position elsewhere that sells here may count on
        ("locate", "<i8"),  # shares located for the day
        ("located", "<i8"),  # of them used: sold short, or working to be
        ("own_bid", "<i4"),  # no own buy works above it, while any works
        ("own_ask", "<i4"),  # no own sell works below it
    ]
)

# First in, first out: the oldest lot is at ``first``, the others follow round the ring.
LOT_RING = np.dtype(
    [
        ("qty", "<i8", (LOTS,)),  # signed
        ("cost", "<i8", (LOTS,)),
        ("first", "<i8"),
        ("count", "<i8"),
        ("merged", "<i8"),  # fills that went into the newest lot because all were taken
    ]
)

RECENT = np.dtype(
    [
        ("instrument", "<i4"),
        ("count", "<i4"),
        ("price", "<i8"),
        ("qty", "<i8"),  # signed by side
        ("at", "<i8"),
    ]
)

BUNDLE = np.dtype(
    [
        ("number", "<i8"),  # the highest seen
        ("digest", "<i8"),
        ("valid_from", "<i8"),
        ("valid_until", "<i8"),
        ("duplicate_window", "<i8"),
    ]
)

VENUE_FEE = np.dtype([("adding", "<i8"), ("taking", "<i8")])  # a share; negative is a rebate
