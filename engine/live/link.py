"""The agent's side of the link to the control plane, as a state machine without sockets.

Text frames and the time (ns of any steady clock) come in, frames to send come out. Batches are cut from
the journal; those that are not acknowledged when the connection ends are cut again from where ``Welcome``
says that the control plane stands, so nothing is lost and nothing counts twice.
"""

from collections.abc import Callable
from enum import Enum

from engine.errors import BadInput
from engine.live.journal import Reader
from engine.live.reports import Reporter
from engine.messages import (
    Acknowledge,
    Deployed,
    Desired,
    Heartbeat,
    Hello,
    KillOrder,
    Refused,
    ReportBatch,
    Welcome,
    batch,
    decode_down,
    encode,
)

HEARTBEAT_NS = 500_000_000
SILENCE_NS = 10_000_000_000  # the control plane answers each heartbeat; this long without is a dead connection
EMPTY_BATCH_NS = 2_000_000_000  # how long records that make no report may stay uncommitted
BATCH_RECORDS = 4096
WINDOW = 8  # batches on the way


class LinkState(Enum):
    DOWN = "down"
    GREETING = "greeting"
    UP = "up"
    REFUSED = "refused"  # for good: the reason is in ``refusal``


class BatchSource:
    """Cuts the journal into batches, and can go back to any record."""

    def __init__(self, open_journal: Callable[[], Reader]) -> None:
        self._open = open_journal
        self.reader = open_journal()
        self.reporter = Reporter()
        self.position = 0

    def seek(self, record: int) -> None:
        """The next batch begins behind ``record``; what reports need to know of earlier records is read again.

        Raises BadInput when the journal does not reach that far: it is not the one that was committed.
        """
        if record == self.position:
            return
        if record < self.position:
            self.reporter, self.position = Reporter(), 0
        while self.position < record:
            records = self.reader.read(self.position, record - self.position)
            if not len(records):
                raise BadInput(
                    "journal_behind", "journal", self.position, f"at least the {record} records it committed"
                )
            self.reporter.take(self.position + 1, records)
            self.position += len(records)

    def cut(self) -> ReportBatch | None:
        """The next batch; None at the journal's end."""
        first, reports = self.position, []
        while True:
            records = self.reader.read(self.position, BATCH_RECORDS)
            reports += self.reporter.take(self.position + 1, records)
            self.position += len(records)
            if not len(records) or (reports and self.reporter.at_boundary):
                break
        if self.position == first:
            return None
        return batch(self.reader.journal, first, self.position, reports)


class Link:
    """Call ``connected``, ``receive``, ``on_time`` and ``lost``; each returns the frames that are to be sent.

    ``desired`` is the newest desired state; ``applied`` and the heartbeat's other fields are the caller's
    to set through ``heartbeat``.
    """

    def __init__(self, hello: Hello, source: BatchSource, heartbeat: Callable[[int], Heartbeat]) -> None:
        self.hello, self.source, self._heartbeat = hello, source, heartbeat
        self.state = LinkState.DOWN
        self.desired: Desired | None = None
        self.refusal: Refused | None = None
        self.committed = 0
        self.incidents: list[Refused] = []
        self.kills: list[KillOrder] = []  # given since they were last taken from here
        self.flush = False  # send what is there, reports or not
        self._on_the_way: list[int] = []
        self._heard_at = self._beat_at = self._committed_at = 0
        self._held: ReportBatch | None = None

    def connected(self, now: int) -> list[bytes]:
        self.state, self._heard_at = LinkState.GREETING, now
        return [encode(self.hello)]

    def lost(self) -> None:
        """The connection is gone; what was on the way will be cut again."""
        if self.state is not LinkState.REFUSED:
            self.state = LinkState.DOWN
        self._on_the_way, self._held = [], None

    def receive(self, frame: str | bytes, now: int) -> list[bytes]:
        """Raises msgspec.DecodeError for a frame that is not of the contract: close the connection."""
        message = decode_down(frame)
        self._heard_at = now
        if isinstance(message, Welcome):
            self.state, self.committed, self._beat_at = LinkState.UP, message.committed, 0
            self._committed_at = now
            self.source.seek(message.committed)
        elif isinstance(message, Desired):
            self.desired = message
            self.kills += message.kills
        elif isinstance(message, KillOrder):
            self.kills.append(message)
        elif isinstance(message, Acknowledge):
            self._acknowledge(message, now)
        else:
            self._refused(message)
        return self.on_time(now)

    def on_time(self, now: int) -> list[bytes]:
        """Batches and heartbeats that are due."""
        if self.state is not LinkState.UP:
            return []
        frames = self._batches(now)
        if now - self._beat_at >= HEARTBEAT_NS:
            self._beat_at = now
            revision = self.desired.revision if self.desired else 0
            frames.append(encode(self._heartbeat(revision)))
        return frames

    @property
    def drained(self) -> bool:
        """Whether everything that the journal has was sent and acknowledged."""
        return self.state is LinkState.UP and self.committed >= self.source.reader.last

    def silent(self, now: int) -> bool:
        """Whether the control plane has said nothing for so long that the connection counts as dead."""
        return self.state in (LinkState.GREETING, LinkState.UP) and now - self._heard_at > SILENCE_NS

    def deployments(self) -> list[Deployed]:
        """What should run here; nothing before the control plane has said so."""
        return self.desired.deployments if self.desired else []

    def _batches(self, now: int) -> list[bytes]:
        frames = []
        while len(self._on_the_way) < WINDOW:
            cut = self._merged(self.source.cut())
            if cut is None:
                break
            due = self.flush or now - self._committed_at >= EMPTY_BATCH_NS
            if not cut.reports and not due:
                self._held = cut
                break
            self._held = None
            self._committed_at = now
            self._on_the_way.append(cut.last)
            frames.append(encode(cut))
        return frames

    def _merged(self, cut: ReportBatch | None) -> ReportBatch | None:
        """``cut`` together with the batch without reports that was held back before it."""
        if self._held is None or cut is None:
            return cut or self._held
        return batch(cut.journal, self._held.first, cut.last, cut.reports)

    def _acknowledge(self, message: Acknowledge, now: int) -> None:
        if message.journal == self.hello.journal:
            self.committed = max(self.committed, message.last)
            self._on_the_way = [last for last in self._on_the_way if last > message.last]

    def _refused(self, message: Refused) -> None:
        if message.fatal:
            self.state, self.refusal = LinkState.REFUSED, message
        else:
            self.incidents.append(message)
            self.state = LinkState.DOWN  # begin again from what the control plane has
