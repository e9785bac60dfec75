"""The exchange's sockets: market data over UDP, requests for it on the same port, orders and snapshots over TCP.

One asyncio loop does everything, so the exchange itself never sees two things at once. An account's stream goes out
over its newest connection; an older one is closed.
"""

import asyncio
import json
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from engine.core.clock import HostClocks
from engine.errors import BadInput
from engine.files import replace_file
from engine.protocols import soupbintcp_session as soup
from engine.simulation.glimpse_port import SnapshotConnection
from engine.simulation.venue import Venue

log = logging.getLogger(__name__)

SECOND = 1_000_000_000
HOUSEKEEPING_NS = SECOND // 4  # heartbeats and timeouts of order sessions are looked at this often
UNSENT_BYTES = 1 << 20  # a client that reads more slowly than this waits; the stream keeps what it missed
Address = tuple[str, int]


class OrderConnection(asyncio.Protocol):
    """One accepted TCP connection: SoupBinTCP around an account's OUCH messages."""

    def __init__(self, server: "Server") -> None:
        self._server, self._clocks = server, server.clocks
        self.session = soup.ServerSession(server.authenticate, self._clocks.monotonic_ns())
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if (accepted := transport.get_extra_info("socket")) is not None:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.connections.add(self)
        self.pause(self._server.hangs)

    def connection_lost(self, error: Exception | None) -> None:
        self.session.connection_lost()
        self._server.connections.discard(self)
        if self.session.username:
            log.info("order session of %s is closed", self.session.username)

    def pause(self, paused: bool) -> None:
        if self.transport is not None and not self.transport.is_closing():
            (self.transport.pause_reading if paused else self.transport.resume_reading)()

    def data_received(self, chunk: bytes) -> None:
        orders: list[bytes] = []
        for event in self.session.receive(chunk, self._clocks.monotonic_ns()):
            if isinstance(event, soup.Unsequenced):
                orders.append(event.payload)
            else:
                self._on_event(event)
        if orders:
            self._server.on_orders(self.session.username, orders)
        self.flush()

    def on_time(self, now: int) -> None:
        for event in self.session.on_time(now):
            self._on_event(event)
        self.flush()

    def flush(self) -> None:
        """Sends what the account's stream has that the client has not, as far as the client keeps up."""
        if self.transport is None or self.transport.is_closing():
            return
        more = True
        while more:
            keeps_up = self.transport.get_write_buffer_size() < UNSENT_BYTES
            more = keeps_up and self.session.pump(self._clocks.monotonic_ns())
            out = self.session.take()
            if out:
                self.transport.write(out)
        if self.session.state is soup.State.CLOSED:
            self.transport.close()

    def _on_event(self, event: soup.Event) -> None:
        if isinstance(event, soup.LoggedIn):
            log.info("%s logged in, from message %d", self.session.username, event.sequence)
            self._server.close_others(self)
        elif isinstance(event, soup.LoginRejected):
            log.warning("a login was rejected: %s", event.reason)
        elif isinstance(event, soup.Lost):
            log.warning("order session of %s is lost: %s", self.session.username or "nobody", event.reason)


class RequestPort(asyncio.DatagramProtocol):
    """Answers MoldUDP64 requests; the same socket sends the market data."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, datagram: bytes, address: Address) -> None:
        for answer in self._venue.respond(datagram):
            self._transport.sendto(answer, address)

    def error_received(self, error: Exception) -> None:
        """A receiver that is not there (yet) answers with ICMP; UDP feeds go on regardless."""
        log.debug("market data socket: %s", error)


class Server:
    """Serves ``venue`` on ``host``; ``passwords`` by account. Every market data datagram goes to all of
    ``receivers`` (line A), then to all of ``receivers_b`` (line B)."""

    def __init__(
        self,
        venue: Venue,
        directory: Path,
        *,
        passwords: Mapping[str, str],
        receivers: list[Address],
        receivers_b: Sequence[Address] = (),
        host: str = "127.0.0.1",
        port_itch: int = 0,
        port_ouch: int = 0,
        port_glimpse: int = 0,
        clocks: HostClocks = time,
    ) -> None:
        self.venue, self.directory, self.host = venue, directory, host
        self.clocks = clocks
        self.hangs = False  # neither reads from order connections nor writes to them
        self.connections: set[OrderConnection] = set()
        self.ports: dict[str, int] = {}
        self._passwords, self._lines = passwords, {"receivers": receivers, "receivers_b": receivers_b}
        self.snapshots: set[SnapshotConnection] = set()
        self._wanted = {"port_itch": port_itch, "port_ouch": port_ouch, "port_glimpse": port_glimpse}
        self.feed: asyncio.DatagramTransport | None = None
        self._housekeeping_at = 0
        self._listeners: list[asyncio.Server] = []
        self.first: Server | None = None  # whose market moves before this one's

    def knows(self, username: str, password: str) -> bool:
        expected = self._passwords.get(username)
        return expected is not None and soup.same_secret(password, expected)

    def authenticate(self, username: str, password: str) -> soup.SequencedStream | None:
        return self.venue.streams[username] if self.knows(username, password) else None

    def snapshot_connection(self) -> SnapshotConnection:
        """For one that the snapshot port has accepted."""
        return SnapshotConnection(self.knows, self.venue.snapshot, self.snapshots, self.clocks)

    def close_others(self, newest: OrderConnection) -> None:
        for connection in list(self.connections):
            if connection is not newest and connection.session.username == newest.session.username:
                log.warning("%s logged in again: its older connection is closed", newest.session.username)
                connection.session.connection_lost()
                if connection.transport is not None:
                    connection.transport.abort()

    def let_first_act(self) -> None:
        """What the leading venue has due comes first."""
        if self.first is not None and self.first.venue.deadline() <= self.clocks.time_ns():
            self.first.turn()

    def on_orders(self, account: str, payloads: list[bytes]) -> None:
        self.let_first_act()
        datagrams = self.venue.on_orders(account, payloads, self.clocks.time_ns())
        self._flush_orders()
        self._send(datagrams)

    async def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Opens the ports and writes them to ``ports.json``. Raises ``BadInput`` for a port that is taken."""
        self._listeners = await self._open_ports(loop)
        lines = {line: [f"{host}:{port}" for host, port in receivers] for line, receivers in self._lines.items()}
        replace_file(self.directory / "ports.json", json.dumps(self.ports | lines).encode())

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for snapshot in list(self.snapshots):
            snapshot.close()
        for connection in list(self.connections):
            connection.flush()
            if connection.transport is not None:
                connection.transport.close()
        if self.feed is not None:
            self.feed.close()

    async def _open_ports(self, loop: asyncio.AbstractEventLoop) -> list[asyncio.Server]:
        name = "port_itch"
        try:
            feed, _ = await loop.create_datagram_endpoint(
                lambda: RequestPort(self.venue), local_addr=(self.host, self._wanted["port_itch"])
            )
            name = "port_ouch"
            orders = await loop.create_server(lambda: OrderConnection(self), self.host, self._wanted["port_ouch"])
            name = "port_glimpse"
            snapshots = await loop.create_server(self.snapshot_connection, self.host, self._wanted["port_glimpse"])
        except OSError as error:
            raise BadInput("port_taken", name, self._wanted[name], f"a free port ({error.strerror})") from error
        self.feed = feed
        feed.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.ports = {
            "itch_retransmit": feed.get_extra_info("sockname")[1],
            "ouch": orders.sockets[0].getsockname()[1],
            "glimpse": snapshots.sockets[0].getsockname()[1],
        }
        return [orders, snapshots]

    def turn(self) -> None:
        """Everything that is due."""
        datagrams = self.venue.on_time(self.clocks.time_ns())
        self._let_connections_suffer()
        self._flush_orders()
        self._send(datagrams)
        now = self.clocks.monotonic_ns()
        if now - self._housekeeping_at >= HOUSEKEEPING_NS:
            self._housekeeping_at = now
            for connection in () if self.hangs else list(self.connections):
                connection.on_time(now)
            for snapshot in list(self.snapshots):
                snapshot.on_time(now)

    def _let_connections_suffer(self) -> None:
        """The venue's faults, as far as they are the order connections'."""
        now = self.clocks.time_ns()
        hung, self.hangs = self.hangs, self.venue.hangs_until(now) > 0
        if hung != self.hangs:
            log.warning("the venue %s", "hangs" if self.hangs else "goes on")
            for connection in self.connections:
                connection.pause(self.hangs)
        if self.venue.cuts_connections(now):
            log.warning("%d order connections are cut", len(self.connections))
            for connection in list(self.connections):
                if connection.transport is not None:
                    connection.transport.abort()

    def _flush_orders(self) -> None:
        for connection in () if self.hangs else list(self.connections):
            connection.flush()

    def _send(self, datagrams: list[bytes]) -> None:
        assert self.feed is not None
        for line, receivers in self._lines.items():
            for datagram in self.venue.on_line(line, datagrams):
                for receiver in receivers:
                    self.feed.sendto(datagram, receiver)


async def serve(servers: Sequence[Server], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Opens the ports of all venues, calls ``ready``, and serves until ``stop`` is set. The first one's market leads.

    Raises ``BadInput`` for a port that is taken.
    """
    loop = asyncio.get_running_loop()
    opened: list[Server] = []
    try:
        for server in servers:
            await server.open(loop)
            opened.append(server)
            server.first = servers[0] if server is not servers[0] else None
        ready()
        ticking, stopping = loop.create_task(_tick(servers)), loop.create_task(stop.wait())
        try:
            await asyncio.wait({ticking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if ticking.done():
                ticking.result()
        finally:
            ticking.cancel()
            stopping.cancel()
    finally:
        for server in opened:
            server.close()


async def _tick(servers: Sequence[Server]) -> None:
    while True:
        delay = (min(server.venue.deadline() for server in servers) - time.time_ns()) / SECOND
        await asyncio.sleep(min(max(delay, 0.0), HOUSEKEEPING_NS / SECOND))
        for server in servers:
            server.turn()
