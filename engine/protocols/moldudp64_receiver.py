"""MoldUDP64 1.00, receiver: sequence, gaps, duplicates, reordering, heartbeats, end of session, re-requests.

Datagrams in (from one line or several: the first copy of a message wins, which is A/B arbitration), events out in
sequence order, and the request packets that are due. A session is read from its first message: met in the middle, it
is re-requested from sequence 1 (a late join), or a snapshot is wanted (`late_join`) where ``snapshot_after`` says so.
When a new session begins while the old one is incomplete, the new one is held back until the old one is complete or
is given up.

MoldUDP64 has no checksum of its own, so what a datagram claims is held against what others say: a sequence number
that leaps ahead needs a second packet near it, a heartbeat corrects what was believed of the stream's end, and a
session that was heard of once does not displace one that lives.
"""

from collections import Counter, deque
from typing import TypeAlias

import msgspec

from engine.protocols import moldudp64
from engine.protocols.layout import WireError
from engine.protocols.moldudp64_line import Line

MS = 1_000_000


class SessionStarted(msgspec.Struct, frozen=True):
    session: str


class Data(msgspec.Struct, frozen=True):
    """`count` new messages in order, framed as on the wire; the first has number `sequence`. ``recovered``: how many of
    them, from the first on, were missing when later ones had come already."""

    session: str
    sequence: int
    count: int
    block: bytes
    recovered: int = 0


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


class SnapshotWanted(msgspec.Struct, frozen=True):
    """Messages from `sequence` on are missing and will not be asked for: only a snapshot closes this gap. The packets
    behind it are kept (the newest ``max_pending``) until `Receiver.take_snapshot` or `Receiver.no_snapshot`."""

    session: str
    sequence: int


class SessionEnded(msgspec.Struct, frozen=True):
    """``complete``: every message up to the announced end was delivered."""

    session: str
    next_sequence: int
    complete: bool


Event: TypeAlias = SessionStarted | Data | GapOpened | GapFilled | GapLost | SnapshotWanted | SessionEnded


class Settings(msgspec.Struct, frozen=True):
    """Times in ns of whatever clock the caller passes."""

    patience: int = 2 * MS  # how long a hole may be mere reordering before it is requested
    retry: int = 50 * MS  # how long an answer may take before the request is repeated
    give_up: int = 5_000 * MS  # without progress: the gap is lost, or the session abandoned
    request_count: int = 2_000  # messages asked for at once
    max_pending: int = 4_096  # packets kept while an earlier one is missing
    max_ahead: int = 1_000_000_000  # a sequence number further ahead than this is not believed
    doubt: int = 65_536  # one further ahead than this is believed once a second packet stands near it
    snapshot_after: int = 0  # a gap that leaves us this many messages behind, or is given up, wants a snapshot; 0: none


class Receiver:
    """`session` and `next_sequence` resume a session that was read up to there before a restart."""

    def __init__(self, settings: Settings | None = None, *, session: str = "", next_sequence: int = 1) -> None:
        self.settings = settings or Settings()
        self.counters: Counter[str] = Counter()
        self.lines: dict[int, Counter[str]] = {}  # by the caller's number of a line: packets, first, duplicates, bad
        self._line: Line | None = Line(session, next_sequence) if session else None
        self._successor: Line | None = None
        self._past: deque[str] = deque(maxlen=64)
        self._gap = False
        self._gap_since = 0  # last progress while the gap stands
        self._asked_until = 0  # end of the range last requested
        self._ask_at = 0
        self._snapshot_wanted = self._snapshot_declined = False
        self._duplicates_told = 0
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

    @property
    def plain(self) -> bool:
        """Whether a session is being read with nothing missing, waiting or known to come to its end."""
        line = self._line
        if line is None or self._gap or self._successor is not None:
            return False
        return not (line.pending or line.closed or line.missing)

    def took(self, packets: int, messages: int, duplicates: int, line: int = 0) -> None:
        """Packets that came by `line` were read elsewhere (`moldudp64_inorder`): `messages` in those that continued the
        session plainly, and `duplicates` of packets handed out before."""
        if self._line is None or not packets:
            return
        if messages:
            self._line.next_sequence += messages
            self._line.end = self._line.next_sequence
            self._line.announced = 0
        self._line.heard += packets
        self.counters["packets"] += packets
        self.counters["messages"] += messages
        self.counters["duplicates"] += duplicates
        heard = self.lines.setdefault(line, Counter())
        heard["packets"] += packets
        heard["first"] += packets - duplicates
        heard["duplicates"] += duplicates

    def repeats(self, datagram: bytes | memoryview, line: int = 0) -> bool:
        """Whether a packet has only numbers that were handed out, while nothing is missing: by a second line nearly
        every one. It is counted; what it holds is not looked at."""
        if len(datagram) < moldudp64.HEADER_BYTES or self._line is None or not self.plain:
            return False
        name, sequence, count = moldudp64.HEADER.unpack_from(datagram)
        if name != self._line.name or not 0 < count <= moldudp64.MAX_COUNT:
            return False
        if not 0 < sequence <= self._line.next_sequence - count:
            return False
        self.took(1, 0, 1, line)
        return True

    @property
    def snapshot_wanted(self) -> bool:
        """Whether a snapshot must close the gap that is open."""
        return self._snapshot_wanted

    def on_datagram(self, datagram: bytes | memoryview, now: int, line: int = 0) -> list[Event]:
        """Takes a downstream packet in, come by the caller's `line`. Bad ones are counted by reason and change
        nothing."""
        if self.repeats(datagram, line):
            return []
        heard = self.lines.setdefault(line, Counter())
        heard["packets"] += 1
        try:
            packet = moldudp64.decode(datagram)
        except WireError as error:
            self.counters[error.code] += 1
            heard["bad"] += 1
            return []
        self.counters["packets"] += 1
        session = self._line_of(packet, now)
        if session is None:
            return []
        if not 0 < packet.sequence <= session.next_sequence + self.settings.max_ahead:
            self.counters["implausible_sequence"] += 1
            return self._take()
        if not session.believes(packet, self.settings.doubt):
            self.counters["doubtful_sequence"] += 1
            return self._take()
        heard[self._note(session, packet)] += 1
        self._advance(now)
        return self._take()

    @property
    def untold_duplicates(self) -> int:
        """Duplicate packets that no STALE record has carried yet."""
        return self.counters["duplicates"] - self._duplicates_told

    def new_duplicates(self, left: int = 0) -> int:
        """Duplicate packets since the last call, all but the newest ``left``: what a STALE record carries."""
        told = self.untold_duplicates - left
        self._duplicates_told += told
        return told

    def take_snapshot(self, session: str, next_sequence: int, now: int) -> list[Event] | None:
        """Goes on at `next_sequence`, with what was kept from there on: a snapshot stands for all before it.

        None when the snapshot does not help: of another session, or from before the gap.
        """
        line = self._line
        if line is None or session != line.session:
            self.counters["snapshot_other_session"] += 1
            return None
        if next_sequence < line.next_sequence:
            self.counters["snapshot_too_old"] += 1
            return None
        self.counters["snapshots"] += 1
        while line.first and line.first < next_sequence:
            packet, end = line.pop_first()
            if packet.next_sequence > next_sequence:
                line.keep(packet, end)
                break
            self.counters["covered"] += 1
        line.next_sequence, line.end = next_sequence, max(line.end, next_sequence)
        self._snapshot_wanted, self._gap_since, self._ask_at, self._asked_until = False, now, now, 0
        self._advance(now)
        return self._take()

    def no_snapshot(self, now: int) -> None:
        """No snapshot can be had: the gap that is open is requested, and given up, like any other."""
        self._snapshot_wanted, self._snapshot_declined = False, True
        self._gap_since = self._ask_at = now

    def on_time(self, now: int) -> list[Event]:
        """Gives up what has been missing for too long."""
        self._advance(now)
        return self._take()

    def requests(self, now: int) -> list[bytes]:
        """Request packets that are due now, for the retransmission server."""
        line = self._line
        if line is None or self._snapshot_wanted or not self._wants(line) or now < self._ask_at:
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
        give_up = self._gap_since + self.settings.give_up
        return give_up if self._snapshot_wanted else min(self._ask_at, give_up)

    def _wants(self, line: Line) -> bool:
        """A gap is open, or a successor waits for the end of this session (which may itself have been lost)."""
        return self._gap or (self._successor is not None and not line.complete)

    def _line_of(self, packet: moldudp64.Packet, now: int) -> Line | None:
        if packet.session in self._past:
            self.counters["past_session"] += 1
            return None
        if self._line is None:
            self._begin(Line(packet.session, 1))
        assert self._line is not None
        line: Line | None = self._line
        if packet.session == self._line.session:
            if self._successor is not None and not self._gap:
                self._gap_since = now  # it lives: it is not given up for a session that was only heard of
        elif self._successor is not None and packet.session == self._successor.session:
            line = self._successor
        elif self._successor is None or self._successor.heard == 1:
            line = self._await(Line(packet.session, 1), now)
        else:
            self.counters["foreign_session"] += 1
            return None
        assert line is not None
        line.heard += 1
        return line

    def _await(self, successor: Line, now: int) -> Line:
        """The next session, held back until the current one is over."""
        if self._successor is not None:
            self.counters["displaced_session"] += 1
        elif not self._gap:  # the end of the current session was lost: ask for it
            self._gap_since = self._ask_at = now
        self._successor = successor
        return successor

    def _begin(self, line: Line) -> None:
        self._line, self._gap, self._asked_until = line, False, 0
        self._snapshot_wanted = self._snapshot_declined = False
        self._events.append(SessionStarted(line.session))

    def _note(self, line: Line, packet: moldudp64.Packet) -> str:
        """Keeps what is new of a packet; "first", "duplicates" or "heartbeats"."""
        end = line.end
        if packet.messages == 0:
            self._note_empty(line, packet)
            return "heartbeats"
        line.end = max(end, packet.next_sequence)
        if packet.next_sequence <= line.next_sequence or line.holds(packet):
            self.counters["duplicates"] += 1
            return "duplicates"
        if len(line.pending) >= self.settings.max_pending and packet.sequence > line.next_sequence:
            self.counters["pending_full"] += 1
            if not self._snapshot_wanted:
                return "first"
            line.pop_first()  # a snapshot will cover the oldest
        line.keep(packet, end)
        return "first"

    def _note_empty(self, line: Line, packet: moldudp64.Packet) -> None:
        """A heartbeat or an end of session: no message, but the number that the next one would have."""
        if packet.count == moldudp64.END_OF_SESSION:
            line.closed = True
        self.counters["heartbeats"] += 1
        line.announced, line.end = packet.sequence, max(line.end, packet.sequence)

    def _advance(self, now: int) -> None:
        while self._line is not None:
            line = self._line
            self._watch_gap(line, now, self._deliver(line))
            if self._wants(line) and now >= self._gap_since + self.settings.give_up:
                self._give_up(line, now)
                continue
            if not (line.complete and self._finish(line)):
                return

    def _deliver(self, line: Line) -> bool:
        """Hands out what continues the stream; True when anything did."""
        start = line.next_sequence
        while (due := line.pop_due()) is not None:
            self._hand_out(line, *due)
        return line.next_sequence > start

    def _hand_out(self, line: Line, packet: moldudp64.Packet, end: int) -> None:
        """`end` is what had been heard of when the packet came: what it holds before that was missing."""
        skip = line.next_sequence - packet.sequence
        if skip >= packet.count:
            self.counters["duplicates"] += 1
            return
        offset = moldudp64.boundaries(packet.block, skip)[-1]
        late = max(min(packet.next_sequence, end) - line.next_sequence, 0)
        self.counters["messages"] += packet.count - skip
        self.counters["recovered"] += late
        block = packet.block[offset:]
        self._events.append(Data(line.session, line.next_sequence, packet.count - skip, block, late))
        line.next_sequence = packet.next_sequence

    def _watch_gap(self, line: Line, now: int, progressed: bool) -> None:
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
            self._gap = self._snapshot_wanted = self._snapshot_declined = False
            self.counters["gaps_filled"] += 1
            self._events.append(GapFilled(line.session, line.next_sequence))
        if self._gap and 0 < self.settings.snapshot_after < line.end - line.next_sequence:
            self._want_snapshot(line)

    def _want_snapshot(self, line: Line) -> None:
        if not self._snapshot_wanted and not self._snapshot_declined:
            self._snapshot_wanted = True
            self._events.append(SnapshotWanted(line.session, line.next_sequence))

    def _give_up(self, line: Line, now: int) -> None:
        self._gap_since = now
        if line.missing and line.overstated:
            line.correct()
            self.counters["corrected"] += 1
        elif line.missing and self.settings.snapshot_after and not self._snapshot_declined:
            self._want_snapshot(line)
        elif line.missing:
            self.counters["messages_lost"] += line.missing
            self._events.append(GapLost(line.session, line.next_sequence, line.missing))
            line.next_sequence += line.missing
            line.lost, self._gap = True, False
            self._snapshot_declined = False
        elif not line.closed:
            self._finish(line)

    def _finish(self, line: Line) -> bool:
        """Closes `line` and takes up its successor; True when there is one to go on with."""
        self._past.append(line.session)
        self._events.append(SessionEnded(line.session, line.next_sequence, line.complete and not line.lost))
        self._line, successor, self._successor = None, self._successor, None
        self._gap = self._snapshot_wanted = False
        if successor is not None:
            self._begin(successor)
        return successor is not None

    def _take(self) -> list[Event]:
        events, self._events = self._events, []
        return events
