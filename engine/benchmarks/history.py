"""The embedded history store beside SQLite, in the same run: appending ticks in batches, and reading one symbol's day.

Trades of many symbols, in order of time, go in by batches of 10,000 with a source, as the engine's agent writes them;
what merges cost is in the rate. Then the range of one symbol's day is read, before and after the day is closed, and
one-minute bars of all are made. SQLite (WAL, synchronous NORMAL, a table without rowid keyed by symbol, time and seq)
gets the same batches and is asked for the same range.
"""

import argparse
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.benchmarks.surroundings import commit, file_system, machine
from engine.history import open_history
from engine.history.tables import TABLES

OPEN = int(np.datetime64("2026-03-02T14:30", "ns").astype(np.int64))
SESSION = 6 * 3600 * 10**9 + 1800 * 10**9
MINUTE = 60 * 10**9
MUST_ROWS, MUST_SCAN_MS = 1_000_000, 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where to write; default: the system's temporary folder")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    ticks = _ticks(arguments.rows, arguments.symbols)
    batches = [ticks.slice(at, arguments.batch) for at in range(0, arguments.rows, arguments.batch)]
    asked = [f"S{number:04d}" for number in range(0, arguments.symbols, max(arguments.symbols // 20, 1))]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        ours = _ours(Path(folder) / "history", batches, asked)
        peer = _sqlite(Path(folder) / "peer.db", batches, asked)
        system = file_system(Path(folder))
    equal = ours.pop("figures") == peer.pop("figures")
    return {
        "bench": "history",
        "ok": equal,
        "ours": ours["append_rows_per_s"],
        "peer": peer["append_rows_per_s"],
        "ratio": round(ours["append_rows_per_s"] / peer["append_rows_per_s"], 2),
        "unit": "rows/s appended",
        "n": arguments.rows,
        "commit": commit(),
        "machine": machine(),
        "file_system": system,
        "symbols": arguments.symbols,
        "batch": arguments.batch,
        **ours,
        "peer_scan_ms": peer["scan_ms"],
        "scan_ratio": round(peer["scan_ms"] / ours["scan_ms"], 2),
        "must": {"append_rows_per_s": MUST_ROWS, "scan_ms": MUST_SCAN_MS},
        "figures_equal": equal,
    }


def _ticks(count: int, symbols: int) -> pa.Table:
    random = np.random.default_rng(1)
    names = pa.array([f"S{number:04d}" for number in range(symbols)])
    columns = {
        "time": pa.array(OPEN + np.sort(random.integers(0, SESSION, count))),
        "symbol": names.take(pa.array(random.integers(0, symbols, count))),
        "seq": pa.array(np.arange(1, count + 1)),
        "price": pa.array(1_000_000 + np.cumsum(random.integers(-1, 2, count)) * 100),
        "size": pa.array(random.integers(1, 20, count) * 100),
        "side": pa.array(random.integers(-1, 2, count)),
        "venue": pa.array(random.integers(0, 4, count)),
        "flags": pa.array(np.zeros(count, np.int64)),
    }
    return pa.table(columns, schema=TABLES["trade"])


def _ours(root: Path, batches: list[pa.Table], asked: list[str]) -> dict[str, Any]:
    history = open_history(root)
    started, processed = time.perf_counter(), time.process_time()
    slowest = 0.0
    for batch in batches:
        begun = time.perf_counter()
        history.append("bench", "trade", batch, source="journal")
        slowest = max(slowest, time.perf_counter() - begun)
    seconds, cpu = time.perf_counter() - started, time.process_time() - processed
    rows = sum(batch.num_rows for batch in batches)
    open_ms, _ = _scans(lambda symbol: history.rows("bench", "trade", [symbol]), asked)
    begun = time.perf_counter()
    history.close_day("bench", history.days("bench", "trade")[0])
    closing = time.perf_counter() - begun
    scan_ms, found = _scans(lambda symbol: history.rows("bench", "trade", [symbol]), asked)
    begun = time.perf_counter()
    bars = history.trade_bars("bench", MINUTE).num_rows
    return {
        "append_rows_per_s": round(rows / seconds),
        "append_rows_per_cpu_s": round(rows / cpu),
        "slowest_batch_ms": round(slowest * 1e3, 1),
        "scan_ms": round(scan_ms, 2),
        "scan_before_close_ms": round(open_ms, 2),
        "close_day_s": round(closing, 2),
        "minute_bars": bars,
        "minute_bars_ms": round((time.perf_counter() - begun) * 1e3),
        "bytes_per_row": round(sum(path.stat().st_size for path in root.rglob("*.parquet")) / rows, 1),
        "figures": [(one.num_rows, sum(one["price"].to_pylist())) for one in found],
    }


def _scans(ask: Any, asked: list[str]) -> tuple[float, list[Any]]:
    """Median ms of a question a symbol, after one that warms up, and the answers."""
    ask(asked[0])
    taken, found = [], []
    for symbol in asked:
        started = time.perf_counter()
        found.append(ask(symbol))
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e3, found


def _sqlite(path: Path, batches: list[pa.Table], asked: list[str]) -> dict[str, Any]:
    names = TABLES["trade"].names
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    others = ", ".join(f"{name} INTEGER" for name in names if name != "symbol")
    database.execute(f"CREATE TABLE trade (symbol TEXT, {others}, PRIMARY KEY (symbol, time, seq)) WITHOUT ROWID")
    order = ["symbol", *(name for name in names if name != "symbol")]
    insert = f"INSERT INTO trade VALUES ({', '.join('?' * len(order))})"
    seconds = 0.0
    for batch in batches:
        rows = list(zip(*(batch[name].to_pylist() for name in order), strict=True))  # not timed
        started = time.perf_counter()
        with database:
            database.executemany(insert, rows)
        seconds += time.perf_counter() - started
    query = "SELECT * FROM trade WHERE symbol = ? AND time >= ? AND time < ? ORDER BY time, seq"

    def ask(symbol: str) -> list[tuple[Any, ...]]:
        return database.execute(query, (symbol, OPEN, OPEN + SESSION)).fetchall()

    scan_ms, found = _scans(ask, asked)
    database.close()
    place = order.index("price")
    return {
        "append_rows_per_s": round(sum(batch.num_rows for batch in batches) / seconds),
        "scan_ms": round(scan_ms, 2),
        "figures": [(len(rows), sum(row[place] for row in rows)) for rows in found],
    }
