"""What the compiled loop reads and writes, and what Python and the loop lend each other: see `compiled_loop`."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from engine.core.capacities import MARKETS
from engine.core.health_record import BUCKETS
from engine.core.state import OUTPUTS
from engine.live.libc import EPOLL_EVENT
from engine.protocols.feed import FEED, new_locate_map
from engine.protocols.moldudp64_inorder import LINE
from engine.protocols.ouch_events import MAX_ORDER_BYTES

MAX_LINES = 2
DATAGRAM_BYTES = 1 << 16
SOUP_PACKET_BYTES = 2 + 0xFFFF
STREAM_BYTES = 4 * SOUP_PACKET_BYTES
FRAME_BYTES = 3  # length and type of a SoupBinTCP packet
LATENCIES = 4096


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
        ("firm", "<i8"),  # `firm_key` of the account
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
        ("venues", "<i8"),
        ("venue", "<i8"),  # what `serve` has come back for is this one's
        ("feeds", FEED_SIDE, (MARKETS,)),
        ("orders", ORDER_SIDE, (MARKETS,)),
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
    refused: np.ndarray  # EVENT[venues, n], as many of each


class Journal(NamedTuple):
    """Views of the segment that is written; they change when it is full."""

    header: np.ndarray
    cells: np.ndarray
    checksums: np.ndarray
    cursor: np.ndarray  # CURSOR[1]


class Market(NamedTuple):
    """What `decode_packets` needs, by venue."""

    lines: np.ndarray  # LINE[venues]
    feeds: np.ndarray  # FEED[venues]
    locates: np.ndarray  # int32[venues, 65536]
    symbols: np.ndarray  # of all
    datagrams: np.ndarray  # uint8[venues, MAX_LINES, DATAGRAM_BYTES]
    ends: np.ndarray  # int64[1]


class Session(NamedTuple):
    """What the order sessions' codecs need, by venue."""

    feeds: np.ndarray  # FEED[venues]
    symbols: np.ndarray  # of all
    stream: np.ndarray  # uint8[venues, STREAM_BYTES]: bytes of the venue
    out: np.ndarray  # uint8[venues, n]: bytes to the venue
    latencies: np.ndarray  # int64, a power of two: recv return to send call, in ns
    sends: np.ndarray  # int64[1]: how many there were in all
    histogram: np.ndarray  # int64[BUCKETS]: of those latencies, by `engine.core.health.bucket_of`


def new_market(symbols: np.ndarray, venues: int) -> Market:
    """Nothing is mapped yet."""
    feeds = np.zeros(venues, FEED)
    feeds["venue"] = np.arange(venues)
    datagrams = np.zeros((venues, MAX_LINES, DATAGRAM_BYTES), np.uint8)
    locates = np.stack([new_locate_map() for _ in range(venues)])
    return Market(np.zeros(venues, LINE), feeds, locates, symbols, datagrams, np.zeros(1, np.int64))


def new_session(symbols: np.ndarray, venues: int, latencies: int = LATENCIES) -> Session:
    """``latencies`` are those of the newest sends that are kept, a power of two."""
    feeds = np.zeros(venues, FEED)
    feeds["venue"] = np.arange(venues)
    out = np.zeros((venues, OUTPUTS * (FRAME_BYTES + MAX_ORDER_BYTES)), np.uint8)
    stream = np.zeros((venues, STREAM_BYTES), np.uint8)
    kept, histogram = np.zeros(latencies, np.int64), np.zeros(BUCKETS, np.int64)
    return Session(feeds, symbols, stream, out, kept, np.zeros(1, np.int64), histogram)


class Clock(NamedTuple):
    """Session time by wall time, see `engine.core.clock.interpolate`."""

    wall_knots: np.ndarray
    session_knots: np.ndarray
    times: np.ndarray  # int64[3], see `engine.live.libc.steady_ns`


def new_ready() -> np.ndarray:
    """What ``serve`` reads descriptors into."""
    return np.zeros(16, EPOLL_EVENT)
