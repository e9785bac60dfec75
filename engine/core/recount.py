"""Every total made anew from positions, orders and marks: when they have changed by other ways than orders and fills,
and to find out whether what is kept up step by step is right.
"""

from engine.core.capacities import INSTRUMENTS, STRATEGIES
from engine.core.compiled import njit
from engine.core.exposure import carry_fill, carry_hold, mark_price, note_own_price, profit, settle
from engine.core.orders import is_open
from engine.core.risk_record import HOLDINGS, LEVEL_ROWS

FAR = 1 << 61


@njit(cache=True)
def recount(state):
    """Makes every total anew. What a day has won or lost, and what is missing to a peak, stay as they were."""
    for row in range(LEVEL_ROWS):
        _empty_level(state.levels[row])
    for instrument in range(INSTRUMENTS):
        state.securities[instrument].mark = mark_price(state.market[instrument])
        state.securities[instrument].holders = 0
        for row in range(HOLDINGS):
            _empty_holding(state.holdings[row, instrument])
        for strategy in range(STRATEGIES):
            own = state.positions[strategy, instrument]
            own.exposure = 0
            if own.position or own.cost or own.realised or own.fees:
                carry_fill(state, strategy, instrument, own.position, own.cost, own.realised, own.fees)
            if own.working_buy or own.working_sell:
                carry_hold(state, strategy, instrument, own.working_buy, own.working_sell)
    for row in range(LEVEL_ROWS):
        _shift(state.levels[row])
    _find_own_prices(state)


@njit(cache=True)
def _empty_level(level):
    """Leaves in ``day_began`` and ``peak`` how far they are from the profit, the peak out of reach of what comes."""
    won = profit(level)
    level.day_began -= won
    level.peak += FAR - won
    level.gross = level.net = level.buying = level.selling = 0
    level.cost = level.realised = level.fees = 0


@njit(cache=True)
def _shift(level):
    won = profit(level)
    level.day_began += won
    level.peak += won - FAR
    settle(level)


@njit(cache=True)
def _empty_holding(holding):
    holding.position = holding.cost = holding.realised = holding.fees = 0
    holding.working_buy = holding.working_sell = holding.exposure = 0


@njit(cache=True)
def _find_own_prices(state):
    for instrument in range(INSTRUMENTS):
        state.securities[instrument].own_bid = 0
        state.securities[instrument].own_ask = 0
    for slot in range(len(state.orders)):
        order = state.orders[slot]
        if is_open(order):
            note_own_price(state, order.instrument, order.side, order.price)


@njit(cache=True)
def recount_states(states):
    """``recount`` for callers in Python: ``states`` is STATE[1]."""
    recount(states[0])
