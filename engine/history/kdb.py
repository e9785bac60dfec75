"""The kdb+ store: every question is one call of a function that ``deploy/kdb`` defines in q, never q text.

On the wire ``symbol`` is ``sym`` and times are timestamps; text travels as char vectors. A long of -2**63 is q's null
and comes back as itself.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.dates import Day
from engine.errors import BadInput
from engine.history import daily, queries
from engine.history.kdb_connection import KdbConnection, pykx
from engine.history.names import checked_dataset
from engine.history.rows import checked, content_hash
from engine.history.store import BARS, Appended, CorruptHistory, DatasetDescription, DatasetMeta, Panel
from engine.history.tables import FIRST_TIME, LAST_TIME, QUOTED, TABLES, TEXT, conform, schema_of

NULL_LONG = -(2**63)
TRIES = 5  # of an append of daily bars that another writer overtook


class KdbHistory:
    """``engine.history.History`` on a kdb+ server."""

    def __init__(self, url: str) -> None:
        self._call = KdbConnection(url)

    def close(self) -> None:
        """Close this thread's connection; the next question opens another."""
        self._call.close()

    # ---- rows

    def append(self, dataset: str, table: str, rows: pa.Table, *, source: str = "") -> int:
        """See ``Ticks.append``."""
        rows = conform(table, rows)
        if not rows.num_rows:
            return 0
        return int(self._call(".hg.append", checked_dataset(dataset), table, source, to_wire(rows)).py())

    def position(self, dataset: str, table: str, source: str) -> int:
        """See ``Ticks.position``."""
        schema_of(table)
        return int(self._call(".hg.position", checked_dataset(dataset), table, source).py())

    def days(self, dataset: str, table: str) -> list[int]:
        """See ``Ticks.days``."""
        schema_of(table)
        return self._call(".hg.days", checked_dataset(dataset), table).np().astype(np.int64).tolist()

    def close_day(self, dataset: str, day: int) -> None:
        """See ``Ticks.close_day``: the day's rows of all datasets move into the partition of its date."""
        checked_dataset(dataset)
        self._call(".hg.eod", day)

    def rows(
        self,
        dataset: str,
        table: str,
        symbols: Sequence[str] | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> pa.Table:
        """See ``Ticks.rows``."""
        schema = schema_of(table)
        return from_wire(self._call(".hg.rows", checked_dataset(dataset), table, *_range(symbols, start, end)), schema)

    def last(self, dataset: str, table: str, symbols: Sequence[str] | None = None, at: int | None = None) -> pa.Table:
        """See ``Ticks.last``."""
        schema = schema_of(table)
        until = LAST_TIME if at is None else at
        return from_wire(self._call(".hg.last", checked_dataset(dataset), table, _symbols(symbols), until), schema)

    def trade_bars(
        self,
        dataset: str,
        interval: int,
        symbols: Sequence[str] | None = None,
        start: int | None = None,
        end: int | None = None,
        *,
        origin: int = 0,
    ) -> pa.Table:
        """See ``Ticks.trade_bars``."""
        queries.checked_interval(interval)
        asked = (checked_dataset(dataset), interval, *_range(symbols, start, end), origin)
        return from_wire(self._call(".hg.bars", *asked), TABLES["bar"])

    def trades_with_quotes(
        self, dataset: str, symbols: Sequence[str] | None = None, start: int | None = None, end: int | None = None
    ) -> pa.Table:
        """See ``Ticks.trades_with_quotes``."""
        return from_wire(self._call(".hg.asof", checked_dataset(dataset), *_range(symbols, start, end)), QUOTED)

    def volume_curve(
        self, dataset: str, symbols: Sequence[str], sessions: Sequence[tuple[int, int]], buckets: int
    ) -> NDArray[np.float64]:
        """See ``Ticks.volume_curve``."""
        return queries.volume_curve(self, dataset, symbols, sessions, buckets)

    def universe(self, dataset: str, at: int) -> list[str]:
        """See ``Ticks.universe``."""
        return queries.universe(self, dataset, at)

    # ---- daily bars

    def append_bars(
        self,
        dataset: str,
        table: pa.Table,
        description: DatasetDescription | None = None,
        *,
        replace: bool = False,
    ) -> Appended:
        """See ``History.append_bars``: the whole is put in place of the whole, if nobody else did so meanwhile."""
        checked_dataset(dataset)
        new = checked(table)
        if not new.num_rows:
            raise BadInput("empty", "table", 0, "at least one bar")
        for _ in range(TRIES):
            try:
                return self._append_bars(dataset, new, description, replace)
            except BadInput as refused:
                if refused.code != "overtaken":
                    raise
                overtaken = refused
        raise overtaken

    def _append_bars(
        self, dataset: str, new: pa.Table, description: DatasetDescription | None, replace: bool
    ) -> Appended:
        before = next((meta for meta in self.datasets() if meta.name == dataset), None)
        if before is None:
            data_hash = self._put(dataset, "", description or DatasetDescription(), new)
            return Appended(new.num_rows, 0, 0, data_hash)
        described = daily.agreed(before, description)
        merged = daily.merge(dataset, checked(self._daily(dataset, None, None, None)), new, replace)
        if not merged.added and not merged.replaced and described == daily.description_of(before):
            return merged.answer(before.data_hash)
        return merged.answer(self._put(dataset, before.data_hash, described, merged.whole))

    def _put(self, dataset: str, before: str, described: DatasetDescription, whole: pa.Table) -> str:
        meta = daily.meta_of(dataset, described, whole)
        self._call(".hg.dailyPut", dataset, before.encode(), msgspec.json.encode(meta), to_wire(whole))
        return meta.data_hash

    def bars(
        self, dataset: str, symbols: Sequence[str] | None = None, start: Day | None = None, end: Day | None = None
    ) -> pa.Table:
        """See ``History.bars``."""
        daily.check_symbols(self.describe(dataset), symbols)
        return self._daily(dataset, symbols, start, end)

    def closes(
        self, dataset: str, start: Day | None = None, end: Day | None = None, symbols: Sequence[str] | None = None
    ) -> Panel:
        """See ``History.closes``."""
        return self._panel(dataset, "close", start, end, symbols)

    def opens(
        self, dataset: str, start: Day | None = None, end: Day | None = None, symbols: Sequence[str] | None = None
    ) -> Panel:
        """See ``History.opens``."""
        return self._panel(dataset, "open", start, end, symbols)

    def datasets(self) -> list[DatasetMeta]:
        """See ``History.datasets``."""
        found = self._call(".hg.dailyMeta", None).pa()["description"].to_pylist()
        return sorted((msgspec.json.decode(text, type=DatasetMeta) for text in found), key=lambda meta: meta.name)

    def describe(self, dataset: str) -> DatasetMeta:
        """See ``History.describe``."""
        metas = {meta.name: meta for meta in self.datasets()}
        if dataset not in metas:
            names = ", ".join(metas) or "none yet (import_history brings the first)"
            raise BadInput("unknown_dataset", "dataset", dataset, f"one of: {names}")
        return metas[dataset]

    def data_hash(self, dataset: str) -> str:
        """See ``History.data_hash``."""
        meta = self.describe(dataset)
        found = content_hash(checked(self._daily(dataset, None, None, None)))
        if found != meta.data_hash:
            raise CorruptHistory(f"dataset {dataset} has rows of hash {found}, not {meta.data_hash}")
        return found

    def _panel(
        self, dataset: str, column: str, start: Day | None, end: Day | None, symbols: Sequence[str] | None
    ) -> Panel:
        found = self.bars(dataset, symbols, start, end)
        return daily.panel(found.rename_columns({column: "price"}), symbols)

    def _daily(self, dataset: str, symbols: Sequence[str] | None, start: Day | None, end: Day | None) -> pa.Table:
        answer = self._call(".hg.dailyRows", dataset, _symbols(symbols), *daily.day_range(start, end))
        return from_wire(answer, BARS)


# ---- the wire


def to_wire(rows: pa.Table) -> Any:
    """Rows as a q table."""
    for place, field in enumerate(rows.schema):
        column = rows[field.name]
        if field.name == "time":
            rows = rows.set_column(place, "time", column.cast(pa.timestamp("ns")))
        elif field.name == "symbol":
            rows = rows.set_column(place, "sym", column)
        elif field.name in TEXT:
            rows = rows.set_column(place, field.name, column.cast(pa.binary()))
        else:
            rows = rows.set_column(place, field.name, pc.fill_null(column, NULL_LONG))
    return pykx().toq(rows)


def from_wire(answer: Any, schema: pa.Schema) -> pa.Table:
    """A q table as rows of ``schema``; longs that are null in q are so only where the schema allows it."""
    found = answer.pa()
    columns = []
    for field in schema:
        column = found["sym" if field.name == "symbol" else field.name]
        if pa.types.is_timestamp(column.type):  # a null is a quote that never stood
            column = pc.fill_null(column.cast(pa.int64()), 0)
        elif field.type == pa.int64() and not field.nullable:
            column = pc.fill_null(column.cast(pa.int64()), NULL_LONG)
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=schema).combine_chunks()


def _symbols(symbols: Sequence[str] | None) -> Any:
    return None if symbols is None else pykx().SymbolVector(list(symbols))


def _range(symbols: Sequence[str] | None, start: int | None, end: int | None) -> tuple[Any, int, int]:
    return _symbols(symbols), FIRST_TIME if start is None else start, LAST_TIME + 1 if end is None else end
