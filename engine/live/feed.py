"""The market data feed of one venue: datagrams and snapshots in, events for the journal out, re-requests to send.

Each packet's events follow a STALE record that names the packet (session date, sequence number), so that a
restarted core knows to the event what it has taken. A feed met in the middle is read again from its first
message: what the journal has already is decoded for its stock locates alone. Where that is too far, or where nobody
has the messages any more, the books begin anew from a snapshot:

    STALE FORGET, the snapshot's events (flag SNAPSHOT), STALE with the message to go on with

A core that died between the two has half a snapshot. It takes another one, or rebuilds its books from the feed's first
message; trades and phases of the session that were journaled before do not count again.
"""

import logging

import numpy as np

from engine.configuration import Account
from engine.core.events import EVENT, Flag, Kind, Stale
from engine.live.loop_records import Market, new_market
from engine.live.recovery import InputState
from engine.protocols import late_join, moldudp64
from engine.protocols.feed import set_date, symbol_keys
from engine.protocols.glimpse import Snapshot
from engine.protocols.itch_events import decode_block
from engine.protocols.layout import WireError
from engine.protocols.moldudp64_inorder import place_of
from engine.protocols.moldudp64_receiver import (
    Data,
    GapFilled,
    GapLost,
    GapOpened,
    SessionStarted,
    Settings,
    SnapshotWanted,
)

log = logging.getLogger(__name__)

GIVE_UP_NS = 1_000_000_000  # a retransmission server on the same network that is silent for so long has nothing
SECOND = 1_000_000_000
SILENT_NS = 3 * SECOND  # three heartbeats (MoldUDP64: one a second) that did not come
EVENTS_AT_ONCE = 1 << 15
STALE, SESSION, EXECUTE = int(Kind.STALE), int(Kind.SESSION), int(Kind.EXECUTE)
STANDING = [int(kind) for kind in (Kind.ADD, Kind.EXECUTE, Kind.REDUCE, Kind.DELETE, Kind.REPLACE, Kind.STATUS)]


def stale_event(
    ts: int, code: Stale, *, venue: int = 0, date: int = 0, sequence: int = 0, recovered: int = 0, duplicates: int = 0
) -> np.ndarray:
    """EVENT[1]: whether the venue's feed is stale; with a ``sequence``, the packet whose events follow."""
    event = np.zeros(1, EVENT)
    event["ts_event"] = event["ts_recv"] = ts
    event["instrument"] = -1
    event["kind"], event["venue"] = STALE, venue
    event["code"] = code
    event["date"], event["sequence"] = date, sequence
    event["recovered"], event["duplicates"] = recovered, duplicates
    return event


def standing(events: np.ndarray, phase: int) -> np.ndarray:
    """Of ``events`` what books and trading states are made of, and phases of the session after ``phase``; a copy.

    It has all happened before, so no trade is left: an execution takes shares off its order and prints nothing.
    """
    kept = events[np.isin(events["kind"], STANDING) | ((events["kind"] == SESSION) & (events["code"] > phase))]
    kept["flags"] |= Flag.SNAPSHOT
    kept["flags"][kept["kind"] == EXECUTE] |= Flag.NON_PRINTABLE
    return kept


class MarketFeed:
    """``resume`` says where the journal stands, ``account`` who may have snapshots. Wall times are of a steady clock,
    ``ts`` of the session clock. ``market`` is what all venues of a loop share, ``venue`` the row of this one."""

    def __init__(
        self,
        symbols: list[str],
        resume: InputState,
        account: Account,
        snapshot_after: int = 20_000,
        *,
        venue: int = 0,
        market: Market | None = None,
    ) -> None:
        self.venue, self.market = venue, market or new_market(symbol_keys(symbols), 1)
        self.joiner = late_join.LateJoiner(
            account.username,
            account.password,
            late_join.Settings(mold=Settings(give_up=GIVE_UP_NS, snapshot_after=snapshot_after)),
            oldest=(str(resume.feed_date), resume.feed_sequence + resume.feed_events),
        )
        self.receiver = self.joiner.receiver
        self.heard_at = 0  # steady time of the newest datagram, 0 for none
        self._symbols = self.market.symbols
        self._feed = self.market.feeds[venue]
        self._locates = self.market.locates[venue]
        self._resume: InputState | None = resume if resume.feed_date else None
        self._unpassed = resume.feed_events  # of the packet that was journaled last, events not passed over yet
        self._told_phase = 0  # of the session: the journal has this one although the feed is not as far
        self._gap = self._lost = False
        self._silent = False  # nothing has come for SILENT_NS although the session has not ended
        self._recovered = 0  # messages journaled since the last STALE record
        self._buffer = np.zeros(EVENTS_AT_ONCE, EVENT)

    @property
    def date(self) -> int:
        """Trading date (yyyymmdd) of the session that is read, 0 before the first."""
        return int(self._feed["date"])

    def warm(self) -> None:
        """Compiles what a datagram needs, on a message that is none."""
        self._decode(b"\0\0", 0)

    def lend(self, side: np.void) -> None:
        """Makes the compiled loop ready (``side`` is its FEED_SIDE record): packets that continue the session plainly,
        which is nearly every one, and those that repeat it are taken there."""
        receiver = self.receiver
        side["in_order"] = receiver.plain and not self._resume and not self._told_phase and not self._silent
        side["stale_code"] = self._stale_code()
        side["recovered"], side["duplicates"] = self._recovered, receiver.untold_duplicates
        for name in ("packets", "messages", "repeats"):
            side[name] = 0
        if side["in_order"]:
            place_of(receiver, self.market.lines[self.venue : self.venue + 1])

    def take_back(self, side: np.void) -> None:
        """Learns what the compiled loop has taken."""
        self.heard_at = max(self.heard_at, int(side["heard_at"]))
        self._recovered = int(side["recovered"])
        for line in range(int(side["lines"])):
            packets, messages, repeats = (int(side[name][line]) for name in ("packets", "messages", "repeats"))
            self.receiver.took(packets, messages, repeats, line)
        self.receiver.new_duplicates(left=int(side["duplicates"]))

    def on_datagram(self, datagram: bytes, now: int, ts: int, line: int = 0) -> list[np.ndarray]:
        """EVENT arrays to be journaled and stepped, in order. ``line`` counts from 0: the first copy wins."""
        self.heard_at = now
        inputs = self._events(self.joiner.on_datagram(datagram, now, line), ts)
        if self._silent:
            log.warning("feed of venue %d is heard again", self.venue)
            self._silent = False
            inputs.append(self._mark(ts))
        return inputs

    def on_snapshot_bytes(self, chunk: bytes, now: int, ts: int) -> list[np.ndarray]:
        """Takes bytes of the connection that ``joiner`` wanted."""
        return self._events(self.joiner.receive(chunk, now), ts)

    def on_time(self, now: int, ts: int) -> list[np.ndarray]:
        inputs = self._events(self.joiner.on_time(now), ts)
        if not self._silent and self.receiver.session and self.heard_at and now - self.heard_at >= SILENT_NS:
            log.warning("feed of venue %d: nothing was heard for %d s", self.venue, (now - self.heard_at) // SECOND)
            self._silent = True
            inputs.append(self._mark(ts))
        return inputs

    def deadline(self) -> int | None:
        """Steady time at which ``on_time`` has something to do."""
        due = self.joiner.deadline()
        if self._silent or not self.receiver.session or not self.heard_at:
            return due
        silent = self.heard_at + SILENT_NS
        return silent if due is None else min(due, silent)

    def _mark(self, ts: int, sequence: int = 0) -> np.ndarray:
        """The STALE record of now, before the packet ``sequence``."""
        date, duplicates = self.date if sequence else 0, self.receiver.new_duplicates()
        recovered, self._recovered = self._recovered, 0
        return stale_event(
            ts,
            self._stale_code(),
            venue=self.venue,
            date=date,
            sequence=sequence,
            recovered=recovered,
            duplicates=duplicates,
        )

    def _stale_code(self) -> Stale:
        return Stale.GAP if self._gap or self._lost or self._silent else Stale.IN_ORDER

    def _events(self, happened: list[late_join.Event], ts: int) -> list[np.ndarray]:
        inputs: list[np.ndarray] = []
        for event in happened:
            if isinstance(event, Data):
                inputs += self._data(event, ts)
            elif isinstance(event, Snapshot):
                inputs += self._snapshot(event, ts)
            elif isinstance(event, SessionStarted):
                inputs += self._start(event.session, ts)
            elif isinstance(event, GapOpened | GapFilled | GapLost):
                inputs.append(self._turn(event, ts))
            elif isinstance(event, SnapshotWanted):
                log.warning("feed %s: a snapshot is wanted, message %d is missing", event.session, event.sequence)
            elif not event.complete:
                log.warning("feed %s ended incomplete at %d", event.session, event.next_sequence)
        return inputs

    def _start(self, session: str, ts: int) -> list[np.ndarray]:
        self._gap = self._lost = False
        self._told_phase = 0
        try:
            set_date(self._feed, int(session))
        except (ValueError, WireError):
            log.error("feed session %r is no trading date (yyyymmdd): its events keep the date before", session)
        if self._resume and self._resume.feed_date != self.date:
            self._resume = None  # the journal's session is over
        if self._resume and self._resume.session_date == self.date:
            self._feed["session"] = self._resume.session_code
        if self._resume and self._resume.forgotten:
            self._told_phase = int(self._feed["session"])
            return [stale_event(ts, Stale.FORGET, venue=self.venue, date=self.date)]
        return []

    def _turn(self, event: GapOpened | GapFilled | GapLost, ts: int) -> np.ndarray:
        if not isinstance(event, GapFilled):
            log.warning("feed %s: %s at %d", event.session, type(event).__name__, event.sequence)
        self._gap = isinstance(event, GapOpened)
        if isinstance(event, GapLost):
            self._lost = True
            self._resume = None  # whether what comes now is in the journal cannot be told any more
        return self._mark(ts)

    def _data(self, data: Data, ts: int) -> list[np.ndarray]:
        known, inputs = self._known(data, ts) if self._resume else (0, [])
        if known == data.count:
            return inputs
        late = max(data.recovered, known)
        offsets = moldudp64.boundaries(data.block, late)
        recovered = self._decode(data.block[offsets[known] : offsets[late]], ts)
        recovered["flags"] |= Flag.RECOVERED
        events = self._decode(data.block[offsets[late] :], ts)
        inputs.append(self._mark(ts, data.sequence + known))
        self._recovered += late - known
        return inputs + [self._untold(each) for each in (recovered, events) if len(each)]

    def _known(self, data: Data, ts: int) -> tuple[int, list[np.ndarray]]:
        """How many of the messages the journal has, and what is to be journaled of them again. They are decoded for
        their stock locates, and, where the books were given up, for what stands."""
        resume, block = self._resume, data.block
        assert resume is not None
        known = min(max(resume.feed_sequence - data.sequence, 0), data.count)
        offsets = moldudp64.boundaries(block, data.count)
        events = [self._decode(block[: offsets[known]], ts)]
        while known < data.count and self._unpassed:
            events.append(self._decode(block[offsets[known] : offsets[known + 1]], ts))
            self._unpassed -= len(events[-1])
            known += 1
        if known < data.count:
            self._resume = None
        return known, [standing(each, self._told_phase) for each in events] if resume.forgotten else []

    def _untold(self, events: np.ndarray) -> np.ndarray:
        """Without the phases of the session that a snapshot has told already."""
        if not self._told_phase:
            return events
        phases = events["kind"] == SESSION
        told = phases & (events["code"] <= self._told_phase)
        if (phases & ~told).any():
            self._told_phase = 0
        return events[~told]

    def _snapshot(self, snapshot: Snapshot, ts: int) -> list[np.ndarray]:
        phase = int(self._feed["session"])
        events = standing(self._decode(snapshot.block, ts), phase)
        log.warning(
            "feed %s: %d events of a snapshot, on with message %d",
            snapshot.session,
            len(events),
            snapshot.next_sequence,
        )
        self._resume, self._told_phase, self._lost = None, 0, False
        forget = stale_event(ts, Stale.FORGET, venue=self.venue, date=self.date)
        return [forget, events, self._mark(ts, snapshot.next_sequence)]

    def _decode(self, block: bytes, ts: int) -> np.ndarray:
        """The block's events, EVENT[n], a copy."""
        payload = np.frombuffer(block, np.uint8)
        self._feed["ts_recv"] = ts
        parts, start = [], 0
        while start < len(payload):
            count = decode_block(payload, start, len(payload), self._feed, self._locates, self._symbols, self._buffer)
            parts.append(self._buffer[:count].copy())
            start = int(self._feed["position"])
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([part.view("V64") for part in parts]).view(EVENT) if parts else np.empty(0, EVENT)
