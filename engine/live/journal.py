"""The journal: an append-only folder of segments with one writer and any number of readers.

Records are numbered from 1 over the whole journal. A blob and its cells never straddle two segments, and
neither does anything else that is appended in one call. The next segment is made ahead (``engine.live.spare``), so
that a full disk is found out before there is no room left. Mapped pages survive the process, not the host.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import llvmlite.binding as llvm
import numba
import numpy as np

from engine import engine_build
from engine.core.atomics import publish
from engine.core.events import EVENT
from engine.errors import BadInput
from engine.live.segment import (
    CLOSED_WORD,
    CURSOR,
    HEADER_BYTES,
    WORDS,
    Origin,
    Segment,
    allocate,
    append,
    capacity_of,
    whole_records,
)
from engine.live.spare import LOCAL_DISK, Disk, Spare

SEGMENT_BYTES = 16 * 1024 * 1024
SUFFIX = ".seg"
SPARE = "next"


class JournalDamaged(RuntimeError):
    """A record that is not at the torn end does not match its checksum, or a segment is missing."""


class JournalFull(RuntimeError):
    """No room for another segment; nothing was written."""


@dataclass(frozen=True)
class Recovery:
    """What opening a journal found: records kept, and those published but lost with a torn end."""

    records: int
    dropped: int


def words_of(records: np.ndarray) -> np.ndarray:
    """EVENT[n] (contiguous) as the uint64[n, 8] that compiled code appends; shares memory."""
    return records.view("V64").view(np.uint64).reshape(-1, WORDS)


def segments(directory: Path) -> list[tuple[Path, Origin]]:
    """The segments whose header holds, in order. Raises JournalDamaged when one before the last is damaged."""
    found: list[tuple[Path, Origin]] = []
    paths = sorted(Path(directory).glob("*" + SUFFIX))
    for path in paths:
        try:
            origin = Segment(path).origin()
        except ValueError:
            origin = None
        if origin is None:
            if path != paths[-1]:
                raise JournalDamaged(f"{path}: the segment's header does not hold")
            continue
        found.append((path, origin))
    return found


class Writer:
    """The one writer. The core's lock keeps a second away.

    ``segment`` and ``cursor`` are what compiled loops append through (``segment.append``); they change
    with ``make_room``.
    """

    def __init__(self, directory: Path, journal: str, segment_bytes: int, disk: Disk = LOCAL_DISK) -> None:
        self.directory, self.journal, self.segment_bytes = Path(directory), journal, segment_bytes
        self.cursor = np.zeros(1, CURSOR)
        self.segment: Segment
        self.number = 0
        self.first = 1
        self.recovery = Recovery(0, 0)
        self._spare = Spare(self.directory / SPARE, segment_bytes, disk)

    @classmethod
    def create(cls, directory: Path, *, segment_bytes: int = SEGMENT_BYTES, disk: Disk = LOCAL_DISK) -> "Writer":
        """A new, empty journal in ``directory``, which must not hold one. Raises JournalFull."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.glob("*" + SUFFIX)):
            raise BadInput("journal_exists", "directory", str(directory), "a folder without a journal")
        if capacity_of(segment_bytes) < 1:
            raise BadInput("segment_bytes", "segment_bytes", segment_bytes, f"at least {HEADER_BYTES + 1024}")
        writer = cls(directory, uuid4().hex, segment_bytes, disk)
        writer._begin_segment(1, 1)
        return writer

    @classmethod
    def open(cls, directory: Path, *, segment_bytes: int = SEGMENT_BYTES, disk: Disk = LOCAL_DISK) -> "Writer":
        """Goes on after the last record that holds; what a torn end left behind it is forgotten.

        Raises BadInput when there is no journal, JournalDamaged when records before the last segment are
        gone, JournalFull when the disk has no room to complete the last segment.
        """
        directory = Path(directory)
        known = segments(directory)
        if not known:
            raise BadInput("no_journal", "journal", str(directory), "a folder with a journal's segments")
        for path in directory.glob("*" + SUFFIX):
            if path > known[-1][0]:
                path.rename(path.with_suffix(".torn"))
        path, origin = known[-1]
        writer = cls(directory, origin.journal, segment_bytes, disk)
        writer.number, writer.first = origin.number, origin.first
        try:
            allocate(path, max(path.stat().st_size, segment_bytes))
        except OSError as error:
            raise writer._full(error) from error
        writer._adopt(Segment(path, writable=True))
        return writer

    @property
    def last(self) -> int:
        """Number of the last record, 0 for none."""
        return self.first - 1 + int(self.cursor[0]["count"])

    @property
    def room(self) -> int:
        """Records that still fit the current segment."""
        return int(self.cursor[0]["capacity"] - self.cursor[0]["count"])

    def make_room(self, records: int) -> None:
        """Begins a new segment unless ``records`` more fit this one. Raises JournalFull or BadInput (too many)."""
        if self.room >= records:
            return
        if records > capacity_of(self.segment_bytes):
            raise BadInput("too_large", "records", records, f"at most {capacity_of(self.segment_bytes)} in one append")
        self.begin_segment()

    def begin_segment(self) -> None:
        """Goes on in a new segment, whose header names this build."""
        finished = self.segment
        self._begin_segment(self.number + 1, self.last + 1)
        publish(finished.header, CLOSED_WORD, 1)

    def append(self, records: np.ndarray) -> int:
        """Appends EVENT records (or raw cells viewed as EVENT) together; returns the last one's number."""
        self.make_room(len(records))
        segment = self.segment
        append(segment.header, segment.cells, segment.checksums, self.cursor[0], words_of(records), 0, len(records))
        return self.last

    def spare_ready(self) -> bool:
        """Whether the next segment is made; tries again when the disk had no room for it."""
        return self._spare.ready()

    def close(self) -> None:
        self._spare.close()
        self.segment.close()

    def _begin_segment(self, number: int, first: int) -> None:
        try:
            segment = self._spare.take()
        except OSError as error:
            raise self._full(error) from error
        segment.stamp(
            Origin(
                self.journal, number, first, engine_build(), numba.__version__, llvm.get_host_cpu_name(), time.time_ns()
            )
        )
        segment.path = self.directory / f"{number:06d}{SUFFIX}"
        os.rename(self.directory / SPARE, segment.path)
        self.segment, self.number, self.first = segment, number, first
        self._set_cursor(0)
        self._spare.prepare()

    def _full(self, error: OSError) -> JournalFull:
        return JournalFull(f"{self.directory}: no room for a segment of {self.segment_bytes} bytes ({error.strerror})")

    def _adopt(self, segment: Segment) -> None:
        kept = int(whole_records(segment.cells, segment.valid()))
        self.recovery = Recovery(self.first - 1 + kept, max(segment.committed - kept, 0))
        segment.truncate(kept)
        self.segment = segment
        self._set_cursor(kept)
        self._spare.prepare()

    def _set_cursor(self, count: int) -> None:
        self.cursor[0] = (count, self.segment.capacity, self.segment.chain(count))


class Reader:
    """Reads a journal, also while it is written; at most two segments are mapped at a time.

    Raises BadInput for a folder without a journal.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self._known: list[tuple[Path, Origin]] = []
        self._mapped: dict[Path, Segment] = {}
        self._discover()
        if not self._known:
            raise BadInput("no_journal", "journal", str(directory), "a folder with a journal's segments")

    @property
    def journal(self) -> str:
        return self._known[0][1].journal

    @property
    def origins(self) -> list[Origin]:
        """The segments' headers, in order."""
        self._discover()
        return [origin for _, origin in self._known]

    @property
    def last(self) -> int:
        """Number of the last published record, 0 for none."""
        self._discover()
        path, origin = self._known[-1]
        return origin.first - 1 + self._map(path).committed

    def read(self, after: int, limit: int = 65_536) -> np.ndarray:
        """A copy of up to ``limit`` records behind number ``after``, EVENT[n]; none when there are none yet.

        The result ends at a segment's end, so call again until it is empty. Raises JournalDamaged.
        """
        holding = [(path, origin) for path, origin in self._known if origin.first <= after + 1]
        if not holding:
            raise JournalDamaged(f"{self.directory}: record {after + 1} lies before the first segment")
        path, origin = holding[-1]
        segment = self._map(path)
        start = after + 1 - origin.first
        count = min(segment.committed - start, limit)
        if count <= 0:
            return self.read(after, limit) if segment.closed and self._discover() else np.empty(0, EVENT)
        try:
            return segment.records(start, count)
        except ValueError as error:
            raise JournalDamaged(str(error)) from error

    def verify(self) -> int:
        """How many records hold by their checksums, from the journal's first to one that does not: a full pass."""
        self._discover()
        verified = 0
        for path, _ in self._known:
            segment = self._map(path)
            published = segment.committed
            held = segment.valid(published)
            verified += held
            if held < published:
                break
        return verified

    def _map(self, path: Path) -> Segment:
        if path not in self._mapped:
            if len(self._mapped) == 2:
                del self._mapped[next(iter(self._mapped))]
            self._mapped[path] = Segment(path)
        return self._mapped[path]

    def _discover(self) -> bool:
        """Finds segments that have come since; True when there was one."""
        before = len(self._known)
        while True:
            number = self._known[-1][1].number + 1 if self._known else self._first_number()
            path = self.directory / f"{number:06d}{SUFFIX}"
            if not path.exists():
                return len(self._known) > before
            origin = self._map(path).origin()
            if origin is None:
                raise JournalDamaged(f"{path}: the segment's header does not hold")
            self._known.append((path, origin))

    def _first_number(self) -> int:
        names = sorted(path.stem for path in self.directory.glob("*" + SUFFIX))
        return int(names[0]) if names and names[0].isdigit() else 1
