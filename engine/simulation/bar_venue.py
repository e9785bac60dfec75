"""The simulated venue for bars: what a daily backtest's orders meet.

A historic bar cannot be changed and shows no depth, so an order is executed whole, at once, at the quote
that the replay shows at the open (the bar's open, half a spread worse; the close where the history has
no opens). Where there is no spread to pay, a quote still has to be wider than nothing (nothing is sent into a locked
market): the order is executed inside it, at the mid. Acceptance and execution are ordinary order reports and pass
through the step like a real venue's.
"""

from engine.core.compiled import njit
from engine.core.events import Kind
from engine.core.orders import leaves, order_by_id
from engine.core.outbox import oldest_heard_at
from engine.core.state import OUTPUTS
from engine.core.step import step

ORDER_NEW = int(Kind.ORDER_NEW)
ORDER_CANCEL = int(Kind.ORDER_CANCEL)
ACCEPTED = int(Kind.ACCEPTED)
EXECUTION = int(Kind.EXECUTION)
CANCELED = int(Kind.CANCELED)
USER_REQUESTED = ord("U")


@njit(cache=True)
def replay(states, kernels, events, start, out, answers, log, kept, inside, boxes, reaction_ns, arrival):
    """Steps ``events[start:]`` and answers every order; returns (events taken, records logged).

    ``out`` is EVENT[2 * OUTPUTS], ``answers`` EVENT[2], ``log`` takes the outputs whose kind ``kept``
    (uint8[128]) marks; executions are ``inside`` (1/10,000) better than the touch. Stops early when ``log`` might not
    hold what the next event causes, and before an event that a strategy outside might forestall: one behind
    ``arrival``, or more than ``reaction_ns`` behind what waits in its box (``boxes``, OUTBOX[1]).
    """
    state = states[0]
    logged = 0
    for index in range(start, len(events)):
        if len(log) - logged < len(out):
            return index - start, logged
        if events[index].ts_recv > arrival or _must_be_heard(boxes[0], events[index].ts_recv - reaction_ns):
            return index - start, logged
        emitted = step(state, kernels, events, index, out)
        answered = 0
        while answered < emitted:
            emitted = _answer(state, kernels, out, answered, emitted, answers, inside)
            answered += 1
        for position in range(emitted):
            if kept[out[position].kind]:
                log[logged] = out[position]
                logged += 1
    return len(events) - start, logged


@njit(cache=True)
def _must_be_heard(box, before):
    """Whether a strategy outside has not taken what was posted before a moment, or too much waits for it."""
    waiting = box.published - box.taken
    return waiting > 0 and (oldest_heard_at(box) < before or waiting > box.capacity // 2)


@njit(cache=True)
def _answer(state, kernels, out, position, emitted, answers, inside):
    """What the venue makes of ``out[position]``; returns the records in ``out`` with what that caused."""
    kind = out[position].kind
    if kind == ORDER_NEW:
        order = out[position]
        _report(answers[0], order, ACCEPTED)
        emitted += step(state, kernels, answers, 0, out[emitted : emitted + OUTPUTS])
        _report(answers[0], order, EXECUTION)
        answers[0].ref = order.order_id
        answers[0].price -= order.side * inside
        return emitted + step(state, kernels, answers, 0, out[emitted : emitted + OUTPUTS])
    if kind == ORDER_CANCEL:
        _report(answers[0], out[position], CANCELED)
        order = state.orders[order_by_id(state.orders, out[position].order_id)]
        answers[0].qty = leaves(order)
        answers[0].reason = USER_REQUESTED
        return emitted + step(state, kernels, answers, 0, out[emitted : emitted + OUTPUTS])
    return emitted


@njit(cache=True, inline="always")
def _report(report, order, kind):
    report.ts_event = order.ts_event
    report.ts_recv = order.ts_recv
    report.instrument = order.instrument
    report.kind = kind
    report.side = order.side
    report.venue = 0
    report.flags = 0
    report.order_id = order.order_id
    report.price = order.price
    report.qty = order.qty
    report.ref = 0
    report.strategy = 0
