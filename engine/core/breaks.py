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
        _set(state.breaks[instrument], code, value)
    else:
        instrument = -1
        _set(state.unexplained, code, value)
    _tell(state, out, code, instrument, value)


@njit(cache=True)
def resolve_break(state, out, instrument, value):
    """``instrument`` -1: what concerns all. ``value`` is that of the newest break that was looked at: where there is
    none, or another one since, nothing happens."""
    if 0 <= instrument < state.instruments:
        broken = state.breaks[instrument]
    elif instrument == -1:
        broken = state.unexplained
    else:
        return
    if broken.code != RESOLVED and broken.value == value:
        _set(broken, RESOLVED, 0)
        _tell(state, out, RESOLVED, instrument, value)


@njit(cache=True)
def _set(broken, code, value):
    broken.code = code
    broken.value = value


@njit(cache=True)
def _tell(state, out, code, instrument, value):
    record = emit(state, out, BREAK, instrument, 0, -1)
    record.code = code
    record.value = value


@njit(cache=True, inline="always")
def is_broken(state, instrument):
    return state.breaks[instrument].code != RESOLVED or state.unexplained.code != RESOLVED
