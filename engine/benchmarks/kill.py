"""A kill: from the command to the venue's last word on every working order, over TCP on loopback.

An exchange in a process of its own holds ``--orders`` resting orders of one account. *Ours* is the core's path: the
command is signed, journaled and stepped, cancels are encoded and sent, each answer is decoded, journaled and stepped,
until no order of the scope is open. The *peer* is a bare client of another account that knows its order ids, sends the
same cancels and counts the answers: what the exchange and the wire alone take. Both are repeated in turn; medians.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import epoll
from typing import Any

import numpy as np
import pyarrow as pa

from engine import PACKAGE
from engine.benchmarks.surroundings import commit, machine
from engine.configuration import Account
from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import EVENT, BlobType, Kind
from engine.core.kill import Scope
from engine.core.orders import LIVE, OrderState, open_order
from engine.core.state import ORDERS
from engine.errors import BadInput
from engine.history import BARS, open_history
from engine.live.connection import Connection
from engine.live.journal import Writer
from engine.live.order_session import OrderSession, warm_codecs
from engine.live.person_commands import kill_request, take_person_command, working
from engine.live.pipeline import Pipeline
from engine.live.recovery import InputState
from engine.live.second_session import SecondSession
from engine.messages import KillOrder
from engine.protocols import ouch

OURS, PEER = Account("OURS", "secret"), Account("PEER", "secret")
SYMBOLS = ["KO", "PEP"]
DATES = [20130102, 20130103, 20130104]
PRICE, DATE = 10_000, 20130103  # far below the market; the day only stamps
AT_ONCE = 500
GIVE_UP = 120.0  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--orders", type=int, default=10_000, help=f"working orders, at most {ORDERS}")
    parser.add_argument("--rounds", type=int, default=5, help="kills, of which the median counts")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if not 1 <= arguments.orders <= ORDERS or arguments.rounds < 1:
        raise BadInput("out_of_range", "orders", arguments.orders, f"1 to {ORDERS} orders, at least one round")
    with tempfile.TemporaryDirectory() as folder, _exchange(Path(folder)) as address:
        core, peer = _Core(Path(folder), address), _Peer(address)
        core.until_open()
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            core.enter(arguments.orders)
            ours.append(core.kill())
            peer.enter(arguments.orders)
            theirs.append(peer.cancel())
        left = core.working()
    ms, sent, bare = (statistics.median(each) for each in ([a for a, _ in ours], [b for _, b in ours], theirs))
    return {
        "ok": left == 0,
        "bench": "kill",
        "ours": round(ms, 1),
        "peer": round(bare, 1),
        "ratio": round(ms / bare, 2),
        "unit": "ms",
        "n": arguments.orders,
        "rounds": arguments.rounds,
        "venues": 1,
        "ms_until_sent": round(sent, 1),
        "unacknowledged": left,
        "peer_is": "a client that knows the order ids, sends the same cancels and counts the answers",
        "commit": commit(),
        "machine": machine(),
    }


class _Core:
    """What a core has of an order session, driven by hand."""

    def __init__(self, folder: Path, address: tuple[str, int]) -> None:
        warm_codecs(SYMBOLS[0])
        self.pipeline = Pipeline(Engine(lambda manifest: Loaded(0, frozenset(), 0)), Writer.create(folder / "journal"))
        for blob_type, payload, slot in (
            (BlobType.INSTRUMENTS, json.dumps(SYMBOLS).encode(), FIRM),
            (BlobType.MANIFEST, b"{}", 0),
        ):
            self.pipeline.take_blob(blob(blob_type, payload, strategy=slot, ts=1), payload)
        self.state = self.pipeline.engine.state
        self.session, self._poll = OrderSession(OURS, SYMBOLS, InputState()), epoll()
        self._epoch = 0
        self._connection = Connection(address, self._poll)
        self._until(lambda: self._connection.established)
        self.session.connect(time.monotonic_ns())
        self._flush()
        self._until(lambda: self.session.up)

    def until_open(self) -> None:
        """An order that the venue takes says that its day has begun."""
        give_up = time.monotonic() + GIVE_UP
        while not self._one_accepted():
            if time.monotonic() > give_up:
                raise TimeoutError("the exchange's day did not begin")
            time.sleep(0.2)
        self.kill()

    def enter(self, count: int) -> None:
        for first in range(0, count, AT_ONCE):
            self._send_new(min(AT_ONCE, count - first))
            self._until(lambda: not (self.state["orders"]["state"] == OrderState.PENDING_NEW).any())
        if self.working() != count:
            raise RuntimeError(f"{self.working()} of {count} orders work")

    def kill(self) -> tuple[float, float]:
        """(ms until the last order has ended, ms until the last cancel was handed to the socket)."""
        self._epoch += 1
        header, payload = kill_request(KillOrder("firm", "cancel", self._epoch, ["bench"]), via="host")
        header["ts_event"] = header["ts_recv"] = self.pipeline.last_ts + 1
        began = time.perf_counter()
        take_person_command(self.pipeline, header, payload, "SIM", self._send)
        self._flush()
        sent = time.perf_counter()
        self._until(lambda: self.working() == 0)
        return (time.perf_counter() - began) * 1_000, (sent - began) * 1_000

    def working(self) -> int:
        return int(np.count_nonzero(working(self.state, Scope.FIRM, 0, 1 << 62)))

    def _one_accepted(self) -> bool:
        slot = self._send_new(1)
        self._until(lambda: self.state["orders"][slot]["state"] != OrderState.PENDING_NEW)
        return int(self.state["orders"][slot]["state"]) == LIVE

    def _send_new(self, count: int) -> int:
        """Orders straight into the table: what sends orders otherwise holds one a strategy and instrument."""
        orders, slot = np.zeros(count, EVENT), 0
        for index in range(count):
            slot = open_order(self.state, 0, index % len(SYMBOLS), 1, 1, PRICE, 0, 0, 0)
            orders[index]["kind"], orders[index]["side"], orders[index]["instrument"] = Kind.ORDER_NEW, 1, index % 2
            orders[index]["order_id"] = self.state["orders"][slot]["order_id"]
            orders[index]["price"], orders[index]["qty"] = PRICE, 1
        self._send(orders)
        self._flush()
        return slot

    def _send(self, orders: np.ndarray) -> None:
        self.session.send(orders, time.monotonic_ns(), self.pipeline.last_ts)

    def _flush(self) -> None:
        if not self._connection.send(self.session.take_bytes()):
            raise ConnectionError("the exchange closed the session")

    def _until(self, reached: Any) -> None:
        give_up = time.monotonic() + GIVE_UP
        while not reached():
            if time.monotonic() > give_up:
                raise TimeoutError("the exchange did not answer")
            if not self._poll.poll(0.05):
                continue
            chunks = self._connection.on_event()
            if chunks is None:
                raise ConnectionError("the exchange closed the session")
            for chunk in chunks:
                now = time.monotonic_ns()
                for event in self.session.receive(chunk, now, self.pipeline.last_ts + 1, DATE):
                    self.pipeline.take(event)
            if self.session.connected:
                self._flush()


class _Peer:
    """A client without an engine."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._session = SecondSession(address, PEER, next_sequence=0, give_up=time.monotonic() + 10 * GIVE_UP)
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

    def cancel(self) -> float:
        """ms from the first cancel to the last answer."""
        began = time.perf_counter()
        for order_id in self._ids:
            self._session.send(ouch.CancelOrder(order_id))
        canceled = sum(isinstance(one, ouch.Canceled) for one in self._session.until_query_answered())
        took = (time.perf_counter() - began) * 1_000
        if canceled != len(self._ids):
            raise RuntimeError(f"{canceled} of {len(self._ids)} of the peer's orders were cancelled")
        self._ids.clear()
        return took


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


@contextmanager
def _exchange(folder: Path) -> Iterator[tuple[str, int]]:
    """A quiet exchange with one long day; the address of its order port."""
    rows = [(day, symbol, 370_000) for symbol in SYMBOLS for day in DATES]
    columns: dict[str, list[Any]] = dict.fromkeys(("open", "high", "low", "volume"), [None] * len(rows))
    columns |= {name: [row[place] for row in rows] for place, name in enumerate(("date", "symbol", "close"))}
    open_history(folder / "history").append_bars("two", pa.table(columns, schema=BARS))
    (folder / "accounts.json").write_text(
        json.dumps([{"username": a.username, "password": a.password} for a in (OURS, PEER)])
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as feed:
        feed.bind(("127.0.0.1", 0))  # nobody listens to the market data
        config = {
            "var": str(folder),
            "history": str(folder / "history"),
            "dataset": "two",
            "start": "2013-01-03",
            "end": "2013-01-04",
            "day_seconds": 3_600.0,
            "messages_per_second": 1.0,
            "accounts_file": str(folder / "accounts.json"),
            "receivers": [f"127.0.0.1:{feed.getsockname()[1]}"],
        }
        (folder / "exchange.json").write_text(json.dumps(config))
        process = subprocess.Popen(
            [sys.executable, "-m", "engine", "exchange", "--config", str(folder / "exchange.json")],
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
