"""Breaks: what we hold of an instrument may not be what the venue says that we hold. It does not trade until a person
(RESOLVE_BREAK) or a rule has looked at it; cancels go on."""

from engine.core.compiled import njit
from engine.core.events import Kind
from engine.core.outputs import emit

BREAK = int(Kind.BREAK)
RESOLVED = 0


@njit(cache=True)
def open_break(state, out, code, instrument, value):
    """``value`` is the match number or order id that it is about; an instrument out of range concerns all."""
    if 0 <= instrument < state.instruments:
        state.breaks[instrument] = code
    else:
        instrument = -1
        state.unexplained = code
    _tell(state, out, code, instrument, value)


@njit(cache=True)
def resolve_break(state, out, instrument):
    """``instrument`` -1: what concerns all. Nothing happens where there is none."""
    if 0 <= instrument < state.instruments:
        if not state.breaks[instrument]:
            return
        state.breaks[instrument] = RESOLVED
    elif instrument == -1 and state.unexplained:
        state.unexplained = RESOLVED
    else:
        return
    _tell(state, out, RESOLVED, instrument, 0)


@njit(cache=True)
def _tell(state, out, code, instrument, value):
    record = emit(state, out, BREAK, instrument, 0, -1)
    record.code = code
    record.value = value


@njit(cache=True, inline="always")
def is_broken(state, instrument):
    return state.breaks[instrument] != RESOLVED or state.unexplained != RESOLVED
