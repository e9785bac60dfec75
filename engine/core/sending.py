"""Orders to the venue: sent, replaced and cancelled once every limit has let them through."""

from engine.core.activity import note_cancel, note_sent
from engine.core.answers import await_answer
from engine.core.compiled import njit
from engine.core.events import POST_ONLY, Kind
from engine.core.limit_names import MARK_SHIFT
from engine.core.limits import NONE, check_order, passes_by_itself, sale_mark, shares_in_one_order
from engine.core.orders import (
    REPORT_CANCEL_SENT,
    REPORT_REPLACE_SENT,
    has_room,
    hold_for,
    is_open,
    move,
    open_order,
    open_successor,
    order_by_id,
)
from engine.core.outputs import emit, emit_anomaly
from engine.core.parents import add_child
from engine.core.router_records import Action
from engine.core.state import Anomaly

ORDER_NEW, ORDER_CANCEL, ORDER_REPLACE = int(Kind.ORDER_NEW), int(Kind.ORDER_CANCEL), int(Kind.ORDER_REPLACE)
LIMIT_REJECT = int(Kind.LIMIT_REJECT)
POST = int(Action.POST)
ORDER_TABLE_FULL = int(Anomaly.ORDER_TABLE_FULL)


@njit(cache=True)
def send_order(state, out, strategy, instrument, side, qty, price, venue, how):
    """One more child of the parent, that `passes` has nothing against; its slot.

    ``how`` are the bits of its flags beside the Mark: time in force, POST_ONLY, PEGGED.
    """
    mark = sale_mark(state, instrument, side, qty, price)
    note_sent(state, strategy, instrument, side, qty, price, mark)
    parent = state.parents[strategy, instrument]
    slot = open_order(state, strategy, instrument, side, qty, price, parent.id, mark, venue)
    order = state.orders[slot]
    add_child(state, order)
    await_answer(state, order)
    record = emit(state, out, ORDER_NEW, instrument, side, strategy)
    record.venue = venue
    record.flags = how | order.mark << MARK_SHIFT
    record.order_id = order.order_id
    record.price = price
    record.qty = qty
    record.ref = order.parent
    return slot


@njit(cache=True)
def replace_order(state, out, order, qty, price):
    """Asks its venue to put an order for ``qty`` shares at ``price`` in the place of ``order``.

    The limits see it as if the order were gone; what is held meanwhile is the larger of both. Where that only reduces,
    it is for no more than one order may ask for. What was never to take is not to take at the new price either.
    """
    held = order.held
    hold_for(state, order, 0)
    qty = shares_in_one_order(state, order.strategy, order.instrument, order.side, qty, price)
    passed = passes(state, out, order.strategy, order.instrument, order.side, qty, price, order.venue)
    mark = sale_mark(state, order.instrument, order.side, qty, price)
    hold_for(state, order, held)
    if not passed:
        return
    note_sent(state, order.strategy, order.instrument, order.side, qty, price, mark)
    slot = open_successor(state, order, qty, price, mark)
    move(order, REPORT_REPLACE_SENT)
    successor = state.orders[slot]
    await_answer(state, successor)
    record = emit(state, out, ORDER_REPLACE, order.instrument, order.side, order.strategy)
    record.venue = order.venue
    record.flags = mark << MARK_SHIFT | (POST_ONLY if order.action == POST else 0)
    record.order_id = successor.order_id
    record.price = price
    record.qty = successor.before + qty
    record.ref = order.order_id


@njit(cache=True)
def passes(state, out, strategy, instrument, side, qty, price, venue):
    """Whether the table and every limit let it through; a refusal is told, and the parent is not asked for again."""
    parent = state.parents[strategy, instrument]
    if not has_room(state):
        parent.refused = 1
        emit_anomaly(state, out, ORDER_TABLE_FULL, instrument, qty, state.next_order_id)
        return False
    limit, level, value, order_value = check_order(state, strategy, instrument, side, qty, price, venue)
    if limit == NONE:
        return True
    parent.refused = 1
    parent.retry_at = state.now + max(state.reprice_after, 1) if passes_by_itself(limit) else 0
    record = emit(state, out, LIMIT_REJECT, instrument, side, strategy)
    record.venue = venue
    record.code = limit
    record.value = value
    record.level = level
    record.order_value = order_value
    return False


@njit(cache=True)
def cancel_order(state, out, order):
    """Asks the venue to cancel what is left of ``order``, once; of a replace that is not answered, both.

    While the venue's session is down nothing can be asked: the order waits for its cancel all the same, and is asked
    for as one in doubt when the session is back.
    """
    if not is_open(order) or not move(order, REPORT_CANCEL_SENT):
        return
    _emit_cancel(state, out, order)
    slot = order_by_id(state.orders, order.successor)
    if slot >= 0 and move(state.orders[slot], REPORT_CANCEL_SENT):
        _emit_cancel(state, out, state.orders[slot])


@njit(cache=True)
def _emit_cancel(state, out, order):
    if not state.venues[order.venue].up:
        return
    await_answer(state, order)
    record = emit(state, out, ORDER_CANCEL, order.instrument, order.side, order.strategy)
    record.venue = order.venue
    record.order_id = order.order_id
    note_cancel(state, order.strategy, order.instrument)
