"""The whole of a trading day live: 505 symbols, 300 pairs, three lit venues and a dark one, over sockets.

Exchange and core are processes of their own. The exchange follows a real day of the S&P 500's closes, squeezed into
``--minutes``; its noise traders are so busy that its feeds bring ``--rate`` messages a second. The core runs
``intraday_pairs`` behind the router. When the day has closed, the journal's executions are compared with the exchange's
own record, one by one, and positions with the sum of them.

*Ours* is from the return of a receive to the call that sends the orders, over every send of the day; the *peer* is the
jitter of an empty spin loop afterwards. Memory is what each process holds (PSS) soon after the opening and at the end.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.benchmarks.session_record import SessionJournal, reconcile
from engine.benchmarks.step import JITTER_SAMPLES, measure_jitter, percentiles
from engine.benchmarks.surroundings import commit, machine, shared_file
from engine.benchmarks.venue_stage import DATASET, VENUES, VenueStage, memory_mb
from engine.core.capacities import INSTRUMENTS
from engine.core.clock import SESSION_SHARE
from engine.core.health import bucket_end
from engine.errors import BadInput

CLOSES = "data/sp500_daily/sp500_ohlcv_2013-02-08_2018-02-07.csv.xz"
DAY = "2018-01-24"
NOISE_MESSAGES = 9  # that a noise trader of `engine.simulation.flow` makes in a session at activity 1
QUIET_SECONDS = 2.0  # of a session at activity 1
SETTLE = 15.0  # seconds after the opening at which memory is looked at first


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=30.0, help="wall time from the opening to the close")
    parser.add_argument("--rate", type=float, default=50_000.0, help="messages a second that the exchange is to make")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--symbols", type=int, default=505, help=f"at most {INSTRUMENTS}")
    parser.add_argument("--entry", type=float, default=2.0, help="z-score at which a pair is entered")
    parser.add_argument("--folder", type=Path, help="where everything is written (default: HELIOGRAPH_VAR, or var)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if not 0.1 <= arguments.minutes <= 390 or not 1_000 <= arguments.rate <= 1_000_000:
        raise BadInput("out_of_range", "minutes, rate", (arguments.minutes, arguments.rate), "0.1 to 390, from 1000")
    folder = arguments.folder or Path(os.environ.get("HELIOGRAPH_VAR", "var"))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-session-", dir=folder) as scratch:
        return _Session(arguments, Path(scratch)).figures()


class _Session:
    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self._arguments = arguments
        symbols = _write_history(folder / "history", arguments.symbols)
        seconds = arguments.minutes * 60
        # Three venues display; what their noise traders make is about all that their feeds bring.
        activity = (
            arguments.rate / 3 * seconds / (len(symbols) * NOISE_MESSAGES) / (seconds / SESSION_SHARE / QUIET_SECONDS)
        )
        exchange = {
            "day_seconds": seconds / SESSION_SHARE,
            "messages_per_second": arguments.rate,
            "activity": max(activity, 0.01),
        }
        self._stage = VenueStage(folder, symbols, (DAY, DAY), exchange=exchange)
        self._memory: dict[str, list[float]] = {"core": [], "exchange": []}
        self._cpu: dict[str, float] = {}

    def figures(self) -> dict[str, Any]:
        stage, seconds = self._stage, self._arguments.minutes * 60
        try:
            stage.start_core()
            stage.deploy(self._arguments.pairs, lookback=30, entry=self._arguments.entry, exit=0.2, stop=50.0)
            stage.start_exchange()
            stage.until_phase("open", 120 + seconds / SESSION_SHARE * 0.1)
            began = time.monotonic()
            time.sleep(min(SETTLE, seconds / 3))
            self._look()
            stage.until_phase("closed", seconds + 60)
            took = time.monotonic() - began
            self._look()
            time.sleep(1.0)
            status = stage.status()
            stage.end("core")
            stage.end("exchange")
        finally:
            stage.close()
        journal = SessionJournal(stage)
        return self._summary(status, took, journal, reconcile(stage, journal.fills))

    def _look(self) -> None:
        for name, seen in self._memory.items():
            process = self._stage.process(name)
            seen.append(memory_mb(process))
            fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()  # proc(5): utime, stime
            ticks = int(fields[11]) + int(fields[12])
            self._cpu[name] = ticks / os.sysconf("SC_CLK_TCK") - self._cpu.get(name, 0.0)

    def _summary(
        self, status: dict[str, Any], took: float, journal: SessionJournal, compared: dict[str, int]
    ) -> dict[str, Any]:
        kinds, histogram = journal.kinds, status["send_histogram"]
        messages = journal.by_venue["messages"]
        ours, jitter = _percentiles(histogram), _jitter()
        measured = took - min(SETTLE, self._arguments.minutes * 20)
        return {
            "bench": "session",
            "ok": compared["executions"] > 0 and not any(compared[name] for name in compared if name != "executions"),
            "ours": ours["p50_ns"],
            "peer": jitter["p50_ns"],
            "ratio": round(ours["p50_ns"] / max(jitter["p50_ns"], 1), 1),
            "unit": "ns",
            "n": sum(histogram),
            "commit": commit(),
            "machine": machine(),
            "minutes": round(took / 60, 2),
            "symbols": len(self._stage.symbols),
            "pairs": self._arguments.pairs,
            "venues": len(VENUES),
            "messages": sum(messages.values()),
            "msgs_per_s": round(sum(messages.values()) / took),
            "messages_by_venue": dict(messages),
            "orders": kinds["ORDER_NEW"] + kinds["ORDER_REPLACE"],
            "orders_by_venue": dict(journal.by_venue["orders"]),
            "routes": dict(journal.by_reason["routes"]),
            "fills": kinds["FILL"],
            "fills_by_venue": dict(journal.by_venue["fills"]),
            "cancels": kinds["ORDER_CANCEL"],
            "venue_rejects": dict(journal.by_reason["venue_rejects"]),
            "rejects": dict(journal.by_reason["rejects"]),
            "anomalies": dict(journal.by_reason["anomalies"]),
            **ours,
            "jitter": jitter,
            "histogram_ns": {str(bucket_end(bucket)): count for bucket, count in enumerate(histogram) if count},
            "reconciliation": compared,
            "memory_mb": self._memory,
            "cpu": {name: round(seconds / measured, 3) for name, seconds in self._cpu.items()},
        }


def _write_history(folder: Path, count: int) -> list[str]:
    """The S&P 500's daily bars; the first ``count`` symbols that have one on the day."""
    from engine.history import open_history  # loads what only this needs
    from engine.history.ingest import read_bars

    history = open_history(folder)
    history.append_bars(DATASET, read_bars(shared_file(CLOSES)).bars)
    closes = history.closes(DATASET, int(DAY.replace("-", "")), int(DAY.replace("-", "")))
    return [symbol for symbol, price in zip(closes.symbols, closes.prices[-1], strict=True) if price > 0][:count]


def _percentiles(histogram: list[int]) -> dict[str, int]:
    """Each rounded up to its bucket's end."""
    counts = np.cumsum(histogram)
    total = int(counts[-1]) if len(counts) else 0
    if not total:
        return {"p50_ns": 0, "p99_ns": 0, "p999_ns": 0}
    shares = {"p50_ns": 0.5, "p99_ns": 0.99, "p999_ns": 0.999}
    return {name: int(bucket_end(int(np.searchsorted(counts, share * total)))) for name, share in shares.items()}


def _jitter() -> dict[str, int]:
    samples = np.zeros(JITTER_SAMPLES, np.int64)
    measure_jitter(samples, np.zeros(2, np.int64))
    return percentiles(samples)
