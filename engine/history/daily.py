"""Datasets of daily bars: how new bars join old ones, and what is said of the whole, whichever store has them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.dates import Day, as_yyyymmdd
from engine.errors import BadInput
from engine.history.rows import checked, content_hash, overlap
from engine.history.store import Appended, DatasetDescription, DatasetMeta, Panel


class Merged(NamedTuple):
    """Bars after an append: all of them, those that are new or have other figures, and counts of both and the rest."""

    whole: pa.Table
    addition: pa.Table
    added: int
    replaced: int
    unchanged: int

    def answer(self, data_hash: str) -> Appended:
        return Appended(self.added, self.replaced, self.unchanged, data_hash)


def merge(dataset: str, old: pa.Table, new: pa.Table, replace: bool) -> Merged:
    """Join bars (both ``checked``). Raises ``BadInput`` for other figures of a bar, unless ``replace``."""
    both = overlap(old, new)
    conflicts = both.new[~both.equal]
    if len(conflicts) and not replace:
        bar = new.slice(int(conflicts[0]), 1).to_pylist()[0]
        raise BadInput(
            "overlap",
            "dataset",
            f"{dataset}: {len(conflicts)} bars have other figures there, first {bar['symbol']} {bar['date']}",
            "bars that are new or the same; --replace puts the file's bars in their place",
        )
    whole = checked(pa.concat_tables([_without(old, both.old), new]))
    addition = _without(new, both.new[both.equal])
    return Merged(whole, addition, new.num_rows - len(both.new), len(conflicts), len(both.new) - len(conflicts))


def panel(found: pa.Table, symbols: Sequence[str] | None) -> Panel:
    """Columns date, symbol and price as a panel; its columns in the order of ``symbols``, or sorted."""
    names = list(symbols) if symbols is not None else found["symbol"].unique().sort().to_pylist()
    dates, rows = np.unique(found["date"].to_numpy(), return_inverse=True)
    prices = np.zeros((len(dates), len(names)), np.int64)
    columns = pc.index_in(found["symbol"], pa.array(names, pa.string())).to_numpy()
    prices[rows, columns] = pc.fill_null(found["price"], 0).to_numpy()
    return Panel(dates, names, prices)


def check_symbols(meta: DatasetMeta, symbols: Sequence[str] | None) -> None:
    """Raises ``BadInput`` for a symbol that the dataset does not have."""
    known = set(meta.symbols)
    for symbol in symbols or ():
        if symbol not in known:
            raise BadInput("unknown_symbol", "symbol", symbol, f"a symbol of dataset {meta.name}")


def day_range(start: Day | None, end: Day | None) -> tuple[int, int]:
    """First and last day (yyyymmdd) of a range that may be open."""
    return as_yyyymmdd(start) if start is not None else 0, as_yyyymmdd(end) if end is not None else 99_999_999


def _without(table: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
    keep = np.ones(table.num_rows, bool)
    keep[rows] = False
    return table.filter(pa.array(keep))


def description_of(meta: DatasetMeta) -> DatasetDescription:
    """What its importer said of a dataset."""
    return DatasetDescription(meta.source, meta.adjusted, meta.survivors_only, meta.notes)


def agreed(meta: DatasetMeta, description: DatasetDescription | None) -> DatasetDescription:
    """The description after an append: the new one, which must not mix adjusted with unadjusted prices."""
    if description is None:
        return description_of(meta)
    if description.adjusted != meta.adjusted:
        raise BadInput("mixed_adjustment", "adjusted", description.adjusted, f"{meta.adjusted}, as dataset {meta.name}")
    return DatasetDescription(
        description.source or meta.source,
        meta.adjusted,
        meta.survivors_only or description.survivors_only,
        description.notes or meta.notes,
    )


def meta_of(name: str, described: DatasetDescription, rows: pa.Table) -> DatasetMeta:
    """What a dataset of these bars (ordered by symbol and date) is."""
    span = pc.min_max(rows["date"]).as_py()
    return DatasetMeta(
        name=name,
        source=described.source,
        adjusted=described.adjusted,
        survivors_only=described.survivors_only,
        notes=described.notes,
        opens_known=rows["open"].null_count < rows.num_rows,
        first=span["min"],
        last=span["max"],
        symbols=tuple(rows["symbol"].unique().sort().to_pylist()),
        rows=rows.num_rows,
        data_hash=content_hash(rows),
    )
