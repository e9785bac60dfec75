"""The compiled loop between socket pairs: at their other ends an exchange's market data and its order port."""

import socket
import time
from pathlib import Path
from select import EPOLLIN, epoll
from typing import Any

import numpy as np
from live_world import DATE, SYMBOLS, blobs, new_pipeline, opened

from engine.configuration import Account
from engine.core.events import EVENT, Kind
from engine.live.feed import MarketFeed
from engine.live.journal import Reader
from engine.live.loop import Gateway, Loop
from engine.live.loop_records import Reason
from engine.live.order_session import OrderSession
from engine.live.pipeline import Pipeline
from engine.live.recovery import InputState
from engine.live.scan import Walk
from engine.protocols import itch, moldudp64, ouch
from engine.protocols.soupbintcp_session import ServerSession, Unsequenced
from memory_stream import MemoryStream

ACCOUNT = Account("HELIO1", "secret")
SECOND = 1_000_000_000
LOCATES = {"KO": 1, "PEP": 2}


class OrderPort:
    """The venue's end of the order session."""

    def __init__(self, end: socket.socket) -> None:
        self.stream, self.socket = MemoryStream("ABC"), end
        self.session = ServerSession(lambda user, word: self.stream if word == "secret" else None, 0)
        self.received: list[Any] = []

    def listen(self) -> None:
        """Takes in what has come, and answers logins and queries."""
        try:
            while chunk := self.socket.recv(1 << 16):
                for event in self.session.receive(chunk, 0):
                    if isinstance(event, Unsequenced):
                        self._take(ouch.decode_inbound(event.payload))
        except BlockingIOError:
            pass
        self.socket.sendall(self.bytes())

    def bytes(self) -> bytes:
        self.session.pump(0)
        return self.session.take()

    def _take(self, message: Any) -> None:
        self.received.append(message)
        if isinstance(message, ouch.AccountQuery):
            self.stream.append(ouch.encode(ouch.AccountQueryResponse(7, 1)))

    def orders(self) -> list[Any]:
        self.listen()
        return [message for message in self.received if not isinstance(message, ouch.AccountQuery)]


class World:
    """One engine, its loop, and everything it talks to."""

    def __init__(
        self,
        folder: Path,
        *,
        lines: int = 1,
        busy: bool = False,
        symbols: list[str] = SYMBOLS,
        pipeline: Pipeline | None = None,
    ) -> None:
        self.folder = folder / "journal"
        self.pipeline = pipeline or new_pipeline(self.folder)
        self.feed = MarketFeed(symbols, InputState(), ACCOUNT, 50)
        self.orders = OrderSession(ACCOUNT, symbols, InputState())
        self.poll = epoll()
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(lines)]
        self.venue_lines, self.lines = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        venue, self.connection = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for each in (venue, self.connection, *self.venue_lines):
            each.setblocking(False)
        self.port = OrderPort(venue)
        self.descriptors = [line.fileno() for line in self.lines]
        self.gateway = Gateway(self.feed, self.orders, self.descriptors, self.connection.fileno())
        self.loop = Loop(self.pipeline, [self.gateway], self.poll.fileno(), busy=busy)
        for descriptor in (*self.descriptors, self.connection.fileno()):
            self.poll.register(descriptor, EPOLLIN)
        self.sent_by_python = b""

    def close(self) -> None:
        self.poll.close()
        for each in (*self.venue_lines, *self.lines, self.port.socket, self.connection):
            each.close()

    # ---- what a core does with what the loop leaves --------------------------------------------------

    def run(self, milliseconds: int = 0) -> Reason:
        """The loop until it comes back, for what it takes by itself."""
        return self.loop.run(time.monotonic_ns() + milliseconds * 1_000_000)

    def settle(self) -> list[Reason]:
        """The loop with the state machines, until all that has been sent is taken; what it came back for."""
        reasons = []
        while (reason := self.run()) is not Reason.DEADLINE:
            reasons.append(reason)
            self._take_up()
            if reason is Reason.PACKETS:
                for line, datagram in self.loop.datagrams():
                    self.take(self.feed.on_datagram(datagram, 0, 0, line))
            elif reason is Reason.SESSION:
                self.take(self.orders.receive(self.loop.packet(), 0, 0, self.feed.date))
            else:
                assert reason in (Reason.ROOM, Reason.HELD_BACK), reason
        return reasons

    def _take_up(self) -> None:
        self.sent_by_python += self.loop.unsent()
        refused = self.orders.refuse(self.loop.refused(), 0)
        self.take([*refused, self.loop.inputs()])

    def take(self, inputs: list[np.ndarray]) -> None:
        for events in inputs:
            self.orders.send(self.pipeline.take(events), 0, 0)
        self.connection.sendall(self.orders.take_bytes())

    # ---- scenes --------------------------------------------------------------------------------------

    def trading(self) -> "World":
        """Logged in, the session open, KO at 10.00 to 10.02, and the feed read up to its second message."""
        blobs(self.pipeline)
        opened(self.pipeline)
        self.orders.connect(0)
        self.connection.sendall(self.orders.take_bytes())
        for _ in range(3):
            self.port.listen()
            self.settle()
        assert self.orders.up
        self.send(packet(1, *map(directory, LOCATES)))
        assert Reason.PACKETS in self.settle()  # a session begins: the state machine's
        return self

    def send(self, datagram: bytes, line: int = 0) -> None:
        self.venue_lines[line].send(datagram)

    def records(self) -> np.ndarray:
        reader, parts, taken = Reader(self.folder), [], 0
        while len(records := reader.read(taken)):
            parts.append(records.view("V64"))
            taken += len(records)
        return np.concatenate(parts).view(EVENT)

    def events(self) -> np.ndarray:
        """The journal's records without its blobs, whose cells may hold anything."""
        records = self.records()
        return records[Walk(frozenset(Kind) - {Kind.BLOB, Kind.CELL}).rows(records)]

    def kinds(self) -> list[str]:
        return [Kind(int(kind)).name for kind in self.events()["kind"]]


def directory(symbol: str) -> Any:
    return itch.StockDirectory(
        LOCATES[symbol], 0, 0, symbol, "Q", "N", 100, "N", "C", "Z", "T", "N", "N", "1", "N", 0, "N"
    )


def packet(sequence: int, *messages: Any) -> bytes:
    return moldudp64.encode(str(DATE), sequence, [itch.encode(message) for message in messages])


def trade(shares: int, match: int = 1) -> Any:
    """An execution of KO against an order that was not displayed; the strategy wants as many shares."""
    return itch.Trade(LOCATES["KO"], 0, 0, 0, "B", shares, "KO", 100_100, match)
