"""A MoldUDP64 receiver that closes with a GLIMPSE snapshot what re-requests cannot.

The way in for a late joiner (and back in after a gap that cannot be filled): keep the real-time packets, take a
snapshot, drop what it covers, go on at its sequence number (GLIMPSE 5.0, sections 2 and 1.7). `LateJoiner` is used
like `moldudp64_receiver.Receiver`; beside it stands one TCP connection, which the caller opens when `wants_connection`
says so. What it hands out goes in order: a `Snapshot` stands for every message before its `next_sequence`.
"""

from collections import Counter
from typing import TypeAlias

import msgspec

from engine.protocols import glimpse
from engine.protocols import moldudp64_receiver as moldudp64
from engine.protocols.glimpse import Snapshot

SECOND = 1_000_000_000
Event: TypeAlias = moldudp64.Event | Snapshot


class Settings(msgspec.Struct, frozen=True):
    """Times in ns of the caller's clock. ``mold`` must have a ``snapshot_after`` above 0."""

    mold: moldudp64.Settings = moldudp64.Settings(snapshot_after=20_000)
    retry: int = SECOND  # from one failed connection to the next
    attempts: int = 5  # then the gap is left to re-requests (after a rejected login at once), and given up if they fail


class LateJoiner:
    """``session`` and ``next_sequence`` resume a session that was read up to there before a restart. ``oldest``
    (session, next sequence number): a snapshot of that session from before that number is of no use."""

    def __init__(
        self,
        username: str,
        password: str,
        settings: Settings | None = None,
        *,
        session: str = "",
        next_sequence: int = 1,
        oldest: tuple[str, int] = ("", 1),
    ) -> None:
        self.settings = settings or Settings()
        if self.settings.mold.snapshot_after <= 0:
            raise ValueError(f"snapshot_after: {self.settings.mold.snapshot_after}, expected at least 1 message")
        self.receiver = moldudp64.Receiver(self.settings.mold, session=session, next_sequence=next_sequence)
        self.failures: Counter[str] = Counter()  # by reason
        self._account, self._oldest = (username, password), oldest
        self._client: glimpse.Client | None = None
        self._failed_in_a_row = 0
        self._try_at = 0

    # ---- the multicast -----------------------------------------------------------------------------

    def on_datagram(self, datagram: bytes | memoryview, now: int, line: int = 0) -> list[Event]:
        return self._heard(self.receiver.on_datagram(datagram, now, line), now)

    def on_time(self, now: int) -> list[Event]:
        """Passes time on; a connection that has been silent for too long has failed."""
        events = self._heard(self.receiver.on_time(now), now)
        if self._client is not None:
            failed = self._client.on_time(now)
            if failed is not None:
                self._fail(failed.reason, now)
        return events

    def requests(self, now: int) -> list[bytes]:
        """Request packets that are due now, for the retransmission server."""
        return self.receiver.requests(now)

    def deadline(self) -> int | None:
        """When there is next something to do, if nothing comes before."""
        due = [self.receiver.deadline(), self._client.deadline() if self._client else None]
        if self.receiver.snapshot_wanted and self._client is None:
            due.append(self._try_at)
        return min((each for each in due if each is not None), default=None)

    def _heard(self, happened: list[moldudp64.Event], now: int) -> list[Event]:
        if any(isinstance(event, moldudp64.SnapshotWanted) for event in happened):
            self._failed_in_a_row, self._try_at = 0, now
        return list(happened)

    # ---- the connection to the snapshot server -----------------------------------------------------

    def wants_connection(self, now: int) -> bool:
        """Whether to open a connection now; then call `opening`, and `connected` when it stands, or `connection_lost`
        when it cannot be made. True again while it is being opened: it takes too long, give it up."""
        return self.receiver.snapshot_wanted and self._client is None and now >= self._try_at

    def opening(self, now: int) -> None:
        """A connection is being opened, for which there is as much time as between two failed ones."""
        self._try_at = now + self.settings.retry

    @property
    def finished(self) -> bool:
        """Whether to close the connection, after sending what `take` still has."""
        return self._client is not None and self._client.done

    def connected(self, now: int) -> None:
        self._client = glimpse.Client(*self._account, session=self.receiver.session)
        self._client.connect(now)

    def take(self) -> bytes:
        """Bytes to send over the connection."""
        return self._client.take() if self._client else b""

    def receive(self, chunk: bytes, now: int) -> list[Event]:
        """Bytes of the connection. A complete snapshot comes out with the kept packets behind it."""
        answer = self._client.receive(chunk, now) if self._client else None
        if isinstance(answer, glimpse.Failed):
            self._fail(answer.reason, now)
        elif answer is not None and self.receiver.snapshot_wanted:
            behind = self._take_snapshot(answer, now)
            if behind is not None:
                self._failed_in_a_row = 0
                return [answer, *behind]
            self._fail("unusable", now)
        return []

    def _take_snapshot(self, snapshot: Snapshot, now: int) -> list[Event] | None:
        """What was kept behind the snapshot; None when it does not help."""
        if snapshot.session == self._oldest[0] and snapshot.next_sequence < self._oldest[1]:
            return None
        behind = self.receiver.take_snapshot(snapshot.session, snapshot.next_sequence, now)
        return None if behind is None else self._heard(behind, now)

    def connection_lost(self, now: int) -> None:
        """The connection is closed, by either side, or could not be made."""
        client, self._client = self._client, None
        if client is None:
            self._fail("no_connection", now)
        elif not client.done:
            self._fail("incomplete", now)

    def _fail(self, reason: str, now: int) -> None:
        self.failures[reason] += 1
        self._failed_in_a_row += 1
        self._try_at = now + self.settings.retry
        final = reason.startswith("rejected_") or self._failed_in_a_row >= self.settings.attempts
        if final and self.receiver.snapshot_wanted:
            self.receiver.no_snapshot(now)
