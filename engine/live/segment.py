"""One segment of the journal: a file of fixed size, mapped into memory.

A page of header (4096 bytes), then blocks of 1024 bytes: one cell of 64 bytes with checksums, then
fifteen records of 64 bytes. A checksum cell is sixteen uint32: a mark, then one CRC32C for each record of
its block, 0 while there is none. Each checksum goes on from the one before it, and the first from the
header's, so that a record counts only behind all those before it and in no other segment than its own.

Record i of a segment (from 0) lies in block i // 15, cell 1 + i % 15. The writer publishes the number of
records in the header's ``committed`` word with a release store after the records; readers in other
processes load it with acquire. Recovery does not trust it: it follows the checksums.
"""

import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.atomics import observe, publish
from engine.core.compiled import njit
from engine.core.events import EVENT, EVENT_BYTES, Kind
from engine.live.crc32c import crc32c, crc32c_word

MAGIC = b"HELIOJNL"
VERSION = 1
HEADER_BYTES = 4096
BLOCK_BYTES = 1024
BLOCK_CELLS = BLOCK_BYTES // EVENT_BYTES
BLOCK_RECORDS = BLOCK_CELLS - 1
BLOCK_MARK = 0x4B4C4231
WORDS = EVENT_BYTES // 8
BLOB = int(Kind.BLOB)
KIND_WORD, KIND_SHIFT = 2, 32
LENGTH_WORD = 4

HEADER = np.dtype(
    {
        "names": ["magic", "version", "checksum", "journal", "number", "first", "capacity", "wall_ns"]
        + ["build", "numba", "cpu", "committed", "closed"],
        "formats": ["S8", "<u4", "<u4", "S32", "<i8", "<i8", "<i8", "<i8", "S64", "S16", "S64", "<i8", "<i8"],
        "offsets": [0, 8, 12, 16, 48, 56, 64, 72, 80, 144, 160, 2048, 2112],
        "itemsize": HEADER_BYTES,
    }
)
FIXED_HEADER_BYTES = 1024  # what the header's checksum covers, its own field taken as zero
COMMITTED_WORD = 2048 // 8
CLOSED_WORD = 2112 // 8

ZEROS = memoryview(bytes(1 << 20))

# What the writer's compiled code keeps between calls.
CURSOR = np.dtype([("count", "<i8"), ("capacity", "<i8"), ("chain", "<u8")])


@njit(cache=True, inline="always")
def cell_of(index):
    """Cell (of 64 bytes, behind the header page) of the segment's record ``index``."""
    return index // BLOCK_RECORDS * BLOCK_CELLS + 1 + index % BLOCK_RECORDS


@njit(cache=True, inline="always")
def checksum_of(index):
    """Place of record ``index``'s checksum among the uint32 behind the header page."""
    return index // BLOCK_RECORDS * (BLOCK_BYTES // 4) + 1 + index % BLOCK_RECORDS


@njit(cache=True, inline="always")
def _checksum(words, row, chain):
    """CRC32C of one record, going on from ``chain``; never 0, which means none."""
    crc = np.uint64(chain)
    for word in range(WORDS):
        crc = crc32c_word(crc, words[row, word])
    return crc if crc != np.uint64(0) else np.uint64(1)


@njit(cache=True, nogil=True)
def append(header, cells, checksums, cursor, words, start, count):
    """Appends rows ``start`` .. ``start + count`` of ``words`` (uint64[n, 8]); False, nothing written, without room.

    ``header`` uint64[512], ``cells`` uint64[cells, 8] and ``checksums`` uint32[16 * cells] are views of
    the mapped file, ``cursor`` a CURSOR record. All rows are published at once.
    """
    first = cursor.count
    if first + count > cursor.capacity:
        return False
    chain = cursor.chain
    for index in range(first, first + count):
        row = start + index - first
        cell = cell_of(index)
        for word in range(WORDS):
            cells[cell, word] = words[row, word]
        chain = _checksum(words, row, chain)
        if index % BLOCK_RECORDS == 0:
            checksums[checksum_of(index) - 1] = BLOCK_MARK
        checksums[checksum_of(index)] = np.uint32(chain)
    cursor.chain = chain
    cursor.count = first + count
    publish(header, COMMITTED_WORD, first + count)
    return True


@njit(cache=True, nogil=True)
def verify(cells, checksums, start, stop, chain):
    """How many records from ``start`` to ``stop`` (exclusive) hold, going on from ``chain``."""
    crc = np.uint64(chain)
    for index in range(start, stop):
        crc = _checksum(cells, cell_of(index), crc)
        if checksums[checksum_of(index)] != np.uint32(crc):
            return index - start
    return stop - start


@njit(cache=True, nogil=True)
def copy_records(cells, start, count, words):
    """Records ``start`` .. ``start + count`` into the first rows of ``words`` (uint64[n, 8])."""
    for row in range(count):
        cell = cell_of(start + row)
        for word in range(WORDS):
            words[row, word] = cells[cell, word]


@njit(cache=True, nogil=True)
def whole_records(cells, count):
    """The largest number, at most ``count``, of records that does not end inside a blob."""
    index = 0
    while index < count:
        cell = cell_of(index)
        step = 1
        if (cells[cell, KIND_WORD] >> np.uint64(KIND_SHIFT)) & np.uint64(0xFF) == BLOB:
            step += (int(cells[cell, LENGTH_WORD]) + EVENT_BYTES - 1) // EVENT_BYTES
        if index + step > count:
            return index
        index += step
    return index


def capacity_of(segment_bytes: int) -> int:
    """Records that fit a segment file of ``segment_bytes``."""
    return (segment_bytes - HEADER_BYTES) // BLOCK_BYTES * BLOCK_RECORDS


@dataclass(frozen=True)
class Origin:
    """What a segment's header says about where it comes from."""

    journal: str
    number: int
    first: int  # record number (from 1) of the segment's first record
    build: str
    numba: str
    cpu: str
    wall_ns: int


class Segment:
    """A mapped segment file; ``writable`` maps it for the writer."""

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self.path = path
        with open(path, "r+b" if writable else "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < HEADER_BYTES:
                raise ValueError(f"{path.name}: {size} bytes, expected at least {HEADER_BYTES}")
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            self._map = mmap.mmap(file.fileno(), size, flags=mmap.MAP_SHARED, prot=protection)
        self.words = np.frombuffer(self._map, np.uint64, count=size // 8)
        self.header = self.words[: HEADER_BYTES // 8]
        blocks = (size - HEADER_BYTES) // BLOCK_BYTES
        body = self.words[HEADER_BYTES // 8 : HEADER_BYTES // 8 + blocks * BLOCK_BYTES // 8]
        self.cells = body.reshape(-1, WORDS)
        self.checksums = body.view(np.uint32)
        self.capacity = blocks * BLOCK_RECORDS

    @property
    def fields(self) -> np.void:
        return self.header.view(HEADER)[0]

    @property
    def seed(self) -> int:
        """What the first record's checksum goes on from."""
        return int(self.fields["checksum"])

    @property
    def committed(self) -> int:
        return int(observe(self.header, COMMITTED_WORD))

    @property
    def closed(self) -> bool:
        """Whether the writer has gone on to the next segment."""
        return bool(observe(self.header, CLOSED_WORD))

    def origin(self) -> Origin | None:
        """None when the header is not that of a journal's segment, or is damaged."""
        fields = self.fields
        if fields["magic"] != MAGIC or fields["version"] != VERSION:
            return None
        if int(fields["checksum"]) != _header_checksum(self.header):
            return None
        text = {name: fields[name].decode("ascii", "replace") for name in ("journal", "build", "numba", "cpu")}
        return Origin(number=int(fields["number"]), first=int(fields["first"]), wall_ns=int(fields["wall_ns"]), **text)

    def stamp(self, origin: Origin) -> None:
        """Writes the header of a new segment."""
        header = np.zeros(1, HEADER)
        header["magic"], header["version"], header["capacity"] = MAGIC, VERSION, self.capacity
        for name in ("number", "first", "wall_ns"):
            header[name] = getattr(origin, name)
        for name in ("journal", "build", "numba", "cpu"):
            header[name] = getattr(origin, name).encode("ascii", "replace")
        words = header.view(np.uint64)
        header["checksum"] = _header_checksum(words)
        self.header[:] = words

    def valid(self, count: int | None = None) -> int:
        """Records, at most ``count``, that hold by their checksums, counted from the segment's first."""
        limit = self.capacity if count is None else min(count, self.capacity)
        return int(verify(self.cells, self.checksums, 0, limit, self.seed))

    def chain(self, count: int) -> int:
        """The checksum that record ``count`` goes on from."""
        return int(self.checksums[checksum_of(count - 1)]) if count else self.seed

    def records(self, start: int, count: int) -> np.ndarray:
        """A copy of records ``start`` .. ``start + count``, EVENT[count], checked against their checksums.

        Raises ValueError naming the first record that does not hold.
        """
        good = int(verify(self.cells, self.checksums, start, start + count, self.chain(start)))
        if good < count:
            raise ValueError(f"{self.path.name}: record {start + good} of the segment does not match its checksum")
        words = np.empty((count, WORDS), np.uint64)
        copy_records(self.cells, start, count, words)
        return words.reshape(-1).view(EVENT)

    def truncate(self, count: int) -> None:
        """Forgets everything behind the first ``count`` records."""
        block = count // BLOCK_RECORDS
        self.checksums[checksum_of(count) : block * (BLOCK_BYTES // 4) + BLOCK_CELLS] = 0
        self.cells[cell_of(count) : (block + 1) * BLOCK_CELLS] = 0
        rest = self.cells[(block + 1) * BLOCK_CELLS :]
        if rest.any():  # otherwise leave the file's untouched pages alone
            rest[:] = 0
        publish(self.header, COMMITTED_WORD, count)
        publish(self.header, CLOSED_WORD, 0)

    def close(self) -> None:
        """Lets the mapping go once no view of it is left."""
        del self.cells, self.checksums, self.header, self.words, self._map


def allocate(path: Path, size: int) -> None:
    """Makes ``path`` ``size`` bytes long with its blocks reserved; OSError (ENOSPC) on a full disk."""
    with open(path, "a+b") as file:
        os.posix_fallocate(file.fileno(), 0, size)


def new_segment(path: Path, size: int) -> Segment:
    """A segment of zeros, mapped, with all its pages in memory and writable; OSError and no file on a full disk.

    Zeros are written before the file is mapped: on ext4 a page that a write brought into the cache is taken over by
    the mapping ten times faster than one that the mapping itself asks for (``MAP_POPULATE``, which does not even make
    it writable). 16 MB take 3 ms so, 9 to 12 ms otherwise.
    """
    path.unlink(missing_ok=True)
    try:
        allocate(path, size)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    with open(path, "r+b") as file:
        written = 0
        while written < size:
            written += os.pwrite(file.fileno(), ZEROS[: size - written], written)
    segment = Segment(path, writable=True)
    segment.words[:: mmap.PAGESIZE // segment.words.itemsize] = 0
    return segment


def _header_checksum(header: np.ndarray) -> int:
    """CRC32C of the header's fixed part, its own field taken as zero."""
    fixed = header[: FIXED_HEADER_BYTES // 8].copy()
    fixed.view(np.uint32)[3] = 0
    return crc32c(fixed.tobytes())
