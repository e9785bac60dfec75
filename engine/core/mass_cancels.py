"""One message that cancels all that works at a venue, or all of a symbol there (OUCH 5.0 section 2.5).

Each order is still cancelled on its own here: it has its ORDER_CANCEL, and has ended only by the venue's report about
it. What the mass cancel does not end, because the venue refuses it or says nothing, is asked for one by one.
"""

from engine.core.capacities import VENUES
from engine.core.compiled import njit
from engine.core.events import Kind
from engine.core.kill import FIRM, SYMBOL, VENUE
from engine.core.orders import PENDING_CANCEL, Report, free_order_id, move, order_by_id
from engine.core.outputs import emit
from engine.core.sending import cancel_order
from engine.core.state import SWEEP

ORDER_CANCEL, MASS_CANCEL = int(Kind.ORDER_CANCEL), int(Kind.MASS_CANCEL)
REPORT_CANCEL_IN_DOUBT = int(Report.CANCEL_IN_DOUBT)
ALL = -1  # of a venue's instruments
TOLD_IN_ONE = 1  # the flag of an ORDER_CANCEL without a message of its own
FEWEST = 2  # cancels that are worth one message
PATIENCE = 2  # timers


@njit(cache=True)
def cancel_in_one(state, out, first, scope, key):
    """Makes one message a venue of the cancels ``out[first:]`` that a kill of this scope has just written.

    A desk's or a strategy's orders are no scope of the venue's: theirs go out one by one.
    """
    if scope != FIRM and scope != VENUE and scope != SYMBOL:
        return
    instrument = key if scope == SYMBOL else ALL
    for venue in range(VENUES):
        if scope == VENUE and venue != key or _cancels_at(state, out, first, venue, instrument) < FEWEST:
            continue
        order_id = free_order_id(state.orders, state.next_order_id)
        if order_id < 0:
            return  # every slot holds an open order: there is no id for it
        last = state.emitted
        record = emit(state, out, MASS_CANCEL, instrument, 0, -1)
        record.order_id, record.venue = order_id, venue
        state.next_order_id = order_id + 1
        for position in range(first, last):
            if _is_covered(state, out[position], venue, instrument):
                out[position].flags = TOLD_IN_ONE
        mass = state.mass_cancels[venue]
        mass.instrument = instrument if mass.id == 0 or mass.instrument == instrument else ALL
        mass.id, mass.waited, mass.asked = order_id, 0, 0


@njit(cache=True)
def _is_covered(state, record, venue, instrument):
    if record.kind != ORDER_CANCEL or instrument != ALL and record.instrument != instrument:
        return False
    return state.orders[order_by_id(state.orders, record.order_id)].venue == venue


@njit(cache=True)
def _cancels_at(state, out, first, venue, instrument):
    count = 0
    for position in range(first, state.emitted):
        count += _is_covered(state, out[position], venue, instrument)
    return count


@njit(cache=True)
def is_mass_cancel(state, order_id):
    """The venue whose mass cancel has that id and is still waited for, or -1."""
    for venue in range(VENUES):
        if order_id != 0 and state.mass_cancels[venue].id == order_id:
            return venue
    return -1


@njit(cache=True)
def wait_for_mass_cancels(state, out):
    """Another timer has come: a venue that has ended not all by the second is asked for each order."""
    for venue in range(VENUES):
        mass = state.mass_cancels[venue]
        if mass.id == 0:
            continue
        mass.waited += 1
        if mass.waited >= PATIENCE:
            ask_one_by_one(state, out, venue)


@njit(cache=True)
def forget_mass_cancel(state, venue):
    """Its session has come back: each cancel without an answer is asked for again as it is."""
    state.mass_cancels[venue].id = 0


@njit(cache=True)
def ask_one_by_one(state, out, venue):
    """Asks for the orders that a mass cancel was to end and that have not ended, SWEEP at a time."""
    mass = state.mass_cancels[venue]
    last = state.emitted + SWEEP
    while mass.asked < len(state.orders) and state.emitted < last:
        order = state.orders[mass.asked]
        mass.asked += 1
        chosen = mass.instrument == ALL or mass.instrument == order.instrument
        covered = chosen and order.venue == venue and order.order_id < mass.id
        if covered and order.state == PENDING_CANCEL and move(order, REPORT_CANCEL_IN_DOUBT):
            cancel_order(state, out, order)
    if mass.asked == len(state.orders):
        mass.id = 0
