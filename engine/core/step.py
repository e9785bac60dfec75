"""The step: one event in, the records it causes out. Everything that trades goes through here.

``step`` depends on nothing but its arguments, allocates nothing and reads no clock. Backtest, replay,
paper and live call this same function.
"""

from engine.core.activity import reenable
from engine.core.adjustments import on_adjustment, on_corporate_action
from engine.core.bits import lowest_bit
from engine.core.breaks import RESOLVED, UNKNOWN_ORDER, open_break, resolve_break
from engine.core.capacities import DESKS
from engine.core.compiled import njit
from engine.core.events import Command, Kind, Session
from engine.core.exposure import hear
from engine.core.health import emit_health, note_message, on_session_health, on_stale
from engine.core.kernels import BOXED, OUTSIDE, call_kernel
from engine.core.kill_commands import keep_killed, on_kill, on_rearm
from engine.core.limit_names import Level
from engine.core.market import on_market_data, on_session
from engine.core.outbox import post_event, post_outputs
from engine.core.outputs import emit, emit_anomaly, emit_equity, set_strategy_state
from engine.core.parents import forget_refusals, set_target
from engine.core.reports import end_missing, on_order_session, on_report, stop_when_flat
from engine.core.risk_record import DESK_LEVELS, STRATEGY_LEVELS, SYMBOL_LEVELS
from engine.core.routing import relax_venues
from engine.core.scheduling import emit_progress
from engine.core.state import INSTRUMENTS, KERNEL_RECORDS, OUTPUTS, Anomaly, StrategyState
from engine.core.strangers import show_strangers
from engine.core.targets import cancel_working, expect, work_instrument, work_target

LAST_MARKET_DATA = int(Kind.STATUS)
QUOTE = int(Kind.QUOTE)
SESSION = int(Kind.SESSION)
STALE = int(Kind.STALE)
FEED_HEALTH = int(Kind.FEED_HEALTH)
ACCEPTED = int(Kind.ACCEPTED)
RESTATED = int(Kind.RESTATED)
ORDER_SESSION = int(Kind.ORDER_SESSION)
TARGET = int(Kind.TARGET)
TIMER = int(Kind.TIMER)
COMMAND = int(Kind.COMMAND)
CORPORATE_ACTION, ADJUSTMENT = int(Kind.CORPORATE_ACTION), int(Kind.ADJUSTMENT)
ANOMALY = int(Kind.ANOMALY)
BLOB = int(Kind.BLOB)
BAR, SIGNAL, EQUITY = int(Kind.BAR), int(Kind.SIGNAL), int(Kind.EQUITY)
INTENT, LEG = int(Kind.INTENT), int(Kind.LEG)
SESSION_CLOSE = int(Session.CLOSE)
SESSION_OPEN = int(Session.OPEN)
START, PAUSE = int(Command.START), int(Command.PAUSE)
STOP, FLATTEN = int(Command.STOP), int(Command.FLATTEN)
RESOLVE_BREAK, OPEN_BREAK = int(Command.RESOLVE_BREAK), int(Command.OPEN_BREAK)
REENABLE = int(Command.REENABLE)
FIRM, DESK = int(Level.FIRM), int(Level.DESK)
STRATEGY, SYMBOL = int(Level.STRATEGY), int(Level.SYMBOL)
KILL, REARM, HUNG = int(Command.KILL), int(Command.REARM), int(Command.HUNG)
RUNNING, PAUSED = int(StrategyState.RUNNING), int(StrategyState.PAUSED)
FLATTENING, STOPPED = int(StrategyState.FLATTENING), int(StrategyState.STOPPED)
FAULTED, NONE = int(StrategyState.FAULTED), int(StrategyState.NONE)
KERNEL_FAULT, KERNEL_HUNG = int(Anomaly.KERNEL_FAULT), int(Anomaly.KERNEL_HUNG)
FIRST_OUTPUT, UNKNOWN_VENUE = int(Kind.ORDER_NEW), int(Anomaly.UNKNOWN_VENUE)
TARGET_OUT_OF_RANGE = int(Anomaly.TARGET_OUT_OF_RANGE)
INTENT_REFUSED = int(Anomaly.INTENT_REFUSED)
NO_PERSON, ACTION_REFUSED = int(Anomaly.NO_PERSON), int(Anomaly.ACTION_REFUSED)


@njit(cache=True)
def step(state, kernels, events, index, out):
    """Applies ``events[index]`` to ``state``; returns how many records of ``out`` it wrote.

    ``state`` is one STATE record, ``kernels`` int64[KERNELS] (see ``kernels``), ``out`` EVENT[OUTPUTS] or
    longer.
    """
    event = events[index]
    kind = event.kind
    state.emitted = state.routed = 0
    state.events += 1
    state.now = event.ts_recv
    closes = False
    wakes = state.wakes[kind] if kind != QUOTE else 0
    touched = False
    if kind < FIRST_OUTPUT and not 0 <= event.venue < state.venue_count:
        emit_anomaly(state, out, UNKNOWN_VENUE, -1, kind, event.venue)
        wakes = 0
    elif kind <= LAST_MARKET_DATA:
        if 0 <= event.instrument < state.instruments:
            touched = on_market_data(state, out, event)
            if touched:
                wakes |= state.wakes[QUOTE]
            hear(state, event)
            note_message(state, event)
            work_instrument(state, out, event.instrument)
    elif kind == SESSION:
        if on_session(state, out, event):
            on_session_health(state, event)
            closes = event.code == SESSION_CLOSE
        else:
            wakes = 0  # the day moves with another venue
    elif kind == STALE:
        on_stale(state, event)
    elif kind == ORDER_SESSION:
        on_order_session(state, out, event)
        keep_killed(state, out)
    elif ACCEPTED <= kind <= RESTATED:
        instrument = on_report(state, out, event)
        if instrument >= 0:
            work_instrument(state, out, instrument)
    elif kind == COMMAND:
        _on_command(state, out, event)
        if event.command == KILL:
            wakes = 0  # room for a cancel of every order there is
    elif kind == TIMER:
        _on_timer(state, out)
    elif kind == INTENT:
        _on_intent(state, out, event)
    elif kind == CORPORATE_ACTION:
        on_corporate_action(state, out, event)
    elif kind == ADJUSTMENT:
        on_adjustment(state, out, event)
    if state.emitted and kernels[BOXED]:
        post_outputs(state, kernels, out)
    while wakes:
        strategy = lowest_bit(wakes)
        wakes &= wakes - 1
        _call_kernel(state, kernels, events, index, out, strategy, touched)
    if kind == TIMER:
        _report_health(state, kernels, out)
    elif closes:
        for strategy in range(len(state.slots)):
            if state.slots[strategy].state != NONE:
                emit_equity(state, out, strategy, 1)
        _date_the_close(state, out, event.ts_event)
    return state.emitted


@njit(cache=True)
def _date_the_close(state, out, closed_at):
    """What describes a close bears its time. By its arrival it would be in the night, at times on another day,
    and several closes would share one moment where the session clock stands still after the venue has restarted.
    """
    for position in range(state.emitted):
        if out[position].kind == BAR or out[position].kind == SIGNAL or out[position].kind == EQUITY:
            out[position].ts_event = closed_at


@njit(cache=True)
def _call_kernel(state, kernels, events, index, out, strategy, touched):
    if kernels[strategy] == 0:
        return
    slot, store = state.slots[strategy], state.stores[strategy]
    if events[index].kind == BLOB:  # an artifact was loaded: its own strategy's alone, in whatever state
        if events[index].strategy != strategy:
            return
    elif not RUNNING <= slot.state <= FLATTENING:
        return
    if kernels[strategy] == OUTSIDE:
        post_event(state, kernels, events[index], strategy, touched)
        return
    answer = call_kernel(  # type: ignore[call-arg]  # an intrinsic gets its typing context from numba
        kernels[strategy],
        events.ctypes.data + index * events.itemsize,
        state.market.ctypes.data,
        state.instruments,
        store.parameters.ctypes.data,
        store.artifact.ctypes.data,
        store.memory.ctypes.data,
        out.ctypes.data + state.emitted * out.itemsize,
    )
    if answer <= 0 or answer > KERNEL_RECORDS + 1:
        emit_anomaly(state, out, KERNEL_FAULT, -1, answer, strategy)
        cancel_working(state, out, strategy)
        set_strategy_state(state, out, strategy, FAULTED)
        return
    first, last = state.emitted, state.emitted + answer - 1
    for position in range(first, last):
        if out[position].kind == TARGET:
            expect(state, strategy, out[position].instrument)
    for position in range(first, last):
        _complete(state, out[position], strategy)
    state.emitted = last
    for position in range(first, last):
        if out[position].kind == TARGET:
            work_target(state, out, strategy, out[position].instrument)


@njit(cache=True)
def _complete(state, record, strategy):
    """Fills in what a kernel's record does not know, and takes its targets over."""
    record.ts_event = state.now
    record.ts_recv = state.now
    record.venue = 0
    record.flags = 0
    record.strategy = strategy
    if record.kind != TARGET:
        return
    if not 0 <= record.instrument < state.instruments:
        state.anomalies += 1
        record.kind = ANOMALY
        record.code = TARGET_OUT_OF_RANGE
        return
    if state.slots[strategy].state == FLATTENING:
        record.target = 0
    set_target(state, strategy, record.instrument, record.target)
    record.parent_id = state.parents[strategy, record.instrument].id


@njit(cache=True)
def _on_intent(state, out, event):
    """What a strategy that runs outside wants, as if its kernel had written it."""
    strategy, kind = event.strategy, event.flags
    known = kind in (TARGET, LEG, SIGNAL)
    if not known or not 0 <= strategy < len(state.slots) or not RUNNING <= state.slots[strategy].state <= FLATTENING:
        emit_anomaly(state, out, INTENT_REFUSED, event.instrument, kind, strategy)
        return
    record = emit(state, out, kind, event.instrument, event.side, strategy)
    record.pair = event.pair
    record.target = event.target
    record.spread_micro = event.spread_micro
    record.hedge_micro = event.hedge_micro
    _complete(state, record, strategy)
    if record.kind == TARGET:
        work_target(state, out, strategy, record.instrument)


@njit(cache=True)
def _on_command(state, out, event):
    if event.command == RESOLVE_BREAK:
        _on_resolve_break(state, out, event)
    elif event.command == OPEN_BREAK:
        open_break(state, out, event.level, event.argument, event.ref)
    elif event.command == KILL:
        on_kill(state, out, event)
    elif event.command == REARM:
        on_rearm(state, out, event)
    elif event.command == HUNG:
        _on_hung(state, out, event.argument)
    elif event.command == REENABLE:
        _on_reenable(state, out, event)
    else:
        _on_strategy_command(state, out, event)
    state.signers[:] = 0


@njit(cache=True)
def _on_resolve_break(state, out, event):
    """A person has looked at what was open of the instrument, but not at a stranger that it has hidden."""
    code = resolve_break(state, out, event.argument, event.ref)
    if code != RESOLVED:
        end_missing(state, out, event.argument)
        if code != UNKNOWN_ORDER:
            show_strangers(state, out, event.argument)


@njit(cache=True)
def _on_hung(state, out, kind):
    """Faults every strategy that a record of ``kind`` wakes: which of their kernels it was, nobody can say."""
    for strategy in range(len(state.slots)):
        if (state.wakes[kind] >> strategy) & 1 and RUNNING <= state.slots[strategy].state <= FLATTENING:
            emit_anomaly(state, out, KERNEL_HUNG, -1, kind, strategy)
            cancel_working(state, out, strategy)
            set_strategy_state(state, out, strategy, FAULTED)


@njit(cache=True)
def _on_strategy_command(state, out, event):
    strategy = event.strategy
    slot = state.slots[strategy]
    if slot.state == NONE or slot.state == FAULTED and event.command == START:
        return
    if event.command == START:
        set_strategy_state(state, out, strategy, RUNNING)
        return
    cancel_working(state, out, strategy)
    if event.command == PAUSE:
        set_strategy_state(state, out, strategy, PAUSED)
    elif event.command == STOP:
        set_strategy_state(state, out, strategy, STOPPED)
    elif event.command == FLATTEN:
        set_strategy_state(state, out, strategy, FLATTENING)
        for instrument in range(state.instruments):
            set_target(state, strategy, instrument, 0)
            forget_refusals(state.parents[strategy, instrument])
        stop_when_flat(state, out, strategy)


@njit(cache=True)
def _on_reenable(state, out, event):
    """Only a named person lets a level that repeated executions have stopped go on."""
    level, index = event.level, event.argument
    if event.person <= 0:
        emit_anomaly(state, out, NO_PERSON, -1, level, event.person)
        return
    row = -1
    if level == FIRM:
        row = 0
    elif level == DESK and 0 <= index < DESKS:
        row = DESK_LEVELS + index
    elif level == SYMBOL and 0 <= index < state.instruments:
        row = SYMBOL_LEVELS + index
    elif level == STRATEGY and 0 <= event.strategy < len(state.slots):
        row = STRATEGY_LEVELS + event.strategy
    if row < 0:
        emit_anomaly(state, out, ACTION_REFUSED, -1, level, event.person)
        return
    reenable(state, row, event.person)


@njit(cache=True)
def _on_timer(state, out):
    """Works what a schedule has released with time alone, marks every strategy to market, keeps what is killed so, and
    says when it wants to be woken next."""
    keep_killed(state, out)
    relax_venues(state)
    for slot in range(len(state.scheduled)):
        owner = state.scheduled[slot] - 1
        if owner >= 0:
            work_instrument(state, out, owner % INSTRUMENTS)
            if state.scheduled[slot]:
                emit_progress(state, out, owner // INSTRUMENTS, owner % INSTRUMENTS)
    for strategy in range(len(state.slots)):
        if state.slots[strategy].state != NONE:
            emit_equity(state, out, strategy, 0)
    state.next_deadline = state.now + state.timer_interval


@njit(cache=True)
def _report_health(state, kernels, out):
    """Writes FEED_HEALTH, and wakes the kernels that ask for it while there is room for all they may write."""
    first = state.emitted
    emit_health(state, out)
    for position in range(first, state.emitted):
        wakes = state.wakes[FEED_HEALTH]
        while wakes:
            if OUTPUTS - state.emitted < KERNEL_RECORDS + 2 * INSTRUMENTS + 2:
                return
            strategy = lowest_bit(wakes)
            wakes &= wakes - 1
            _call_kernel(state, kernels, out, position, out, strategy, False)


@njit(cache=True)
def apply(states, kernels, events, index, out):
    """``step`` for callers in Python: ``states`` is STATE[1], which numba takes ten times faster than a record."""
    return step(states[0], kernels, events, index, out)
