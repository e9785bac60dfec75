"""Faults planted in a copy of the 505-symbol panel, and how many the data-quality report finds; false alarms counted.

Each fault is planted in a symbol of its own, at a day and with a size drawn from the seed. Found is a finding of that
symbol on that day, of a kind that names the fault. A false alarm is a finding that neither the untouched panel has nor
a planted fault explains. The peer is the rule that is often used instead: a close that moves by more than 30 %.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.benchmarks.surroundings import commit, machine, shared_file
from engine.history.ingest import read_bars
from engine.history.quality import Finding, examine
from engine.history.rows import FIGURES, UNKNOWN, figures
from engine.history.store import BARS

PANEL = "data/sp500_daily/sp500_ohlcv_2013-02-08_2018-02-07.csv.xz"
OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)
PRICES = slice(OPEN, VOLUME)
NAIVE = 0.30
Figures = NDArray[np.int64]


class Fault(NamedTuple):
    """How to plant it into one symbol's figures [days, 5] at a row, and the kinds of finding that name it."""

    plant: Callable[[Figures, int, np.random.Generator], None]
    kinds: tuple[str, ...]


def _scale(bars: Figures, rows: slice, columns: Any, factor: float) -> None:
    known = bars[rows, columns] != UNKNOWN
    bars[rows, columns] = np.where(known, np.rint(bars[rows, columns] * factor), UNKNOWN)


def _split(bars: Figures, row: int, random: np.random.Generator) -> None:
    ratio = random.choice([1 / 2, 1 / 3, 2 / 3, 1 / 4, 1 / 10, 2, 5, 10])
    _scale(bars, slice(row, None), PRICES, ratio)


def _glitch(bars: Figures, row: int, random: np.random.Generator) -> None:
    _scale(bars, slice(row, row + int(random.integers(1, 3))), PRICES, random.choice([0.5, 2.0, 0.01]))


def _spike(bars: Figures, row: int, random: np.random.Generator) -> None:
    _scale(bars, slice(row, row + 1), PRICES, random.choice([0.8, 1.25]))


def _wick(bars: Figures, row: int, random: np.random.Generator) -> None:
    column, factor = ((HIGH, random.uniform(1.5, 3)), (LOW, random.uniform(0.3, 0.6)))[int(random.integers(2))]
    _scale(bars, slice(row, row + 1), column, factor)


def _crossed(bars: Figures, row: int, random: np.random.Generator) -> None:
    bars[row, [HIGH, LOW]] = bars[row, LOW] - 1, bars[row, HIGH] + 1


def _outside(bars: Figures, row: int, random: np.random.Generator) -> None:
    column = (OPEN, CLOSE)[int(random.integers(2))]
    bars[row, column] = bars[row, HIGH] + int(random.integers(1, 100))


def _no_volume(bars: Figures, row: int, random: np.random.Generator) -> None:
    bars[row, VOLUME] = 0


def _unknown(bars: Figures, row: int, random: np.random.Generator) -> None:
    bars[row, int(random.integers(3))] = UNKNOWN


FAULTS = {
    "split": Fault(_split, ("jump",)),
    "glitch": Fault(_glitch, ("glitch",)),
    "spike": Fault(_spike, ("outlier", "glitch")),
    "wick": Fault(_wick, ("outlier",)),
    "crossed": Fault(_crossed, ("high_below_low",)),
    "outside": Fault(_outside, ("open_outside_range", "close_outside_range")),
    "no_volume": Fault(_no_volume, ("zero_volume",)),
    "unknown": Fault(_unknown, ("missing_open", "missing_high", "missing_low")),
}


class Planted(NamedTuple):
    """A panel with faults: (fault, symbol) to the day (yyyymmdd) of each."""

    bars: pa.Table
    faults: dict[tuple[str, str], int]


def plant(bars: pa.Table, clean: list[str], seed: int) -> Planted:
    """Faults in a copy of ``bars`` (ordered by symbol and date), a kind after the other over the symbols ``clean``."""
    random = np.random.default_rng(seed)
    changed, symbols, days = figures(bars), np.array(bars["symbol"].to_pylist()), bars["date"].to_numpy()
    planted: dict[tuple[str, str], int] = {}
    for place, symbol in enumerate(random.permutation(clean).tolist()):
        name = list(FAULTS)[place % len(FAULTS)]
        rows = np.flatnonzero(symbols == symbol)
        row = int(random.integers(20, len(rows) - 20))
        own = changed[rows]
        FAULTS[name].plant(own, row, random)
        changed[rows] = own
        planted[name, symbol] = int(days[rows[row]])
    columns = {name: pa.array(changed[:, at], mask=changed[:, at] == UNKNOWN) for at, name in enumerate(FIGURES)}
    return Planted(pa.table({**{n: bars[n] for n in ("date", "symbol")}, **columns}).cast(BARS), planted)


class Score(NamedTuple):
    planted: Counter[str]
    found: Counter[str]
    false_alarms: list[Finding]


def score(planted: Planted, found: list[Finding], before: list[Finding]) -> Score:
    """What was found of what was planted, and what was told beside."""
    told = {(one.symbol, one.date, one.kind) for one in found}
    counted, hit = Counter[str](), Counter[str]()
    for (name, symbol), day in planted.faults.items():
        counted[name] += 1
        hit[name] += any((symbol, day, kind) in told for kind in FAULTS[name].kinds)
    explained = {(symbol, day) for (_, symbol), day in planted.faults.items()}
    explained |= {(one.symbol, one.date) for one in before}
    return Score(counted, hit, [one for one in found if one.date and (one.symbol, one.date) not in explained])


def quiet_symbols(bars: pa.Table, findings: list[Finding]) -> list[str]:
    """Symbols without a finding and with a year of bars: what is told of them later was planted, or is wrong."""
    counts = bars["symbol"].value_counts()
    long = {one["values"].as_py() for one in counts if one["counts"].as_py() >= 250}
    return sorted(long - {one.symbol for one in findings})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=3, help="copies of the panel with faults")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises MissingPrerequisite without the shared panel."""
    ingested = read_bars(shared_file(PANEL))
    clean = quiet_symbols(ingested.bars, ingested.quality)
    planted, found, alarms, naive_found, naive_alarms = Counter[str](), Counter[str](), Counter[str](), 0, 0
    seconds = []
    for seed in range(arguments.seeds):
        copy = plant(ingested.bars, clean, seed)
        started = time.perf_counter()
        findings = examine(copy.bars)
        seconds.append(time.perf_counter() - started)
        result = score(copy, findings, ingested.quality)
        planted, found = planted + result.planted, found + result.found
        alarms += Counter(one.kind for one in result.false_alarms)
        hits, wrong = _naive(copy, ingested.quality)
        naive_found, naive_alarms = naive_found + hits, naive_alarms + wrong
    total = sum(planted.values())
    ours, peer = sum(found.values()) / total, naive_found / total
    return {
        "bench": "quality",
        "ours": round(ours, 4),
        "peer": round(peer, 4),
        "ratio": round(ours / peer, 2),
        "unit": "share of the planted faults that is found",
        "n": total,
        "commit": commit(),
        "machine": machine(),
        "found": {name: f"{found[name]} of {planted[name]}" for name in FAULTS},
        "false_alarms": dict(alarms),
        "false_alarms_a_copy": round(sum(alarms.values()) / arguments.seeds, 2),
        "peer_false_alarms_a_copy": round(naive_alarms / arguments.seeds, 2),
        "findings_untouched": dict(Counter(one.kind for one in ingested.quality)),
        "bars": ingested.bars.num_rows,
        "seconds_a_copy": round(float(np.median(seconds)), 3),
    }


def _naive(planted: Planted, before: list[Finding]) -> tuple[int, int]:
    bars = planted.bars
    same = pc.equal(bars["symbol"][1:].combine_chunks(), bars["symbol"][:-1].combine_chunks()).to_numpy(False)
    close = bars["close"].to_numpy().astype(float)
    at = np.flatnonzero(np.r_[False, same & (np.abs(np.diff(close) / close[:-1]) > NAIVE)])
    told = set(zip(bars["symbol"].take(pa.array(at)).to_pylist(), bars["date"].to_numpy()[at].tolist(), strict=True))
    faults = {(symbol, day) for (_, symbol), day in planted.faults.items()}
    return len(faults & told), len(told - faults - {(one.symbol, one.date) for one in before})
