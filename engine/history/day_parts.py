"""Rows of one table and one UTC day in a folder: Parquet parts (zstd) that a manifest names, written by appending.

A row lies in one part; parts are ordered by symbol, time and seq, and row groups are cut where a symbol begins, so a
reader of one symbol skips the others. Every ``FAN`` small parts become one larger part, ``close_parts`` makes one of
all. What a merge replaced stays until the next merge, for the readers that still hold the manifest of before.

The manifest is rewritten by merges alone, synced; an append adds a line to the log of that manifest, which costs one
small write. So an append outlasts the process at once, and the machine from the next merge on. Where the machine went
down, ``read_day`` takes the log's lines up to the first whose part is not whole. Sources then see their earlier
position and send again.
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.files import replace_file
from engine.history.manifest import FILE, part_name, read_manifest, write_lock, write_manifest
from engine.history.store import CorruptHistory
from engine.history.tables import by_symbol, symbol_codes

FAN = 64
MOST_LEVEL = 3  # a part of FAN ** 3 appends is not merged again before the day is closed
GROUP_ROWS = 32_768  # of a row group, which holds several symbols where they are small
NAMED_SYMBOLS = 64  # a part of more symbols does not list them
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
    """The parts as a merge left them, with those that were logged since."""

    generation: int
    parts: tuple[TickPart, ...]
    positions: dict[str, int] = {}  # source: its highest seq among the rows
    previous: tuple[str, ...] = ()


class Logged(msgspec.Struct, frozen=True):
    """A line of the log: a part that was appended, the source's position after it, and the machine's boot."""

    part: TickPart
    source: str
    position: int
    boot: str


@cache
def _boot() -> str:
    return BOOT.read_text().strip()


def has_rows(folder: Path) -> bool:
    return (folder / FILE).exists() or _log(folder, 0).exists()


def read_day(folder: Path) -> DayManifest | None:
    """What the day holds, None for nothing. Raises ``CorruptHistory`` for a manifest that cannot be read."""
    merged = read_manifest(folder, DayManifest) or DayManifest(0, ())
    logged = [line for line, _ in _read_log(_log(folder, merged.generation))]
    parts = (*merged.parts, *(line.part for line in logged))
    positions = {**merged.positions, **{line.source: line.position for line in logged if line.source}}
    return DayManifest(merged.generation, parts, positions, merged.previous) if parts else None


def _log(folder: Path, generation: int) -> Path:
    return folder / f"appended-{generation:06d}.log"


def _read_log(path: Path) -> list[tuple[Logged, int]]:
    """The lines that hold, each with where it ends (bytes)."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    found: list[tuple[Logged, int]] = []
    end = 0
    for text in content.splitlines(keepends=True):
        end += len(text)
        if not text.endswith(b"\n"):
            break  # a kill cut it off
        try:
            line = msgspec.json.decode(text, type=Logged)
        except msgspec.DecodeError:
            break  # the machine went down before it was written
        if line.boot != _boot() and not _whole(path.parent / line.part.file):
            break
        found.append((line, end))
    return found


def _whole(part: Path) -> bool:
    generation = int(part.name.split("-")[1])
    return part.exists() and part_name(generation, part.read_bytes()) == part.name


def append_rows(folder: Path, rows: pa.Table, source: str) -> int:
    """Add rows (ordered by symbol, time and seq) and return how many of them ``source`` had not brought before."""
    with write_lock(folder):
        before = read_day(folder) or DayManifest(0, ())
        log = _log(folder, before.generation)
        _cut(log)
        known = before.positions.get(source, 0)
        if source and rows.num_rows and pc.min(rows["seq"]).as_py() <= known:
            rows = rows.filter(pc.greater(rows["seq"], known))
        if rows.num_rows:
            part = _write(folder, before.generation + 1, rows, 0)
            position = pc.max(rows["seq"]).as_py() if source else 0
            _append_to_log(log, Logged(part, source, position, _boot()))
            if sum(one.level == 0 for one in before.parts) + 1 >= FAN:
                _merge_full_levels(folder)
        return rows.num_rows


def close_parts(folder: Path) -> None:
    """Make one synced part of all."""
    with write_lock(folder):
        before = read_day(folder)
        if before is not None and (len(before.parts) > 1 or before.parts[0].level < MOST_LEVEL):
            _merge(folder, before, before.parts, MOST_LEVEL)


def _cut(log: Path) -> None:
    """Take off what ``read_day`` does not believe, before a part could be written that makes it believable again."""
    lines = _read_log(log)
    end = lines[-1][1] if lines else 0
    if log.exists() and log.stat().st_size > end:
        os.truncate(log, end)


def _append_to_log(path: Path, line: Logged) -> None:
    with path.open("ab") as log:
        log.write(msgspec.json.encode(line) + b"\n")


def _merge_full_levels(folder: Path) -> None:
    for level in range(MOST_LEVEL):
        manifest = read_day(folder)
        assert manifest is not None, "it was just written"
        full = tuple(part for part in manifest.parts if part.level == level)
        if len(full) < FAN:
            return
        _merge(folder, manifest, full, level + 1)


def _merge(folder: Path, before: DayManifest, parts: Sequence[TickPart], level: int) -> None:
    """Parts become one of ``level``. No part of level 0 is left: what the manifest names is synced."""
    rows = by_symbol(read_parts(folder, parts))
    merged = _write(folder, before.generation + 1, rows, level)
    others = tuple(part for part in before.parts if part not in parts)
    retired = tuple(part.file for part in parts)
    write_manifest(folder, DayManifest(before.generation + 1, (*others, merged), before.positions, retired))
    for log in folder.glob("appended-*.log"):  # that of the manifest before stays for its readers
        if log not in (_log(folder, before.generation), _log(folder, before.generation + 1)):
            log.unlink()


def read_parts(folder: Path, parts: Sequence[TickPart]) -> pa.Table:
    """All rows of some parts, as they lie."""
    try:
        return pa.concat_tables([_read(folder / part.file) for part in parts]).combine_chunks()
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
        raise CorruptHistory(f"{folder.name}: {error}") from error


def _read(part: Path) -> pa.Table:
    with pq.ParquetFile(part, memory_map=True) as file:
        return file.read(use_threads=False)  # parts are small: threads cost more than they bring


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
    if level:
        replace_file(folder / file, content, durable=True)
    else:
        (folder / file).write_bytes(content)  # nobody knows it before the log names it
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
