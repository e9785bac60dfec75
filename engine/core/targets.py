"""From what a strategy wants to orders: one working child a strategy and instrument.

The child is a day order at the far touch: it takes what is displayed there and rests with the remainder.
When the touch has moved away and ``reprice_after`` has passed, it is replaced by one at the new touch. A limit's
refusal ends the attempt until the target changes or the next session opens.
"""

from engine.core.breaks import is_broken
from engine.core.compiled import njit
from engine.core.events import Kind, TimeInForce
from engine.core.kill import CANCEL, DISCONNECT, ONLY_VENUE, PAUSE, kill_level, shares_permitted
from engine.core.kill import FLATTEN as KILL_FLATTEN
from engine.core.limits import NONE, check_order
from engine.core.orders import (
    LIVE,
    PARTIALLY_FILLED,
    REPORT_CANCEL_SENT,
    REPORT_REPLACE_SENT,
    hold_for,
    is_open,
    move,
    open_order,
    open_successor,
    order_by_id,
)
from engine.core.outputs import emit, emit_anomaly
from engine.core.state import Anomaly, Phase, StrategyState

ORDER_NEW, ORDER_CANCEL, ORDER_REPLACE = int(Kind.ORDER_NEW), int(Kind.ORDER_CANCEL), int(Kind.ORDER_REPLACE)
LIMIT_REJECT = int(Kind.LIMIT_REJECT)
DAY = int(TimeInForce.DAY)
OPEN = int(Phase.OPEN)
RUNNING = int(StrategyState.RUNNING)
FLATTENING = int(StrategyState.FLATTENING)
NO_STRATEGY = int(StrategyState.NONE)
ORDER_TABLE_FULL = int(Anomaly.ORDER_TABLE_FULL)


@njit(cache=True)
def work_instrument(state, out, instrument):
    """Moves every strategy's position in ``instrument`` one order closer to its target."""
    market = state.market[instrument]
    if state.phase != OPEN or not state.venue_up or state.feed_stale or not market.trading or market.venue_halted:
        return
    if is_broken(state, instrument):
        return
    for strategy in range(len(state.slots)):
        running = state.slots[strategy].state
        if running == NO_STRATEGY:
            continue
        level = kill_level(state, strategy, instrument, ONLY_VENUE)
        if level in (PAUSE, CANCEL, DISCONNECT):
            continue  # what is to be cancelled there, the kill and each timer after it ask for
        if running in (RUNNING, FLATTENING) or level == KILL_FLATTEN:
            _work_target(state, out, strategy, instrument, level)


@njit(cache=True)
def _work_target(state, out, strategy, instrument, level):
    parent = state.parents[strategy, instrument]
    wanted = shares_permitted(level, parent.target, state.positions[strategy, instrument].position)
    market = state.market[instrument]
    if parent.child:
        _review_child(state, out, parent, market, wanted)
        return
    if wanted == 0 or parent.refused:
        return
    side = 1 if wanted > 0 else -1
    touch = market.ask if side > 0 else market.bid
    if touch > 0:
        _send_child(state, out, strategy, instrument, side, abs(wanted), touch)


@njit(cache=True)
def _review_child(state, out, parent, market, wanted):
    """Cancels the child when it points the wrong way, replaces it when it rests behind a touch that has moved."""
    order = state.orders[order_by_id(state.orders, parent.child)]
    if wanted * order.side <= 0:
        cancel_order(state, out, order)
        return
    touch = market.ask if order.side > 0 else market.bid
    moved_away = touch > 0 and (touch - order.price) * order.side > 0
    waited = state.now - order.sent_at >= state.reprice_after
    if moved_away and waited and not parent.refused and (order.state == LIVE or order.state == PARTIALLY_FILLED):
        _replace_child(state, out, parent, order, abs(wanted), touch)


@njit(cache=True)
def _send_child(state, out, strategy, instrument, side, qty, price):
    parent = state.parents[strategy, instrument]
    if not _passes(state, out, parent, strategy, instrument, side, qty, price):
        return
    slot = open_order(state, strategy, instrument, side, qty, price, parent.id)
    if slot < 0:
        parent.refused = 1
        emit_anomaly(state, out, ORDER_TABLE_FULL, instrument, qty, state.next_order_id)
        return
    order = state.orders[slot]
    parent.child = order.order_id
    record = emit(state, out, ORDER_NEW, instrument, side, strategy)
    record.flags = DAY
    record.order_id = order.order_id
    record.price = price
    record.qty = qty
    record.ref = order.parent


@njit(cache=True)
def _replace_child(state, out, parent, order, qty, price):
    """Asks the venue to put an order for ``qty`` shares at ``price`` in the place of ``order``.

    The limits see it as if the order were gone; what is held meanwhile is the larger of both.
    """
    held = order.held
    hold_for(state, order, 0)
    passes = _passes(state, out, parent, order.strategy, order.instrument, order.side, qty, price)
    hold_for(state, order, held)
    if not passes:
        return
    slot = open_successor(state, order, qty, price)
    if slot < 0:
        parent.refused = 1
        emit_anomaly(state, out, ORDER_TABLE_FULL, order.instrument, qty, state.next_order_id)
        return
    move(order, REPORT_REPLACE_SENT)
    successor = state.orders[slot]
    record = emit(state, out, ORDER_REPLACE, order.instrument, order.side, order.strategy)
    record.flags = DAY
    record.order_id = successor.order_id
    record.price = price
    record.qty = successor.before + qty
    record.ref = order.order_id


@njit(cache=True)
def _passes(state, out, parent, strategy, instrument, side, qty, price):
    """Whether every limit lets it through; a refusal is told, and the parent is not asked for again."""
    limit, level, value, order_value = check_order(state, strategy, instrument, side, qty, price)
    if limit == NONE:
        return True
    parent.refused = 1
    record = emit(state, out, LIMIT_REJECT, instrument, side, strategy)
    record.code = limit
    record.value = value
    record.level = level
    record.order_value = order_value
    return False


@njit(cache=True)
def cancel_order(state, out, order):
    """Asks the venue to cancel what is left of ``order``, once; of a replace that is not answered, both."""
    if not state.venue_up or not is_open(order) or not move(order, REPORT_CANCEL_SENT):
        return
    _emit_cancel(state, out, order)
    slot = order_by_id(state.orders, order.successor)
    if slot >= 0 and move(state.orders[slot], REPORT_CANCEL_SENT):
        _emit_cancel(state, out, state.orders[slot])


@njit(cache=True)
def _emit_cancel(state, out, order):
    record = emit(state, out, ORDER_CANCEL, order.instrument, order.side, order.strategy)
    record.order_id = order.order_id


@njit(cache=True)
def cancel_working(state, out, strategy):
    """Cancels every open order of one strategy."""
    for instrument in range(state.instruments):
        child = state.parents[strategy, instrument].child
        if child:
            cancel_order(state, out, state.orders[order_by_id(state.orders, child)])
