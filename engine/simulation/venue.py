"""A venue as its clients meet it: an exchange behind its latencies and its faults.

Same calls as the exchange, without sockets. Orders reach the matching engine, reports the accounts and market data the
lines when their ``Passage`` says; packets, orders and the venue itself suffer the configured faults. With neither,
everything happens at once. While the venue hangs it takes nothing in and lets nothing out; then it catches up.
"""

from collections.abc import Sequence
from typing import Any

from engine.protocols import glimpse
from engine.protocols.soupbintcp_session import SequencedStream
from engine.simulation.exchange import Exchange
from engine.simulation.faults import MILLISECOND, Chance, Faults, Packets, Windows, stream
from engine.simulation.latency import Latencies, Passage

LINES = ("receivers", "receivers_b")
NO_LATENCY, NO_FAULTS = Latencies(), Faults()


class DelayedStream:
    """An account's sequenced messages, as far as they have arrived."""

    def __init__(self, whole: SequencedStream) -> None:
        self._whole = whole
        self.next_sequence = whole.next_sequence

    @property
    def session(self) -> str:
        return self._whole.session

    def read(self, sequence: int, limit: int) -> Sequence[bytes]:
        return self._whole.read(sequence, max(min(limit, self.next_sequence - sequence), 0))


class Venue:
    """``seed`` gives every latency and fault; ``exchange`` is the only thing that knows of orders."""

    def __init__(
        self, exchange: Exchange, *, latencies: Latencies = NO_LATENCY, faults: Faults = NO_FAULTS, seed: int = 0
    ) -> None:
        self.exchange = exchange
        self._orders: Passage[tuple[str, bytes]] = Passage(latencies.order, stream(seed, "order"))
        self._market_data: Passage[bytes] = Passage(latencies.market_data, stream(seed, "market_data"))
        self._lines = {line: Packets(faults, stream(seed, line)) for line in LINES}
        self.streams = {name: DelayedStream(whole) for name, whole in exchange.record.streams.items()}
        self._reports: dict[str, Passage[int]] = {
            name: Passage(latencies.report, stream(seed, f"report:{name}")) for name in self.streams
        }
        self._told = {name: whole.next_sequence for name, whole in exchange.record.streams.items()}
        self._slow, self._slow_ns = Chance(faults.slow_ack, stream(seed, "slow_ack")), faults.slow_ack_ms * MILLISECOND
        self._hangs = Windows(faults.hang_every, faults.hang_seconds, stream(seed, "hang"))
        self._cuts = Windows(faults.disconnect_every, 0.0, stream(seed, "disconnect"))
        self._cuts_seen = 0
        self._now = 0
        exchange.orders.refuses = Chance(faults.reject, stream(seed, "reject"))

    @property
    def trade_date(self) -> int:
        return self.exchange.trade_date

    @property
    def counts(self) -> dict[str, int]:
        """Faults so far, by kind; those that occurred."""
        packets = {
            name: sum(line.counts[name] for line in self._lines.values())
            for name in ("dropped", "doubled", "reordered")
        }
        others = {
            "slow_acks": self._slow.count,
            "rejects": self.exchange.orders.refuses.count,
            "hangs": self._hangs.count,
            "disconnects": self._cuts_seen,
        }
        return {name: count for name, count in (packets | others).items() if count}

    def hangs_until(self, wall_ns: int) -> int:
        """When the hang in which the venue is ends; 0 when it does not hang."""
        self._now = max(self._now, wall_ns)
        return self._hangs.end_of(self._now)

    def cuts_connections(self, wall_ns: int) -> bool:
        """Whether all order connections break, since the last time that this was asked."""
        self._cuts.end_of(wall_ns)
        before, self._cuts_seen = self._cuts_seen, self._cuts.count
        return self._cuts_seen > before

    def deadline(self) -> int:
        """The wall time (ns) at which ``on_time`` has something to do next."""
        passages: list[Passage[Any]] = [self._orders, self._market_data, *self._reports.values()]
        due = min(self.exchange.deadline(), *(passage.next_arrival() for passage in passages))
        return max(due, self._hangs.end_of(self._now) if self._now else 0)

    def on_time(self, wall_ns: int) -> list[bytes]:
        """Everything that is due; returns the datagrams that leave, before each line's own faults."""
        if self.hangs_until(wall_ns):
            return []
        arrived = self._orders.arrived(wall_ns)
        if arrived:
            self._leave(self.exchange.on_orders(arrived, wall_ns), wall_ns)
        self._leave(self.exchange.on_time(wall_ns), wall_ns)
        for name, passage in self._reports.items():
            for next_sequence in passage.arrived(wall_ns):
                self.streams[name].next_sequence = next_sequence
        return self._market_data.arrived(wall_ns)

    def on_order(self, account: str, payload: bytes, wall_ns: int) -> list[bytes]:
        """Takes an account's OUCH message on its way; returns what ``on_time`` does."""
        return self.on_orders(account, [payload], wall_ns)

    def on_orders(self, account: str, payloads: Sequence[bytes], wall_ns: int) -> list[bytes]:
        """``on_order`` of several that came together."""
        for payload in payloads:
            self._orders.send((account, payload), wall_ns)
        return self.on_time(wall_ns)

    def on_line(self, line: str, datagrams: list[bytes]) -> list[bytes]:
        """What of ``datagrams`` goes out on a line now."""
        return self._lines[line].pass_on(datagrams)

    def respond(self, request: bytes) -> list[bytes]:
        """Datagrams that answer a MoldUDP64 request packet."""
        return [] if self._now and self._hangs.end_of(self._now) else self.exchange.respond(request)

    def snapshot(self) -> glimpse.Spin | None:
        return self.exchange.snapshot()

    def _leave(self, datagrams: list[bytes], wall_ns: int) -> None:
        for datagram in datagrams:
            self._market_data.send(datagram, wall_ns)
        for name, whole in self.exchange.record.streams.items():
            if name in self._told and whole.next_sequence > self._told[name]:
                self._told[name] = whole.next_sequence
                extra = int(self._slow_ns) if self._slow.strikes() else 0
                self._reports[name].send(whole.next_sequence, wall_ns, extra)
