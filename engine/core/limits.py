"""Pre-trade limits: every level must pass, and a refusal says which limit, at which level, and both values.

Order size and notional, the worst position on the order's side with everything that works there, and
gross notional, at the firm and at the strategy. A limit of 0 lets nothing pass.
"""

from enum import IntEnum

from engine.core.compiled import njit
from engine.core.positions import mark_price, worst_position


class Limit(IntEnum):
    NONE = 0
    ORDER_QTY = 1
    ORDER_NOTIONAL = 2
    POSITION_QTY = 3
    GROSS_NOTIONAL = 4
    ORDER_TABLE = 5


class Level(IntEnum):
    FIRM = 0
    STRATEGY = 1


NONE = int(Limit.NONE)
ORDER_QTY = int(Limit.ORDER_QTY)
ORDER_NOTIONAL = int(Limit.ORDER_NOTIONAL)
POSITION_QTY = int(Limit.POSITION_QTY)
GROSS_NOTIONAL = int(Limit.GROSS_NOTIONAL)
FIRM = int(Level.FIRM)
STRATEGY = int(Level.STRATEGY)


@njit(cache=True, inline="always")
def _largest_exposure(position):
    """Shares on the worse side if everything working there were filled."""
    return max(abs(position.position + position.working_buy), abs(position.position - position.working_sell))


@njit(cache=True)
def gross_notional(state, strategy):
    """Money at the marks over all instruments of one strategy, working orders included."""
    total = 0
    for instrument in range(state.instruments):
        exposure = _largest_exposure(state.positions[strategy, instrument])
        if exposure:
            total += exposure * mark_price(state.market[instrument])
    return total


@njit(cache=True)
def check_order(state, strategy, instrument, side, qty, price):
    """(limit, level, limit's value, order's value); the first is ``Limit.NONE`` when every level passes.

    An order that only takes a position down, with all that works on its side, adds no risk: it is held
    to order size and notional alone.
    """
    notional = qty * price
    own = worst_position(state.positions[strategy, instrument], side, qty)
    firm = 0
    firm_gross = 0
    for slot in range(len(state.slots)):
        if state.slots[slot].state:
            firm += worst_position(state.positions[slot, instrument], side, 0)
            firm_gross += gross_notional(state, slot)
    firm += qty
    own_gross = gross_notional(state, strategy)
    for level in range(2):
        limits = state.firm_limits if level == FIRM else state.slots[strategy].limits
        worst = firm if level == FIRM else own
        gross = firm_gross if level == FIRM else own_gross
        if qty > limits.max_order_qty:
            return ORDER_QTY, level, limits.max_order_qty, qty
        if notional > limits.max_order_notional:
            return ORDER_NOTIONAL, level, limits.max_order_notional, notional
        if worst <= 0:
            continue
        if worst > limits.max_position_qty:
            return POSITION_QTY, level, limits.max_position_qty, worst
        if gross + notional > limits.max_gross_notional:
            return GROSS_NOTIONAL, level, limits.max_gross_notional, gross + notional
    return NONE, 0, 0, 0
