"""A live core in its own process, and the venue around it that benchmarks of the wire need: market data by UDP, and an
order port by TCP whose login and first account query are answered here; what follows is the benchmark's."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from engine import PACKAGE
from engine.benchmarks.core_control import CoreControl
from engine.core.clock import SESSION_SHARE, SessionClock
from engine.protocols import itch, moldudp64, ouch
from engine.protocols.soupbintcp_session import ServerSession, Unsequenced

DATE = 20130102
SESSION_SECONDS = 23_400
PATIENCE = 300.0
DIRECTORY = ("Q", "N", 100, "N", "C", "Z", "T", "N", "N", "1", "N", 0, "N")


class Stream:
    """An account's sequenced messages."""

    session = "BENCH"

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    @property
    def next_sequence(self) -> int:
        return len(self.messages) + 1

    def read(self, sequence: int, limit: int) -> list[bytes]:
        return self.messages[sequence - 1 : sequence - 1 + limit]


class LiveCore(CoreControl):
    """``symbols`` trade; ``cpu`` is the one that the core's loop is bound to. Close it."""

    def __init__(self, folder: Path, symbols: list[str], *, mode: str, cpu: int | None) -> None:
        self.folder, self.symbols = folder, symbols
        self.market = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._port = socket.create_server(("127.0.0.1", 0))
        self._requests = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._requests.bind(("127.0.0.1", 0))
        self.stream, self.date, self.sequence = Stream(), DATE, 1
        self._write(mode, cpu)
        self.start()

    def start(self) -> None:
        """Starts the core, again after it was killed, with ``date`` opening now, and answers its login."""
        clock = SessionClock(time.time_ns(), [self.date], SESSION_SECONDS / SESSION_SHARE)
        (self.folder / "clock.json").write_text(clock.to_json())
        with (self.folder / "core.log").open("a") as log:
            command = [sys.executable, "-m", "engine.live.core", "--config", str(self.folder / "engine.json")]
            environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self.orders = self._log_in()
        self.market.connect(("127.0.0.1", self.status()["itch_ports"][0]))

    def _write(self, mode: str, cpu: int | None) -> None:
        ports = {"ouch": self._port.getsockname()[1], "itch_retransmit": self._requests.getsockname()[1]}
        (self.folder / "ports.json").write_text(json.dumps(ports))
        (self.folder / "account.json").write_text(json.dumps({"username": "BENCH", "password": "secret"}))
        files = {f"{name}_file": str(self.folder / f"{name}.json") for name in ("ports", "clock", "account")}
        config = {
            "node": "bench",
            "var": str(self.folder / "engine"),
            "link": "ws://127.0.0.1:9/",
            "token_file": str(self.folder / "token"),
            "venues": [{"name": "BENCH", "itch_bind": "127.0.0.1:0", **files}],
            "symbols": self.symbols,
            "history": str(self.folder / "history"),
            "mode": mode,
            "cpu": cpu,
        }
        (self.folder / "engine.json").write_text(json.dumps(config))

    def _log_in(self) -> socket.socket:
        """Answers the core's login and its account query; the connection."""
        self._port.settimeout(PATIENCE)
        connection, _ = self._port.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session, asked = ServerSession(lambda _name, _word: self.stream, 0), False
        connection.settimeout(PATIENCE)
        while not asked:
            for event in session.receive(connection.recv(1 << 16), 0):
                if isinstance(event, Unsequenced):
                    self.stream.messages.append(ouch.encode(ouch.AccountQueryResponse(7, 1)))
                    asked = True
            session.pump(0)
            connection.sendall(session.take())
        return connection

    # ---- the venue's part ----------------------------------------------------------------------------

    def send(self, messages: list[Any]) -> None:
        """One packet."""
        self.market.send(moldudp64.encode(str(self.date), self.sequence, map(itch.encode, messages)))
        self.sequence += len(messages)

    def open_session(self, price: int, symbols: int | None = None) -> None:
        """Names the first ``symbols`` (or all), opens them for trading, and quotes each at ``price`` and two cents
        more, one order a side (the bid of instrument i is order 2 i + 1)."""
        self.send([itch.SystemEvent(0, 0, 0, "O"), itch.SystemEvent(0, 0, 0, "Q")])
        for index, symbol in enumerate(self.symbols[:symbols]):
            locate = index + 1
            self.send(
                [
                    itch.StockDirectory(locate, 0, 0, symbol, *DIRECTORY),
                    itch.StockTradingAction(locate, 0, 0, symbol, "T", " ", ""),
                    itch.AddOrder(locate, 0, 0, 2 * index + 1, "B", 10_000, symbol, price),
                    itch.AddOrder(locate, 0, 0, 2 * index + 2, "S", 10_000, symbol, price + 200),
                ]
            )
            if index % 50 == 49:
                time.sleep(0.05)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(60)
        for each in (self.market, self._port, self._requests, self.orders):
            each.close()
