"""The manifest of an embedded dataset: which part files hold its rows, and how files are put in place.

A file is written under a temporary name, synced and renamed; the manifest is renamed last. So a reader sees the
rows of before or of after, and a crash leaves at most files that no manifest names, which the next write removes.
The parts of the generation before stay for readers that hold its manifest.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from engine.files import replace_file
from engine.history.store import CorruptHistory, DatasetMeta

FILE = "manifest.json"


class Part(msgspec.Struct, frozen=True):
    """One Parquet file; ``first`` and ``last`` are the days (yyyymmdd) it spans."""

    file: str
    rows: int
    first: int
    last: int


class Manifest(msgspec.Struct, frozen=True):
    generation: int
    dataset: DatasetMeta
    parts: tuple[Part, ...]
    previous: tuple[str, ...] = ()  # part files of the generation before, kept for its readers


class _File(Protocol):
    @property
    def file(self) -> str: ...


class _Named(Protocol):
    """Any manifest: the parts it names, and files kept for the readers of the generation before."""

    @property
    def parts(self) -> tuple[_File, ...]: ...
    @property
    def previous(self) -> tuple[str, ...]: ...


AnyManifest = TypeVar("AnyManifest")


def read_manifest(folder: Path, kind: type[AnyManifest]) -> AnyManifest | None:
    """The folder's manifest, or None where there is none."""
    try:
        text = (folder / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise CorruptHistory(f"{folder / FILE}: {error}") from error


def write_manifest(folder: Path, manifest: _Named) -> None:
    """Put the manifest in place and remove the files that neither it nor the generation before names."""
    replace_file(folder / FILE, msgspec.json.encode(manifest), durable=True)
    kept = {part.file for part in manifest.parts} | set(manifest.previous)
    for path in folder.glob("part-*"):
        if path.name not in kept:
            path.unlink()


def write_part(folder: Path, generation: int, table: pa.Table) -> Part:
    """Write rows (ordered by symbol and date) as one zstd Parquet file, durably."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=131_072)
    content = sink.getvalue().to_pybytes()
    name = part_name(generation, content)
    replace_file(folder / name, content, durable=True)
    days = table["date"].to_numpy()
    return Part(name, table.num_rows, int(days.min()), int(days.max()))


def part_name(generation: int, content: bytes) -> str:
    """A part file's name, which says what is in it."""
    return f"part-{generation:06d}-{sha256(content).hexdigest()[:16]}.parquet"


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Hold the dataset's only writer's place; waits for another writer to finish."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "write.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
