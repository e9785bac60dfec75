"""The core's hot path, compiled: recv > decode > journal > step > encode > send, without the GIL.

It takes what is plainly next: packets that continue the feed's session, or repeat it, on any line; sequenced order
reports of a session that is logged in. Everything else ends `serve`, which says why, and is for the state machines in
Python; what has been read and not taken stands in the loop's buffers. The journal is that of the state machines, record
for record, and orders go out only behind the input and the outputs that made them.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from engine.core.clock import interpolate
from engine.core.compiled import njit
from engine.core.events import Kind
from engine.live.libc import EAGAIN, EINTR, EPOLL_EVENT, EPOLLOUT, receive, send, steady_ns, wait
from engine.live.pipeline import drive
from engine.live.segment import observe
from engine.protocols.moldudp64_inorder import decode_packets
from engine.protocols.ouch_events import QUERY_ANSWER, decode_report, encode_order
from engine.protocols.unaligned import load_u16, store_u16

MAX_LINES = 2
DATAGRAM_BYTES = 1 << 16
DATAGRAMS_AT_ONCE = 256  # before the order session is looked at again
SPINS_BETWEEN_POLLS = 64  # of the busy loop, which asks for the other descriptors so seldom
SOUP_PACKET_BYTES = 2 + 0xFFFF
FRAME_BYTES = 3  # length and type of a SoupBinTCP packet
MILLISECOND = 1_000_000
STALE = int(Kind.STALE)
SEQUENCED, SERVER_HEARTBEAT, UNSEQUENCED = ord("S"), ord("H"), ord("U")


class Reason(IntEnum):
    """Why the loop came back. Inputs that it decoded and did not journal are to be taken first."""

    GO_ON = 0  # of its parts alone
    STOPPED = 1
    DEADLINE = 2
    OTHER = 3  # a descriptor that is not the loop's, or one that can be written to
    PACKETS = 4  # datagrams at hand that do not plainly continue the session
    SESSION = 5  # the next packet of the order session is for its state machine
    ORDERS_LOST = 6  # the order session's connection has ended
    ROOM = 7  # the journal's segment is full
    HELD_BACK = 8  # bytes that the socket did not take, or orders that OUCH cannot hold


GO_ON, STOPPED, DEADLINE, OTHER, PACKETS, SESSION, ORDERS_LOST, ROOM, HELD_BACK = (int(each) for each in Reason)

FEED_SIDE = np.dtype(
    [
        ("lines", "<i8"),
        ("descriptors", "<i8", (MAX_LINES,)),
        ("held", "<i8", (MAX_LINES,)),  # bytes of the datagram at hand, -1 for none
        ("received_at", "<i8", (MAX_LINES,)),  # steady
        ("in_order", "<i8"),  # 1 while packets that continue the session are taken here
        ("stale_code", "<i8"),  # of the STALE record before each packet's events
        ("recovered", "<i8"),  # messages and duplicate packets that no STALE record has told yet
        ("duplicates", "<i8"),
        ("packets", "<i8", (MAX_LINES,)),  # taken since Python was told, by line
        ("messages", "<i8", (MAX_LINES,)),
        ("repeats", "<i8", (MAX_LINES,)),
        ("heard_at", "<i8"),
    ]
)
ORDER_SIDE = np.dtype(
    [
        ("descriptor", "<i8"),  # -1 while there is no connection
        ("logged_in", "<i8"),
        ("up", "<i8"),  # 1: orders are sent
        ("direct", "<i8"),  # 0 while bytes that went before wait for room in the socket
        ("start", "<i8"),  # bytes of the stream that are not taken yet
        ("stop", "<i8"),
        ("sequence", "<i8"),  # of the sequenced message that was taken last
        ("heard_at", "<i8"),
        ("sent_at", "<i8"),
        ("unsent", "<i8"),  # bytes of ``out`` from here on to ``unsent_stop`` are for Python to send
        ("unsent_stop", "<i8"),
        ("refused", "<i8"),  # orders that OUCH cannot hold
        ("sends", "<i8"),  # counts on; the newest latencies are in a ring
    ]
)
# Times are steady ns, but for ``last_ts``, the newest ts_recv.
LOOP = np.dtype(
    [
        ("epoll", "<i8"),
        ("busy", "<i8"),
        ("deadline", "<i8"),
        ("now", "<i8"),
        ("wall_offset", "<i8"),  # wall clock less steady clock
        ("last_ts", "<i8"),
        ("received_at", "<i8"),  # what is being taken
        ("start", "<i8"),  # inputs that are decoded and not journaled yet
        ("stop", "<i8"),
        ("feed", FEED_SIDE),
        ("orders", ORDER_SIDE),
    ]
)


class Machine(NamedTuple):
    """The engine's state and what its step reads and writes."""

    states: np.ndarray
    kernels: np.ndarray
    inputs: np.ndarray  # EVENT[n]
    words: np.ndarray  # the same as uint64[n, 8]
    out: np.ndarray
    out_words: np.ndarray
    orders: np.ndarray  # EVENT, of one input
    refused: np.ndarray  # EVENT, as many


class Journal(NamedTuple):
    """Views of the segment that is written; they change when it is full."""

    header: np.ndarray
    cells: np.ndarray
    checksums: np.ndarray
    cursor: np.ndarray  # CURSOR[1]


class Market(NamedTuple):
    """What `decode_packets` needs."""

    lines: np.ndarray  # LINE[1]
    feeds: np.ndarray  # FEED[1]
    locates: np.ndarray
    symbols: np.ndarray
    datagrams: np.ndarray  # uint8[MAX_LINES, DATAGRAM_BYTES]
    ends: np.ndarray  # int64[1]


class Session(NamedTuple):
    """What the order session's codecs need."""

    feeds: np.ndarray  # FEED[1]
    symbols: np.ndarray
    stream: np.ndarray  # uint8: bytes of the venue
    out: np.ndarray  # uint8: bytes to the venue
    latencies: np.ndarray  # int64, a power of two: recv return to send call, in ns


class Clock(NamedTuple):
    """Session time by wall time, see `engine.core.clock.interpolate`."""

    wall_knots: np.ndarray
    session_knots: np.ndarray
    times: np.ndarray  # int64[3], see `engine.live.libc.steady_ns`


@njit(cache=True, nogil=True)
def serve(loops, stop, ready, clock, machine, journal, market, session):
    """Serves until there is something that is not its own, and returns the Reason.

    ``loops`` is LOOP[1]; ``stop`` uint64[1], published by another thread to end it; ``ready`` EPOLL_EVENT[n].
    """
    loop = loops[0]
    passes = 0
    while observe(stop, 0) == 0:
        reason = _take_feed(loop, clock, machine, journal, market, session)
        if reason == GO_ON:
            reason = _take_orders(loop, clock, machine, journal, session)
        if reason != GO_ON:
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
    own = event.descriptor == loop.orders.descriptor
    for line in range(loop.feed.lines):
        own |= event.descriptor == loop.feed.descriptors[line]
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
def _take_feed(loop, clock, machine, journal, market, session):
    """Takes packets of all lines. What one line lost is taken from the other before it counts as missing."""
    feed = loop.feed
    for _ in range(DATAGRAMS_AT_ONCE):
        at_hand = taken = 0
        for line in range(feed.lines):
            if feed.held[line] < 0:
                _receive_datagram(loop, clock, market, line)
            if feed.held[line] < 0:
                continue
            at_hand += 1
            if feed.in_order and take_packet(loop, clock, machine, market, line):
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
def _receive_datagram(loop, clock, market, line):
    """What a socket says of an answer to a re-request that found nobody is not a datagram, and is passed over."""
    size = receive(loop.feed.descriptors[line], market.datagrams[line], 0, DATAGRAM_BYTES)
    if size >= 0:
        now = steady_ns(clock.times)
        loop.feed.held[line] = size
        loop.feed.received_at[line] = now
        loop.feed.heard_at = now


@njit(cache=True, nogil=True)
def take_packet(loop, clock, machine, market, line):
    """Decodes the datagram at hand into the inputs if it plainly continues or repeats the session; whether it does."""
    feed, place = loop.feed, market.lines[0]
    sequence = place.next_sequence
    ts = _stamp(loop, clock, feed.received_at[line])
    market.feeds[0].ts_recv = ts
    market.ends[0] = feed.held[line]
    events = decode_packets(
        market.datagrams[line],
        market.ends,
        0,
        market.lines,
        market.feeds[0],
        market.locates,
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
        _mark(machine.inputs[0], feed, ts, market.feeds[0].date, sequence)
        loop.start, loop.stop = 0, 1 + events
    return True


@njit(cache=True, nogil=True)
def _mark(record, feed, ts, date, sequence):
    """The STALE record that names a packet."""
    record.ts_event = ts
    record.ts_recv = ts
    record.instrument = -1
    record.kind = STALE
    record.side = 0
    record.venue = 0
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
def _take_orders(loop, clock, machine, journal, session):
    """Takes what the venue has sent: first what is at hand already, then what has come since."""
    orders = loop.orders
    if orders.descriptor < 0:
        return GO_ON
    if orders.start < orders.stop:
        reason = take_stream(loop, clock, machine, journal, session)
        if reason != GO_ON:
            return reason
        _move_down(orders, session.stream)
    size = receive(orders.descriptor, session.stream, orders.stop, len(session.stream) - orders.stop)
    if size == -EAGAIN or size == -EINTR:
        return GO_ON
    if size <= 0:
        return ORDERS_LOST
    orders.heard_at = steady_ns(clock.times)
    orders.stop += size
    return take_stream(loop, clock, machine, journal, session)


@njit(cache=True, nogil=True)
def _move_down(orders, stream):
    """Moves an incomplete packet to the buffer's beginning when it could come not to fit behind."""
    if orders.start < len(stream) - SOUP_PACKET_BYTES:
        return
    for index in range(orders.stop - orders.start):
        stream[index] = stream[orders.start + index]
    orders.start, orders.stop = 0, orders.stop - orders.start


@njit(cache=True, nogil=True)
def take_stream(loop, clock, machine, journal, session):
    """Takes reports and heartbeats from the stream up to a packet that is neither, or is not complete."""
    orders, stream = loop.orders, session.stream
    session.feeds[0].ts_recv = _stamp(loop, clock, orders.heard_at)
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
            if decode_report(stream, at, end, session.feeds[0], session.symbols, machine.inputs, count):
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
        size = encode_orders(loop.orders, machine.orders, made, session.symbols, session.out, machine.refused)
        _send(loop.orders, clock, session, size, loop.received_at)
        if loop.orders.refused or loop.orders.unsent < loop.orders.unsent_stop:
            return HELD_BACK
    return GO_ON


@njit(cache=True, nogil=True)
def encode_orders(side, orders, count, symbols, out, refused):
    """Puts ``count`` orders into SoupBinTCP packets in ``out``; how many bytes.

    Those that OUCH cannot hold go to ``refused``, counted by ``side`` (an ORDER_SIDE record). While the session is not
    up, none is encoded: they are in doubt like any other, and are resolved after the login.
    """
    size = 0
    for index in range(count):
        message = encode_order(orders, index, symbols, out, size + FRAME_BYTES)
        if message == 0:
            refused[side.refused] = orders[index]
            side.refused += 1
        elif side.up:
            store_u16(out, size, message + 1)
            out[size + 2] = UNSEQUENCED
            size += FRAME_BYTES + message
    return size


@njit(cache=True, nogil=True)
def encode_orders_of(sides, orders, count, symbols, out, refused):
    """`encode_orders` with ORDER_SIDE[1], for callers in Python."""
    return encode_orders(sides[0], orders, count, symbols, out, refused)


@njit(cache=True, nogil=True)
def _send(orders, clock, session, size, received_at):
    if size == 0:
        return
    orders.sent_at = steady_ns(clock.times)
    session.latencies[orders.sends & (len(session.latencies) - 1)] = orders.sent_at - received_at
    orders.sends += 1
    sent = 0
    while orders.direct and sent < size:
        answer = send(orders.descriptor, session.out, sent, size - sent)
        if answer >= 0:
            sent += answer
        elif answer != -EINTR:
            break
    orders.unsent, orders.unsent_stop = sent, size


def new_ready() -> np.ndarray:
    """What ``serve`` reads descriptors into."""
    return np.zeros(16, EPOLL_EVENT)
