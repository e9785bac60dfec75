"""A simulated exchange in virtual time, and the part of a core that listens to it: feed, journal and step."""

import json
from pathlib import Path

import numpy as np
from live_world import SEGMENT, load

from engine.configuration import Account
from engine.core.books import book_content
from engine.core.clock import SessionClock
from engine.core.engine import FIRM, Engine, blob
from engine.core.events import BlobType
from engine.live.feed import MarketFeed
from engine.live.journal import Reader, Writer
from engine.live.pipeline import Pipeline
from engine.live.recovery import InputState, recover
from engine.protocols import glimpse, itch, moldudp64
from engine.simulation import order_book
from engine.simulation.exchange import Exchange
from engine.simulation.market import Market
from engine.simulation.record import Record

MS = 1_000_000
SECOND = 1_000 * MS
EPOCH = 1_900_000_000 * SECOND
DATES = [20130102, 20130103]
SYMBOLS = ["KO", "PEP", "XOM"]
CLOSES = np.array([[37_6000, 69_5000, 0], [37_8000, 69_9000, 88_0000]])
ACCOUNT = Account("ada", "secret")


class Venue:
    """Days of two seconds, open from ``EPOCH`` on; XOM is halted on the first."""

    def __init__(self, folder: Path) -> None:
        market = Market(np.array(DATES), SYMBOLS, CLOSES, None, start=DATES[0], end=DATES[-1], seed=7)
        clock = SessionClock(EPOCH, DATES, 2.0)
        self.exchange = Exchange(market, clock, Record(folder, ["ada"]), ["ada"], seed=7, messages_per_second=6_000)
        self.sent: list[bytes] = []
        self.remembers = True  # the retransmission server
        self.gives_snapshots = True

    def until(self, at: int) -> list[bytes]:
        """Datagrams up to ``at``, in ns behind the opening."""
        datagrams = []
        while self.exchange.deadline() <= EPOCH + at:
            datagrams += self.exchange.on_time(self.exchange.deadline())
        self.sent += datagrams
        return datagrams

    def respond(self, request: bytes) -> list[bytes]:
        return self.exchange.respond(request) if self.remembers else []

    def orders(self) -> list[tuple[int, ...]]:
        """(instrument, side, price, shares) of all that rest; side 0 bid, 1 ask."""
        rows = np.zeros((1 << 12, 8), np.int64)
        rows = rows[: order_book.resting_orders(self.exchange.books, rows)]
        rows[:, 1] = rows[:, 1] < 0
        return sorted(map(tuple, rows[:, [0, 1, 3, 5]].tolist()))

    def shares_traded(self, heard: list[bytes]) -> list[int]:
        """Shares executed in these datagrams, by instrument, as the plain codec reads them."""
        traded = [0] * len(SYMBOLS)
        for datagram in heard:
            packet = moldudp64.decode(datagram)
            for message in map(itch.decode, moldudp64.unframe(packet.block, packet.messages)):
                if isinstance(message, itch.OrderExecuted):
                    traded[message.stock_locate - 1] += message.executed_shares
        return traded


class Listener:
    """What a core does with datagrams and snapshots. Every input goes through a journal in ``folder``."""

    def __init__(self, venue: Venue, folder: Path, account: Account = ACCOUNT, snapshot_after: int = 50) -> None:
        self.venue, self.folder = venue, folder
        resume = InputState()
        if folder.exists():
            writer, engine = Writer.open(folder, segment_bytes=SEGMENT), Engine(load)
            resume = recover(engine, Reader(folder), folder / "snapshots").inputs[0]
            self.pipeline = Pipeline(engine, writer)
        else:
            self.pipeline = Pipeline(Engine(load), Writer.create(folder, segment_bytes=SEGMENT))
            payload = json.dumps(SYMBOLS).encode()
            self.pipeline.take_blob(blob(BlobType.INSTRUMENTS, payload, strategy=FIRM, ts=0), payload)
        self.resume = resume
        self.feed = MarketFeed(SYMBOLS, resume, account, snapshot_after)
        self.requests: list[moldudp64.Request] = []

    @property
    def state(self) -> np.void:
        return self.pipeline.engine.state

    def take(self, inputs: list[np.ndarray]) -> None:
        for events in inputs:
            self.pipeline.take(events)

    def hear(self, datagrams: list[bytes], now: int, line: int = 0) -> None:
        for datagram in datagrams:
            self.take(self.feed.on_datagram(datagram, now, now, line))

    def settle(self, now: int, seconds: int = 20) -> int:
        """Lets time pass, with whatever servers the venue has, until nothing is missing; the time then."""
        end = now + seconds * SECOND
        while self.feed.receiver.gap and now < end:
            self.take(self.feed.on_time(now, now))
            for request in self.feed.joiner.requests(now):
                self.requests.append(moldudp64.decode_request(request))
                self.hear(self.venue.respond(request), now)
            if self.feed.joiner.wants_connection(now):
                self.ask_for_snapshot(now)
            now += 10 * MS
        return now

    def ask_for_snapshot(self, now: int) -> None:
        """One connection, from its opening to its end."""
        joiner = self.feed.joiner
        joiner.opening(now)
        if self.venue.gives_snapshots:
            joiner.connected(now)
            knows = (ACCOUNT.username, ACCOUNT.password)
            server = glimpse.server_session(lambda *given: given == knows, self.venue.exchange.snapshot, now)
            server.receive(joiner.take(), now)
            while server.pump(now):
                continue
            self.take(self.feed.on_snapshot_bytes(server.take(), now, now))
        joiner.connection_lost(now)

    def records(self) -> np.ndarray:
        return Reader(self.folder).read(0, 1 << 20)

    def orders(self) -> list[tuple[int, ...]]:
        """As `Venue.orders`, from the engine's books."""
        return sorted(order[1:] for order in book_content(self.state["books"][0])[0])

    def volumes(self) -> list[int]:
        """Shares traded today so far, by instrument."""
        return self.state["bars"]["volume"][: len(SYMBOLS)].tolist()


def killed(listener: Listener, records: int, folder: Path) -> Path:
    """The journal as it would be had the core died behind its first ``records`` records."""
    writer = Writer.create(folder, segment_bytes=SEGMENT)
    writer.append(listener.records()[:records])
    writer.close()
    return folder
