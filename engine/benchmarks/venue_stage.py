"""An exchange of several venues and a core that trades at them, each a process: the stage of benchmarks and drills.

Three venues display, with fees as US exchanges have them (the third pays for taking), the fourth is a dark midpoint.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine import PACKAGE
from engine.benchmarks.core_control import CoreControl
from engine.configuration import Account

ACCOUNT = Account("HELIO1", "secret")
DATASET = "stage"
PATIENCE = 300.0
DARK = "DARK"
# Of each venue: its name, (fee for adding, for taking) in 1/10,000 a share, one-way latency in us.
VENUES = (("SIM", (-20, 30), 60), ("EAST", (-15, 25), 180), ("INVERT", (18, -12), 350), (DARK, (0, 10), 300))


class VenueStage(CoreControl):
    """``exchange`` and ``engine`` are settings over those that are written here. Close it."""

    def __init__(
        self,
        folder: Path,
        symbols: list[str],
        days: tuple[str, str],
        *,
        venues: int = len(VENUES),
        exchange: dict[str, Any] | None = None,
        engine: dict[str, Any] | None = None,
    ) -> None:
        self.folder, self.symbols, self.venues = folder, symbols, VENUES[:venues]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._write("accounts.json", {"username": ACCOUNT.username, "password": ACCOUNT.password})
        binds = dict(zip((name for name, _, _ in self.venues), _free_addresses(venues), strict=True))
        self._write("exchange.json", {**self._exchange(days, binds), **(exchange or {})})
        self._write("engine.json", {**self._engine(binds), **(engine or {})})

    def record_folder(self, name: str) -> Path:
        """Where a venue keeps its record, its ports and its clock."""
        return self.folder / ("exchange" if name == self.venues[0][0] else f"exchange-{name}")

    def change_exchange(self, name: str, **settings: Any) -> None:
        """Other settings of one venue's exchange, from its next start on."""
        path = self.folder / "exchange.json"
        content = json.loads(path.read_text())
        rows = {row["name"]: row for row in content["others"]}
        rows.get(name, content).update(settings)
        path.write_text(json.dumps(content))

    def start_exchange(self) -> None:
        """Returns when its ports are open."""
        command = [sys.executable, "-m", "engine", "exchange", "--config", str(self.folder / "exchange.json")]
        process = self._start("exchange", command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        if b'"ports"' not in process.stdout.readline():
            raise RuntimeError(f"the exchange did not start: {(self.folder / 'exchange.log').read_text()[-2_000:]}")

    def start_core(self) -> None:
        """Returns when it answers."""
        command = [sys.executable, "-m", "engine.live.core", "--config", str(self.folder / "engine.json")]
        process, give_up = self._start("core", command), time.monotonic() + PATIENCE
        while time.monotonic() < give_up and process.poll() is None:
            try:
                self.status()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the core did not start: {(self.folder / 'core.log').read_text()[-2_000:]}")

    def process(self, name: str) -> int:
        return self._processes[name].pid

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """Ends the exchange or the core, and waits for it."""
        process = self._processes.pop(name)
        process.send_signal(number)
        process.communicate(timeout=60)

    def until_phase(self, phase: str, patience: float) -> dict[str, Any]:
        """The core's status once its session has come to ``phase``."""
        give_up = time.monotonic() + patience
        while (status := self.status())["phase"] != phase:
            if time.monotonic() > give_up:
                raise TimeoutError(f"the session is {status['phase']}, not {phase}, after {patience:.0f} s")
            time.sleep(0.2)
        return status

    def close(self) -> None:
        for name in list(self._processes):
            self.end(name, signal.SIGKILL if self._processes[name].poll() is None and name == "exchange" else 15)

    def executions(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(venue, entry) of what the exchange has recorded of its own."""
        with (self.record_folder(self.venues[0][0]) / "all.jsonl").open() as lines:
            for line in lines:
                entry = json.loads(line)
                if entry["type"] == "execution":
                    yield entry["venue"], entry

    def _start(self, name: str, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
        with (self.folder / f"{name}.log").open("a") as log:
            options = {"stdout": log, **options}
            process = subprocess.Popen(command, stderr=log, env=environment, cwd=PACKAGE.parent, **options)
        self._processes[name] = process
        return process

    def _write(self, name: str, content: dict[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(content))

    def _exchange(self, days: tuple[str, str], binds: dict[str, str]) -> dict[str, Any]:
        rows = []
        for name, (adding, taking), latency in self.venues:
            way = {"fixed_us": latency}
            rows.append(
                {
                    "name": name,
                    "dark": name == DARK,
                    "receivers": [binds[name]],
                    "fees": {
                        "added": adding,
                        "added_hidden": adding,
                        "added_midpoint": adding,
                        "removed": taking,
                        "removed_midpoint": taking,
                    },
                    "latency": {"order": way, "report": way, "market_data": way},
                }
            )
        first = {key: value for key, value in rows[0].items() if key != "dark"}
        return {
            "var": str(self.folder),
            "history": str(self.folder / "history"),
            "dataset": DATASET,
            "start": days[0],
            "end": days[1],
            "accounts_file": str(self.folder / "accounts.json"),
            "symbols": self.symbols,
            **first,
            "others": rows[1:],
        }

    def _engine(self, binds: dict[str, str]) -> dict[str, Any]:
        return {
            "node": "stage",
            "var": str(self.folder / "engine"),
            "link": "ws://127.0.0.1:9/",  # the discard port: nobody listens
            "token_file": str(self.folder / "token"),
            "history": str(self.folder / "history"),
            "symbols": self.symbols,
            "venues": [
                {
                    "name": name,
                    "itch_bind": binds[name],
                    "ports_file": str(self.record_folder(name) / "ports.json"),
                    "clock_file": str(self.record_folder(name) / "clock.json"),
                    "account_file": str(self.folder / "accounts.json"),
                    "adding_fee": adding,
                    "taking_fee": taking,
                    "latency_ns": latency * 1_000,
                    "dark": name == DARK,
                }
                for name, (adding, taking), latency in self.venues
            ],
        }


def memory_mb(process: int) -> float:
    """Resident memory of a process, shared parts divided by who shares them; MB."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return round(int(line.split()[1]) / 1_024, 1)
    raise ProcessLookupError(f"process {process} says nothing of its memory")


def _free_addresses(count: int) -> list[str]:
    held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in held]
    finally:
        for each in held:
            each.close()
