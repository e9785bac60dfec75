"""One venue's host: the exchange's own server, with virtual time for its sockets' world."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from engine.configuration import Account
from engine.core.clock import SessionClock
from engine.simulation.exchange import Exchange
from engine.simulation.market import Market
from engine.simulation.record import Record
from engine.simulation.server import HOUSEKEEPING_NS, OrderConnection, RequestPort, Server
from engine.simulation.venue import Venue
from engine.virtual.agenda import WALL_NS, Agenda, VirtualClocks
from engine.virtual.plan import DAY_SECONDS, HostPlan, Plan
from engine.virtual.wires import Accepted

DATE = 20130102
MESSAGES_PER_SECOND = 3_000.0
DEVIATION = 0.03  # of a day's log price, about
ACCOUNT = Account("HELIO1", "secret")
ORDERS_PORT, REQUESTS_PORT, SNAPSHOTS_PORT = 1, 2, 3
PORTS = 10  # more than one venue has
LINES = (("line", 0), ("line", 1))

Deliver = Callable[[int, bytes], None]


class VenueHost:
    """``deliver(line, datagram)`` brings market data to the engine's host; the makers stand where those of ``leader``
    do. ``observe`` is called whenever the record may have grown."""

    def __init__(
        self,
        agenda: Agenda,
        folder: Path,
        symbols: list[str],
        plan: Plan,
        host: HostPlan,
        number: int,
        deliver: Deliver,
        leader: "VenueHost | None",
    ) -> None:
        own = host.venues[number]
        self.observe: Callable[[], None] = lambda: None
        self._agenda, self._deliver = agenda, deliver
        self._random, self._delay = Random(f"{own.seed}:lines"), own.wire
        self.clocks = VirtualClocks(agenda)
        self.clock = SessionClock(WALL_NS + plan.opens_at, [DATE], DAY_SECONDS)
        self.record = Record(folder, [ACCOUNT.username])
        exchange = Exchange(
            _market(symbols, host),
            self.clock,
            self.record,
            [ACCOUNT.username],
            seed=own.seed,
            messages_per_second=MESSAGES_PER_SECOND,
            leader=leader.venue.exchange if leader else None,
        )
        self.venue: Venue = Venue(exchange, latencies=own.latencies, faults=own.faults, seed=own.seed)
        self.server = Server(
            self.venue,
            folder,
            passwords={ACCOUNT.username: ACCOUNT.password},
            receivers=[LINES[0]],
            receivers_b=[LINES[1]],
            clocks=self.clocks,
        )
        self.server.first = leader.server if leader else None
        self.server.feed = self  # type: ignore[assignment]
        self._requests = RequestPort(self.venue)
        self._requests.connection_made(_Answers(self))  # type: ignore[arg-type]
        self._next_tick = 0
        self.look()

    @property
    def finished(self) -> bool:
        """Whether the day is over and every account was told so."""
        streams = self.venue.streams.items()
        told = all(self.record.streams[name].next_sequence == stream.next_sequence for name, stream in streams)
        return self.venue.exchange.phase.value == "finished" and told

    def accept(self, port: int) -> Accepted:
        """What serves a connection to ``port``."""
        return OrderConnection(self.server) if port == ORDERS_PORT else self.server.snapshot_connection()

    def request(self, packet: bytes) -> None:
        """A MoldUDP64 request, on its way here."""
        self._agenda.after(self._draw(), lambda: self._requests.datagram_received(packet, LINES[0]))

    def sendto(self, datagram: bytes, receiver: tuple[str, int]) -> None:
        line = receiver[1]
        self._agenda.after(self._draw(), lambda: self._deliver(line, datagram))

    def look(self) -> None:
        """Plans for what the venue has to do next. To be called after whatever it was told."""
        self.observe()
        due = self.venue.deadline() - (self.clocks.time_ns() - self._agenda.now)
        due = max(min(due, self._agenda.now + HOUSEKEEPING_NS), self._agenda.now)
        if not self._agenda.now < self._next_tick <= due:
            self._next_tick = due
            self._agenda.at(due, lambda: self._tick(due))

    def close(self) -> None:
        self.record.close()

    def _tick(self, planned: int) -> None:
        if planned == self._next_tick:
            self._next_tick = 0
            self.server.let_first_act()
            self.server.turn()
            self.look()

    def _draw(self) -> int:
        return self._delay.draw(self._random)


class _Answers:
    """The transport of answers to requests: they come by line A."""

    def __init__(self, host: VenueHost) -> None:
        self._host = host

    def sendto(self, datagram: bytes, address: Any) -> None:
        self._host.sendto(datagram, LINES[0])


def _market(symbols: list[str], host: HostPlan) -> Market:
    """A day that opens at the plan's prices and closes a few percent from there."""
    drawn = np.random.default_rng(host.venues[0].seed).normal(0.0, DEVIATION, len(symbols))
    opens = np.round(np.array([host.prices]) * 100).astype(np.int64) * 100
    closes = np.round(opens * np.exp(drawn) / 100).astype(np.int64) * 100
    return Market(np.array([DATE]), symbols, closes, opens, start=DATE, end=DATE, seed=host.venues[0].seed)
