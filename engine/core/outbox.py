"""What strategies that run outside the engine hear: records posted as they come, to a ring that nobody waits for.

An OUTBOX names a ring of records of 64 bytes with one writer, the step, and one reader, in the same process (backtests)
or another (live: ``engine.live.shared_ring``). Where the ring lies, whether there is one and how full it is, is no
part of the state: a replay posts to nobody and comes to the same. A record that finds no room is lost and counted.

A strategy is posted what would wake its kernel, with QUOTE as the touch of the instrument and TRADE as what was traded,
whatever message said so; and of the step's outputs its own (fills, positions, refusals, states) and closed bars, as far
as it has asked for their kinds. Outputs come before the event that caused them.
"""

import numpy as np

from engine.core.atomics import copy_record, load_acquire, record_at, store_release
from engine.core.bits import lowest_bit
from engine.core.compiled import njit
from engine.core.events import EVENT, EVENT_BYTES, Flag, Kind
from engine.core.kernels import BOXES
from engine.core.positions import average_cost

OUTBOX = np.dtype(
    [
        ("cells", "<i8"),  # address of the ring
        ("capacity", "<i8"),  # records; a power of two
        ("published_at", "<i8"),  # address of the word in which the reader sees ``published``
        ("taken_at", "<i8"),  # address of the word in which the reader says how many it has taken
        ("published", "<i8"),
        ("taken", "<i8"),  # as far as it is known here
        ("lost", "<i8"),
    ]
)
QUOTE, TRADE, EXECUTE, BAR = int(Kind.QUOTE), int(Kind.TRADE), int(Kind.EXECUTE), int(Kind.BAR)
POSITION, TARGET, STRATEGY_STATE, BLOB = int(Kind.POSITION), int(Kind.TARGET), int(Kind.STRATEGY_STATE), int(Kind.BLOB)
NON_PRINTABLE, SNAPSHOT = int(Flag.NON_PRINTABLE), int(Flag.SNAPSHOT)


@njit(cache=True)
def _box_of(kernels, strategy):
    return record_at(kernels[BOXES + strategy], OUTBOX)  # type: ignore[call-arg]


@njit(cache=True)
def _has_room(box):
    """Whether there is room for one record more; counts the one that is lost otherwise."""
    if box.published - box.taken >= box.capacity:
        taken = load_acquire(box.taken_at)  # type: ignore[call-arg]
        if box.taken < taken <= box.published:
            box.taken = taken
        if box.published - box.taken >= box.capacity:
            box.lost += 1
            return False
    return True


@njit(cache=True)
def _cell(box):
    """The record that is published next."""
    place = box.published & (box.capacity - 1)
    return record_at(box.cells + place * EVENT_BYTES, EVENT)  # type: ignore[call-arg]


@njit(cache=True)
def oldest_heard_at(box):
    """The ``ts_recv`` of the oldest record that the reader, in this process, has not taken; there must be one."""
    place = box.taken & (box.capacity - 1)
    return record_at(box.cells + place * EVENT_BYTES, EVENT).ts_recv  # type: ignore[call-arg]


@njit(cache=True)
def _publish(box):
    box.published += 1
    store_release(box.published_at, box.published)  # type: ignore[call-arg]


@njit(cache=True)
def _next(box, ts_event, ts_recv, kind, instrument, side, flags):
    """The next record of the ring, its payload zero, to be filled in and published; there must be room."""
    record = _cell(box)
    record.ts_event = ts_event
    record.ts_recv = ts_recv
    record.instrument = instrument
    record.kind = kind
    record.side = side
    record.venue = 0
    record.flags = flags
    record.order_id = 0
    record.price = 0
    record.qty = 0
    record.ref = 0
    record.strategy = 0
    return record


@njit(cache=True)
def _post(kernels, strategy, record):
    if kernels[BOXES + strategy] == 0:
        return
    box = _box_of(kernels, strategy)
    if _has_room(box):
        copy_record(_cell(box), record)  # type: ignore[call-arg]
        _publish(box)


@njit(cache=True)
def post_event(state, kernels, event, strategy, touched):
    """Posts what wakes a strategy. ``touched``: the event has changed the touch of its instrument."""
    if kernels[BOXES + strategy] == 0:
        return
    kind = event.kind
    heard = (state.wakes[kind] >> strategy) & 1
    if kind in (TRADE, EXECUTE):
        if heard and not event.flags & NON_PRINTABLE:
            _post_trade(state, _box_of(kernels, strategy), event)
    elif heard and kind != QUOTE:
        _post(kernels, strategy, event)
    if touched and (state.wakes[QUOTE] >> strategy) & 1:
        _post_touch(state, _box_of(kernels, strategy), event.ts_event, event.ts_recv, event.instrument, 0)


@njit(cache=True)
def _post_trade(state, box, event):
    """At the price at which it was made; ``side`` is who took."""
    if _has_room(box):
        market = state.market[event.instrument]
        record = _next(box, event.ts_event, event.ts_recv, TRADE, event.instrument, market.last_side, event.flags)
        record.price = market.last
        record.qty = event.qty
        record.ref = event.ref
        _publish(box)


@njit(cache=True)
def _post_touch(state, box, ts_event, ts_recv, instrument, flags):
    if _has_room(box):
        market = state.market[instrument]
        record = _next(box, ts_event, ts_recv, QUOTE, instrument, 0, flags)
        record.bid = market.bid
        record.bid_size = market.bid_size
        record.ask = market.ask
        record.ask_size = market.ask_size
        _publish(box)


@njit(cache=True)
def post_outputs(state, kernels, out):
    """Posts to each strategy outside what the step has written of it, and bars."""
    for position in range(state.emitted):
        heard = state.wakes[out[position].kind]
        while heard:
            strategy = lowest_bit(heard)
            heard &= heard - 1
            if out[position].kind == BAR or out[position].strategy == strategy:
                _post(kernels, strategy, out[position])


@njit(cache=True)
def post_what_stands(states, kernels, strategy):
    """What a strategy that has just been attached cannot know: its state, that there may be an artifact (a BLOB), its
    positions and targets, and touches.

    All of it bears the flag SNAPSHOT and the time of the newest event. ``states`` is STATE[1].
    """
    state, box = states[0], _box_of(kernels, strategy)
    if _has_room(box):
        record = _next(box, state.now, state.now, STRATEGY_STATE, -1, 0, SNAPSHOT)
        record.code = state.slots[strategy].state
        record.strategy = strategy
        _publish(box)
    if _has_room(box):
        _next(box, state.now, state.now, BLOB, -1, 0, SNAPSHOT).strategy = strategy
        _publish(box)
    for instrument in range(state.instruments):
        market, position = state.market[instrument], state.positions[strategy, instrument]
        if market.bid or market.ask:
            _post_touch(state, box, state.now, state.now, instrument, SNAPSHOT)
        if position.position and _has_room(box):
            record = _next(box, state.now, state.now, POSITION, instrument, 0, SNAPSHOT)
            record.position = position.position
            record.average_cost = average_cost(position)
            record.realised = position.realised
            record.fees = position.fees
            record.strategy = strategy
            _publish(box)
        parent = state.parents[strategy, instrument]
        if parent.target and _has_room(box):
            record = _next(box, state.now, state.now, TARGET, instrument, 0, SNAPSHOT)
            record.parent_id = parent.id
            record.target = parent.target
            record.strategy = strategy
            _publish(box)
