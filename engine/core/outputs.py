"""Writing the records that a step emits."""

from engine.core.compiled import njit
from engine.core.events import Kind
from engine.core.positions import average_cost, mark_price, unrealised

POSITION = int(Kind.POSITION)
EQUITY = int(Kind.EQUITY)
ANOMALY = int(Kind.ANOMALY)
STRATEGY_STATE = int(Kind.STRATEGY_STATE)


@njit(cache=True)
def emit(state, out, kind, instrument, side, strategy):
    """The next output record, its header filled in and its payload zero but for ``strategy``."""
    record = out[state.emitted]
    state.emitted += 1
    record.ts_event = state.now
    record.ts_recv = state.now
    record.instrument = instrument
    record.kind = kind
    record.side = side
    record.venue = 0
    record.flags = 0
    record.order_id = 0
    record.price = 0
    record.qty = 0
    record.ref = 0
    record.strategy = strategy
    return record


@njit(cache=True)
def emit_anomaly(state, out, code, instrument, value, ref):
    state.anomalies += 1
    record = emit(state, out, ANOMALY, instrument, 0, -1)
    record.code = code
    record.value = value
    record.ref = ref


@njit(cache=True)
def emit_position(state, out, strategy, instrument):
    position = state.positions[strategy, instrument]
    record = emit(state, out, POSITION, instrument, 0, strategy)
    record.position = position.position
    record.average_cost = average_cost(position)
    record.realised = position.realised
    record.fees = position.fees


@njit(cache=True)
def emit_equity(state, out, strategy, closing):
    """Equity = capital + realised + unrealised, where realised is net of fees."""
    open_profit = 0
    realised = 0
    gross = 0
    for instrument in range(state.instruments):
        position = state.positions[strategy, instrument]
        mark = mark_price(state.market[instrument])
        open_profit += unrealised(position, mark)
        realised += position.realised - position.fees
        gross += abs(position.position) * mark
    record = emit(state, out, EQUITY, -1, 0, strategy)
    record.flags = closing
    record.equity = state.slots[strategy].capital + open_profit + realised
    record.unrealised = open_profit
    record.realised = realised
    record.gross = gross


@njit(cache=True)
def set_strategy_state(state, out, strategy, new):
    if state.slots[strategy].state != new:
        state.slots[strategy].state = new
        record = emit(state, out, STRATEGY_STATE, -1, 0, strategy)
        record.code = new
