"""From what a strategy wants to orders: one working child a strategy and instrument.

The child is a day order at the far touch: it takes what is displayed there and rests with the remainder.
When the touch has moved away and ``reprice_after`` has passed, it is cancelled and sent anew at the new
touch. A limit's refusal ends the attempt until the target changes or the next session opens; one that passes by
itself (a rate, an old quote) ends it for ``reprice_after``.
"""

from numba import njit

from engine.core.activity import note_cancel, note_sent
from engine.core.events import Kind, TimeInForce
from engine.core.limit_names import MARK_SHIFT
from engine.core.limits import NONE, check_order, passes_by_itself, sale_mark
from engine.core.orders import (
    PENDING_NEW,
    REPORT_CANCEL_SENT,
    free_order_id,
    is_open,
    move,
    order_by_id,
)
from engine.core.outputs import emit, emit_anomaly
from engine.core.positions import hold
from engine.core.state import Anomaly, Phase, StrategyState

ORDER_NEW = int(Kind.ORDER_NEW)
ORDER_CANCEL = int(Kind.ORDER_CANCEL)
LIMIT_REJECT = int(Kind.LIMIT_REJECT)
DAY = int(TimeInForce.DAY)
VENUE = 0  # the only one there is yet
OPEN = int(Phase.OPEN)
RUNNING = int(StrategyState.RUNNING)
FLATTENING = int(StrategyState.FLATTENING)
ORDER_TABLE_FULL = int(Anomaly.ORDER_TABLE_FULL)


@njit(cache=True)
def work_instrument(state, out, instrument):
    """Moves every strategy's position in ``instrument`` one order closer to its target."""
    market = state.market[instrument]
    if state.phase != OPEN or not state.venue_up or state.feed_stale or not market.trading or market.venue_halted:
        return
    for strategy in range(len(state.slots)):
        running = state.slots[strategy].state
        if running in (RUNNING, FLATTENING):
            _work_target(state, out, strategy, instrument)


@njit(cache=True)
def _work_target(state, out, strategy, instrument):
    position = state.positions[strategy, instrument]
    wanted = position.target - position.position
    market = state.market[instrument]
    if position.child:
        _review_child(state, out, position, market, wanted)
        return
    if position.retry_at and state.now >= position.retry_at:
        position.rejected_parent = position.retry_at = 0
    if wanted == 0 or position.rejected_parent == position.parent:
        return
    side = 1 if wanted > 0 else -1
    touch = market.ask if side > 0 else market.bid
    if touch > 0:
        _send_child(state, out, strategy, instrument, side, abs(wanted), touch)


@njit(cache=True)
def _review_child(state, out, position, market, wanted):
    """Cancels the child when it points the wrong way or rests behind a touch that has moved."""
    order = state.orders[order_by_id(state.orders, position.child)]
    touch = market.ask if order.side > 0 else market.bid
    moved_away = touch > 0 and (touch - order.price) * order.side > 0
    waited = state.now - order.sent_at >= state.reprice_after
    if wanted * order.side <= 0 or (moved_away and waited):
        cancel_order(state, out, order)


@njit(cache=True)
def _send_child(state, out, strategy, instrument, side, qty, price):
    position = state.positions[strategy, instrument]
    limit, level, value, order_value = check_order(state, strategy, instrument, side, qty, price, VENUE)
    if limit != NONE:
        position.rejected_parent = position.parent
        position.retry_at = state.now + max(state.reprice_after, 1) if passes_by_itself(limit) else 0
        record = emit(state, out, LIMIT_REJECT, instrument, side, strategy)
        record.code = limit
        record.value = value
        record.level = level
        record.order_value = order_value
        return
    order_id = free_order_id(state.orders, state.next_order_id)
    if order_id < 0:
        position.rejected_parent = position.parent
        emit_anomaly(state, out, ORDER_TABLE_FULL, instrument, qty, state.next_order_id)
        return
    state.next_order_id = order_id + 1
    order = state.orders[order_id & (len(state.orders) - 1)]
    order.order_id = order_id
    order.parent = position.parent
    order.price = price
    order.qty = qty
    order.filled = 0
    order.sent_at = state.now
    order.instrument = instrument
    order.strategy = strategy
    order.state = PENDING_NEW
    order.side = side
    order.mark = sale_mark(state, instrument, side, qty, price)
    order.venue = VENUE
    position.child = order_id
    note_sent(state, strategy, instrument, side, qty, price, order.mark)
    hold(state, strategy, instrument, side, qty)
    record = emit(state, out, ORDER_NEW, instrument, side, strategy)
    record.flags = DAY | order.mark << MARK_SHIFT
    record.order_id = order_id
    record.price = price
    record.qty = qty
    record.ref = order.parent


@njit(cache=True)
def cancel_order(state, out, order):
    """Asks the venue to cancel what is left of ``order``, once."""
    if is_open(order) and state.venue_up and move(order, REPORT_CANCEL_SENT):
        record = emit(state, out, ORDER_CANCEL, order.instrument, order.side, order.strategy)
        record.order_id = order.order_id
        note_cancel(state, order.strategy, order.instrument)


@njit(cache=True)
def cancel_working(state, out, strategy):
    """Cancels every open order of one strategy."""
    for instrument in range(state.instruments):
        child = state.positions[strategy, instrument].child
        if child:
            cancel_order(state, out, state.orders[order_by_id(state.orders, child)])
