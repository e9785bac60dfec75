"""The embedded store's rows: ``root/tick/<dataset>/<table>/<yyyymmdd>/``, each a folder of parts (``day_parts``).

Ranges are cut to days, then to parts by the manifest's times and symbols, then to row groups by DuckDB.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.history import queries
from engine.history.day_parts import TickPart, append_rows, close_parts, has_rows, read_day
from engine.history.names import checked_dataset
from engine.history.store import CorruptHistory
from engine.history.tables import DAY, FIRST_TIME, LAST_TIME, TABLES, conform, day_of, midnight, schema_of

TRIES = 5  # a reader that two merges overtook finds its parts gone, and looks again
Answer = TypeVar("Answer")


class Reader:
    """DuckDB over Parquet files, with no database file that could be locked."""

    def __init__(self) -> None:
        self._connection: tuple[int, duckdb.DuckDBPyConnection] | None = None

    def cursor(self) -> duckdb.DuckDBPyConnection:
        # A connection must not cross a fork (Celery), nor be shared by threads (a cursor is one of its own).
        if self._connection is None or self._connection[0] != os.getpid():
            self._connection = (os.getpid(), duckdb.connect(":memory:", config={"threads": 1}))
        return self._connection[1].cursor()


class ParquetTicks:
    """``engine.history.tables.Ticks`` in the folder ``root``."""

    def __init__(self, root: Path, reader: Reader) -> None:
        self._root, self._reader = root / "tick", reader

    # ---- writing

    def append(self, dataset: str, table: str, rows: pa.Table, *, source: str = "") -> int:
        """See ``Ticks.append``."""
        folder = self._root / checked_dataset(dataset) / table
        rows = conform(table, rows)
        days = day_of(rows["time"].to_numpy())
        added = 0
        for day in np.unique(days).tolist():
            of_day = rows if days[0] == days[-1] == day and (days == day).all() else rows.filter(pa.array(days == day))
            added += append_rows(folder / str(day), of_day, source)
        return added

    def close_day(self, dataset: str, day: int) -> None:
        """See ``Ticks.close_day``."""
        for table in TABLES:
            folder = self._folder(dataset, table) / str(day)
            if folder.is_dir():
                close_parts(folder)

    # ---- reading

    def position(self, dataset: str, table: str, source: str) -> int:
        """See ``Ticks.position``."""
        folder = self._root / checked_dataset(dataset) / table
        schema_of(table)
        manifests = (read_day(folder / str(day)) for day in _days(folder))
        return max((manifest.positions.get(source, 0) for manifest in manifests if manifest), default=0)

    def days(self, dataset: str, table: str) -> list[int]:
        """See ``Ticks.days``."""
        return _days(self._folder(dataset, table))

    def rows(
        self,
        dataset: str,
        table: str,
        symbols: Sequence[str] | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> pa.Table:
        """See ``Ticks.rows``."""
        return self._range(dataset, table, symbols, start, end, "time, seq, symbol")

    def last(self, dataset: str, table: str, symbols: Sequence[str] | None = None, at: int | None = None) -> pa.Table:
        """See ``Ticks.last``: from the newest day back, until every symbol that was asked for is found."""
        end = None if at is None else at + 1
        wanted, found = None if symbols is None else sorted(set(symbols)), [schema_of(table).empty_table()]
        known: set[str] = set()
        for day in reversed(_within(self.days(dataset, table), None, end)):
            start = midnight(day)
            until = start + DAY if end is None else min(end, start + DAY)
            rows = _newest(self._range(dataset, table, wanted, start, until, "symbol, time, seq", newest=True))
            rows = rows.filter(pc.invert(pc.is_in(rows["symbol"], pa.array(known, pa.string()))))
            found.append(rows)
            known.update(rows["symbol"].to_pylist())
            if wanted is not None:
                wanted = [symbol for symbol in wanted if symbol not in known]
                if not wanted:
                    break
        return pa.concat_tables(found).sort_by("symbol").combine_chunks()

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
        trades = self._range(dataset, "trade", symbols, start, end, "symbol, time, seq")
        return queries.bars_of_trades(queries.printed(trades), interval, origin)

    def trades_with_quotes(
        self, dataset: str, symbols: Sequence[str] | None = None, start: int | None = None, end: int | None = None
    ) -> pa.Table:
        """See ``Ticks.trades_with_quotes``."""
        quotes = self.rows(dataset, "quote", symbols, queries.session_day(start), end)
        return queries.join_quotes(self.rows(dataset, "trade", symbols, start, end), quotes)

    def volume_curve(
        self, dataset: str, symbols: Sequence[str], sessions: Sequence[tuple[int, int]], buckets: int
    ) -> NDArray[np.float64]:
        """See ``Ticks.volume_curve``."""
        return queries.volume_curve(self, dataset, symbols, sessions, buckets)

    def universe(self, dataset: str, at: int) -> list[str]:
        """See ``Ticks.universe``."""
        return queries.universe(self, dataset, at)

    # ---- parts

    def _folder(self, dataset: str, table: str) -> Path:
        schema_of(table)
        folder = self._root / checked_dataset(dataset)
        if not folder.is_dir():
            known = sorted(path.name for path in self._root.glob("*"))
            raise BadInput("unknown_dataset", "dataset", dataset, f"one of: {', '.join(known) or 'none yet'}")
        return folder / table

    def _range(
        self,
        dataset: str,
        table: str,
        symbols: Sequence[str] | None,
        start: int | None,
        end: int | None,
        order: str,
        newest: bool = False,
    ) -> pa.Table:
        folder = self._folder(dataset, table)

        def scan() -> pa.Table:
            files = [str(path) for path in self._parts(folder, symbols, start, end)]
            if not files:
                return TABLES[table].empty_table()
            only = "" if symbols is None else " AND symbol IN (SELECT unnest(?::VARCHAR[]))"
            if symbols is not None and len(symbols) == 1:
                only = " AND symbol = ?"  # what row groups are left out by
            where = f"time >= ? AND time < ?{only}"
            query = f"SELECT * FROM read_parquet(?) WHERE {where} ORDER BY {order}"  # noqa: S608
            values: list[object] = [files, *_bounds(start, end)]
            if symbols is not None:
                values.append(symbols[0] if len(symbols) == 1 else list(symbols))
            if newest:
                latest = f"(SELECT symbol, max(time) AS time FROM read_parquet(?) WHERE {where} GROUP BY symbol)"  # noqa: S608
                query = f"SELECT rows.* FROM read_parquet(?) rows JOIN {latest} USING (symbol, time) ORDER BY {order}"  # noqa: S608
                values.insert(0, files)
            return self._reader.cursor().sql(query, params=values).to_arrow_table().cast(TABLES[table]).combine_chunks()

        return _again(scan, folder)

    def _parts(self, folder: Path, symbols: Sequence[str] | None, start: int | None, end: int | None) -> Iterator[Path]:
        first, last = _bounds(start, end)
        wanted = None if symbols is None else set(symbols)
        for day in _within(_days(folder), start, end):
            manifest = read_day(folder / str(day))
            for part in manifest.parts if manifest else ():
                if part.first < last and part.last >= first and _may_hold(part, wanted):
                    yield folder / str(day) / part.file


def _may_hold(part: TickPart, wanted: set[str] | None) -> bool:
    return wanted is None or not part.symbols or not wanted.isdisjoint(part.symbols)


def _bounds(start: int | None, end: int | None) -> tuple[int, int]:
    return FIRST_TIME if start is None else start, LAST_TIME + 1 if end is None else end


def _days(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if has_rows(path))


def _within(days: Sequence[int], start: int | None, end: int | None) -> list[int]:
    first, last = _bounds(start, end)
    return [day for day in days if midnight(day) < last and midnight(day) + DAY > first]


def _newest(rows: pa.Table) -> pa.Table:
    """The last row of each symbol, of rows ordered by symbol, time and seq."""
    symbols = rows["symbol"]
    if rows.num_rows < 2:
        return rows
    differs = pc.not_equal(symbols[:-1].combine_chunks(), symbols[1:].combine_chunks())
    return rows.filter(pa.concat_arrays([differs, pa.array([True])]))


def _again(scan: Callable[[], Answer], folder: Path) -> Answer:
    for _ in range(TRIES):
        try:
            return scan()
        except duckdb.IOException as error:
            missing = error
    raise CorruptHistory(f"{folder.parent.name}, table {folder.name}: {missing}") from missing
