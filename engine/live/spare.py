"""The journal's next segment, made ahead: the writer only takes it.

A thread of its own makes it, and it alone waits for the disk and for the pages; the writer's thread does not, however
fast it writes. That a disk has no room is found out one segment before the journal needs it.
"""

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from engine.live.segment import Segment, new_segment


class Disk(Protocol):
    """Where segments are made."""

    def thread(self) -> Executor:
        """What makes them, for one journal."""
        ...

    def new_segment(self, path: Path, size: int) -> Segment:
        """As `engine.live.segment.new_segment`: OSError and no file where there is no room."""
        ...


class LocalDisk:
    """The file system, behind a thread."""

    def thread(self) -> Executor:
        return ThreadPoolExecutor(1, "journal-spare")

    def new_segment(self, path: Path, size: int) -> Segment:
        return new_segment(path, size)


LOCAL_DISK = LocalDisk()


class Spare:
    """Makes segments of ``size`` bytes at ``path``, one at a time; a file that was left there is replaced."""

    def __init__(self, path: Path, size: int, disk: Disk = LOCAL_DISK) -> None:
        self._path, self._size, self._disk = path, size, disk
        self._thread = disk.thread()
        self._made: Future[Segment] | None = None

    def prepare(self) -> None:
        """Begins to make a segment unless there is one, or one is being made."""
        self._begun()

    def ready(self) -> bool:
        """Whether there is a segment to take: waits for the one being made, begins again where the disk had no room."""
        try:
            self._begun().result()
        except OSError:
            self._made = None
            return False
        return True

    def take(self) -> Segment:
        """The segment, as soon as it is made; its file is the caller's to move away. OSError without room."""
        made, self._made = self._begun(), None
        return made.result()

    def close(self) -> None:
        """Waits for the one being made. Its file stays."""
        self._thread.shutdown()
        self._made = None

    def _begun(self) -> "Future[Segment]":
        if self._made is None:
            self._made = self._thread.submit(self._disk.new_segment, self._path, self._size)
        return self._made
