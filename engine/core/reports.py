"""What the venue reports of our orders, and what it does to orders, holds and positions."""

from numba import njit

from engine.core.activity import note_execution, return_locate
from engine.core.events import Kind
from engine.core.orders import (
    FILLED,
    PENDING_NEW,
    OrderState,
    Report,
    is_open,
    leaves,
    move,
    order_by_id,
    release,
)
from engine.core.outputs import emit, emit_anomaly, emit_position, set_strategy_state
from engine.core.positions import book_fill, hold
from engine.core.state import Anomaly, StrategyState

ACCEPTED = int(Kind.ACCEPTED)
EXECUTION = int(Kind.EXECUTION)
CANCELED = int(Kind.CANCELED)
REJECTED = int(Kind.REJECTED)
FILL = int(Kind.FILL)
ORDER_DONE = int(Kind.ORDER_DONE)
REPORT_ACCEPTED = int(Report.ACCEPTED)
REPORT_PARTIAL = int(Report.PARTIAL_FILL)
REPORT_FULL = int(Report.FULL_FILL)
REPORT_PART_CANCELED = int(Report.PART_CANCELED)
REPORT_CANCELED = int(Report.CANCELED)
REPORT_REJECTED = int(Report.REJECTED)
REPORT_CANCEL_IN_DOUBT = int(Report.CANCEL_IN_DOUBT)
PENDING_CANCEL = int(OrderState.PENDING_CANCEL)
UNKNOWN_ORDER = int(Anomaly.UNKNOWN_ORDER)
ILLEGAL_MOVE = int(Anomaly.ILLEGAL_MOVE)
OVERFILL = int(Anomaly.OVERFILL)
FLATTENING = int(StrategyState.FLATTENING)
STOPPED = int(StrategyState.STOPPED)


@njit(cache=True)
def on_report(state, out, event):
    """Applies one order report; returns the order's instrument, or -1 when the order is not ours to know."""
    slot = order_by_id(state.orders, event.order_id)
    if slot < 0:
        emit_anomaly(state, out, UNKNOWN_ORDER, event.instrument, event.kind, event.order_id)
        return -1
    order = state.orders[slot]
    if event.kind == EXECUTION:
        _on_execution(state, out, order, event)
    elif event.kind == ACCEPTED:
        if not move(order, REPORT_ACCEPTED):
            emit_anomaly(state, out, ILLEGAL_MOVE, order.instrument, event.kind, order.order_id)
    elif event.kind == CANCELED:
        _on_canceled(state, out, order, event)
    else:
        _on_ended(state, out, order, REPORT_REJECTED, event.kind, event.reason)
    return order.instrument


@njit(cache=True)
def _on_execution(state, out, order, event):
    """An execution always counts: the venue's record is the truth, whatever we thought of the order."""
    position = state.positions[order.strategy, order.instrument]
    was_open = is_open(order)
    expected = min(event.qty, leaves(order)) if was_open else 0
    if expected < event.qty:
        emit_anomaly(state, out, OVERFILL if was_open else ILLEGAL_MOVE, order.instrument, event.qty, order.order_id)
    order.filled += event.qty
    hold(state, order.strategy, order.instrument, order.side, -expected)
    book_fill(state, order.strategy, order.instrument, order.side, event.price, event.qty, event.venue, event.flags)
    note_execution(state, order.strategy, order.instrument)
    record = emit(state, out, FILL, order.instrument, order.side, order.strategy)
    record.order_id = order.order_id
    record.price = event.price
    record.qty = event.qty
    record.ref = event.ref
    record.venue = event.venue
    record.flags = event.flags
    emit_position(state, out, order.strategy, order.instrument)
    if was_open:
        move(order, REPORT_FULL if order.filled >= order.qty else REPORT_PARTIAL)
        if order.state == FILLED:
            _done(state, out, order, position, 0)
    stop_when_flat(state, out, order.strategy)


@njit(cache=True)
def _on_canceled(state, out, order, event):
    """Shares taken off by the venue; the order ends when none are left."""
    if is_open(order) and 0 < event.qty < leaves(order):
        hold(state, order.strategy, order.instrument, order.side, -event.qty)
        return_locate(state, order.instrument, event.qty, order.mark)
        order.qty -= event.qty
        move(order, REPORT_PART_CANCELED)
        return
    _on_ended(state, out, order, REPORT_CANCELED, event.kind, event.reason)


@njit(cache=True)
def _on_ended(state, out, order, report, kind, reason):
    position = state.positions[order.strategy, order.instrument]
    if not move(order, report):
        emit_anomaly(state, out, ILLEGAL_MOVE, order.instrument, kind, order.order_id)
        return
    release(state, order)
    if report == REPORT_REJECTED:
        position.rejected_parent = order.parent  # asking again would be refused again
    _done(state, out, order, position, reason)
    stop_when_flat(state, out, order.strategy)


@njit(cache=True)
def _done(state, out, order, position, reason):
    if position.child == order.order_id:
        position.child = 0
    record = emit(state, out, ORDER_DONE, order.instrument, order.side, order.strategy)
    record.order_id = order.order_id
    record.order_state = order.state
    record.filled = order.filled
    record.reason = reason


@njit(cache=True)
def stop_when_flat(state, out, strategy):
    """A strategy that flattens has stopped once nothing is held and nothing works."""
    if state.slots[strategy].state != FLATTENING:
        return
    for instrument in range(state.instruments):
        position = state.positions[strategy, instrument]
        if position.position or position.child:
            return
    set_strategy_state(state, out, strategy, STOPPED)


@njit(cache=True)
def on_order_session(state, out, event):
    """The order session came up (``code`` 1, caught up, ``ref`` the next id the venue expects) or was lost (0).

    Orders are in doubt after a loss: their holds stay. Once the venue has replayed everything, an order
    that it has never seen (id at or above ``ref``) never arrived and is ended; a cancel that may not
    have arrived is asked for again.
    """
    state.venue_up = event.code
    if not event.code:
        return
    state.next_order_id = max(state.next_order_id, event.ref)
    for slot in range(len(state.orders)):
        order = state.orders[slot]
        if order.state == PENDING_NEW and order.order_id >= event.ref:
            _on_ended(state, out, order, REPORT_REJECTED, event.kind, 0)
            state.positions[order.strategy, order.instrument].rejected_parent = 0
        elif order.state == PENDING_CANCEL:
            if order.order_id >= event.ref:
                _on_ended(state, out, order, REPORT_CANCELED, event.kind, 0)
            else:
                move(order, REPORT_CANCEL_IN_DOUBT)
