"""A core that comes in the middle of a trading day of a real exchange, on two lines: its books are the exchange's."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from exchange_process import PATIENCE, ROOT, SYMBOLS, ExchangeProcess

from engine.configuration import Account
from engine.core.books import book_content
from engine.core.engine import FIRM, Engine, blob
from engine.core.events import BlobType, Kind, Session, Stale
from engine.live.feed import MarketFeed
from engine.live.journal import Reader
from engine.live.pipeline import Replay
from engine.live.recovery import InputState
from engine.protocols import moldudp64
from engine.strategies.load import load_manifest

DAY = "20130102"


class CoreProcess:
    """A core without its agent."""

    def __init__(self, folder: Path, **venue: object) -> None:
        self.folder = folder
        exchange = folder / "var" / "exchange"
        config = {
            "node": "sim-1",
            "var": str(folder / "engine"),
            "link": "ws://127.0.0.1:9/",
            "token_file": str(folder / "token"),
            "venues": [
                {
                    "name": "SIM",
                    "ports_file": str(exchange / "ports.json"),
                    "clock_file": str(exchange / "clock.json"),
                    "account_file": str(folder / "account.json"),
                    "snapshot_after": 20,
                    **venue,
                }
            ],
            "symbols": SYMBOLS,
            "history": str(folder / "history"),
        }
        (folder / "account.json").write_text(json.dumps({"username": "HELIO1", "password": "secret"}))
        (folder / "engine.json").write_text(json.dumps(config))
        self.process: subprocess.Popen | None = None

    @property
    def journal(self) -> Path:
        return self.folder / "engine" / "journal"

    def start(self) -> None:
        command = [sys.executable, "-m", "engine.live.core", "--config", str(self.folder / "engine.json")]
        with (self.folder / "core.log").open("a") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def records(self) -> np.ndarray:
        """What is journaled so far."""
        return Reader(self.journal).read(0, 1 << 22) if any(self.journal.glob("*.seg")) else np.zeros(0)

    def wait(self, what: str, condition: Callable[[np.ndarray], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not (len(records := self.records()) and condition(records)):
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "core.log").read_text()
            assert time.monotonic() < end, f"{what}: {(self.folder / 'core.log').read_text()}"
            time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def snapshots(records: np.ndarray) -> int:
    """Snapshots that were taken to their end: FORGET, then a record that names the message to go on with."""
    stale = records[records["kind"] == Kind.STALE]
    return int((stale["code"][:-1][stale["sequence"][1:] > 0] == Stale.FORGET).sum())


def in_order_behind(number: int) -> Callable[[np.ndarray], bool]:
    """Whether packets came in order after at least that many snapshots."""

    def check(records: np.ndarray) -> bool:
        stale = records[records["kind"] == Kind.STALE]
        return (
            snapshots(records) == number and not stale["code"][-3:].any() and bool((stale["sequence"][-3:] > 0).all())
        )

    return check


def answers(server: int, sequence: int, count: int) -> Iterator[moldudp64.Packet]:
    """What the exchange's retransmission port answers to a request."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.settimeout(5)
        port.sendto(moldudp64.encode_request(DAY, sequence, count), ("127.0.0.1", server))
        while count > 0:
            packet = moldudp64.decode(port.recv(1 << 16))
            count -= packet.count
            yield packet


def session_up_to(server: int, packet: int) -> Iterator[bytes]:
    """The session from its first message to the packet that begins with message number ``packet``, as datagrams."""
    end = next(answers(server, packet, moldudp64.MAX_COUNT)).next_sequence
    for first in range(1, end, 50):
        for each in answers(server, first, min(end - first, 50)):
            yield moldudp64.encode_block(each.session, each.sequence, each.count, each.block)


def books_of(datagrams: Iterable[bytes]) -> tuple:
    """Orders and levels of an engine that hears these packets of a session, all from the first."""
    engine, feed = Engine(load_manifest), MarketFeed(SYMBOLS, InputState(), Account("", ""))
    payload = json.dumps(SYMBOLS).encode()
    engine.apply_blob(blob(BlobType.INSTRUMENTS, payload, strategy=FIRM, ts=0), payload)
    for datagram in datagrams:
        for events in feed.on_datagram(datagram, 0, 0):
            for index in range(len(events)):
                engine.apply(events, index)
    return book_content(engine.state["books"][0])


@pytest.fixture
def ports() -> list[int]:
    return free_ports(2)


@pytest.fixture
def ear() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        yield receiver


@pytest.fixture
def exchange(tmp_path: Path, ports: list[int], ear: socket.socket) -> Iterator[ExchangeProcess]:
    """A day of a minute and a half, which the test hears too."""
    settings = {"day_seconds": 90.0, "messages_per_second": 2_000.0}
    running = ExchangeProcess(tmp_path, [ports[0], ear.getsockname()[1]], ports[1:], **settings)
    yield running
    running.kill()


def test_a_core_that_comes_in_the_middle_of_the_day_has_the_exchanges_books(
    exchange: ExchangeProcess, ports: list[int], ear: socket.socket, tmp_path: Path
) -> None:
    server = exchange.start()["ports"]["itch_retransmit"]
    line_a, line_b = (f"127.0.0.1:{port}" for port in ports)
    core = CoreProcess(tmp_path, itch_bind=line_a, itch_bind_b=line_b)
    while moldudp64.decode(ear.recv(1 << 16)).sequence < 100:
        continue
    core.start()
    try:
        core.wait("the first snapshot", in_order_behind(1))
        core.stop(signal.SIGKILL)
        core.start()
        core.wait("another snapshot after kill -9", in_order_behind(2))
        assert core.stop() == 0
    finally:
        if core.process is not None and core.process.poll() is None:
            core.process.kill()
    records = core.records()
    engine = Engine(load_manifest)
    replay = Replay(engine)
    assert replay.take(records), replay.divergence
    stale = records[records["kind"] == Kind.STALE]
    newest = int(stale["sequence"][stale["sequence"] > 0][-1])
    orders, levels = books_of(session_up_to(server, newest))
    assert {(instrument, side) for _, instrument, side, _, _ in orders} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert book_content(engine.state["books"][0]) == (orders, levels)
    assert stale["duplicates"].sum() > 0  # both lines are heard
    phases = records[records["kind"] == Kind.SESSION]["code"].tolist()
    assert phases == [Session.START_OF_MESSAGES, Session.START_OF_SYSTEM, Session.OPEN]
