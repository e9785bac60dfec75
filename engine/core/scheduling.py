"""Parents that are worked by a schedule.

A strategy may have a plan (``state.plans``, a SCHEDULE blob; none: a parent is worked at once). When the session first
lets a parent of a strategy with a plan be worked, its schedule begins, for what is wanted then, in one of a bounded
number of slots. From there on its child is a slice that the schedule releases, never more. A schedule ends with its
parent, with what is wanted, or with the session; the next session begins one for what is still wanted. What a schedule
leaves at its end is not asked for any more in this session.

A strategy that flattens takes risk off at once: no schedule holds it up.
"""

from engine.core.compiled import njit
from engine.core.events import Kind
from engine.core.outputs import emit, emit_anomaly
from engine.core.parents import drop_schedule
from engine.core.schedules import begin_schedule, planned, schedule_due, slice_due
from engine.core.state import INSTRUMENTS, Anomaly, StrategyState

SCHEDULE = int(Kind.SCHEDULE)
RUNNING = int(StrategyState.RUNNING)
SCHEDULES_FULL = int(Anomaly.SCHEDULES_FULL)


@njit(cache=True)
def shares_to_send(state, out, strategy, instrument, wanted, working):
    """How many of ``wanted`` shares may go to the venue now, ``working`` of them being there: all, without a plan."""
    if state.plans[strategy].qty == 0 or state.slots[strategy].state != RUNNING:
        return wanted - working
    parent = state.parents[strategy, instrument]
    if parent.schedule == 0 and not _begin(state, out, strategy, instrument, wanted):
        return 0
    schedule = state.schedules[parent.schedule - 1]
    done = max(schedule.qty - wanted, 0)
    return min(slice_due(schedule, state.now, _volume(state, parent, instrument), done, working), wanted - working)


@njit(cache=True)
def is_over(state, strategy, instrument):
    """Whether the parent's schedule has come to its end and leaves what is left."""
    parent = state.parents[strategy, instrument]
    if parent.schedule == 0 or state.slots[strategy].state != RUNNING:
        return False
    schedule = state.schedules[parent.schedule - 1]
    return state.now >= schedule.end and schedule.completes == 0


@njit(cache=True)
def _begin(state, out, strategy, instrument, wanted):
    """Begins the parent's schedule; False, and the parent is not asked for again, when every slot is taken."""
    parent = state.parents[strategy, instrument]
    for slot in range(len(state.schedules)):
        if state.scheduled[slot] == 0:
            state.scheduled[slot] = strategy * INSTRUMENTS + instrument + 1
            parent.schedule = slot + 1
            parent.volume = state.bars[instrument].volume
            begin_schedule(state.schedules[slot], state.plans[strategy], wanted, state.now, parent.id)
            return True
    parent.refused = 1
    emit_anomaly(state, out, SCHEDULES_FULL, instrument, wanted, parent.id)
    return False


@njit(cache=True, inline="always")
def _volume(state, parent, instrument):
    """What the market has traded since the schedule began."""
    return state.bars[instrument].volume - parent.volume


@njit(cache=True)
def end_schedule(state, out, strategy, instrument):
    """Gives the slot of a parent that needs it no more back, with a last word on its progress."""
    if state.parents[strategy, instrument].schedule:
        emit_progress(state, out, strategy, instrument)
        drop_schedule(state, state.parents[strategy, instrument])


@njit(cache=True)
def end_all_schedules(state):
    """A new trading day: schedules are of one session, as the volume is that they look at."""
    for slot in range(len(state.scheduled)):
        owner = state.scheduled[slot] - 1
        if owner >= 0:
            drop_schedule(state, state.parents[owner // INSTRUMENTS, owner % INSTRUMENTS])


@njit(cache=True)
def emit_progress(state, out, strategy, instrument):
    """A SCHEDULE record: what the path asks for, what is due of it, and what is done."""
    parent = state.parents[strategy, instrument]
    schedule = state.schedules[parent.schedule - 1]
    volume = _volume(state, parent, instrument)
    wanted = parent.target - state.positions[strategy, instrument].position
    done = max(schedule.qty - abs(wanted), 0)
    record = emit(state, out, SCHEDULE, instrument, 1 if parent.qty > 0 else -1, strategy)
    record.parent_id = parent.id
    record.due = schedule_due(schedule, state.now, volume, done)
    record.planned = planned(schedule, state.now, volume)
    record.done = done
