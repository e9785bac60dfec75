"""What lies between a core and its venue: connections of bytes in order, and lines of datagrams that may come in any.

At the core's end stands a socket of the kernel's, so that its compiled loop runs as it is; at the venue's end an object
that `asyncio`'s transports would recognize. In between is virtual time.
"""

import socket
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from engine.simulation.latency import Delay
from engine.virtual.agenda import Agenda

READ_BYTES = 1 << 20
SPLIT_SHARE = 0.2  # of chunks that arrive in two parts


class Accepted(Protocol):
    """What the venue makes of a connection: `asyncio.Protocol`."""

    def connection_made(self, transport: Any) -> None: ...

    def data_received(self, chunk: bytes) -> None: ...

    def connection_lost(self, error: Exception | None) -> None: ...


class VirtualConnection:
    """One TCP connection, and the venue's transport of it. ``woken`` is called when the core has something to read,
    ``heard`` when the venue has taken something."""

    def __init__(
        self,
        agenda: Agenda,
        random: Random,
        delay: Delay,
        accepted: Accepted,
        woken: Callable[[], None],
        heard: Callable[[], None],
    ) -> None:
        self.core_end, self._end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.core_end.setblocking(False)
        self._end.setblocking(False)
        self._agenda, self._random, self._delay = agenda, random, delay
        self._accepted, self._woken, self._heard = accepted, woken, heard
        self._closing = self._gone = self._broken = self._core_closed = False
        self._reaches_core = self._reaches_venue = 0  # when what was sent last arrives
        self._paused = False
        self._unread: list[bytes] = []
        self._unsent = b""  # that the core's socket has no room for
        accepted.connection_made(self)

    # ---- the venue's side: asyncio.Transport -----------------------------------------------------------

    def get_extra_info(self, name: str) -> None:
        return None

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return len(self._unsent)

    def write(self, content: bytes) -> None:
        for chunk in self._split(content):
            self._reaches_core = self._arrival(self._reaches_core)
            self._agenda.at(self._reaches_core, lambda chunk=chunk: self._to_core(chunk))  # type: ignore[misc]

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused, unread, self._unread = False, self._unread, []
        for chunk in unread:
            self._to_venue(chunk)

    def close(self) -> None:
        """What was written still arrives."""
        if not self._closing:
            self._closing = True
            self._agenda.at(self._arrival(self._reaches_core), self._hang_up)
            self._agenda.after(0, self._lost)

    def abort(self) -> None:
        """What is under way is lost."""
        self._closing = True
        self.cut(0)

    # ---- the core's side -------------------------------------------------------------------------------

    def read(self) -> bytes:
        """What the core has sent since this was asked last."""
        if self._broken or self._core_closed:
            return b""
        try:
            content = self._end.recv(READ_BYTES)
        except BlockingIOError:
            return b""
        except ConnectionError:
            content = b""
        if not content:
            self._core_has_closed()
        return content

    def send(self, content: bytes) -> None:
        """Brings the core's bytes to the venue."""
        for chunk in self._split(content):
            self._reaches_venue = self._arrival(self._reaches_venue)
            self._agenda.at(self._reaches_venue, lambda chunk=chunk: self._to_venue(chunk))  # type: ignore[misc]

    def retry(self) -> None:
        """The core has read: there is room again for what waits."""
        if self._unsent and not self._broken:
            unsent, self._unsent = self._unsent, b""
            self._to_core(unsent)

    @property
    def over(self) -> bool:
        return self._broken

    def cut(self, noticed_after: int) -> None:
        """The connection breaks: what is under way is lost. The core notices at once, the venue after so long (ns)."""
        self._hang_up()
        self._agenda.after(noticed_after, self._lost)

    # ---- in between ------------------------------------------------------------------------------------

    def _split(self, content: bytes) -> list[bytes]:
        if len(content) < 2 or self._random.random() >= SPLIT_SHARE:
            return [content] if content else []
        at = self._random.randrange(1, len(content))
        return [content[:at], content[at:]]

    def _arrival(self, before: int) -> int:
        return max(before, self._agenda.now + self._delay.draw(self._random))

    def _to_core(self, chunk: bytes) -> None:
        if self._broken or self._core_closed:
            return
        try:
            sent = self._end.send(self._unsent + chunk)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._core_has_closed()
            return
        self._unsent = (self._unsent + chunk)[sent:]
        self._woken()

    def _to_venue(self, chunk: bytes) -> None:
        if self._gone or self._broken:
            return
        if self._paused:
            self._unread.append(chunk)
            return
        self._accepted.data_received(chunk)
        self._heard()

    def _core_has_closed(self) -> None:
        """Its last bytes are under way; the venue hears of the end behind them."""
        self._core_closed = True
        self._reaches_venue = self._arrival(self._reaches_venue)
        self._agenda.at(self._reaches_venue, self._end_of_stream)

    def _end_of_stream(self) -> None:
        self._hang_up()
        self._lost()

    def _hang_up(self) -> None:
        if not self._broken:
            self._broken = True
            self._end.close()
            self._woken()

    def _lost(self) -> None:
        if not self._gone:
            self._gone = self._closing = True
            self._accepted.connection_lost(None)


class LineSocket(socket.socket):
    """The core's end of a line of market data; a re-request that is sent from it goes to ``request``."""

    request: Callable[[bytes], None]

    def sendto(self, packet: Any, *where: Any) -> int:  # type: ignore[override]
        self.request(bytes(packet))
        return len(packet)

    def getsockname(self) -> tuple[str, int]:
        return "virtual", 0


class VirtualLine:
    """One line of datagrams to a core, each with a delay of its own, so that later ones may come first."""

    def __init__(self, request: Callable[[bytes], None]) -> None:
        ours, cores = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._end, self.core_end = ours, LineSocket(fileno=cores.detach())
        self.core_end.request = request
        self.core_end.setblocking(False)
        self._end.setblocking(False)

    def deliver(self, datagram: bytes) -> None:
        """Lost where the core has no room for it, or is gone."""
        try:
            self._end.send(datagram)
        except OSError:
            return

    def close(self) -> None:
        self._end.close()
