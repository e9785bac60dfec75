"""The embedded store: a folder a dataset, Parquet parts (zstd) named by a manifest, read by DuckDB.

Several processes may read while one writes; DuckDB opens no database file, so nobody locks anybody out.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from engine.dates import Day
from engine.errors import BadInput
from engine.history import daily
from engine.history.manifest import Manifest, Part, read_manifest, write_lock, write_manifest, write_part
from engine.history.names import checked_dataset
from engine.history.rows import checked, content_hash
from engine.history.store import (
    BARS,
    Appended,
    CorruptHistory,
    DatasetDescription,
    DatasetMeta,
    Panel,
)
from engine.history.ticks import ParquetTicks, Reader

MOST_PARTS = 32  # beyond it an append compacts: each part costs a reader an open


class ParquetHistory(ParquetTicks):
    """``engine.history.History`` in the folder ``root``: daily bars lie in ``root/bar/<dataset>/``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__(root, Reader())
        self._hashed: dict[str, tuple[tuple[Part, ...], str]] = {}

    # ---- writing

    def append_bars(
        self,
        dataset: str,
        table: pa.Table,
        description: DatasetDescription | None = None,
        *,
        replace: bool = False,
    ) -> Appended:
        """See ``History.append_bars``."""
        folder = self._daily(dataset)
        new = checked(table)
        if not new.num_rows:
            raise BadInput("empty", "table", 0, "at least one bar")
        with write_lock(folder):
            before = read_manifest(folder, Manifest)
            if before is None:
                described = description or DatasetDescription()
                return Appended(new.num_rows, 0, 0, self._write(dataset, described, None, new))
            return self._merge(before, daily.agreed(before.dataset, description), new, replace)

    def compact(self, dataset: str) -> None:
        """Rewrite a dataset's parts as one; the rows and the data hash stay."""
        folder = self._daily(dataset)
        with write_lock(folder):
            before = self._manifest(dataset)
            if len(before.parts) > 1:
                self._write(
                    dataset, daily.description_of(before.dataset), before, checked(self._rows(folder, before.parts))
                )

    def _merge(self, before: Manifest, described: DatasetDescription, new: pa.Table, replace: bool) -> Appended:
        meta = before.dataset
        old = checked(self._rows(self._daily(meta.name), before.parts))
        merged = daily.merge(meta.name, old, new, replace)
        data_hash = meta.data_hash
        if merged.replaced or len(before.parts) >= MOST_PARTS:
            data_hash = self._write(meta.name, described, before, merged.whole)
        elif merged.added or described != daily.description_of(meta):
            data_hash = self._write(meta.name, described, before, old, merged.addition)
        return merged.answer(data_hash)

    def _write(
        self,
        dataset: str,
        described: DatasetDescription,
        before: Manifest | None,
        rows: pa.Table,
        addition: pa.Table | None = None,
    ) -> str:
        """The next generation: ``rows`` as one part, or ``addition`` as a part beside those that hold ``rows``."""
        folder = self._daily(dataset)
        generation = before.generation + 1 if before else 1
        old_parts = before.parts if before else ()
        parts: tuple[Part, ...]
        if addition is None:
            whole, parts = rows, (write_part(folder, generation, rows),)
        elif not addition.num_rows:
            whole, parts = rows, old_parts
        else:
            whole = checked(pa.concat_tables([rows, addition]))
            parts = (*old_parts, write_part(folder, generation, addition))
        meta = daily.meta_of(dataset, described, whole)
        write_manifest(folder, Manifest(generation, meta, parts, tuple(part.file for part in old_parts)))
        return meta.data_hash

    # ---- reading

    def bars(
        self, dataset: str, symbols: Sequence[str] | None = None, start: Day | None = None, end: Day | None = None
    ) -> pa.Table:
        """See ``History.bars``."""
        found = self._select(dataset, "date, symbol, open, high, low, close, volume", symbols, start, end)
        return found.cast(BARS)

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
        folders = sorted(path.parent for path in (self.root / "bar").glob("*/manifest.json"))
        return [manifest.dataset for folder in folders if (manifest := read_manifest(folder, Manifest))]

    def describe(self, dataset: str) -> DatasetMeta:
        """See ``History.describe``."""
        return self._manifest(dataset).dataset

    def data_hash(self, dataset: str) -> str:
        """See ``History.data_hash``. Computed once for each generation of the dataset."""
        manifest = self._manifest(dataset)
        known = self._hashed.get(dataset)
        if known and known[0] == manifest.parts:
            return known[1]
        found = content_hash(checked(self._rows(self._daily(dataset), manifest.parts)))
        if found != manifest.dataset.data_hash:
            raise CorruptHistory(
                f"dataset {dataset} has rows of hash {found}, its manifest says {manifest.dataset.data_hash}"
            )
        self._hashed[dataset] = (manifest.parts, found)
        return found

    def _panel(
        self, dataset: str, column: str, start: Day | None, end: Day | None, symbols: Sequence[str] | None
    ) -> Panel:
        found = self._select(dataset, f"date, symbol, {column} AS price", symbols, start, end)
        return daily.panel(found, symbols)

    def _select(
        self, dataset: str, columns: str, symbols: Sequence[str] | None, start: Day | None, end: Day | None
    ) -> pa.Table:
        first, last = daily.day_range(start, end)
        for _ in range(3):  # a reader that two writes overtook finds its parts gone, and looks again
            manifest = self._manifest(dataset)
            daily.check_symbols(manifest.dataset, symbols)
            parts = [p for p in manifest.parts if p.first <= last and p.last >= first]
            try:
                return self._scan(dataset, parts or list(manifest.parts[:1]), columns, symbols, first, last)
            except duckdb.IOException as error:
                missing = error
        raise CorruptHistory(f"dataset {dataset}: {missing}") from missing

    def _scan(
        self,
        dataset: str,
        parts: Sequence[Part],
        columns: str,
        symbols: Sequence[str] | None,
        first: int,
        last: int,
    ) -> pa.Table:
        files = [str(self._daily(dataset) / part.file) for part in parts]
        only = "" if symbols is None else " AND symbol IN (SELECT unnest(?::VARCHAR[]))"
        query = f"SELECT {columns} FROM read_parquet(?) WHERE date BETWEEN ? AND ?{only} ORDER BY date, symbol"  # noqa: S608
        values: list[object] = [files, first, last]
        if symbols is not None:
            values.append(list(symbols))
        return self._reader.cursor().sql(query, params=values).to_arrow_table()

    def _rows(self, folder: Path, parts: Sequence[Part]) -> pa.Table:
        try:
            return pa.concat_tables([_read_part(folder / part.file) for part in parts])
        except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
            raise CorruptHistory(f"{folder.name}: {error}") from error

    def _daily(self, dataset: str) -> Path:
        return self.root / "bar" / checked_dataset(dataset)

    def _manifest(self, dataset: str) -> Manifest:
        manifest = read_manifest(self._daily(dataset), Manifest)
        if manifest is None:
            names = ", ".join(meta.name for meta in self.datasets()) or "none yet (import_history brings the first)"
            raise BadInput("unknown_dataset", "dataset", dataset, f"one of: {names}")
        return manifest


def _read_part(path: Path) -> pa.Table:
    return pq.read_table(path, schema=BARS)
