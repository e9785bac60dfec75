"""What is doubtful about rows of trades and quotes: found by rules, one finding a kind, symbol and file.

Nothing is changed or left out; ``detail`` says how many rows, and what the first was. Equal trades or quotes of one
millisecond are no doubt: feeds of that resolution are full of them.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.events import PRICE_SCALE
from engine.history.quality import Finding
from engine.history.tables import NO_PRICE, day_of, symbol_codes

AROUND = 5  # trades on either side whose median a price is compared with
OUTLIER = 0.02  # |log| from that median, and
OUTLIER_SIGMAS = 12  # against how prices usually stand from theirs
SILENCE = 15 * 60 * 10**9  # ns without a row, where
DENSE = 50  # rows before and after it took less than that


def examine_ticks(table: str, rows: pa.Table) -> list[Finding]:
    """Findings on rows of ``trade``, ``quote`` or ``bar`` in order of time; others have none."""
    rules = {"trade": _trades, "quote": _quotes, "bar": _bars}
    if table not in rules or not rows.num_rows:
        return []
    found = []
    names, codes = symbol_codes(rows)
    for code, symbol in enumerate(names):
        own = rows.filter(pa.array(codes == code))
        columns = {name: own[name].to_numpy() for name in own.column_names if name not in ("symbol",)}
        doubts = rules[table](columns)
        days = day_of(columns["time"])
        for kind, doubtful in doubts.items():
            at = np.flatnonzero(doubtful)
            if len(at):
                detail = f"{len(at)} of {len(days)} rows of table {table}, first {_shown(columns, int(at[0]))}"
                found.append(Finding(kind, symbol, int(days[at[0]]), detail))
    return found


def _trades(trade: dict[str, NDArray]) -> dict[str, NDArray[np.bool_]]:
    impossible = (trade["price"] <= 0) | (trade["size"] <= 0)
    counts = ~impossible & ((trade["flags"] & NO_PRICE) == 0)
    outlier = np.zeros(len(counts), bool)
    outlier[counts] = _alone(np.log(trade["price"][counts]))
    return {"impossible": impossible, "outlier": outlier, "silence": _silent(trade["time"])}


def _quotes(quote: dict[str, NDArray]) -> dict[str, NDArray[np.bool_]]:
    both = (quote["bid"] > 0) & (quote["ask"] > 0)
    negative = np.minimum.reduce([quote[name] for name in ("bid", "ask", "bid_size", "ask_size")]) < 0
    crossed = both & (quote["bid"] > quote["ask"])
    return {"impossible": negative, "crossed": crossed, "silence": _silent(quote["time"])}


def _bars(bar: dict[str, NDArray]) -> dict[str, NDArray[np.bool_]]:
    low, high = np.minimum(bar["open"], bar["close"]), np.maximum(bar["open"], bar["close"])
    impossible = (bar["low"] <= 0) | (bar["high"] < high) | (bar["low"] > low) | (bar["volume"] < 0)
    return {"impossible": impossible, "duplicate": np.r_[False, np.diff(bar["time"]) == 0]}


def _alone(logs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Prices far from the median of those around them, which itself is not moving."""
    if len(logs) < 2 * AROUND + 1:
        return np.zeros(len(logs), bool)
    padded = np.pad(logs, AROUND, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1)
    away = np.abs(logs - np.median(windows, axis=1))
    usual = 1.4826 * np.median(away[away > 0]) if (away > 0).any() else 0.0
    return away > max(OUTLIER, OUTLIER_SIGMAS * usual)


def _silent(time: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows after a long silence on either side of which rows are dense: nights and early mornings are silent anyway."""
    silent = np.zeros(len(time), bool)
    for at in np.flatnonzero(np.diff(time) > SILENCE) + 1:
        if DENSE <= at < len(time) - DENSE:
            silent[at] = max(time[at - 1] - time[at - DENSE], time[at + DENSE] - time[at]) < SILENCE
    return silent


def _shown(columns: dict[str, NDArray], at: int) -> str:
    figures = [name for name in ("price", "bid", "ask", "open", "high", "low", "close") if name in columns]
    clock = str(np.datetime64(int(columns["time"][at]), "ns"))[11:23]
    return f"{clock} UTC: " + ", ".join(f"{name} {columns[name][at] / PRICE_SCALE:g}" for name in figures)
