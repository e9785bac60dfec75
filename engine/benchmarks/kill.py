"""A kill: from the command to the venue's last word on every working order, over TCP on loopback.

``--venues`` exchanges, each in a process of its own, hold ``--orders`` resting orders of one account. *Ours* is the
core's path: the command is signed, journaled and stepped, cancels are encoded and sent, each answer is decoded,
journaled and stepped, until no order of the scope is open. The *peer* is a bare client of another account that knows
its order ids, sends the same cancels and counts the answers: what exchanges and wire alone take. The firm's kill is
one Mass Cancel a venue; a strategy's, which venues do not know, goes out order by order. All are repeated in turn;
medians.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from engine import PACKAGE
from engine.benchmarks.surroundings import commit, machine
from engine.configuration import Account
from engine.core.capacities import MARKETS
from engine.core.engine import blob
from engine.core.events import EVENT, BlobType, Kind
from engine.core.kill import Scope
from engine.core.orders import OrderState, open_order
from engine.core.state import ORDERS
from engine.errors import BadInput
from engine.history import BARS, open_history
from engine.live.config import load_config
from engine.live.core import Core, warm_up
from engine.live.person_commands import kill_request, working
from engine.live.second_session import SecondSession
from engine.messages import DataContract, KillOrder, LimitEnvelope, Manifest
from engine.protocols import ouch

OURS, PEER = Account("OURS", "secret"), Account("PEER", "secret")
SYMBOLS = ["KO", "PEP"]
DATES = [20130102, 20130103, 20130104]
PRICE = 10_000  # far below the market
LOOK_NS = 1_000_000
MANIFEST = msgspec.json.encode(
    Manifest("d", "v", "pairs", "", {}, LimitEnvelope(0, 0, 0, 0), DataContract("", ""), "sim", 1)
)
STRATEGY = "strategy:pairs"
AT_ONCE = 500
GIVE_UP = 120.0  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--orders", type=int, default=10_000, help=f"working orders, at most {ORDERS}")
    parser.add_argument("--rounds", type=int, default=5, help="kills, of which the median counts")
    parser.add_argument("--venues", type=int, default=4, help=f"exchanges, at most {MARKETS}")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if not 1 <= arguments.orders <= ORDERS or arguments.rounds < 1:
        raise BadInput("out_of_range", "orders", arguments.orders, f"1 to {ORDERS} orders, at least one round")
    if not 1 <= arguments.venues <= MARKETS:
        raise BadInput("out_of_range", "venues", arguments.venues, f"1 to {MARKETS}")
    with tempfile.TemporaryDirectory() as folder, _exchanges(Path(folder), arguments.venues) as addresses:
        warm_up()
        core = _Core(load_config(Path(folder) / "engine.json"))
        core.begin()
        peer = _Peers([_Peer(address) for address in addresses])
        ours: dict[str, list[tuple[float, float]]] = {"firm": [], STRATEGY: []}
        theirs: dict[str, list[float]] = {scope: [] for scope in ours}
        for _ in range(arguments.rounds):
            for scope in ours:
                core.enter(arguments.orders)
                ours[scope].append(core.kill(scope))
                peer.enter(arguments.orders)
                theirs[scope].append(peer.cancel(in_one=scope == "firm"))
        left = core.working()
    ms, each_ms = (statistics.median(took for took, _ in found) for found in ours.values())
    bare, each_bare = (statistics.median(found) for found in theirs.values())
    return {
        "ok": left == 0,
        "bench": "kill",
        "ours": round(ms, 1),
        "peer": round(bare, 1),
        "ratio": round(ms / bare, 2),
        "unit": "ms",
        "n": arguments.orders,
        "rounds": arguments.rounds,
        "venues": arguments.venues,
        "worst": round(max(took for took, _ in ours["firm"]), 1),
        "ms_until_sent": round(statistics.median(sent for _, sent in ours["firm"]), 1),
        "order_by_order_ms": round(each_ms, 1),
        "order_by_order_peer_ms": round(each_bare, 1),
        "order_by_order_ms_until_sent": round(statistics.median(sent for _, sent in ours[STRATEGY]), 1),
        "unacknowledged": left,
        "peer_is": "a client that knows the order ids, sends the same cancels and counts the answers",
        "commit": commit(),
        "machine": machine(),
    }


class _Core(Core):
    """A core whose orders are put straight into its table: what sends orders otherwise holds one a strategy and
    instrument. The loop comes back each millisecond, to see how far a kill is."""

    def begin(self) -> None:
        """Logged in, and the venue's day has begun: an order was taken."""
        for venue in self.venues:
            self._take(venue.begin(self._now(), 0))
        self.pipeline.take_blob(blob(BlobType.MANIFEST, MANIFEST, strategy=0, ts=self._now()), MANIFEST)
        self._until(lambda: all(venue.orders.up for venue in self.venues))
        give_up = time.monotonic() + GIVE_UP
        while not self._each_accepted():
            if time.monotonic() > give_up:
                raise TimeoutError("the exchange's day did not begin")
            time.sleep(0.2)
        self.kill("firm")

    def enter(self, count: int) -> None:
        for first in range(0, count, AT_ONCE):
            self._send_new(min(AT_ONCE, count - first))
            self._until(lambda: not (self.engine.state["orders"]["state"] == OrderState.PENDING_NEW).any())
        if self.working() != count:
            raise RuntimeError(f"{self.working()} of {count} orders work")

    def kill(self, scope: str) -> tuple[float, float]:
        """(ms until the last order has ended, ms until the last cancel was handed to the socket)."""
        header, payload = kill_request(KillOrder(scope, "cancel", 0, ["bench"]), via="host")
        began = time.perf_counter()
        self._handle(header, payload)
        sent = time.perf_counter()
        self._until(lambda: self.working() == 0)
        took = time.perf_counter() - began
        self._handle(*kill_request(KillOrder(scope, "armed", 0, ["one", "another"]), via="host"))
        return took * 1_000, (sent - began) * 1_000

    def working(self) -> int:
        return int(np.count_nonzero(working(self.engine.state, Scope.FIRM, 0, 1 << 62)))

    def _each_accepted(self) -> bool:
        """Whether each venue has taken an order."""
        orders = self.engine.state["orders"]
        self._send_new(len(self.venues))
        self._until(lambda: not (orders["state"] == OrderState.PENDING_NEW).any())
        return len(set(orders["venue"][orders["state"] == OrderState.LIVE])) == len(self.venues)

    def _send_new(self, count: int) -> int:
        """The last one's slot."""
        orders, slot, state = np.zeros(count, EVENT), 0, self.engine.state
        for index in range(count):
            venue = index % len(self.venues)
            slot = open_order(state, 0, index % len(SYMBOLS), 1, 1, PRICE, 0, 0, venue)
            orders[index]["kind"], orders[index]["side"], orders[index]["venue"] = Kind.ORDER_NEW, 1, venue
            orders[index]["instrument"], orders[index]["order_id"] = (
                index % len(SYMBOLS),
                state["orders"][slot]["order_id"],
            )
            orders[index]["price"], orders[index]["qty"] = PRICE, 1
        self._send(orders)
        self._send_bytes()
        return slot

    def _until(self, reached: Callable[[], bool]) -> None:
        give_up = time.monotonic() + GIVE_UP
        while not reached():
            if time.monotonic() > give_up:
                raise TimeoutError("the exchange did not answer")
            self.serve(time.monotonic_ns() + LOOK_NS)


class _Peer:
    """A client without an engine."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._session = SecondSession(
            address, PEER, next_sequence=0, give_up=time.monotonic() + 10 * GIVE_UP, before_query=lambda: None
        )
        self._next = self._session.next_id()
        self._ids: list[int] = []

    def enter(self, count: int) -> None:
        for first in range(0, count, AT_ONCE):
            for _ in range(min(AT_ONCE, count - first)):
                self._session.send(_enter(self._next))
                self._ids.append(self._next)
                self._next += 1
            accepted = [one for one in self._session.until_query_answered() if isinstance(one, ouch.Accepted)]
            if len(accepted) != min(AT_ONCE, count - first):
                raise RuntimeError("the exchange did not take the peer's orders")

    def ask(self, *, in_one: bool) -> None:
        """Sends the cancels."""
        if in_one:
            self._session.send(ouch.MassCancel(self._next, PEER.username[:4], "", appendage=()))
            self._next += 1
        for order_id in () if in_one else self._ids:
            self._session.send(ouch.CancelOrder(order_id))
        self._session.flush()

    def count(self) -> None:
        """Reads until the last answer."""
        canceled = sum(isinstance(one, ouch.Canceled) for one in self._session.until_query_answered())
        if canceled != len(self._ids):
            raise RuntimeError(f"{canceled} of {len(self._ids)} of the peer's orders were cancelled")
        self._ids.clear()


class _Peers:
    """A client at each venue."""

    def __init__(self, peers: list[_Peer]) -> None:
        self._peers = peers

    def enter(self, count: int) -> None:
        for number, peer in enumerate(self._peers):
            peer.enter(len(range(number, count, len(self._peers))))

    def cancel(self, *, in_one: bool) -> float:
        """ms from the first cancel to the last answer."""
        began = time.perf_counter()
        for peer in self._peers:
            peer.ask(in_one=in_one)
        for peer in self._peers:
            peer.count()
        return (time.perf_counter() - began) * 1_000


def _enter(order_id: int) -> ouch.EnterOrder:
    return ouch.EnterOrder(
        user_ref_num=order_id,
        side="B",
        quantity=1,
        symbol=SYMBOLS[order_id % 2],
        price=PRICE,
        time_in_force="0",
        display="Y",
        capacity="P",
        intermarket_sweep="N",
        cross_type="N",
        cl_ord_id="",
        appendage=(),
    )


def _write_engine_config(folder: Path, exchanges: list[Path]) -> None:
    (folder / "account.json").write_text(json.dumps({"username": OURS.username, "password": OURS.password}))
    venues = [
        {
            "name": exchange.name,
            "itch_bind": "127.0.0.1:0",
            "ports_file": str(exchange / "exchange" / "ports.json"),
            "clock_file": str(exchange / "exchange" / "clock.json"),
            "account_file": str(folder / "account.json"),
        }
        for exchange in exchanges
    ]
    engine = {"node": "bench", "var": str(folder / "engine"), "link": "", "token_file": "", "venues": venues}
    (folder / "engine").mkdir()
    (folder / "engine.json").write_text(json.dumps({**engine, "symbols": SYMBOLS, "history": str(folder / "history")}))


@contextmanager
def _exchanges(folder: Path, count: int) -> Iterator[list[tuple[str, int]]]:
    """Quiet exchanges with one long day; the addresses of their order ports."""
    rows = [(day, symbol, 370_000) for symbol in SYMBOLS for day in DATES]
    columns: dict[str, list[Any]] = dict.fromkeys(("open", "high", "low", "volume"), [None] * len(rows))
    columns |= {name: [row[place] for row in rows] for place, name in enumerate(("date", "symbol", "close"))}
    open_history(folder / "history").append_bars("two", pa.table(columns, schema=BARS))
    (folder / "accounts.json").write_text(
        json.dumps([{"username": a.username, "password": a.password} for a in (OURS, PEER)])
    )
    places = [folder / f"SIM{number}" for number in range(count)]
    _write_engine_config(folder, places)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as feed, ExitStack() as running:
        feed.bind(("127.0.0.1", 0))  # nobody listens to the market data
        receiver = f"127.0.0.1:{feed.getsockname()[1]}"
        yield [running.enter_context(_exchange(folder, place, receiver)) for place in places]


@contextmanager
def _exchange(folder: Path, place: Path, receiver: str) -> Iterator[tuple[str, int]]:
    place.mkdir()
    config = {
        "var": str(place),
        "history": str(folder / "history"),
        "dataset": "two",
        "start": "2013-01-03",
        "end": "2013-01-04",
        "day_seconds": 900.0,
        "messages_per_second": 1.0,
        "accounts_file": str(folder / "accounts.json"),
        "receivers": [receiver],
    }
    (place / "exchange.json").write_text(json.dumps(config))
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "exchange", "--config", str(place / "exchange.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=PACKAGE.parent,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    try:
        assert process.stdout is not None
        yield "127.0.0.1", int(json.loads(process.stdout.readline())["ports"]["ouch"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
