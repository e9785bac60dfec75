"""Rows of bars: checking, keys, comparing and hashing them, independent of any store."""

from hashlib import sha256
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.history.store import BARS, FIRST_DAY, LAST_DAY

FIGURES = ("open", "high", "low", "close", "volume")
UNKNOWN = -1  # a null in an int64 column, for comparing and hashing; no price or volume is negative


def checked(table: pa.Table) -> pa.Table:
    """The table cast to ``BARS`` and ordered by symbol and date. Raises ``BadInput`` for what no bar may be."""
    missing = [name for name in BARS.names if name not in table.column_names]
    if missing:
        raise BadInput("missing_column", "table", missing, f"columns {BARS.names}")
    try:
        table = table.select(BARS.names).cast(BARS).combine_chunks()
    except (pa.ArrowInvalid, ValueError) as error:
        raise BadInput("bad_column", "table", str(error), "columns of the bar schema") from error
    table = table.sort_by([("symbol", "ascending"), ("date", "ascending")]).combine_chunks()
    days = table["date"].to_numpy()
    if len(days) and (days.min() < FIRST_DAY or days.max() > LAST_DAY):
        raise BadInput("bad_date", "date", int(days.min()), f"yyyymmdd from {FIRST_DAY} to {LAST_DAY}")
    for name in FIGURES:
        least = pc.min(table[name]).as_py()
        floor = 0 if name == "volume" else 1
        if least is not None and least < floor:
            raise BadInput("bad_figure", name, least, f"at least {floor}")
    twice = np.flatnonzero(~_differs_from_before(table))
    if len(twice):
        bar = table.slice(int(twice[0]), 1).to_pylist()[0]
        raise BadInput("duplicate_bar", "date", f"{bar['symbol']} {bar['date']}", "one bar a symbol and day")
    return table


def figures(table: pa.Table) -> NDArray[np.int64]:
    """Open, high, low, close, volume as int64 [rows, 5], ``UNKNOWN`` where null."""
    return np.stack([pc.fill_null(table[name], UNKNOWN).to_numpy() for name in FIGURES], axis=1)


class Overlap(NamedTuple):
    """Bars of the same symbol and day: their row numbers in both tables, and whether the figures are equal."""

    old: NDArray[np.int64]
    new: NDArray[np.int64]
    equal: NDArray[np.bool_]


def overlap(old: pa.Table, new: pa.Table) -> Overlap:
    """Bars that both tables have. Each table holds a symbol's day at most once."""
    symbols = sorted(set(old["symbol"].unique().to_pylist()) | set(new["symbol"].unique().to_pylist()))
    _, in_old, in_new = np.intersect1d(
        _keys(old, symbols), _keys(new, symbols), assume_unique=True, return_indices=True
    )
    equal = (figures(old)[in_old] == figures(new)[in_new]).all(axis=1)
    return Overlap(in_old, in_new, equal)


def content_hash(table: pa.Table) -> str:
    """SHA-256 (hex) of symbols, dates and figures (little-endian int64) of a table ordered by symbol and date."""
    encoded = table["symbol"].combine_chunks().dictionary_encode()
    symbols = encoded.dictionary.to_pylist()
    digest = sha256(b"heliograph bars 1\n" + "\n".join(symbols).encode() + b"\n")
    counts = np.bincount(encoded.indices.to_numpy(), minlength=len(symbols))
    for column in (counts, table["date"].to_numpy(), *figures(table).T):
        digest.update(np.ascontiguousarray(column, "<i8").tobytes())
    return digest.hexdigest()


def _keys(table: pa.Table, symbols: list[str]) -> NDArray[np.int64]:
    codes = pc.index_in(table["symbol"], pa.array(symbols, pa.string())).to_numpy().astype(np.int64)
    return codes * 100_000_000 + table["date"].to_numpy()


def _differs_from_before(table: pa.Table) -> NDArray[np.bool_]:
    symbols = table["symbol"].combine_chunks().dictionary_encode().indices.to_numpy()
    days = table["date"].to_numpy()
    differs = np.ones(len(days), bool)
    differs[1:] = (symbols[1:] != symbols[:-1]) | (days[1:] != days[:-1])
    return differs
