"""From what a strategy wants to orders: one working child a strategy and instrument.

The child is a day order at the far touch: it takes what is displayed there and rests with the remainder.
When the touch has moved away and ``reprice_after`` has passed, it is replaced by one at the new touch. A limit's
refusal ends the attempt until the target changes or the next session opens; one that passes by itself (a rate, an old
quote) ends it for ``reprice_after``. Of a strategy with a plan the child is a slice that the parent's schedule releases
(``scheduling``).
"""

from engine.core.activity import note_cancel, note_sent
from engine.core.breaks import is_broken
from engine.core.compiled import njit
from engine.core.events import Kind, TimeInForce
from engine.core.kill import CANCEL, DISCONNECT, ONLY_VENUE, PAUSE, kill_level, shares_permitted
from engine.core.kill import FLATTEN as KILL_FLATTEN
from engine.core.limit_names import MARK_SHIFT
from engine.core.limits import NONE, check_order, passes_by_itself, sale_mark
from engine.core.orders import (
    LIVE,
    PARTIALLY_FILLED,
    REPORT_CANCEL_SENT,
    REPORT_REPLACE_SENT,
    has_room,
    hold_for,
    is_open,
    leaves,
    move,
    open_order,
    open_successor,
    order_by_id,
)
from engine.core.outputs import emit, emit_anomaly
from engine.core.scheduling import end_schedule, is_over, shares_to_send
from engine.core.state import Anomaly, Phase, StrategyState

ORDER_NEW, ORDER_CANCEL, ORDER_REPLACE = int(Kind.ORDER_NEW), int(Kind.ORDER_CANCEL), int(Kind.ORDER_REPLACE)
LIMIT_REJECT = int(Kind.LIMIT_REJECT)
DAY = int(TimeInForce.DAY)
VENUE = 0  # the only one there is yet
OPEN = int(Phase.OPEN)
RUNNING = int(StrategyState.RUNNING)
FLATTENING = int(StrategyState.FLATTENING)
NO_STRATEGY = int(StrategyState.NONE)
ORDER_TABLE_FULL = int(Anomaly.ORDER_TABLE_FULL)


@njit(cache=True)
def work_instrument(state, out, instrument):
    """Moves every strategy's position in ``instrument`` one order closer to its target."""
    if _may_trade(state, instrument):
        for strategy in range(len(state.slots)):
            if state.slots[strategy].state != NO_STRATEGY:
                _work_target(state, out, strategy, instrument)


@njit(cache=True)
def work_target(state, out, strategy, instrument):
    """The same of one strategy, whose kernel has just set a target."""
    if _may_trade(state, instrument):
        _work_target(state, out, strategy, instrument)


@njit(cache=True)
def _may_trade(state, instrument):
    market = state.market[instrument]
    if state.phase != OPEN or not state.venue_up or state.feed_stale or not market.trading or market.venue_halted:
        return False
    return not is_broken(state, instrument)


@njit(cache=True)
def _work_target(state, out, strategy, instrument):
    running = state.slots[strategy].state
    level = kill_level(state, strategy, instrument, ONLY_VENUE)
    if level in (PAUSE, CANCEL, DISCONNECT):
        return  # what is to be cancelled there, the kill and each timer after it ask for
    if running != RUNNING and running != FLATTENING and level != KILL_FLATTEN:  # noqa: PLR1714
        return
    at_once = level == KILL_FLATTEN  # no schedule holds that up
    parent = state.parents[strategy, instrument]
    wanted = shares_permitted(level, parent.target, state.positions[strategy, instrument].position)
    market = state.market[instrument]
    if parent.child:
        _review_child(state, out, parent, market, wanted, at_once)
        return
    if parent.retry_at and state.now >= parent.retry_at:
        parent.refused = parent.retry_at = 0
    if wanted == 0:
        end_schedule(state, out, strategy, instrument)
    if wanted == 0 or parent.refused or (parent.id == 0 and not at_once):
        return
    side = 1 if wanted > 0 else -1
    touch = market.ask if side > 0 else market.bid
    if touch > 0:
        qty = abs(wanted) if at_once else shares_to_send(state, out, strategy, instrument, abs(wanted), 0)
        if qty > 0:
            _send_child(state, out, strategy, instrument, side, qty, touch)


@njit(cache=True)
def _review_child(state, out, parent, market, wanted, at_once):
    """Cancels the child when it points the wrong way, replaces it when it rests behind a touch that has moved."""
    order = state.orders[order_by_id(state.orders, parent.child)]
    if wanted * order.side <= 0 or (not at_once and is_over(state, order.strategy, order.instrument)):
        cancel_order(state, out, order)
        return
    touch = market.ask if order.side > 0 else market.bid
    moved_away = touch > 0 and (touch - order.price) * order.side > 0
    waited = state.now - order.sent_at >= state.reprice_after
    if moved_away and waited and not parent.refused and (order.state == LIVE or order.state == PARTIALLY_FILLED):
        qty = abs(wanted)
        if not at_once:
            working = min(leaves(order), qty)
            qty = working + shares_to_send(state, out, order.strategy, order.instrument, qty, working)
        _replace_child(state, out, parent, order, qty, touch)


@njit(cache=True)
def _send_child(state, out, strategy, instrument, side, qty, price):
    parent = state.parents[strategy, instrument]
    if not _passes(state, out, parent, strategy, instrument, side, qty, price):
        return
    mark = sale_mark(state, instrument, side, qty, price)
    note_sent(state, strategy, instrument, side, qty, price, mark)
    slot = open_order(state, strategy, instrument, side, qty, price, parent.id, mark, VENUE)
    order = state.orders[slot]
    parent.child = order.order_id
    record = emit(state, out, ORDER_NEW, instrument, side, strategy)
    record.flags = DAY | order.mark << MARK_SHIFT
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
    mark = sale_mark(state, order.instrument, order.side, qty, price)
    hold_for(state, order, held)
    if not passes:
        return
    note_sent(state, order.strategy, order.instrument, order.side, qty, price, mark)
    slot = open_successor(state, order, qty, price, mark)
    move(order, REPORT_REPLACE_SENT)
    successor = state.orders[slot]
    record = emit(state, out, ORDER_REPLACE, order.instrument, order.side, order.strategy)
    record.flags = DAY | mark << MARK_SHIFT
    record.order_id = successor.order_id
    record.price = price
    record.qty = successor.before + qty
    record.ref = order.order_id


@njit(cache=True)
def _passes(state, out, parent, strategy, instrument, side, qty, price):
    """Whether the table and every limit let it through; a refusal is told, and the parent is not asked for again."""
    if not has_room(state):
        parent.refused = 1
        emit_anomaly(state, out, ORDER_TABLE_FULL, instrument, qty, state.next_order_id)
        return False
    limit, level, value, order_value = check_order(state, strategy, instrument, side, qty, price, VENUE)
    if limit == NONE:
        return True
    parent.refused = 1
    parent.retry_at = state.now + max(state.reprice_after, 1) if passes_by_itself(limit) else 0
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
    note_cancel(state, order.strategy, order.instrument)


@njit(cache=True)
def cancel_working(state, out, strategy):
    """Cancels every open order of one strategy."""
    for instrument in range(state.instruments):
        child = state.parents[strategy, instrument].child
        if child:
            cancel_order(state, out, state.orders[order_by_id(state.orders, child)])
