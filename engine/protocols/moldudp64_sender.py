"""MoldUDP64 1.00, sender and retransmission server, without sockets.

`Sender` numbers messages, packs them into datagrams, and says when a heartbeat is due (section "Heartbeats": about
one a second when nothing else is sent). `RetransmissionStore` keeps what was sent and answers request packets.
"""

from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterable

from engine.protocols import moldudp64
from engine.protocols.layout import WireError

SECOND = 1_000_000_000
MAX_BLOCK = 1_400 - moldudp64.HEADER_BYTES  # no IP fragmentation


class RetransmissionStore:
    """Sent packets of the last `max_sessions` sessions, of each at least the newest `max_bytes`; a request is answered
    with at most `burst` datagrams, and one for what is kept no more with nothing."""

    def __init__(self, *, max_sessions: int = 3, burst: int = 64, max_bytes: int = 1 << 25) -> None:
        self.max_sessions, self.burst, self.max_bytes = max_sessions, burst, max_bytes
        self.counters: Counter[str] = Counter()
        self._sessions: OrderedDict[str, _Sent] = OrderedDict()

    def begin(self, session: str) -> None:
        self._sessions[session] = _Sent()
        while len(self._sessions) > self.max_sessions:
            self._sessions.popitem(last=False)

    def add(self, session: str, sequence: int, datagram: bytes) -> None:
        """Keeps `datagram`, whose first message has number `sequence`; sequences go up."""
        sent = self._sessions[session]
        sent.sequences.append(sequence)
        sent.datagrams.append(datagram)
        sent.bytes += len(datagram)
        if sent.bytes > 2 * self.max_bytes:
            sent.forget(self.max_bytes)

    def end(self, session: str, datagram: bytes) -> None:
        self._sessions[session].end = datagram

    def respond(self, request: bytes | memoryview) -> list[bytes]:
        """Datagrams that answer a request packet, beginning at the message asked for.

        Bad requests (and unknown sessions) are counted by reason and answered with nothing.
        """
        try:
            asked = moldudp64.decode_request(request)
        except WireError as error:
            self.counters[error.code] += 1
            return []
        sent = self._sessions.get(asked.session)
        if sent is None:
            self.counters["unknown_session"] += 1
            return []
        self.counters["requests"] += 1
        return sent.slice(asked, self.burst)


class _Sent:
    def __init__(self) -> None:
        self.sequences: list[int] = []
        self.datagrams: list[bytes] = []
        self.end: bytes | None = None
        self.bytes = 0

    def forget(self, keep: int) -> None:
        """Drops the oldest packets until ``keep`` bytes are left."""
        dropped = 0
        while self.bytes > keep:
            self.bytes -= len(self.datagrams[dropped])
            dropped += 1
        del self.datagrams[:dropped], self.sequences[:dropped]

    def slice(self, asked: moldudp64.Request, burst: int) -> list[bytes]:
        answer: list[bytes] = []
        if self.sequences and asked.sequence < self.sequences[0]:
            return answer
        stop = asked.sequence + asked.count
        index = max(bisect_right(self.sequences, asked.sequence) - 1, 0)
        while index < len(self.sequences) and self.sequences[index] < stop and len(answer) < burst:
            trimmed = _trim(moldudp64.decode(self.datagrams[index]), asked.sequence, stop)
            if trimmed is not None:
                answer.append(trimmed)
            index += 1
        if not answer and self.end is not None:
            answer.append(self.end)  # asked for what comes after the last message
        return answer


def _trim(packet: moldudp64.Packet, start: int, stop: int) -> bytes | None:
    """The messages of `packet` with numbers in [start, stop), as a datagram."""
    first, last = max(packet.sequence, start), min(packet.next_sequence, stop)
    if first >= last:
        return None
    offsets = moldudp64.boundaries(packet.block, packet.count)
    block = packet.block[offsets[first - packet.sequence] : offsets[last - packet.sequence]]
    return moldudp64.encode_block(packet.session, first, last - first, block)


class Sender:
    """One session's downstream. Everything sent goes into `store` too."""

    def __init__(
        self,
        session: str,
        store: RetransmissionStore,
        *,
        max_block: int = MAX_BLOCK,
        heartbeat: int = SECOND,
        now: int = 0,
    ) -> None:
        self.session, self.store, self.max_block, self.heartbeat_every = session, store, max_block, heartbeat
        self.next_sequence = 1
        self.ended = False
        self._last_sent = now
        store.begin(session)

    def send(self, messages: Iterable[bytes], now: int) -> list[bytes]:
        """Datagrams that carry `messages` in order."""
        return self.send_framed(moldudp64.frame(messages), now)

    def send_framed(self, block: bytes, now: int) -> list[bytes]:
        """Datagrams that carry the messages of `block`, each framed by its length already."""
        datagrams, start, position, count = [], 0, 0, 0
        while position < len(block):
            end = position + 2 + int.from_bytes(block[position : position + 2], "big")
            if position + 2 > len(block) or end > len(block):
                raise WireError("truncated", "moldudp64.block", len(block), f"{end} bytes")
            if count and end - start > self.max_block:
                datagrams.append(self.send_packet(block[start:position], count, now))
                start, count = position, 0
            position, count = end, count + 1
        if count:
            datagrams.append(self.send_packet(block[start:], count, now))
        return datagrams

    def send_packet(self, block: bytes, count: int, now: int) -> bytes:
        """The datagram of exactly this block of `count` framed messages (for callers that split it themselves)."""
        datagram = moldudp64.encode_block(self.session, self.next_sequence, count, block)
        self.store.add(self.session, self.next_sequence, datagram)
        self.next_sequence += count
        self._last_sent = now
        return datagram

    def heartbeat(self, now: int) -> bytes | None:
        """A heartbeat (after the end: the end-of-session packet again) if none of our packets went out lately."""
        if now - self._last_sent < self.heartbeat_every:
            return None
        self._last_sent = now
        encode = moldudp64.encode_end_of_session if self.ended else moldudp64.encode_heartbeat
        return encode(self.session, self.next_sequence)

    def end(self, now: int) -> bytes:
        """The end-of-session packet."""
        datagram = moldudp64.encode_end_of_session(self.session, self.next_sequence)
        self.store.end(self.session, datagram)
        self.ended, self._last_sent = True, now
        return datagram
