"""A venue in virtual time: what latencies and faults do to orders, reports and market data, and what they never do."""

import json
from pathlib import Path

import pytest
from exchange_world import SECOND, World

from engine.protocols import ouch
from engine.simulation.faults import Faults
from engine.simulation.latency import Delay, Latencies
from engine.simulation.order_instructions import RejectReason
from engine.simulation.venue import Venue

MS = 1_000_000


class VenueWorld:
    """A venue around the world's exchange; one account."""

    def __init__(self, folder: Path, seed: int = 3, **options) -> None:
        self.world = World(folder)
        self.venue = Venue(self.world.exchange, seed=seed, **options)
        self.now = self.world.now
        self.datagrams: list[tuple[int, bytes]] = []

    def run_until(self, wall_ns: int) -> None:
        while self.venue.deadline() <= wall_ns:
            self.now = max(self.now, self.venue.deadline())
            self._send(self.venue.on_time(self.now))
        self.now = wall_ns

    def open_market(self) -> None:
        self.run_until(self.world.clock.open_wall_ns(0) + 330 * MS)

    def order(self, number: int, price: int = 10_0000) -> None:
        self._send(self.venue.on_order("ONE", ouch.encode(ouch.EnterOrder(number, "B", 10, "KO", price)), self.now))

    def told(self) -> list[ouch.OuchMessage]:
        return [ouch.decode_outbound(m) for m in self.venue.streams["ONE"].read(1, 1 << 20)][1:]

    def _send(self, datagrams: list[bytes]) -> None:
        self.datagrams += [(self.now, datagram) for datagram in datagrams]


def entered(folder: Path) -> int:
    lines = [json.loads(line) for line in (folder / "record.jsonl").read_text().splitlines()]
    return sum(line["type"] == "order" for line in lines)


def test_venue_without_latencies_and_faults_is_the_exchange(tmp_path: Path):
    venue, plain = VenueWorld(tmp_path / "a"), World(tmp_path / "b")
    venue.open_market()
    plain.open_market()
    assert [datagram for _, datagram in venue.datagrams] == plain.datagrams
    venue.order(1)
    assert [type(m) for m in venue.told()] == [ouch.Accepted]
    assert venue.venue.counts == {}


def test_order_takes_its_latency_to_the_book_and_its_report_another_back(tmp_path: Path):
    latencies = Latencies(order=Delay(fixed_us=2_000), report=Delay(fixed_us=3_000))
    venue = VenueWorld(tmp_path, latencies=latencies)
    venue.open_market()
    sent = venue.now
    venue.order(1)
    venue.run_until(sent + 2 * MS - 1)
    assert entered(tmp_path) == 0
    venue.run_until(sent + 5 * MS - 1)
    assert (entered(tmp_path), venue.told()) == (1, [])
    venue.run_until(sent + 5 * MS)
    assert [type(m) for m in venue.told()] == [ouch.Accepted]


def test_market_data_comes_later_and_unchanged(tmp_path: Path):
    late, prompt = (
        VenueWorld(tmp_path / "a", latencies=Latencies(market_data=Delay(fixed_us=700))),
        VenueWorld(tmp_path / "b"),
    )
    for venue in (late, prompt):
        venue.open_market()
        venue.run_until(venue.now + 1 * MS)
    assert late.datagrams == [(at + 700_000, datagram) for at, datagram in prompt.datagrams]


def test_rejected_orders_are_rejected_as_an_error_of_the_venue_and_recorded(tmp_path: Path):
    venue = VenueWorld(tmp_path, faults=Faults(reject=0.5))
    venue.open_market()
    for number in range(1, 101):
        venue.order(number)
    rejected = [m for m in venue.told() if isinstance(m, ouch.Rejected)]
    assert {m.reason for m in rejected} == {RejectReason.PROCESSING_ERROR}
    assert len(rejected) + entered(tmp_path) == 100
    assert venue.venue.counts == {"rejects": len(rejected)}
    assert 25 < len(rejected) < 75


def test_slow_acknowledgement_delays_the_report_and_not_the_order(tmp_path: Path):
    venue = VenueWorld(tmp_path, faults=Faults(slow_ack=1.0, slow_ack_ms=40))
    venue.open_market()
    sent = venue.now
    venue.order(1)
    assert (entered(tmp_path), venue.told()) == (1, [])
    venue.run_until(sent + 40 * MS)
    assert len(venue.told()) == 1


def test_hung_venue_takes_nothing_in_and_lets_nothing_out_and_then_catches_up(tmp_path: Path):
    venue = VenueWorld(tmp_path, faults=Faults(hang_every=0.5, hang_seconds=0.1))
    venue.open_market()
    while not venue.venue.hangs_until(venue.now):
        venue.run_until(venue.now + MS)
    before, end = len(venue.datagrams), venue.venue.hangs_until(venue.now)
    venue.order(1)
    venue.run_until(end - 1)
    assert (entered(tmp_path), venue.told(), len(venue.datagrams)) == (0, [], before)
    venue.run_until(end)
    assert entered(tmp_path) == 1
    assert len(venue.told()) == 1
    assert len(venue.datagrams) > before


def test_connections_are_cut_at_times_from_the_seed(tmp_path: Path):
    def cuts(folder: Path, seed: int) -> list[int]:
        venue = VenueWorld(folder, seed=seed, faults=Faults(disconnect_every=1.0)).venue
        return [second for second in range(60) if venue.cuts_connections(SECOND * (1_000 + second))]

    first = cuts(tmp_path / "a", 1)
    assert 15 < len(first) < 50
    assert first == cuts(tmp_path / "b", 1) != cuts(tmp_path / "c", 2)


def test_lines_lose_different_packets(tmp_path: Path):
    venue = VenueWorld(tmp_path, faults=Faults(drop=0.2))
    venue.open_market()
    packets = [datagram for _, datagram in venue.datagrams]
    lines = [set(venue.venue.on_line(line, packets)) for line in ("receivers", "receivers_b")]
    assert lines[0] != lines[1]
    assert all(0 < len(line) < len(packets) for line in lines)


def test_same_seed_is_the_same_session_to_the_byte(tmp_path: Path):
    def session(folder: Path, seed: int) -> tuple:
        latencies = Latencies(Delay(100, 400), Delay(200, 300), Delay(50, 50))
        faults = Faults(reject=0.1, slow_ack=0.1, slow_ack_ms=20, hang_every=1.0, hang_seconds=0.05)
        venue = VenueWorld(folder, seed=seed, latencies=latencies, faults=faults)
        venue.open_market()
        for number in range(1, 40):
            venue.order(number, venue.world.quote("KO", "B"))
            venue.run_until(venue.now + 3 * MS)
        return venue.datagrams, venue.told(), venue.venue.counts

    assert session(tmp_path / "a", 5) == session(tmp_path / "b", 5)
    assert session(tmp_path / "a2", 5)[1] != session(tmp_path / "c", 6)[1]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_goes_wrong_the_account_is_told_the_whole_record_in_the_end(tmp_path: Path, seed: int):
    latencies = Latencies(Delay(100, 400), Delay(200, 900), Delay(50, 50))
    faults = Faults(reject=0.1, slow_ack=0.2, slow_ack_ms=50, hang_every=0.3, hang_seconds=0.05)
    venue = VenueWorld(tmp_path, seed=seed, latencies=latencies, faults=faults)
    venue.open_market()
    for number in range(1, 60):
        venue.order(number, venue.world.quote("PEP", "B"))
        venue.run_until(venue.now + 2 * MS)
    venue.run_until(venue.now + 2 * SECOND)
    assert venue.told() == venue.world.told("ONE")[1:]
    answered = [m.user_ref_num for m in venue.told() if isinstance(m, ouch.Accepted | ouch.Rejected)]
    assert answered == list(range(1, 60))
