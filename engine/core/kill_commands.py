"""KILL and REARM in the step: the latch first, then what it asks for, and again until it is so."""

from engine.core.compiled import njit
from engine.core.events import Kind
from engine.core.kill import (
    ARMED,
    CANCEL,
    DISCONNECT,
    FLATTEN,
    PAUSE,
    VENUE,
    kill_level,
    lower_latch,
    raise_latch,
)
from engine.core.mass_cancels import cancel_in_one, wait_for_mass_cancels
from engine.core.orders import is_open, leaves
from engine.core.outputs import emit, emit_anomaly
from engine.core.parents import forget_refusals
from engine.core.routing import level_to_work
from engine.core.sending import cancel_order
from engine.core.state import SWEEP, Anomaly

KILL = int(Kind.KILL)
COMMAND_REFUSED = int(Anomaly.COMMAND_REFUSED)


@njit(cache=True)
def on_kill(state, out, event):
    """Latches, then cancels at once all that the level asks for, to the last order in the table."""
    if not (PAUSE <= event.argument <= DISCONNECT and 0 <= event.scope <= VENUE):
        emit_anomaly(state, out, COMMAND_REFUSED, -1, event.command, event.argument)
        return
    index = raise_latch(state, event.scope, event.ref, event.argument, event.epoch, state.signers[0])
    if index < 0:
        return
    _tell(state, out, index)
    if event.argument == FLATTEN:
        _ask_again(state)
    first = state.emitted
    _cancel_killed(state, out, len(state.orders), event.argument == FLATTEN)
    if event.argument >= CANCEL:
        cancel_in_one(state, out, first, event.scope, event.ref)


@njit(cache=True)
def on_rearm(state, out, event):
    index = lower_latch(state, event.scope, event.ref, event.epoch, state.signers)
    if index < 0:
        emit_anomaly(state, out, COMMAND_REFUSED, -1, event.command, event.scope)
    else:
        _tell(state, out, index)


@njit(cache=True)
def keep_killed(state, out):
    """Asks once more for the cancels that a latch wants: some of them may never have arrived."""
    wait_for_mass_cancels(state, out)
    if state.kills.latched:
        _cancel_killed(state, out, SWEEP, False)


@njit(cache=True)
def _cancel_killed(state, out, most, everything):
    """``everything``: flattening begins with all that works; from then on only what would not reduce is cancelled."""
    last = state.emitted + most
    for slot in range(len(state.orders)):
        order = state.orders[slot]
        if not is_open(order):
            continue
        level = kill_level(state, order.strategy, order.instrument, order.venue)
        if level in (ARMED, PAUSE):
            continue
        all_of_it = level in (CANCEL, DISCONNECT) or everything
        if all_of_it or not _reduces(state, order):
            cancel_order(state, out, order)
            if state.emitted >= last:
                return


@njit(cache=True)
def _reduces(state, order):
    """Whether all that is left of ``order`` only takes the position down."""
    position = state.positions[order.strategy, order.instrument].position
    return order.side * position < 0 and leaves(order) <= abs(position)


@njit(cache=True)
def _ask_again(state):
    """What was refused before is asked for again, at the touch as it is now: flattening is another wish than the
    strategy's."""
    for strategy in range(len(state.slots)):
        for instrument in range(state.instruments):
            if level_to_work(state, strategy, instrument) == FLATTEN:
                parent = state.parents[strategy, instrument]
                forget_refusals(parent)
                parent.limit_until = 0


@njit(cache=True)
def _tell(state, out, index):
    latch = state.kills.latches[index]
    record = emit(state, out, KILL, -1, 0, -1)
    record.code = latch.level
    record.scope = latch.scope
    record.ref = latch.key
    record.epoch = latch.epoch
