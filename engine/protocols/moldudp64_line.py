"""MoldUDP64 1.00: one session as a receiver knows it: what was handed out, what waits, what was announced."""

import heapq

from engine.protocols import moldudp64


class Line:
    """``next_sequence`` is the first message not handed out yet, ``end`` one past the highest number heard of."""

    def __init__(self, session: str, next_sequence: int) -> None:
        self.session, self.next_sequence, self.end = session, next_sequence, next_sequence
        self.name = session.encode("latin-1").ljust(moldudp64.SESSION_BYTES)  # as packets have it
        self.closed = self.lost = False
        self.heard = 0  # packets
        self.suspect = 0  # the last sequence number that was too far ahead to be believed
        self.announced = 0  # next sequence number by a heartbeat that came after all that waits here
        self.pending: dict[int, tuple[moldudp64.Packet, int]] = {}  # with ``end`` as it was when the packet came
        self._order: list[int] = []  # heap of the sequence numbers in `pending`

    @property
    def missing(self) -> int:
        """Number of messages that are missing before the first one at hand."""
        first = self._order[0] if self._order else self.end
        return max(min(first, self.end) - self.next_sequence, 0)

    def keep(self, packet: moldudp64.Packet, end: int) -> None:
        if packet.sequence not in self.pending:
            heapq.heappush(self._order, packet.sequence)
        self.pending[packet.sequence] = packet, end
        self.announced = 0

    def holds(self, packet: moldudp64.Packet) -> bool:
        """Whether a copy waits that reaches as far (a retransmission may be cut differently)."""
        waiting = self.pending.get(packet.sequence)
        return waiting is not None and waiting[0].next_sequence >= packet.next_sequence

    @property
    def first(self) -> int:
        """Sequence number of the first packet that waits, 0 for none."""
        return self._order[0] if self._order else 0

    @property
    def overstated(self) -> bool:
        """Whether the newest heartbeat says that the stream has not come to where the gap would end."""
        return 0 < self.announced < (self.first or self.end)

    def correct(self) -> None:
        """Drops a packet whose number was never sent, or an end that nobody has reached."""
        if self.first:
            self.pop_first()
        ends = [packet.next_sequence for packet, _ in self.pending.values()]
        self.end = max(self.next_sequence, self.announced, *ends)

    def pop_first(self) -> tuple[moldudp64.Packet, int]:
        return self.pending.pop(heapq.heappop(self._order))

    def pop_due(self) -> tuple[moldudp64.Packet, int] | None:
        """The first packet that waits, if nothing is missing before it."""
        return self.pop_first() if self._order and self._order[0] <= self.next_sequence else None

    def believes(self, packet: moldudp64.Packet, doubt: int) -> bool:
        """Whether the packet's number is near what is known, or near the last one that was not."""
        if packet.sequence <= self.end + doubt:
            return True
        near = self.suspect > 0 and abs(packet.sequence - self.suspect) <= doubt
        self.suspect = packet.sequence
        return near

    @property
    def complete(self) -> bool:
        return self.closed and self.next_sequence >= self.end
