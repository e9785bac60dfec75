"""The exchange's GLIMPSE port: each accepted connection gets the current day's state, once."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import cast

from engine.core.clock import HostClocks
from engine.protocols import glimpse
from engine.protocols import soupbintcp_session as soup

log = logging.getLogger(__name__)

MESSAGES_AT_ONCE = 2_000  # between two looks at whether the client keeps up
MAX_CONNECTIONS = 16  # a snapshot in the making is memory


class SnapshotConnection(asyncio.Protocol):
    """``open_connections`` holds those of the port; one too many is closed at once."""

    def __init__(
        self,
        knows: Callable[[str, str], bool],
        snapshot: Callable[[], glimpse.Spin | None],
        open_connections: set["SnapshotConnection"],
        clocks: HostClocks = time,
    ) -> None:
        self._open, self._clocks = open_connections, clocks
        self.session = glimpse.server_session(knows, snapshot, self._clocks.monotonic_ns())
        self._transport: asyncio.Transport
        self._writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._open) >= MAX_CONNECTIONS:
            log.warning("more than %d snapshots at once: a connection is closed", MAX_CONNECTIONS)
            self._transport.abort()
            return
        self._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.session.connection_lost()
        self._open.discard(self)

    def data_received(self, chunk: bytes) -> None:
        self._log(self.session.receive(chunk, self._clocks.monotonic_ns()))
        self._flush()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._flush()

    def on_time(self, now: int) -> None:
        self._log(self.session.on_time(now))
        self._flush()

    def close(self) -> None:
        self._transport.close()

    def _flush(self) -> None:
        """Sends on as far as the client keeps up."""
        more = True
        while more and self._writable and not self._transport.is_closing():
            more = self.session.pump(self._clocks.monotonic_ns(), MESSAGES_AT_ONCE)
            self._transport.write(self.session.take())
        if self.session.state is soup.State.CLOSED:
            self._transport.close()

    def _log(self, events: list[soup.Event]) -> None:
        for event in events:
            if isinstance(event, soup.LoggedIn):
                log.info("%s takes a snapshot of %s", self.session.username, event.session)
            elif isinstance(event, soup.LoginRejected):
                log.warning("a snapshot was refused: %s", event.reason)
            elif isinstance(event, soup.Lost):
                log.warning("snapshot connection of %s is lost: %s", self.session.username or "nobody", event.reason)
