"""Files of daily prices into bars: the wide form (a date and one column of closes a symbol) and the long form
(date, symbol, open, high, low, close, volume; a row a bar).

What makes a file meaningless as a whole (a missing column, another encoding) raises ``BadInput``. What is wrong
with a row is listed with its row and column, and whoever imports decides whether the rest may go in. An unknown
open, high, low or volume beside a close is no fault of the row: the bar is accepted, and quality says so.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.history import fields
from engine.history.quality import Finding, examine
from engine.history.rawfile import RawFile, RowError, read_raw
from engine.history.rows import FIGURES, UNKNOWN
from engine.history.store import BARS

SYMBOL_COLUMNS = ("symbol", "name", "ticker")
MOST_ERRORS = 1_000  # listed one by one; ``rejected`` counts all


class Ingested(NamedTuple):
    """Bars of a file that may be appended, and what was wrong with the others."""

    bars: pa.Table  # schema BARS, ordered by symbol and date
    rejected: int  # bars of the file that are not among them
    errors: list[RowError]  # ordered by row; at most MOST_ERRORS
    quality: list[Finding]
    form: Literal["wide", "long"]
    sha256: str


def read_bars(path: Path | str) -> Ingested:
    """Read a .csv, .csv.gz, .csv.xz or .parquet file. Raises ``BadInput`` for a file that is unusable as a whole."""
    raw = read_raw(path)
    header = {name.strip().lower(): name for name in raw.columns}
    if _is_long(header):
        bars, rejected, errors = _read_long(raw, header)
        form: Literal["wide", "long"] = "long"
    else:
        bars, rejected, errors = _read_wide(raw, header)
        form = "wide"
    errors = sorted([*raw.errors, *errors], key=lambda error: (error.row, error.column))
    rejected += len(raw.errors)
    bars = bars.sort_by([("symbol", "ascending"), ("date", "ascending")]).combine_chunks()
    return Ingested(bars, rejected, errors[:MOST_ERRORS], examine(bars), form, raw.sha256)


def _is_long(header: dict[str, str]) -> bool:
    # LOW and OPEN are symbols too: one or two such columns do not make a file long.
    figures = sum(name in header for name in FIGURES)
    return any(name in header for name in SYMBOL_COLUMNS) or "close" in header or figures >= 3


def _need(header: dict[str, str], names: tuple[str, ...], expected: str) -> None:
    missing = [name for name in names if name not in header]
    if missing:
        raise BadInput("missing_column", "header", ", ".join(missing), expected)


def _read_long(raw: RawFile, header: dict[str, str]) -> tuple[pa.Table, int, list[RowError]]:
    symbol = next((name for name in SYMBOL_COLUMNS if name in header), "symbol")
    _need(header, ("date", symbol, *FIGURES), "columns date, symbol (or name, ticker), " + ", ".join(FIGURES))
    columns = {"date": fields.dates(raw.columns[header["date"]])}
    columns[symbol], names = fields.symbols(raw.columns[header[symbol]])
    for name in FIGURES:
        parse = fields.volumes if name == "volume" else fields.prices
        columns[name] = parse(raw.columns[header[name]])

    bad = columns["close"].missing.copy()
    errors = [RowError(int(raw.rows[at]), header["close"], "close is missing") for at in np.flatnonzero(bad)]
    for name, column in columns.items():
        bad |= column.bad
        errors += [RowError(int(raw.rows[at]), header[name], reason) for at, reason in column.reasons.items()]

    figures = np.stack([np.where(columns[n].missing, UNKNOWN, columns[n].values) for n in FIGURES], axis=1)
    keys = columns[symbol].values * 100_000_000 + columns["date"].values
    good = np.flatnonzero(~bad)
    dropped, duplicates = _duplicates(keys[good], figures[good], raw.rows[good])
    errors += [RowError(row, header["date"], reason) for row, reason in duplicates]
    good = good[~dropped]
    bars = _table(columns["date"].values[good], columns[symbol].values[good], names, figures[good])
    return bars, len(raw.rows) - len(good), errors


def _read_wide(raw: RawFile, header: dict[str, str]) -> tuple[pa.Table, int, list[RowError]]:
    _need(header, ("date",), "a column date, and a column for each symbol")
    symbols = [column for name, column in header.items() if name != "date"]
    if not symbols:
        raise BadInput("missing_column", "header", "only date", "a column for each symbol beside the date")
    for column in symbols:
        if fault := fields.symbol_fault(column.strip()):
            raise BadInput("bad_symbol", "header", column, fault)
    dates = fields.dates(raw.columns[header["date"]])
    errors = [RowError(int(raw.rows[at]), header["date"], reason) for at, reason in dates.reasons.items()]

    closes = np.full((len(raw.rows), len(symbols)), UNKNOWN, np.int64)
    present = np.zeros(closes.shape, bool)
    for place, column in enumerate(symbols):
        parsed = fields.prices(raw.columns[column])
        present[:, place] = ~parsed.missing
        closes[:, place] = np.where(parsed.missing | parsed.bad, UNKNOWN, parsed.values)
        errors += [RowError(int(raw.rows[at]), column, reason) for at, reason in parsed.reasons.items()]

    good = np.flatnonzero(~dates.bad)
    dropped, duplicates = _duplicates(dates.values[good], closes[good], raw.rows[good])
    errors += [RowError(row, header["date"], reason) for row, reason in duplicates]
    good = good[~dropped]
    at, places = np.nonzero(closes[good] != UNKNOWN)
    figures = np.full((len(at), len(FIGURES)), UNKNOWN, np.int64)
    figures[:, FIGURES.index("close")] = closes[good][at, places]
    bars = _table(dates.values[good][at], places, [column.strip() for column in symbols], figures)
    return bars, int(present.sum()) - len(at), errors


def _duplicates(
    keys: NDArray[np.int64], figures: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], list[tuple[int, str]]]:
    """Which of the rows to drop, and (row, reason) for each row after the first of its key.

    Of rows that say the same the first stays; of rows that contradict each other none, for nobody knows which is right.
    """
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(keys[order]) != 0]) if len(keys) else np.array([], np.int64)
    dropped = np.zeros(len(keys), bool)
    reasons: list[tuple[int, str]] = []
    counts = np.diff(np.r_[starts, len(keys)])
    for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True):
        group = order[start : start + count]
        same = bool((figures[group] == figures[group[0]]).all())
        dropped[group[1:] if same else group] = True
        what = "repeats" if same else "contradicts"
        reasons += [(int(rows[at]), f"{what} row {rows[group[0]]}: the same day twice") for at in group[1:]]
    return dropped, reasons


def _table(
    dates: NDArray[np.int64], places: NDArray[np.int64], names: list[str], figures: NDArray[np.int64]
) -> pa.Table:
    arrays: dict[str, pa.Array] = {
        "date": pa.array(dates, pa.int64()),
        "symbol": pc.take(pa.array(names, pa.string()), pa.array(places, pa.int64())),
    }
    for place, name in enumerate(FIGURES):
        values = figures[:, place]
        arrays[name] = pa.array(values, pa.int64(), mask=values == UNKNOWN)
    return pa.table([arrays[name] for name in BARS.names], schema=BARS)
