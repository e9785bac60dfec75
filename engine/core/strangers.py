"""Orders of our account that the venue tells of and the order table does not know.

A journal that was lost with its host, another program with our account's password: whatever it was, what works out
there and is not counted here breaks the symbol. Such an order is cancelled. Once all of a symbol have left the book
without an execution nothing is missing here, and the break is resolved by that rule; an execution needs a person. So
does any other break of the symbol, behind which this one waits (`show_strangers`).
"""

import numpy as np

from engine.core.breaks import open_break, resolve_by_rule
from engine.core.compiled import njit
from engine.core.events import Break, Kind
from engine.core.outputs import emit

STRANGERS = 64
NOBODY = -1
STRANGER = np.dtype([("order_id", "<i8"), ("venue", "<i8"), ("instrument", "<i8"), ("qty", "<i8")])  # order_id 0: free

ACCEPTED, EXECUTION, CANCELED = int(Kind.ACCEPTED), int(Kind.EXECUTION), int(Kind.CANCELED)
REPLACED, ORDER_CANCEL = int(Kind.REPLACED), int(Kind.ORDER_CANCEL)
UNKNOWN_ORDER, UNKNOWN_EXECUTION = int(Break.UNKNOWN_ORDER), int(Break.UNKNOWN_EXECUTION)


@njit(cache=True)
def on_stranger(state, out, event):
    """Takes a report of an order that is not in the table."""
    kind, index = event.kind, _find(state, event.venue, event.order_id)
    if kind == REPLACED:
        _leave(state, out, _find(state, event.venue, event.ref))
    if kind in (ACCEPTED, REPLACED):
        _come(state, out, event, index)
    elif kind == EXECUTION:
        instrument = event.instrument if index == NOBODY else state.strangers[index].instrument
        open_break(state, out, UNKNOWN_EXECUTION, instrument, event.ref)
        _reduce(state, out, index, event.qty)
    elif kind == CANCELED:
        _reduce(state, out, index, event.qty)


@njit(cache=True)
def cancel_strangers(state, out, venue):
    """Asks a venue to cancel all of them; when its session has come up, for what was asked before may be lost."""
    for index in range(len(state.strangers)):
        if state.strangers[index].order_id and state.strangers[index].venue == venue:
            _cancel(state, out, state.strangers[index])


@njit(cache=True)
def show_strangers(state, out, instrument):
    """A person has resolved another break of the instrument (-1: of everything): what works there is one still."""
    for index in range(len(state.strangers)):
        stranger = state.strangers[index]
        if stranger.order_id and stranger.instrument == instrument:
            open_break(state, out, UNKNOWN_ORDER, instrument, stranger.order_id)
            return


@njit(cache=True)
def _come(state, out, event, index):
    """Where there is no room for one more, everything is broken: how many work nobody knows."""
    if index == NOBODY:
        index = _free(state)
    known = 0 <= event.instrument < state.instruments
    open_break(state, out, UNKNOWN_ORDER, event.instrument if index != NOBODY and known else -1, event.order_id)
    if index == NOBODY:
        return
    stranger = state.strangers[index]
    stranger.order_id, stranger.venue = event.order_id, event.venue
    stranger.instrument = event.instrument if known else -1
    stranger.qty = event.qty
    if state.venues[event.venue].up:
        _cancel(state, out, stranger)


@njit(cache=True)
def _reduce(state, out, index, qty):
    if index == NOBODY:
        return
    stranger = state.strangers[index]
    stranger.qty -= qty
    if stranger.qty <= 0:
        _leave(state, out, index)


@njit(cache=True)
def _leave(state, out, index):
    if index == NOBODY:
        return
    instrument = state.strangers[index].instrument
    state.strangers[index].order_id = 0
    for other in range(len(state.strangers)):
        if state.strangers[other].order_id and state.strangers[other].instrument == instrument:
            return
    resolve_by_rule(state, out, instrument, UNKNOWN_ORDER)


@njit(cache=True)
def _find(state, venue, order_id):
    for index in range(len(state.strangers)):
        if state.strangers[index].order_id == order_id and state.strangers[index].venue == venue:
            return index
    return NOBODY


@njit(cache=True)
def _free(state):
    for index in range(len(state.strangers)):
        if state.strangers[index].order_id == 0:
            return index
    return NOBODY


@njit(cache=True)
def _cancel(state, out, stranger):
    record = emit(state, out, ORDER_CANCEL, stranger.instrument, 0, -1)
    record.order_id, record.venue = stranger.order_id, stranger.venue
