"""A simulated exchange as a process of its own, for the tests beside this."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from engine.history import BARS, DatasetDescription, open_history

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = ["KO", "PEP"]
DATES = [20130102, 20130103, 20130104, 20130107, 20130108, 20130109]
PATIENCE = 90.0  # seconds; the first start compiles


def write_history(folder: Path) -> None:
    rows = [(day, symbol, close + index * 2_000) for symbol, close in zip(SYMBOLS, (37_0000, 69_0000), strict=True)
            for index, day in enumerate(DATES)]  # fmt: skip
    unknown = [None] * len(rows)
    columns = dict.fromkeys(("open", "high", "low", "volume"), unknown)
    columns |= {name: [row[place] for row in rows] for place, name in enumerate(("date", "symbol", "close"))}
    open_history(folder).append_bars("two", pa.table(columns, schema=BARS), DatasetDescription())


class ExchangeProcess:
    """Two symbols, six days. ``receivers`` are ports of line A, ``receivers_b`` of line B."""

    def __init__(self, folder: Path, receivers: list[int], receivers_b: Sequence[int] = (), **settings: object) -> None:
        self.folder = folder
        write_history(folder / "history")
        config = {
            "var": str(folder / "var"),
            "history": str(folder / "history"),
            "dataset": "two",
            "start": "2013-01-02",
            "end": "2013-01-09",
            "day_seconds": 20.0,
            "accounts_file": str(folder / "accounts.json"),
            "receivers": [f"127.0.0.1:{port}" for port in receivers],
            "receivers_b": [f"127.0.0.1:{port}" for port in receivers_b],
            **settings,
        }
        (folder / "accounts.json").write_text('[{"username": "HELIO1", "password": "secret"}]')
        (folder / "exchange.json").write_text(json.dumps(config))
        self.process: subprocess.Popen | None = None

    def start(self) -> dict:
        command = [sys.executable, "-m", "engine", "exchange", "--config", str(self.folder / "exchange.json")]
        log = (self.folder / "exchange.log").open("a")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True, cwd=ROOT
        )
        log.close()
        line = self.process.stdout.readline()
        assert line, (self.folder / "exchange.log").read_text()
        return json.loads(line)

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
