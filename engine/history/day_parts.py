"""Rows of one table and one UTC day in a folder: Parquet parts (zstd) that a manifest names, written by appending.

A row lies in one part; parts are ordered by symbol, time and seq, and row groups are cut where a symbol begins, so a
reader of one symbol skips the others. Every ``FAN`` small parts become one larger part, ``close_parts`` makes one of
all. What a merge replaced stays until the next merge, for the readers that still hold the manifest of before.

An append outlasts the process at once. The machine it outlasts from the next merge on (each append synced would cost
more than all else): a merge leaves a synced copy of its manifest, and where the machine went down, ``read_day`` goes
back to that copy unless every part written since is whole. Sources then see their earlier position and send again.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.files import replace_file
from engine.history.manifest import part_name, read_manifest, write_lock, write_manifest
from engine.history.store import CorruptHistory
from engine.history.tables import by_symbol, symbol_codes

FAN = 64
MOST_LEVEL = 3  # a part of FAN ** 3 appends is not merged again before the day is closed
GROUP_ROWS = 65_536  # of a row group, which holds several symbols where they are small
NAMED_SYMBOLS = 64  # a part of more symbols does not list them
SYNCED = "manifest.synced.json"
BOOT = Path("/proc/sys/kernel/random/boot_id")


class TickPart(msgspec.Struct, frozen=True):
    """One Parquet file: its rows, the times (ns) it spans, how often it was merged, its symbols (none: many)."""

    file: str
    rows: int
    first: int
    last: int
    level: int
    symbols: tuple[str, ...]


class DayManifest(msgspec.Struct, frozen=True):
    generation: int
    parts: tuple[TickPart, ...]
    positions: dict[str, int] = {}  # source: its highest seq among the rows
    previous: tuple[str, ...] = ()
    boot: str = ""  # of the machine when parts were written that are not synced; empty: all are


@cache
def _boot() -> str:
    return BOOT.read_text().strip()


def read_day(folder: Path) -> DayManifest | None:
    """The manifest that holds: the newest, or after the machine went down the newest whose rows outlasted that."""
    try:
        newest = read_manifest(folder, DayManifest)
    except CorruptHistory:
        if not (folder / SYNCED).exists():
            raise
        return read_manifest(folder, DayManifest, SYNCED)
    if newest is None or newest.boot in ("", _boot()) or all(_whole(folder / part.file) for part in newest.parts):
        return newest
    return read_manifest(folder, DayManifest, SYNCED) or DayManifest(newest.generation, ())


def _whole(part: Path) -> bool:
    generation = int(part.name.split("-")[1])
    return part.exists() and part_name(generation, part.read_bytes()) == part.name


def append_rows(folder: Path, rows: pa.Table, source: str) -> int:
    """Add rows (ordered by symbol, time and seq) and return how many of them ``source`` had not brought before."""
    with write_lock(folder):
        before = read_day(folder) or DayManifest(0, ())
        positions = before.positions
        if source:
            rows = rows.filter(pc.greater(rows["seq"], positions.get(source, 0)))
            if rows.num_rows:
                positions = {**positions, source: pc.max(rows["seq"]).as_py()}
        if rows.num_rows:
            part = _write(folder, before.generation + 1, rows, 0)
            _put(folder, before, (*before.parts, part), positions)
            _merge_full_levels(folder)
        return rows.num_rows


def close_parts(folder: Path) -> None:
    """Make one part of all."""
    with write_lock(folder):
        before = read_day(folder)
        if before is not None and len(before.parts) > 1:
            _merge(folder, before, before.parts, MOST_LEVEL)


def _merge_full_levels(folder: Path) -> None:
    for level in range(MOST_LEVEL):
        manifest = read_day(folder)
        assert manifest is not None, "it was just written"
        full = tuple(part for part in manifest.parts if part.level == level)
        if len(full) < FAN:
            return
        _merge(folder, manifest, full, level + 1)


def _merge(folder: Path, before: DayManifest, parts: Sequence[TickPart], level: int) -> None:
    rows = by_symbol(read_parts(folder, parts))
    merged = _write(folder, before.generation + 1, rows, level)
    others = tuple(part for part in before.parts if part not in parts)
    _put(folder, before, (*others, merged), before.positions, tuple(part.file for part in parts))


def read_parts(folder: Path, parts: Sequence[TickPart]) -> pa.Table:
    """All rows of some parts, as they lie."""
    try:
        return pa.concat_tables([pq.ParquetFile(folder / part.file).read() for part in parts]).combine_chunks()
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
        raise CorruptHistory(f"{folder.name}: {error}") from error


def _put(
    folder: Path,
    before: DayManifest,
    parts: tuple[TickPart, ...],
    positions: Mapping[str, int],
    retired: tuple[str, ...] | None = None,
) -> None:
    merged = retired is not None
    manifest = DayManifest(
        before.generation + 1, parts, dict(positions), retired or before.previous, "" if merged else _boot()
    )
    if merged:
        replace_file(folder / SYNCED, msgspec.json.encode(manifest), durable=True)
    write_manifest(folder, manifest, durable=merged)


def _write(folder: Path, generation: int, rows: pa.Table, level: int) -> TickPart:
    names, codes = symbol_codes(rows)
    sink = pa.BufferOutputStream()
    numbers = [field.name for field in rows.schema if field.type == pa.int64()]
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=["symbol"],
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
    ) as writer:
        for start, stop in _groups(np.flatnonzero(np.diff(codes)) + 1, rows.num_rows):
            writer.write_table(rows.slice(start, stop - start), row_group_size=GROUP_ROWS)
    content = sink.getvalue().to_pybytes()
    file = part_name(generation, content)
    replace_file(folder / file, content, durable=level > 0)
    span = pc.min_max(rows["time"]).as_py()
    return TickPart(
        file, rows.num_rows, span["min"], span["max"], level, tuple(names) if len(names) <= NAMED_SYMBOLS else ()
    )


def _groups(begins: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Row groups: as many whole symbols as fit ``GROUP_ROWS``, or one symbol that does not."""
    edges = [0, *begins.tolist(), count]
    groups, start = [], 0
    for edge, following in zip(edges[1:], [*edges[2:], count], strict=True):
        if edge == count or following - start > GROUP_ROWS:
            groups.append((start, edge))
            start = edge
    return groups
