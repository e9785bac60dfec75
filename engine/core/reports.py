"""What the venue reports of our orders, and what it does to orders, holds and positions."""

from engine.core.activity import count_execution, return_locate
from engine.core.answers import forget_answer, note_answer
from engine.core.breaks import open_break
from engine.core.compiled import njit
from engine.core.events import Break, Kind, Restatement
from engine.core.executions import NONE, find_execution, note_execution
from engine.core.mass_cancels import ask_one_by_one, forget_mass_cancel, is_mass_cancel
from engine.core.orders import (
    KNOWN,
    MISSING,
    NOT_YET,
    PENDING_CANCEL,
    PENDING_NEW,
    OrderState,
    Report,
    cut,
    hold_for,
    is_open,
    leaves,
    move,
    order_by_id,
)
from engine.core.outputs import emit, emit_anomaly, emit_position, set_strategy_state
from engine.core.parents import add_child, drop_child, forget_refusals
from engine.core.positions import EXECUTED, UNDONE, book_at_fee, fee_a_share
from engine.core.routing import learn, note_reject
from engine.core.sending import cancel_order
from engine.core.state import Anomaly, StrategyState
from engine.core.strangers import cancel_strangers, on_stranger

ACCEPTED, EXECUTION, CANCELED = int(Kind.ACCEPTED), int(Kind.EXECUTION), int(Kind.CANCELED)
REJECTED, REPLACED, CANCEL_REJECTED = int(Kind.REJECTED), int(Kind.REPLACED), int(Kind.CANCEL_REJECTED)
BUST, CORRECTION, RESTATED = int(Kind.BUST), int(Kind.CORRECTION), int(Kind.RESTATED)
ORDER_SESSION = int(Kind.ORDER_SESSION)
FILL, FILL_BUSTED, ORDER_DONE = int(Kind.FILL), int(Kind.FILL_BUSTED), int(Kind.ORDER_DONE)
REPORT_ACCEPTED, REPORT_REJECTED = int(Report.ACCEPTED), int(Report.REJECTED)
REPORT_PARTIAL, REPORT_FULL = int(Report.PARTIAL_FILL), int(Report.FULL_FILL)
REPORT_PART_CANCELED, REPORT_CANCELED = int(Report.PART_CANCELED), int(Report.CANCELED)
REPORT_CANCEL_IN_DOUBT, REPORT_CANCEL_REJECTED = int(Report.CANCEL_IN_DOUBT), int(Report.CANCEL_REJECTED)
REPORT_REPLACED, REPORT_REPLACE_REJECTED = int(Report.REPLACED), int(Report.REPLACE_REJECTED)
REPORT_EXPIRED, REPORT_DONE_FOR_DAY = int(Report.EXPIRED), int(Report.DONE_FOR_DAY)
REPORT_SUSPENDED, REPORT_RESUMED = int(Report.SUSPENDED), int(Report.RESUMED)
FILLED = int(OrderState.FILLED)
OTHER_VENUE = int(Anomaly.OTHER_VENUE)
UNKNOWN_ORDER, ILLEGAL_MOVE = int(Anomaly.UNKNOWN_ORDER), int(Anomaly.ILLEGAL_MOVE)
OVERFILL, LATE_FILL = int(Anomaly.OVERFILL), int(Anomaly.LATE_FILL)
DUPLICATE_REPORT = int(Anomaly.DUPLICATE_REPORT)
UNKNOWN_BUST = int(Break.UNKNOWN_BUST)
MISSING_ORDER = int(Break.MISSING_ORDER)
MISSING_REPORTS = int(Break.MISSING_REPORTS)
FLATTENING, STOPPED = int(StrategyState.FLATTENING), int(StrategyState.STOPPED)
RESTATE_SUSPENDED, RESTATE_RESUMED = int(Restatement.SUSPENDED), int(Restatement.RESUMED)
RESTATE_EXPIRED, RESTATE_DONE = int(Restatement.EXPIRED), int(Restatement.DONE_FOR_DAY)
# OUCH 5.0 Appendix B: closed, and timeout (the day, or the order's own time, is over).
CLOSED_REASON, TIMEOUT_REASON = ord("E"), ord("T")


@njit(cache=True)
def on_report(state, out, event):
    """Applies one order report; returns the order's instrument, or -1 when the order is not ours to know."""
    slot = order_by_id(state.orders, event.order_id)
    if slot < 0 and event.kind == REJECTED and is_mass_cancel(state, event.order_id) >= 0:
        ask_one_by_one(state, out, is_mass_cancel(state, event.order_id))
        return -1
    if slot < 0:
        emit_anomaly(state, out, UNKNOWN_ORDER, event.instrument, event.kind, event.order_id)
        on_stranger(state, out, event)
        return -1
    order = state.orders[slot]
    kind = event.kind
    if order.venue != event.venue:
        emit_anomaly(state, out, OTHER_VENUE, order.instrument, kind, event.order_id)
        on_stranger(state, out, event)
        return -1
    order.known = KNOWN
    note_answer(state, order)
    if kind == EXECUTION:
        _on_execution(state, out, order, event)
    elif kind == ACCEPTED:
        _moved(state, out, order, REPORT_ACCEPTED, kind)
    elif kind == CANCELED:
        _on_canceled(state, out, order, event)
    elif kind == REJECTED:
        _on_rejected(state, out, order, event)
    elif kind == REPLACED:
        _on_replaced(state, out, order, event)
    elif kind == CANCEL_REJECTED:
        _moved(state, out, order, REPORT_CANCEL_REJECTED, kind)
    elif kind == RESTATED:
        _on_restated(state, out, order, event)
    else:
        _on_bust(state, out, order, event)
    return order.instrument


@njit(cache=True)
def _moved(state, out, order, report, kind):
    """Moves the order; False, and an anomaly, when it may not."""
    if move(order, report):
        return True
    emit_anomaly(state, out, ILLEGAL_MOVE, order.instrument, kind, order.order_id)
    return False


@njit(cache=True)
def _on_execution(state, out, order, event):
    """An execution always counts, once: the venue's record is the truth, whatever we thought of the order."""
    if find_execution(state.executions, event.venue, event.ref, order.side) != NONE:
        emit_anomaly(state, out, DUPLICATE_REPORT, order.instrument, event.kind, event.ref)
        return
    fee = fee_a_share(state.fee_per_share, state.venue_fees, event.venue, event.flags)
    index = note_execution(state.executions, event.venue, event.ref, order, event.price, event.qty, fee, event.flags)
    was_open = is_open(order)
    left = leaves(order) if was_open else 0
    order.filled += event.qty
    if order.successor:
        _shrink_successor(state, order, event.qty)
    _book(state, out, order, state.executions.ring[index], event.price, event.qty)
    if not move(order, REPORT_FULL if event.qty >= left else REPORT_PARTIAL):
        emit_anomaly(state, out, ILLEGAL_MOVE, order.instrument, event.kind, order.order_id)
    elif not was_open:
        emit_anomaly(state, out, LATE_FILL, order.instrument, event.qty, order.order_id)
    elif event.qty > left:
        emit_anomaly(state, out, OVERFILL, order.instrument, event.qty, order.order_id)
    if order.state == FILLED and was_open:
        _done(state, out, order, 0)
    elif was_open:
        hold_for(state, order, max(order.held - event.qty, 0))
    stop_when_flat(state, out, order.strategy)


@njit(cache=True)
def _shrink_successor(state, order, qty):
    """What its origin executes before the replace takes effect, it will not have to."""
    slot = order_by_id(state.orders, order.successor)
    if slot >= 0:
        successor = state.orders[slot]
        cut(state, successor, min(qty, leaves(successor)))
        successor.before += qty


@njit(cache=True)
def _book(state, out, order, execution, price, qty):
    """Books an execution, at the fee that it has come with."""
    book_at_fee(state, order.strategy, order.instrument, order.side, price, qty, execution.fee, EXECUTED)
    count_execution(state, order.strategy, order.instrument)
    parent = state.parents[order.strategy, order.instrument]
    if parent.id == order.parent:
        parent.filled += order.side * qty
    _emit_execution(state, out, FILL, order, execution, price, qty)
    emit_position(state, out, order.strategy, order.instrument)


@njit(cache=True)
def _emit_execution(state, out, kind, order, execution, price, qty):
    record = emit(state, out, kind, order.instrument, order.side, order.strategy)
    record.order_id = order.order_id
    record.price = price
    record.qty = qty
    record.ref = execution.match
    record.venue = execution.venue
    record.flags = execution.liquidity


@njit(cache=True)
def _on_bust(state, out, order, event):
    """The venue undoes an execution, or says what it was rightly. The order does not come back to life for it."""
    index = find_execution(state.executions, event.venue, event.ref, order.side)
    if index == NONE or state.executions.ring[index].order_id != order.order_id:
        open_break(state, out, UNKNOWN_BUST, order.instrument, event.ref)
        return
    execution = state.executions.ring[index]
    price, qty = execution.price, execution.qty
    if qty == 0 or (event.kind == CORRECTION and price == event.price and qty == event.qty):
        emit_anomaly(state, out, DUPLICATE_REPORT, order.instrument, event.kind, event.ref)
        return
    book_at_fee(state, order.strategy, order.instrument, -order.side, price, qty, execution.fee, UNDONE)
    order.filled -= qty
    order.qty -= qty  # what was open stays open, what was executed is not asked for again
    parent = state.parents[order.strategy, order.instrument]
    if parent.id == order.parent:
        parent.filled -= order.side * qty
    execution.qty = 0
    _emit_execution(state, out, FILL_BUSTED, order, execution, price, qty)
    if event.kind == CORRECTION and event.qty > 0:
        execution.price, execution.qty = event.price, event.qty
        order.filled += event.qty
        order.qty += event.qty
        _book(state, out, order, execution, event.price, event.qty)
    else:
        emit_position(state, out, order.strategy, order.instrument)
    stop_when_flat(state, out, order.strategy)


@njit(cache=True)
def _on_canceled(state, out, order, event):
    """Shares taken off by the venue; the order ends when none are left."""
    if is_open(order) and 0 < event.qty < leaves(order):
        cut(state, order, event.qty)
        move(order, REPORT_PART_CANCELED)
        hold_for(state, order, max(order.held - event.qty, 0))
        return
    expired = event.reason == TIMEOUT_REASON or event.reason == CLOSED_REASON
    _end(state, out, order, REPORT_EXPIRED if expired else REPORT_CANCELED, event.kind, event.reason)


@njit(cache=True)
def _on_rejected(state, out, order, event):
    if _end(state, out, order, REPORT_REJECTED, event.kind, event.reason):
        parent = state.parents[order.strategy, order.instrument]
        if parent.id == order.parent:
            parent.refused = note_reject(state, parent, order)  # asking again would be refused again


@njit(cache=True)
def _on_replaced(state, out, order, event):
    """The venue has put ``order`` in the place of its origin; its open shares are the venue's word."""
    if order.origin != event.ref:
        emit_anomaly(state, out, ILLEGAL_MOVE, order.instrument, event.kind, order.order_id)
        return
    slot = order_by_id(state.orders, order.origin)
    if slot >= 0 and is_open(state.orders[slot]):
        origin = state.orders[slot]
        origin.successor = 0
        _end(state, out, origin, REPORT_REPLACED, event.kind, 0)
    if _moved(state, out, order, REPORT_ACCEPTED, event.kind) and is_open(order):
        order.price = event.price
        cut(state, order, leaves(order) - event.qty)
        hold_for(state, order, event.qty)
        add_child(state, order)


@njit(cache=True)
def _on_restated(state, out, order, event):
    if event.reason == RESTATE_SUSPENDED:
        _moved(state, out, order, REPORT_SUSPENDED, event.kind)
    elif event.reason == RESTATE_RESUMED:
        _moved(state, out, order, REPORT_RESUMED, event.kind)
    elif event.reason == RESTATE_EXPIRED or event.reason == RESTATE_DONE:
        report = REPORT_EXPIRED if event.reason == RESTATE_EXPIRED else REPORT_DONE_FOR_DAY
        _end(state, out, order, report, event.kind, 0)
    else:
        emit_anomaly(state, out, ILLEGAL_MOVE, order.instrument, event.kind, order.order_id)


@njit(cache=True)
def _end(state, out, order, report, kind, reason):
    """Ends an order; False, and an anomaly, when the report may not. A late answer to one that has ended says nothing
    new."""
    was_open = is_open(order)
    if not _moved(state, out, order, report, kind):
        return False
    if was_open:
        _done(state, out, order, reason)
        stop_when_flat(state, out, order.strategy)
    return was_open


@njit(cache=True)
def _done(state, out, order, reason):
    """An order has left the book; what stood or fell with it is told too."""
    _close(state, out, order, reason)
    if order.successor:
        _end_successor(state, out, order)
    elif order.origin:
        _restore_origin(state, order)


@njit(cache=True)
def _close(state, out, order, reason):
    hold_for(state, order, 0)
    return_locate(state, order.instrument, leaves(order), order.mark)
    drop_child(state, order)
    forget_answer(state, order)
    learn(state, order)
    record = emit(state, out, ORDER_DONE, order.instrument, order.side, order.strategy)
    record.venue = order.venue
    record.order_id = order.order_id
    record.order_state = order.state
    record.filled = order.filled
    record.reason = reason


@njit(cache=True)
def _end_successor(state, out, order):
    """Its origin has ended first: the venue does not replace what is gone."""
    slot = order_by_id(state.orders, order.successor)
    order.successor = 0
    if slot >= 0 and is_open(state.orders[slot]):
        successor = state.orders[slot]
        successor.origin = 0
        move(successor, REPORT_REJECTED)
        _close(state, out, successor, 0)


@njit(cache=True)
def _restore_origin(state, order):
    """A replace that was refused, or never arrived, leaves its origin as it was."""
    slot = order_by_id(state.orders, order.origin)
    if slot < 0:
        return
    origin = state.orders[slot]
    if is_open(origin) and origin.successor == order.order_id:
        origin.successor = 0
        move(origin, REPORT_REPLACE_REJECTED)


@njit(cache=True)
def stop_when_flat(state, out, strategy):
    """A strategy that flattens has stopped once nothing is held and nothing works."""
    if state.slots[strategy].state != FLATTENING:
        return
    for instrument in range(state.instruments):
        if state.positions[strategy, instrument].position or state.parents[strategy, instrument].child:
            return
    set_strategy_state(state, out, strategy, STOPPED)


@njit(cache=True)
def on_order_session(state, out, event):
    """A venue's order session came up (``code`` 1, caught up, ``ref`` the next id the venue expects) or was lost (0).

    Orders are in doubt after a loss: their holds stay. Once the venue has replayed everything, an order that it has
    never seen (id at or above ``ref``) never arrived and is ended; a cancel that may not have arrived, or was wanted
    meanwhile, is asked for. One that the venue had told of and does not know is a break, also with a cancel; its hold
    stays until a person has looked (`end_missing`). So are reports that the venue cannot send again.
    """
    if event.missing:
        open_break(state, out, MISSING_REPORTS, -1, event.missing)
    venue = state.venues[event.venue]
    venue.up, venue.awaiting, venue.rejects, venue.out_until = event.code, 0, 0, 0
    state.venue_up = 0
    for number in range(state.venue_count):
        state.venue_up |= state.venues[number].up
    if not event.code:
        return
    state.next_order_id = max(state.next_order_id, event.ref)
    forget_mass_cancel(state, event.venue)
    cancel_strangers(state, out, event.venue)
    for slot in range(len(state.orders)):
        order = state.orders[slot]
        if not is_open(order) or order.venue != event.venue:
            continue
        order.unanswered = 0  # by the session that was lost
        unheard = order.known == NOT_YET and (order.state == PENDING_NEW or order.state == PENDING_CANCEL)
        if order.order_id >= event.ref and unheard:
            cancelled = order.state == PENDING_CANCEL
            _end(state, out, order, REPORT_CANCELED if cancelled else REPORT_REJECTED, event.kind, 0)
            forget_refusals(state.parents[order.strategy, order.instrument])
            continue
        order.known = MISSING if order.order_id >= event.ref else KNOWN
        if order.known == MISSING:
            open_break(state, out, MISSING_ORDER, order.instrument, order.order_id)
        elif order.state == PENDING_CANCEL and move(order, REPORT_CANCEL_IN_DOUBT):
            cancel_order(state, out, order)


@njit(cache=True)
def end_missing(state, out, instrument):
    """A person has looked at the breaks of an instrument: what its venue does not know, does not work."""
    for slot in range(len(state.orders)):
        order = state.orders[slot]
        if is_open(order) and order.instrument == instrument and order.known == MISSING:
            _end(state, out, order, REPORT_CANCELED, ORDER_SESSION, 0)
