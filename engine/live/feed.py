"""The market data feed of the core: datagrams in, events for the journal out, re-requests to send.

Each packet's events follow a STALE record that names the packet (session date, sequence number), so that a
restarted core knows to the event what it has taken. A feed met in the middle is read again from its first
message: what the journal has already is decoded for its stock locates alone.
"""

import logging

import numpy as np

from engine.core.events import EVENT, Kind
from engine.live.recovery import InputState
from engine.protocols import moldudp64
from engine.protocols.feed import FEED, new_locate_map, set_date, symbol_keys
from engine.protocols.itch_events import decode_block
from engine.protocols.layout import WireError
from engine.protocols.moldudp64_inorder import InOrder
from engine.protocols.moldudp64_receiver import (
    Data,
    GapFilled,
    GapLost,
    GapOpened,
    Receiver,
    SessionEnded,
    SessionStarted,
    Settings,
)

log = logging.getLogger(__name__)

GIVE_UP_NS = 1_000_000_000  # a retransmission server on the same network that is silent for so long has nothing
EVENTS_AT_ONCE = 1 << 15
STALE = int(Kind.STALE)


def stale_event(ts: int, *, stale: bool, date: int = 0, sequence: int = 0) -> np.ndarray:
    """EVENT[1]: whether the feed is stale; with a ``sequence``, the packet whose events follow."""
    event = np.zeros(1, EVENT)
    event["ts_event"] = event["ts_recv"] = ts
    event["instrument"] = -1
    event["kind"] = STALE
    event["code"] = int(stale)
    event["date"], event["sequence"] = date, sequence
    return event


class MarketFeed:
    """``resume`` says where the journal stands. Wall times are of a steady clock, ``ts`` of the session clock."""

    def __init__(self, symbols: list[str], resume: InputState) -> None:
        self.receiver = Receiver(Settings(give_up=GIVE_UP_NS))
        self.heard_at = 0  # steady time of the newest datagram, 0 for none
        self._symbols = symbol_keys(symbols)
        self._feeds = np.zeros(1, FEED)
        self._feed = self._feeds[0]
        self._locates = new_locate_map()
        self._resume: InputState | None = resume if resume.feed_date else None
        self._skip = 0
        self._lost = False
        self._buffer = np.zeros(EVENTS_AT_ONCE, EVENT)
        self._in_order = InOrder(self.receiver)
        self._end = np.zeros(1, np.int64)

    @property
    def date(self) -> int:
        """Trading date (yyyymmdd) of the session that is read, 0 before the first."""
        return int(self._feed["date"])

    def warm(self) -> None:
        """Compiles what a datagram needs, on a message that is none."""
        self._decode(b"\0\0", 0)
        nothing = np.frombuffer(b"", np.uint8)
        self._in_order.decode(nothing, self._end[:0], 0, self._feeds, self._locates, self._symbols, self._buffer)

    def on_datagram(self, datagram: bytes, now: int, ts: int) -> list[np.ndarray]:
        """EVENT arrays to be journaled and stepped, in order."""
        self.heard_at = now
        return self._plain_packet(datagram, ts) or self._events(self.receiver.on_datagram(datagram, now), ts)

    def on_time(self, now: int, ts: int) -> list[np.ndarray]:
        return self._events(self.receiver.on_time(now), ts)

    def _plain_packet(self, datagram: bytes, ts: int) -> list[np.ndarray]:
        """The next packet of a session that runs without a gap, which is nearly every one; nothing for any other."""
        if self._resume or self._skip:
            return []
        sequence, payload = self.receiver.next_sequence, np.frombuffer(datagram, np.uint8)
        self._feed["ts_recv"], self._end[0] = ts, len(payload)
        arguments = self._feeds, self._locates, self._symbols, self._buffer
        packets, count = self._in_order.take(payload, self._end, 0, *arguments)
        if not packets:
            return []
        mark = stale_event(ts, stale=self._lost, date=self.date, sequence=sequence)
        return [mark, self._buffer[:count].copy()]

    def _events(self, happened: list, ts: int) -> list[np.ndarray]:
        inputs: list[np.ndarray] = []
        for event in happened:
            if isinstance(event, Data):
                inputs += self._data(event, ts)
            elif isinstance(event, SessionStarted):
                self._start(event.session)
            elif isinstance(event, GapOpened | GapLost):
                log.warning("feed %s: %s at %d", event.session, type(event).__name__, event.sequence)
                self._lost = self._lost or isinstance(event, GapLost)
                inputs.append(stale_event(ts, stale=True))
            elif isinstance(event, GapFilled):
                inputs.append(stale_event(ts, stale=self._lost))
            elif isinstance(event, SessionEnded) and not event.complete:
                log.warning("feed %s ended incomplete at %d", event.session, event.next_sequence)
        return inputs

    def _start(self, session: str) -> None:
        self._lost = False
        try:
            set_date(self._feed, int(session))
        except (ValueError, WireError):
            log.error("feed session %r is no trading date (yyyymmdd): its events keep the date before", session)
        if self._resume and self._resume.feed_date != self.date:
            self._resume = None  # the journal's session is over

    def _data(self, data: Data, ts: int) -> list[np.ndarray]:
        block, sequence, count = data.block, data.sequence, data.count
        marked = True
        if self._resume:
            known = min(max(self._resume.feed_sequence - sequence, 0), count)
            offset = moldudp64.boundaries(block, known)[-1]
            self._decode(block[:offset], ts)
            if known == count:
                return []
            block, sequence = block[offset:], sequence + known
            # The packet goes on behind its record in the journal; the events that stand there are passed over.
            self._skip, self._resume, marked = self._resume.feed_events, None, False
        marked = marked and self._skip == 0
        events = self._decode(block, ts)
        passed = min(self._skip, len(events))
        self._skip -= passed
        stale = self._lost or self.receiver.gap
        mark = stale_event(ts, stale=stale, date=self.date, sequence=sequence if marked else 0)
        return [mark, events[passed:]] if len(events) > passed or marked else [mark]

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
