"""The names of limits and of the levels that they stand at; a refusal says both.

A *measured* limit is a number that the order's own number may reach and not pass; its value is the index of that number
in a level's ``limit``. All others are conditions that hold or do not.
"""

from enum import IntEnum


class Level(IntEnum):
    """From the outside in; an order must pass all four."""

    FIRM = 0  # this node's allotment of the firm's limits
    DESK = 1
    STRATEGY = 2
    SYMBOL = 3  # one instrument, over all strategies


class Limit(IntEnum):
    NONE = 0
    # measured on the order: the same number at every level
    ORDER_QTY = 1  # shares
    ORDER_NOTIONAL = 2  # money
    COLLAR_REFERENCE = 3  # bps of the last trade (the last close before there is one), to either side of it
    COLLAR_NEAR_TOUCH = 4  # bps of the near touch that the price stands behind it
    COLLAR_FAR_TOUCH = 5  # bps of the far touch that the price goes through it
    QUOTE_AGE = 6  # ns since the instrument's last market data
    CLOCK_SKEW = 7  # ns between the exchange's stamp and ours on it, either way
    DUPLICATE_ORDERS = 8  # equal orders of one strategy in a row, each within the window after the one before
    # measured at each level, working orders included
    LONG_POSITION = 9  # shares
    SHORT_POSITION = 10  # shares
    GROSS_NOTIONAL = 11  # money at the marks
    NET_NOTIONAL = 12  # money at the marks, on the order's side
    CONCENTRATION = 13  # money at the marks in one instrument
    DAY_LOSS = 14  # money, since the day began
    DRAWDOWN = 15  # money below the highest profit
    ORDER_RATE = 16  # orders in the bucket that empties at this many a second
    MESSAGE_RATE = 17  # orders, replaces and cancels in such a bucket
    CANCEL_RATIO = 18  # cancels for 1,000 orders of the day
    EXECUTIONS = 19  # executions since the day began or a person re-enabled it; beyond it is latched
    # conditions
    BUNDLE = 20  # no valid bundle: value is the end of the last one, order_value the time
    RESTRICTED = 21
    INSTRUMENT = 22  # not among the level's instruments
    VENUE = 23  # value: the level's venues as bits, order_value the venue
    HOURS = 24  # value: the end of the level's hours, order_value the time, both ns after the opening
    CROSSED_MARKET = 25  # value: the ask, order_value the bid
    SELF_TRADE = 26  # value: the price of an own order that it would meet at its venue
    PRICE_TEST = 27  # Regulation SHO, Rule 201: a short sale at or below the best bid; value: the bid
    LOCATE = 28  # shares located for the day


FIRST_OF_LEVEL = int(Limit.LONG_POSITION)
MEASURED = int(Limit.EXECUTIONS)
# What passes by itself, so that the same order may be tried again later; every other refusal stands.
PASSING = frozenset(
    {
        Limit.BUNDLE,
        Limit.QUOTE_AGE,
        Limit.CLOCK_SKEW,
        Limit.DUPLICATE_ORDERS,
        Limit.ORDER_RATE,
        Limit.MESSAGE_RATE,
        Limit.HOURS,
        Limit.CROSSED_MARKET,
        Limit.SELF_TRADE,
        Limit.PRICE_TEST,
        Limit.COLLAR_REFERENCE,
        Limit.COLLAR_NEAR_TOUCH,
        Limit.COLLAR_FAR_TOUCH,
    }
)


class Mark(IntEnum):
    """How a sell order is marked: Regulation SHO, Rule 200(g) (17 CFR 242.200)."""

    LONG = 0  # buys too
    SHORT = 1
    SHORT_EXEMPT = 2


MARK_SHIFT = 4  # where the mark stands in an ORDER_NEW's flags; the bits below are its time in force
