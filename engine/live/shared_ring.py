"""Rings of records between the core and a strategy's process: files in shared memory, each written by one side alone.

A file is a page of header words and then ``capacity`` records of 64 bytes. ``events`` is the core's: what a strategy
hears, and how many intents the core has taken. ``intents`` is the strategy's: what it wants, how many events it has
taken, that it is ready, and when it was last alive. Counts only grow and are stored with release, after what they
count; neither side believes what the other's file says beyond what can be. A new pair of files, with a new
generation, replaces those of a process that has failed, so that nothing of it is read any more.
"""

import mmap
import os
from pathlib import Path

import numpy as np

from engine.core.atomics import observe, publish
from engine.core.events import EVENT, EVENT_BYTES
from engine.errors import BadInput

EVENTS, INTENTS, BELL, DESCRIPTION, ARTIFACT = "events.ring", "intents.ring", "bell", "strategy.json", "artifact"
MAGIC = int.from_bytes(b"HELIORNG", "little")
HEADER_BYTES = 4096
HEADER_WORDS = HEADER_BYTES // 8
WORDS = EVENT_BYTES // 8
CAPACITY = 1 << 14  # records; a power of two
# Words of the header. Those that change while trading have a cache line each.
MAGIC_AT, CAPACITY_AT, GENERATION_AT, PROCESS_AT = 0, 1, 2, 3
PUBLISHED_AT, TAKEN_AT, BEAT_AT, READY_AT = 16, 24, 32, 40


class RingFile:
    """One mapped file; ``header`` uint64[512], ``cells`` uint64[capacity, 8]."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        with open(path, "r+b" if writable else "rb") as file:
            size = os.fstat(file.fileno()).st_size
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            self._map = mmap.mmap(file.fileno(), size, flags=mmap.MAP_SHARED, prot=protection)
        words = np.frombuffer(self._map, np.uint64)
        self.header = words[:HEADER_WORDS]
        self.capacity = (size - HEADER_BYTES) // EVENT_BYTES
        self.cells = words[HEADER_WORDS:].reshape(self.capacity, WORDS)

    @classmethod
    def create(cls, path: Path, generation: int, capacity: int = CAPACITY) -> "RingFile":
        """A new, empty file in the place of an old one, which whoever has mapped it keeps. OSError on a full disk."""
        beside = path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        with open(beside, "xb") as file:
            os.posix_fallocate(file.fileno(), 0, HEADER_BYTES + capacity * EVENT_BYTES)
        os.chmod(beside, 0o600)
        ring = cls(beside, writable=True)
        for word, value in ((MAGIC_AT, MAGIC), (CAPACITY_AT, capacity), (GENERATION_AT, generation)):
            ring.header[word] = value
        beside.replace(path)
        return ring

    @classmethod
    def open(cls, path: Path, generation: int, *, writable: bool) -> "RingFile":
        """Raises BadInput for a file of another generation, OSError for none."""
        ring = cls(path, writable=writable)
        found = tuple(int(ring.header[word]) for word in (MAGIC_AT, CAPACITY_AT, GENERATION_AT))
        if found != (MAGIC, ring.capacity, generation):
            raise BadInput("ring", path.name, found, f"a ring of generation {generation}")
        return ring

    def get(self, word: int) -> int:
        return int(observe(self.header, word))

    def put(self, word: int, value: int) -> None:
        publish(self.header, word, value)

    def address(self, word: int) -> int:
        return int(self.header.ctypes.data) + 8 * word

    def rows(self, first: int, last: int) -> np.ndarray:
        """A copy of the records from number ``first`` (counted from 0) up to ``last``: uint64[n, 8]."""
        return self.cells[np.arange(first, last) & (self.capacity - 1)]

    def records(self, first: int, last: int) -> np.ndarray:
        """The same as EVENT[n]."""
        return self.rows(first, last).reshape(-1).view(EVENT)

    def write(self, first: int, records: np.ndarray) -> None:
        """Writes EVENT records from number ``first`` on, and publishes them; there must be room."""
        rows = records.view("V64").view(np.uint64).reshape(-1, WORDS)
        last = first + len(rows)
        self.cells[np.arange(first, last) & (self.capacity - 1)] = rows
        self.put(PUBLISHED_AT, last)


def folder_of(var: Path, slot: int) -> Path:
    """Where the rings of a slot lie in an engine's folder."""
    return var / "strategies" / f"{slot:02d}"
