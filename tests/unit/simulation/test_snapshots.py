"""Snapshots of the simulated exchange: a late joiner's books equal those of one who heard every message."""

from pathlib import Path

import numpy as np
import pytest

from engine.core.clock import SessionClock
from engine.protocols import glimpse, itch, moldudp64
from engine.protocols import moldudp64_receiver as receiving
from engine.protocols.late_join import LateJoiner, Settings
from engine.simulation.exchange import Exchange
from engine.simulation.market import Market
from engine.simulation.record import Record

MS = 1_000_000
SECOND = 1_000 * MS
EPOCH = 1_900_000_000 * SECOND
DATES = [20130102, 20130103]
SYMBOLS = ["KO", "PEP", "XOM"]
CLOSES = np.array([[37_6000, 69_5000, 0], [37_8000, 69_9000, 88_0000]])
ACCOUNT = ("ada", "secret")


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    """Days of two seconds, open from ``EPOCH`` to 1.8 s behind it; XOM is halted on the first."""
    market = Market(np.array(DATES), SYMBOLS, CLOSES, None, start=DATES[0], end=DATES[-1], seed=7)
    clock = SessionClock(EPOCH, DATES, 2.0)
    return Exchange(market, clock, Record(tmp_path, ["ada"]), ["ada"], seed=7)


def run_until(exchange: Exchange, wall_ns: int) -> list[bytes]:
    datagrams = []
    while exchange.deadline() <= wall_ns:
        datagrams += exchange.on_time(exchange.deadline())
    return datagrams


class Listener:
    """Orders that rest, by reference, and what is known of the session: written to be obviously right."""

    def __init__(self) -> None:
        self.orders: dict[int, list] = {}
        self.phases: list[str] = []
        self.halted: dict[int, str] = {}
        self.symbols: dict[int, str] = {}

    def hear(self, happened: list) -> None:
        for event in happened:
            if isinstance(event, receiving.Data | glimpse.Snapshot):
                for raw in moldudp64.unframe(event.block, event.count):
                    self.take(itch.decode(raw))

    def take(self, message: itch.ItchMessage) -> None:
        match message:
            case itch.SystemEvent(event_code=code):
                self.orders, self.phases = ({}, ["O"]) if code == "O" else (self.orders, [*self.phases, code])
            case itch.StockDirectory(stock_locate=locate, stock=symbol):
                self.symbols[locate] = symbol
            case itch.StockTradingAction(stock_locate=locate, trading_state=state):
                self.halted[locate] = state
            case itch.AddOrder(order_reference_number=reference):
                self.orders[reference] = [message.stock_locate, message.side, message.price, message.shares]
            case itch.OrderExecuted(order_reference_number=reference, executed_shares=shares):
                self.cut(reference, shares)
            case itch.OrderCancel(order_reference_number=reference, cancelled_shares=shares):
                self.cut(reference, shares)
            case itch.OrderDelete(order_reference_number=reference):
                del self.orders[reference]
            case itch.OrderReplace():
                locate, side, _, _ = self.orders.pop(message.original_order_reference_number)
                self.orders[message.new_order_reference_number] = [locate, side, message.price, message.shares]

    def cut(self, reference: int, shares: int) -> None:
        self.orders[reference][3] -= shares
        if self.orders[reference][3] == 0:
            del self.orders[reference]

    def queues(self) -> dict[tuple[int, str, int], list[int]]:
        """References at each price in the order of their priority: references rise with the time of entry."""
        found: dict[tuple[int, str, int], list[int]] = {}
        for reference, (locate, side, price, _) in self.orders.items():
            found.setdefault((locate, side, price), []).append(reference)
        return found


def test_before_the_first_day_there_is_no_snapshot(exchange: Exchange) -> None:
    assert exchange.snapshot() is None


@pytest.mark.parametrize(
    ("at", "phases"),
    [(-50 * MS, "OS"), (0, "OSQ"), (1_400 * MS, "OSQ"), (1_850 * MS, "OSQMEC")],
)
def test_a_snapshot_is_the_state_of_one_who_heard_every_message(exchange: Exchange, at: int, phases: str) -> None:
    heard, late, receiver = Listener(), Listener(), receiving.Receiver()
    datagrams = run_until(exchange, EPOCH + at)
    for datagram in datagrams:
        heard.hear(receiver.on_datagram(datagram, 0))
    spin = exchange.snapshot()
    assert spin is not None
    assert (spin.session, "".join(heard.phases)) == ("20130102", phases)
    assert exchange.snapshot() == spin  # asking changes nothing
    for raw in spin.messages:
        late.take(itch.decode(raw))
    assert vars(late) == vars(heard)
    assert late.queues() == heard.queues()
    assert bool(heard.orders) == (phases == "OSQ")
    assert heard.halted == {1: "T", 2: "T", 3: "H"}
    assert spin.next_sequence == 1 + sum(moldudp64.decode(datagram).messages for datagram in datagrams)


@pytest.mark.parametrize("joins_at", [0, 1, 3])
def test_a_late_joiner_has_the_same_books_as_one_who_was_there(exchange: Exchange, joins_at: int) -> None:
    """The joiner comes after a part of the session; answers of the snapshot server are two steps under way."""
    run_to = EPOCH + 450 * joins_at * MS
    heard, late = Listener(), Listener()
    receiver = receiving.Receiver()
    early = run_until(exchange, run_to)
    for datagram in early:
        heard.hear(receiver.on_datagram(datagram, 0))
    joiner = LateJoiner(*ACCOUNT, Settings(mold=receiving.Settings(snapshot_after=3)))
    server, answer = None, b""
    now = run_to
    while now < EPOCH + 1_850 * MS:
        now += 50 * MS
        for datagram in run_until(exchange, now):
            heard.hear(receiver.on_datagram(datagram, now))
            late.hear(joiner.on_datagram(datagram, now))
        if answer:
            late.hear(joiner.receive(answer, now))
            joiner.connection_lost(now)
            server, answer = None, b""
        elif server is not None:
            server.pump(now, 1 << 20)
            answer = server.take()
        elif joiner.wants_connection(now):
            joiner.connected(now)
            server = glimpse.server_session(lambda *given: given == ACCOUNT, exchange.snapshot, now)
            server.receive(joiner.take(), now)
    assert joiner.receiver.counters["snapshots"] == 1
    assert "".join(late.phases) == "OSQMEC"
    assert vars(late) == vars(heard)
