"""MoldUDP64 1.00, receiver: sequence, gaps, duplicates, reordering, heartbeats, end of session, re-requests.

Datagrams in (from one line or several: the first copy of a message wins, which is A/B arbitration), events out in
sequence order, and the request packets that are due. A session is read from its first message: met in the middle, it
is re-requested from sequence 1 (a late join). When a new session begins while the old one is incomplete, the new one
is held back until the old one is complete or is given up.
"""

import heapq
from collections import Counter, deque
from typing import TypeAlias

import msgspec

from engine.protocols import moldudp64
from engine.protocols.layout import WireError

MS = 1_000_000


class SessionStarted(msgspec.Struct, frozen=True):
    session: str


class Data(msgspec.Struct, frozen=True):
    """`count` new messages in order, framed as on the wire; the first has number `sequence`."""

    session: str
    sequence: int
    count: int
    block: bytes


class GapOpened(msgspec.Struct, frozen=True):
    """Messages from `sequence` on are missing: what is known of the stream's instruments is stale."""

    session: str
    sequence: int


class GapFilled(msgspec.Struct, frozen=True):
    session: str
    next_sequence: int


class GapLost(msgspec.Struct, frozen=True):
    """Given up: `count` messages from `sequence` on will never come."""

    session: str
    sequence: int
    count: int


class SessionEnded(msgspec.Struct, frozen=True):
    """``complete``: every message up to the announced end was delivered."""

    session: str
    next_sequence: int
    complete: bool


Event: TypeAlias = SessionStarted | Data | GapOpened | GapFilled | GapLost | SessionEnded


class Settings(msgspec.Struct, frozen=True):
    """Times in ns of whatever clock the caller passes."""

    patience: int = 2 * MS  # how long a hole may be mere reordering before it is requested
    retry: int = 50 * MS  # how long an answer may take before the request is repeated
    give_up: int = 5_000 * MS  # without progress: the gap is lost, or the session abandoned
    request_count: int = 2_000  # messages asked for at once
    max_pending: int = 4_096  # packets kept while an earlier one is missing
    max_ahead: int = 1_000_000_000  # a sequence number further ahead than this is not believed


class _Line:
    """One session as far as it is known. ``end`` is one past the highest sequence number heard of."""

    def __init__(self, session: str, next_sequence: int) -> None:
        self.session, self.next_sequence, self.end = session, next_sequence, next_sequence
        self.closed = self.lost = False
        self.pending: dict[int, moldudp64.Packet] = {}
        self._order: list[int] = []  # heap of the sequence numbers in `pending`

    @property
    def missing(self) -> int:
        """Number of messages that are missing before the first one at hand."""
        first = self._order[0] if self._order else self.end
        return max(min(first, self.end) - self.next_sequence, 0)

    def keep(self, packet: moldudp64.Packet) -> None:
        self.pending[packet.sequence] = packet
        heapq.heappush(self._order, packet.sequence)

    def pop_due(self) -> moldudp64.Packet | None:
        """The first packet that waits, if nothing is missing before it."""
        if not self._order or self._order[0] > self.next_sequence:
            return None
        return self.pending.pop(heapq.heappop(self._order))

    @property
    def complete(self) -> bool:
        return self.closed and self.next_sequence >= self.end


class Receiver:
    """`session` and `next_sequence` resume a session that was read up to there before a restart."""

    def __init__(self, settings: Settings | None = None, *, session: str = "", next_sequence: int = 1) -> None:
        self.settings = settings or Settings()
        self.counters: Counter[str] = Counter()
        self._line: _Line | None = _Line(session, next_sequence) if session else None
        self._successor: _Line | None = None
        self._past: deque[str] = deque(maxlen=64)
        self._gap = False
        self._gap_since = 0  # last progress while the gap stands
        self._asked_until = 0  # end of the range last requested
        self._ask_at = 0
        self._events: list[Event] = []

    @property
    def session(self) -> str:
        return self._line.session if self._line else ""

    @property
    def next_sequence(self) -> int:
        return self._line.next_sequence if self._line else 1

    @property
    def gap(self) -> bool:
        """Whether messages are missing (the stream is stale)."""
        return self._gap

    def on_datagram(self, datagram: bytes | memoryview, now: int) -> list[Event]:
        """Takes a downstream packet in. Bad ones are counted by reason and change nothing."""
        try:
            packet = moldudp64.decode(datagram)
        except WireError as error:
            self.counters[error.code] += 1
            return []
        self.counters["packets"] += 1
        line = self._line_of(packet, now)
        if line is None:
            self.counters["past_session"] += 1
            return []
        if packet.sequence > line.next_sequence + self.settings.max_ahead:
            self.counters["implausible_sequence"] += 1
            return self._take()
        self._note(line, packet)
        self._advance(now)
        return self._take()

    def on_time(self, now: int) -> list[Event]:
        """Gives up what has been missing for too long."""
        self._advance(now)
        return self._take()

    def requests(self, now: int) -> list[bytes]:
        """Request packets that are due now, for the retransmission server."""
        line = self._line
        if line is None or not self._wants(line) or now < self._ask_at:
            return []
        count = min(line.missing or 1, self.settings.request_count)
        self._asked_until = line.next_sequence + count
        self._ask_at = now + self.settings.retry
        self.counters["requests"] += 1
        return [moldudp64.encode_request(line.session, line.next_sequence, count)]

    def deadline(self) -> int | None:
        """When `requests` or `on_time` next has something to do, if no datagram comes before."""
        if self._line is None or not self._wants(self._line):
            return None
        return min(self._ask_at, self._gap_since + self.settings.give_up)

    def _wants(self, line: _Line) -> bool:
        """A gap is open, or a successor waits for the end of this session (which may itself have been lost)."""
        return self._gap or (self._successor is not None and not line.complete)

    def _line_of(self, packet: moldudp64.Packet, now: int) -> _Line | None:
        if packet.session in self._past:
            return None
        if self._line is None:
            self._begin(_Line(packet.session, 1))
        assert self._line is not None
        if packet.session == self._line.session:
            return self._line
        if self._successor is None:
            self._successor = _Line(packet.session, 1)
            if not self._gap:  # the end of the current session was lost: ask for it
                self._gap_since = self._ask_at = now
        return self._successor if packet.session == self._successor.session else None

    def _begin(self, line: _Line) -> None:
        self._line, self._gap, self._asked_until = line, False, 0
        self._events.append(SessionStarted(line.session))

    def _note(self, line: _Line, packet: moldudp64.Packet) -> None:
        line.end = max(line.end, packet.next_sequence)
        if packet.count == moldudp64.END_OF_SESSION:
            line.closed = True
        elif packet.count == moldudp64.HEARTBEAT:
            self.counters["heartbeats"] += 1
        elif packet.next_sequence <= line.next_sequence or packet.sequence in line.pending:
            self.counters["duplicates"] += 1
        elif len(line.pending) >= self.settings.max_pending and packet.sequence > line.next_sequence:
            self.counters["pending_full"] += 1
        else:
            line.keep(packet)

    def _advance(self, now: int) -> None:
        while self._line is not None:
            line = self._line
            self._watch_gap(line, now, self._deliver(line))
            if self._wants(line) and now >= self._gap_since + self.settings.give_up:
                self._give_up(line, now)
                continue
            if not (line.complete and self._finish(line)):
                return

    def _deliver(self, line: _Line) -> bool:
        """Hands out what continues the stream; True when anything did."""
        start = line.next_sequence
        while (packet := line.pop_due()) is not None:
            self._hand_out(line, packet)
        return line.next_sequence > start

    def _hand_out(self, line: _Line, packet: moldudp64.Packet) -> None:
        skip = line.next_sequence - packet.sequence
        if skip >= packet.count:
            self.counters["duplicates"] += 1
            return
        offset = moldudp64.boundaries(packet.block, skip)[-1]
        self.counters["messages"] += packet.count - skip
        self._events.append(Data(line.session, line.next_sequence, packet.count - skip, packet.block[offset:]))
        line.next_sequence = packet.next_sequence

    def _watch_gap(self, line: _Line, now: int, progressed: bool) -> None:
        if progressed and self._wants(line):
            self._gap_since = now
            if line.next_sequence >= self._asked_until:
                self._ask_at = now  # the answer is complete and more is missing
        if line.missing and not self._gap:
            self._gap, self._gap_since = True, now
            self._ask_at = now + (0 if line.next_sequence == 1 else self.settings.patience)
            self.counters["gaps"] += 1
            self._events.append(GapOpened(line.session, line.next_sequence))
        elif self._gap and not line.missing:
            self._gap = False
            self.counters["gaps_filled"] += 1
            self._events.append(GapFilled(line.session, line.next_sequence))

    def _give_up(self, line: _Line, now: int) -> None:
        self._gap_since = now
        if line.missing:
            self.counters["messages_lost"] += line.missing
            self._events.append(GapLost(line.session, line.next_sequence, line.missing))
            line.next_sequence += line.missing
            line.lost, self._gap = True, False
        elif not line.closed:
            self._finish(line)

    def _finish(self, line: _Line) -> bool:
        """Closes `line` and takes up its successor; True when there is one to go on with."""
        self._past.append(line.session)
        self._events.append(SessionEnded(line.session, line.next_sequence, line.complete and not line.lost))
        self._line, successor, self._successor = None, self._successor, None
        self._gap = False
        if successor is not None:
            self._begin(successor)
        return successor is not None

    def _take(self) -> list[Event]:
        events, self._events = self._events, []
        return events
