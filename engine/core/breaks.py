"""Breaks: what we hold of an instrument may not be what the venue says that we hold. It does not trade until a person
(RESOLVE_BREAK) or a rule has looked at it; cancels go on. Of several that are open the newest stands, but none that a
rule may resolve in the place of one that needs a person."""

from engine.core.compiled import njit
from engine.core.events import Break, Kind
from engine.core.outputs import emit

BREAK = int(Kind.BREAK)
RESOLVED, UNKNOWN_ORDER = int(Break.RESOLVED), int(Break.UNKNOWN_ORDER)
BY_RULE = 1  # the flag of a BREAK record that no person has resolved


@njit(cache=True)
def open_break(state, out, code, instrument, value):
    """``value`` is the match number or order id that it is about; an instrument out of range concerns all."""
    if 0 <= instrument < state.instruments:
        _stand(state.breaks[instrument], code, value)
    else:
        instrument = -1
        _stand(state.unexplained, code, value)
    _tell(state, out, code, instrument, value)


@njit(cache=True)
def resolve_break(state, out, instrument, value):
    """``instrument`` -1: what concerns all. ``value`` is that of the newest break that was looked at: where there is
    none, or another one since, nothing happens. Returns what kind of break it was, RESOLVED for none."""
    if 0 <= instrument < state.instruments:
        broken = state.breaks[instrument]
    elif instrument == -1:
        broken = state.unexplained
    else:
        return RESOLVED
    if broken.code == RESOLVED or broken.value != value:
        return RESOLVED
    code = broken.code
    _set(broken, RESOLVED, 0)
    _tell(state, out, RESOLVED, instrument, value)
    return code


@njit(cache=True)
def resolve_by_rule(state, out, instrument, code):
    """Resolves an instrument's (-1: everything's) break if it is of that kind: what caused it is gone."""
    broken = state.breaks[instrument] if instrument >= 0 else state.unexplained
    if broken.code == code:
        value = broken.value
        _set(broken, RESOLVED, 0)
        _tell(state, out, RESOLVED, instrument, value)
        out[state.emitted - 1].flags = BY_RULE


@njit(cache=True)
def outlasts(code, newer):
    """Whether a break of this kind stays though a newer one is open: a rule resolves only UNKNOWN_ORDER."""
    return code != RESOLVED and code != UNKNOWN_ORDER and newer == UNKNOWN_ORDER  # noqa: PLR1714


@njit(cache=True)
def _stand(broken, code, value):
    if not outlasts(broken.code, code):
        _set(broken, code, value)


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
