"""What each level stands for, kept up to the last change: holds, fills and marks are carried up as differences.

A level's totals are sums over strategies and instruments at the marks. Nothing here loops over instruments while
trading: a change of one position touches its own four levels, a new mark the levels of those who hold the instrument.
``recount.recount`` makes all of it anew from positions, orders and marks.
"""

from engine.core.bits import lowest_bit
from engine.core.capacities import DESKS
from engine.core.compiled import njit
from engine.core.events import Flag
from engine.core.limit_names import Level
from engine.core.risk_record import DESK_LEVELS, STRATEGY_LEVELS, SYMBOL_LEVELS

FIRM, DESK, STRATEGY = int(Level.FIRM), int(Level.DESK), int(Level.STRATEGY)
LEVELS = len(Level)
RECOVERED = int(Flag.RECOVERED)


@njit(cache=True, inline="always")
def level_row(state, strategy, instrument, level):
    """Where the level that an order of this strategy in this instrument meets stands in ``state.levels``."""
    if level == FIRM:
        return 0
    if level == DESK:
        return DESK_LEVELS + state.slots[strategy].desk
    if level == STRATEGY:
        return STRATEGY_LEVELS + strategy
    return SYMBOL_LEVELS + instrument


@njit(cache=True, inline="always")
def mark_price(market):
    """Mid while both sides are quoted, else the last trade, else the last close; 0 where there is none."""
    if market.bid > 0 and market.ask > 0:
        return (market.bid + market.ask) // 2
    return market.last if market.last > 0 else market.close


@njit(cache=True, inline="always")
def profit(level):
    """Realised and unrealised, after fees."""
    return level.realised - level.fees + level.net - level.cost


@njit(cache=True, inline="always")
def largest_exposure(holding):
    """Shares on the worse side if everything working there were filled."""
    return max(abs(holding.position + holding.working_buy), abs(holding.position - holding.working_sell))


@njit(cache=True, inline="always")
def settle(level):
    """What a level's new profit means for its peak, its day and its drawdown."""
    won = profit(level)
    level.peak = max(level.peak, won)
    level.drawdown = level.peak - won
    level.day_loss = max(level.day_began - won, 0)


@njit(cache=True, inline="always")
def _grow(state, strategy, instrument):
    """Takes the strategy's exposure over; returns what it has grown by."""
    own = state.positions[strategy, instrument]
    exposure = largest_exposure(own)
    grown = exposure - own.exposure
    own.exposure = exposure
    security = state.securities[instrument]
    if exposure:
        security.holders |= 1 << strategy
    else:
        security.holders &= ~(1 << strategy)
    return grown


@njit(cache=True)
def carry_hold(state, strategy, instrument, buys, sells):
    """Takes shares that work, which the strategy's own position has already, to its desk, the firm and the levels."""
    grown = _grow(state, strategy, instrument)
    mark = state.securities[instrument].mark
    for row in (0, 1 + state.slots[strategy].desk):
        holding = state.holdings[row, instrument]
        holding.working_buy += buys
        holding.working_sell += sells
        holding.exposure += grown
    for level in range(LEVELS):
        entry = state.levels[level_row(state, strategy, instrument, level)]
        entry.gross += grown * mark
        entry.buying += buys * mark
        entry.selling += sells * mark


@njit(cache=True)
def carry_fill(state, strategy, instrument, position, cost, realised, fees):
    """The same of shares and money that have changed hands."""
    grown = _grow(state, strategy, instrument)
    mark = state.securities[instrument].mark
    for row in (0, 1 + state.slots[strategy].desk):
        holding = state.holdings[row, instrument]
        holding.position += position
        holding.cost += cost
        holding.realised += realised
        holding.fees += fees
        holding.exposure += grown
    for level in range(LEVELS):
        entry = state.levels[level_row(state, strategy, instrument, level)]
        entry.gross += grown * mark
        entry.net += position * mark
        entry.cost += cost
        entry.realised += realised
        entry.fees += fees
        settle(entry)


@njit(cache=True, inline="always")
def remark(state, instrument):
    """Takes the instrument's present mark over, where it is another one."""
    mark = mark_price(state.market[instrument])
    security = state.securities[instrument]
    if mark != security.mark:
        moved = mark - security.mark
        security.mark = mark
        if security.holders:
            _move_totals(state, instrument, moved)


@njit(cache=True, inline="always")
def hear(state, event):
    """After a market data message has been applied: when its instrument was heard of, by which clocks, and its mark."""
    security = state.securities[event.instrument]
    security.heard_at = event.ts_recv
    if not event.flags & RECOVERED:
        security.skew = event.ts_recv - event.ts_event
    remark(state, event.instrument)


@njit(cache=True)
def remark_all(state):
    for instrument in range(state.instruments):
        remark(state, instrument)


@njit(cache=True)
def _move_totals(state, instrument, moved):
    holders = state.securities[instrument].holders
    while holders:
        strategy = lowest_bit(holders)
        holders &= holders - 1
        _move(state.levels[STRATEGY_LEVELS + strategy], state.positions[strategy, instrument], moved)
    for desk in range(DESKS):
        holding = state.holdings[1 + desk, instrument]
        if holding.exposure:
            _move(state.levels[DESK_LEVELS + desk], holding, moved)
    _move(state.levels[0], state.holdings[0, instrument], moved)
    _move(state.levels[SYMBOL_LEVELS + instrument], state.holdings[0, instrument], moved)


@njit(cache=True, inline="always")
def _move(level, holding, moved):
    level.gross += holding.exposure * moved
    level.net += holding.position * moved
    level.buying += holding.working_buy * moved
    level.selling += holding.working_sell * moved
    settle(level)


@njit(cache=True, inline="always")
def note_own_price(state, instrument, side, price):
    """An own order that may be executed stands, or will, at ``price``."""
    security = state.securities[instrument]
    if side > 0:
        security.own_bid = max(security.own_bid, price)
    else:
        security.own_ask = min(security.own_ask, price) if security.own_ask else price
