"""Corporate actions and adjustments by hand: events that change positions, costs, working orders and the day's
reference without an execution.

- Split (numerator new shares for denominator old ones): shares are rescaled toward zero and cost stays, so that no
  money appears; prices, of orders that work and of the market, go the other way. A part of a share is paid in cash
  by the agent, later, and comes in by hand.
- Cash dividend (an amount a share, on the ex-date): longs receive it, shorts pay it, as realised profit. The reference
  falls by it, and so do buy orders that work (FINRA Rule 5330).
- By hand: so many shares at a price, by a named person, without fee.
"""

from engine.core.capacities import LOTS, STRATEGIES
from engine.core.compiled import njit
from engine.core.events import Action, Kind
from engine.core.exposure import carry_fill, remark
from engine.core.orders import is_open, leaves
from engine.core.outputs import emit_anomaly, emit_position
from engine.core.parents import drop_schedule
from engine.core.positions import BY_HAND, book_at_fee
from engine.core.recount import recount
from engine.core.state import Anomaly

SPLIT, DIVIDEND = int(Action.SPLIT), int(Action.DIVIDEND)
ADJUSTMENT = int(Kind.ADJUSTMENT)
NO_PERSON, ACTION_REFUSED = int(Anomaly.NO_PERSON), int(Anomaly.ACTION_REFUSED)


@njit(cache=True)
def on_corporate_action(state, out, event):
    """Applies one to every position in its instrument; what does not fit is an anomaly and changes nothing."""
    instrument = event.instrument
    if not 0 <= instrument < state.instruments:
        emit_anomaly(state, out, ACTION_REFUSED, instrument, event.code, 0)
    elif event.code == SPLIT and event.numerator > 0 and event.denominator > 0:
        _split(state, instrument, event.numerator, event.denominator)
    elif event.code == DIVIDEND and event.amount > 0:
        _dividend(state, instrument, event.amount)
    else:
        emit_anomaly(state, out, ACTION_REFUSED, instrument, event.code, event.amount)
        return
    for strategy in range(STRATEGIES):
        own = state.positions[strategy, instrument]
        if own.position or own.realised:
            emit_position(state, out, strategy, instrument)


@njit(cache=True, inline="always")
def _rescaled(value, numerator, denominator):
    """``value`` * numerator / denominator, toward zero."""
    scaled = abs(value) * numerator // denominator
    return scaled if value >= 0 else -scaled


@njit(cache=True)
def _split(state, instrument, numerator, denominator):
    for strategy in range(STRATEGIES):
        own = state.positions[strategy, instrument]
        split_position(own, state.lots[strategy, instrument], numerator, denominator)
        own.working_buy = 0
        own.working_sell = 0
        parent = state.parents[strategy, instrument]
        drop_schedule(state, parent)
        parent.target = _rescaled(parent.target, numerator, denominator)
        parent.qty = _rescaled(parent.qty, numerator, denominator)
        parent.filled = _rescaled(parent.filled, numerator, denominator)
    for slot in range(len(state.orders)):
        order = state.orders[slot]
        if order.instrument == instrument and is_open(order):
            order.qty = order.qty * numerator // denominator
            order.filled = order.filled * numerator // denominator
            order.before = order.before * numerator // denominator
            order.price = order.price * denominator // numerator
            order.held = min(order.held * numerator // denominator, leaves(order))
            own = state.positions[order.strategy, instrument]
            if order.side > 0:
                own.working_buy += order.held
            else:
                own.working_sell += order.held
    _rescale_prices(state.market[instrument], denominator, numerator)
    recount(state)


@njit(cache=True)
def split_position(position, lots, numerator, denominator):
    """Rescales a POSITION and its LOT_RING."""
    position.position = _rescaled(position.position, numerator, denominator)
    _split_lots(lots, numerator, denominator)


@njit(cache=True)
def pay_dividend(position, amount):
    """Books ``amount`` a share into a POSITION; returns the money."""
    paid = position.position * amount
    position.realised += paid
    position.fifo_realised += paid
    return paid


@njit(cache=True)
def _split_lots(lots, numerator, denominator):
    """Each lot's end in the queue is rescaled, so that lots always add up to the position."""
    before = after = 0
    for number in range(lots.count):
        at = (lots.first + number) % LOTS
        before += lots.qty[at]
        reached = _rescaled(before, numerator, denominator)
        lots.qty[at] = reached - after
        after = reached
    _join_empty_lots(lots)


@njit(cache=True)
def _join_empty_lots(lots):
    """A lot of less than a share has only cost left: it goes to the lot after it, the last one's to the one before."""
    kept, cost = 0, 0
    for number in range(lots.count):
        at = (lots.first + number) % LOTS
        cost += lots.cost[at]
        if lots.qty[at]:
            to = (lots.first + kept) % LOTS
            lots.qty[to], lots.cost[to] = lots.qty[at], cost
            kept, cost = kept + 1, 0
    if kept:
        lots.cost[(lots.first + kept - 1) % LOTS] += cost
        lots.count = kept


@njit(cache=True)
def _rescale_prices(market, numerator, denominator):
    market.bid = market.bid * numerator // denominator
    market.ask = market.ask * numerator // denominator
    market.last = market.last * numerator // denominator
    market.open = market.open * numerator // denominator
    market.high = market.high * numerator // denominator
    market.low = market.low * numerator // denominator
    market.close = market.close * numerator // denominator


@njit(cache=True)
def _dividend(state, instrument, amount):
    for strategy in range(STRATEGIES):
        own = state.positions[strategy, instrument]
        if own.position:
            carry_fill(state, strategy, instrument, 0, 0, pay_dividend(own, amount), 0)
    for slot in range(len(state.orders)):
        order = state.orders[slot]
        if order.instrument == instrument and order.side > 0 and is_open(order):
            order.price = max(order.price - amount, 1)
    market = state.market[instrument]
    market.last = max(market.last - amount, 0)
    market.close = max(market.close - amount, 0)
    remark(state, instrument)


@njit(cache=True)
def on_adjustment(state, out, event):
    """Shares by hand: ``side`` and ``qty`` at ``price``, for a strategy, by ``person``."""
    strategy, instrument = event.strategy, event.instrument
    if event.person <= 0:
        emit_anomaly(state, out, NO_PERSON, instrument, ADJUSTMENT, event.person)
        return
    fits = 0 <= strategy < STRATEGIES and 0 <= instrument < state.instruments
    if not fits or event.qty <= 0 or event.price < 0 or abs(event.side) != 1:
        emit_anomaly(state, out, ACTION_REFUSED, instrument, ADJUSTMENT, event.person)
        return
    book_at_fee(state, strategy, instrument, event.side, event.price, event.qty, 0, BY_HAND)
    emit_position(state, out, strategy, instrument)
