"""The core's hot path, compiled: recv > decode > journal > step > encode > send, without the GIL.

It serves every venue in turn, and takes what is plainly next: packets that continue its feed's session, or repeat it,
on any line; sequenced order reports of a session that is logged in. Everything else ends `serve`, which says why, and
is for the state machines in Python; what has been read and not taken stands in the loop's buffers. The journal is that
of the state machines, record for record, and orders go out only behind the input and the outputs that made them.
"""

from engine.core.atomics import observe
from engine.core.clock import interpolate
from engine.core.compiled import njit
from engine.core.events import Kind
from engine.core.health import bucket_of
from engine.live.libc import EAGAIN, EINTR, EPOLLOUT, receive, send, steady_ns, wait
from engine.live.loop_records import (
    DATAGRAM_BYTES,
    DEADLINE,
    FRAME_BYTES,
    GO_ON,
    HELD_BACK,
    ORDERS_LOST,
    OTHER,
    PACKETS,
    ROOM,
    SESSION,
    SOUP_PACKET_BYTES,
    STOPPED,
)
from engine.live.pipeline import drive
from engine.protocols.moldudp64_inorder import decode_packets
from engine.protocols.ouch_events import QUERY_ANSWER, decode_report, encode_order
from engine.protocols.unaligned import load_u16, store_u16

DATAGRAMS_AT_ONCE = 256  # before the order session is looked at again
SPINS_BETWEEN_POLLS = 64  # of the busy loop, which asks for the other descriptors so seldom
MILLISECOND = 1_000_000
STALE = int(Kind.STALE)
SEQUENCED, SERVER_HEARTBEAT, UNSEQUENCED = ord("S"), ord("H"), ord("U")


@njit(cache=True, nogil=True)
def serve(loops, stop, ready, clock, machine, journal, market, session):
    """Serves until there is something that is not its own, and returns the Reason.

    ``loops`` is LOOP[1]; ``stop`` uint64[1], published by another thread to end it; ``ready`` EPOLL_EVENT[n].
    """
    loop = loops[0]
    passes = 0
    while observe(stop, 0) == 0:
        for venue in range(loop.venues):
            reason = _take_feed(loop, venue, clock, machine, journal, market, session)
            if reason == GO_ON:
                reason = _take_orders(loop, venue, clock, machine, journal, session)
            if reason != GO_ON:
                loop.venue = venue
                return reason
        loop.now = steady_ns(clock.times)
        if loop.now >= loop.deadline:
            return DEADLINE
        passes += 1
        if loop.busy == 0:
            count = wait(loop.epoll, ready, (loop.deadline - loop.now + MILLISECOND - 1) // MILLISECOND)
        elif passes % SPINS_BETWEEN_POLLS == 0:
            count = wait(loop.epoll, ready, 0)
        else:
            count = 0
        for index in range(count):
            if not _is_own(loop, ready[index]):
                return OTHER
    return STOPPED


@njit(cache=True, nogil=True)
def _is_own(loop, event):
    if event.events & EPOLLOUT:
        return False
    own = False
    for venue in range(loop.venues):
        own |= event.descriptor == loop.orders[venue].descriptor
        for line in range(loop.feeds[venue].lines):
            own |= event.descriptor == loop.feeds[venue].descriptors[line]
    return own


@njit(cache=True, nogil=True)
def _stamp(loop, clock, received_at):
    """The ts_recv of what was received then: session time, which never goes back."""
    loop.received_at = received_at
    wall = received_at + loop.wall_offset
    loop.last_ts = max(loop.last_ts, interpolate(clock.wall_knots, clock.session_knots, wall))
    return loop.last_ts


# ---- market data -----------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _take_feed(loop, venue, clock, machine, journal, market, session):
    """Takes packets of all lines. What one line lost is taken from the other before it counts as missing."""
    feed = loop.feeds[venue]
    for _ in range(DATAGRAMS_AT_ONCE):
        at_hand = taken = 0
        for line in range(feed.lines):
            if feed.held[line] < 0:
                _receive_datagram(feed, clock, market.datagrams[venue, line], line)
            if feed.held[line] < 0:
                continue
            at_hand += 1
            if feed.in_order and take_packet(loop, venue, clock, machine, market, line):
                taken += 1
                feed.held[line] = -1
                reason = drive_inputs(loop, clock, machine, journal, session)
                if reason != GO_ON:
                    return reason
        if at_hand == 0:
            break
        if taken == 0:
            return PACKETS
    return GO_ON


@njit(cache=True, nogil=True)
def _receive_datagram(feed, clock, datagram, line):
    """What a socket says of an answer to a re-request that found nobody is not a datagram, and is passed over."""
    size = receive(feed.descriptors[line], datagram, 0, DATAGRAM_BYTES)
    if size >= 0:
        now = steady_ns(clock.times)
        feed.held[line] = size
        feed.received_at[line] = now
        feed.heard_at = now


@njit(cache=True, nogil=True)
def take_packet(loop, venue, clock, machine, market, line):
    """Decodes the datagram at hand into the inputs if it plainly continues or repeats the session; whether it does."""
    feed, place = loop.feeds[venue], market.lines[venue]
    sequence = place.next_sequence
    ts = _stamp(loop, clock, feed.received_at[line])
    market.feeds[venue].ts_recv = ts
    market.ends[0] = feed.held[line]
    events = decode_packets(
        market.datagrams[venue, line],
        market.ends,
        0,
        market.lines[venue : venue + 1],
        market.feeds[venue],
        market.locates[venue],
        market.symbols,
        machine.inputs[1:],
    )
    if place.packets == 0:
        return False
    feed.packets[line] += 1
    feed.messages[line] += place.messages
    feed.repeats[line] += place.duplicates
    feed.duplicates += place.duplicates
    if place.duplicates == 0:
        _mark(machine.inputs[0], feed, venue, ts, market.feeds[venue].date, sequence)
        loop.start, loop.stop = 0, 1 + events
    return True


@njit(cache=True, nogil=True)
def _mark(record, feed, venue, ts, date, sequence):
    """The STALE record that names a packet."""
    record.ts_event = ts
    record.ts_recv = ts
    record.instrument = -1
    record.kind = STALE
    record.side = 0
    record.venue = venue
    record.flags = 0
    record.code = feed.stale_code
    record.date = date
    record.recovered = feed.recovered
    record.duplicates = feed.duplicates
    record.sequence = sequence
    feed.recovered = 0
    feed.duplicates = 0


# ---- order session ---------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _take_orders(loop, venue, clock, machine, journal, session):
    """Takes what the venue has sent: first what is at hand already, then what has come since."""
    orders, stream = loop.orders[venue], session.stream[venue]
    if orders.descriptor < 0:
        return GO_ON
    if orders.start < orders.stop:
        reason = take_stream(loop, venue, clock, machine, journal, session)
        if reason != GO_ON:
            return reason
        _move_down(orders, stream)
    size = receive(orders.descriptor, stream, orders.stop, len(stream) - orders.stop)
    if size == -EAGAIN or size == -EINTR:
        return GO_ON
    if size <= 0:
        return ORDERS_LOST
    orders.heard_at = steady_ns(clock.times)
    orders.stop += size
    return take_stream(loop, venue, clock, machine, journal, session)


@njit(cache=True, nogil=True)
def _move_down(orders, stream):
    """Moves an incomplete packet to the buffer's beginning when it could come not to fit behind."""
    if orders.start < len(stream) - SOUP_PACKET_BYTES:
        return
    for index in range(orders.stop - orders.start):
        stream[index] = stream[orders.start + index]
    orders.start, orders.stop = 0, orders.stop - orders.start


@njit(cache=True, nogil=True)
def take_stream(loop, venue, clock, machine, journal, session):
    """Takes reports and heartbeats from the stream up to a packet that is neither, or is not complete."""
    orders, stream, feed = loop.orders[venue], session.stream[venue], session.feeds[venue]
    feed.ts_recv = _stamp(loop, clock, orders.heard_at)
    count, foreign = 0, False
    while orders.stop - orders.start >= 2 and count < len(machine.inputs):
        at = orders.start + FRAME_BYTES
        end = orders.start + 2 + load_u16(stream, orders.start)
        if end < at:
            foreign = True
            break
        if end > orders.stop:
            break
        kind = stream[at - 1]
        if orders.logged_in and kind == SEQUENCED and not (end > at and stream[at] == QUERY_ANSWER):
            orders.sequence += 1
            if decode_report(stream, at, end, feed, session.symbols, machine.inputs, count):
                machine.inputs[count].sequence = orders.sequence
                count += 1
        elif not (orders.logged_in and kind == SERVER_HEARTBEAT and end == at):
            foreign = True
            break
        orders.start = end
    if orders.start == orders.stop:
        orders.start, orders.stop = 0, 0
    loop.start, loop.stop = 0, count
    reason = drive_inputs(loop, clock, machine, journal, session)
    return SESSION if reason == GO_ON and foreign else reason


@njit(cache=True, nogil=True)
def drive_inputs(loop, clock, machine, journal, session):
    """Journals and steps the inputs, and sends what each of them orders before the next one is looked at."""
    while loop.start < loop.stop:
        loop.start, made = drive(
            machine.states,
            machine.kernels,
            machine.inputs,
            machine.words,
            loop.start,
            loop.stop,
            machine.out,
            machine.out_words,
            journal.header,
            journal.cells,
            journal.checksums,
            journal.cursor[0],
            machine.orders,
        )
        if made == 0:
            return GO_ON if loop.start == loop.stop else ROOM
        held_back = False
        for venue in range(loop.venues):
            side, out = loop.orders[venue], session.out[venue]
            size = encode_orders(side, machine.orders, made, venue, session.symbols, out, machine.refused[venue])
            _send(side, clock, session, out, size, loop.received_at)
            held_back |= side.refused > 0 or side.unsent < side.unsent_stop
        if held_back:
            return HELD_BACK
    return GO_ON


@njit(cache=True, nogil=True)
def encode_orders(side, orders, count, venue, symbols, out, refused):
    """Puts those of ``count`` orders that are for ``venue`` into SoupBinTCP packets in ``out``; how many bytes.

    Those that OUCH cannot hold go to ``refused``, counted by ``side`` (an ORDER_SIDE record). While the session is not
    up, none is encoded: they are in doubt like any other, and are resolved after the login.
    """
    size = 0
    for index in range(count):
        if orders[index].venue != venue:
            continue
        message = encode_order(orders, index, symbols, side.firm, out, size + FRAME_BYTES)
        if message == 0:
            refused[side.refused] = orders[index]
            side.refused += 1
        elif side.up:
            store_u16(out, size, message + 1)
            out[size + 2] = UNSEQUENCED
            size += FRAME_BYTES + message
    return size


@njit(cache=True, nogil=True)
def encode_orders_of(sides, orders, count, venue, symbols, out, refused):
    """`encode_orders` with ORDER_SIDE[1], for callers in Python."""
    return encode_orders(sides[0], orders, count, venue, symbols, out, refused)


@njit(cache=True, nogil=True)
def _send(orders, clock, session, out, size, received_at):
    if size == 0:
        return
    orders.sent_at = steady_ns(clock.times)
    latency = orders.sent_at - received_at
    session.latencies[session.sends[0] & (len(session.latencies) - 1)] = latency
    session.histogram[bucket_of(latency)] += 1
    session.sends[0] += 1
    sent = 0
    while orders.direct and sent < size:
        answer = send(orders.descriptor, out, sent, size - sent)
        if answer >= 0:
            sent += answer
        elif answer != -EINTR:
            break
    orders.unsent, orders.unsent_stop = sent, size
