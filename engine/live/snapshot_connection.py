"""The one connection of the core to the venue's snapshot server (GLIMPSE over SoupBinTCP)."""

from select import epoll

import numpy as np

from engine.live.connection import Connect, Connection, connect_tcp
from engine.live.feed import MarketFeed


class SnapshotConnection:
    """Opened when ``feed`` wants a snapshot, closed behind its answer. ``address`` is the server's, None while it is
    not known."""

    def __init__(self, feed: MarketFeed, poll: epoll, connect: Connect = connect_tcp) -> None:
        self.address: tuple[str, int] | None = None
        self._feed, self._joiner, self._poll = feed, feed.joiner, poll
        self._connect = connect
        self._connection: Connection | None = None

    def owns(self, descriptor: int) -> bool:
        return self._connection is not None and self._connection.fileno == descriptor

    def on_time(self, now: int) -> None:
        """Opens a connection that is wanted; sends what is due."""
        if self._connection is not None and self._connection.established:
            self._send(now)
        elif self._joiner.wants_connection(now):
            if self._connection is not None or self.address is None:
                self._close(now)  # it took too long, or there is nobody to ask
            else:
                self._open(self.address, now)

    def on_event(self, now: int, ts: int) -> list[np.ndarray]:
        """Inputs for the journal of what has come over the connection."""
        assert self._connection is not None
        was_established = self._connection.established
        chunks = self._connection.on_event()
        if self._connection.established and not was_established:
            self._joiner.connected(now)
        inputs: list[np.ndarray] = []
        for chunk in chunks or ():
            inputs += self._feed.on_snapshot_bytes(chunk, now, ts)
        if chunks is None:
            self._close(now)
        elif self._connection.established:
            self._send(now)
        return inputs

    def _open(self, address: tuple[str, int], now: int) -> None:
        self._joiner.opening(now)
        self._connection = Connection(address, self._poll, self._connect)
        if self._connection.failed:
            self._close(now)

    def close(self) -> None:
        """The core has ended."""
        if self._connection is not None:
            self._connection.close()

    def _send(self, now: int) -> None:
        assert self._connection is not None
        content = self._joiner.take()
        if (content and not self._connection.send(content)) or self._joiner.finished:
            self._close(now)

    def _close(self, now: int) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._joiner.connection_lost(now)
