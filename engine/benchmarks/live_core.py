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

import msgspec

from engine import PACKAGE
from engine.core.clock import SESSION_SHARE, SessionClock
from engine.core.events import BlobType, Command
from engine.core.limit_tables import strategy_limits
from engine.live.control import CHOOSE_SLOT, blob_packets, command_packets, connect
from engine.messages import DataContract, LimitEnvelope, Manifest
from engine.protocols import itch, moldudp64, ouch
from engine.protocols.soupbintcp_session import ServerSession, Unsequenced
from engine.strategies import many_pairs

DATE = 20130102
SESSION_SECONDS = 23_400
PATIENCE = 300.0
STRATEGY = "intraday_pairs"
ENVELOPE = LimitEnvelope(100_000, 10**12, 10**7, 10**14)
DIRECTORY = ("Q", "N", 100, "N", "C", "Z", "T", "N", "N", "1", "N", 0, "N")
ANSWER_BYTES = 1 << 20


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


class LiveCore:
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
            "venue": {"name": "BENCH", "itch_bind": "127.0.0.1:0", **files},
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

    # ---- the agent's part ----------------------------------------------------------------------------

    def deploy(self, pairs: int, **parameters: Any) -> None:
        """Starts ``intraday_pairs`` with so many pairs."""
        manifest = Manifest("d", "v", STRATEGY, "0" * 64, {}, ENVELOPE, DataContract("none", "0" * 64), "sim", 10**12)
        slot = int(self._ask(blob_packets(BlobType.MANIFEST, msgspec.json.encode(manifest), CHOOSE_SLOT))["slot"])
        for blob_type, payload in (
            (BlobType.LIMITS, strategy_limits(ENVELOPE)),
            (BlobType.PARAMETERS, many_pairs.parameters(**parameters)),
            (BlobType.ARTIFACT, many_pairs.artifact(len(self.symbols), pairs).tobytes()),
        ):
            self._ask(blob_packets(blob_type, payload, slot))
        self._ask(command_packets(Command.START, slot))

    def status(self) -> dict[str, Any]:
        return dict(self._converse([b"S"], "status")["status"])

    def _ask(self, packets: list[bytes]) -> dict[str, Any]:
        answer = self._converse(packets, "ok")
        if not answer["ok"]:
            raise RuntimeError(f"the core refused: {answer['error']}")
        return answer

    def _converse(self, packets: list[bytes], key: str) -> dict[str, Any]:
        """The first answer with ``key``, over a connection of its own: the core drops one that is not read."""
        with connect(self.folder / "engine") as control:
            for packet in packets:
                control.send(packet)
            while key not in (answer := json.loads(control.recv(ANSWER_BYTES))):
                continue
        return dict(answer)

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
