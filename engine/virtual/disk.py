"""A host's disk, as far as the journal feels it: how long a segment takes to make, and whether there is room."""

import errno
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from random import Random
from typing import Any

from engine.live.segment import Segment, new_segment
from engine.virtual.agenda import Agenda


class VirtualDisk:
    """``stall`` is told how long (ns) the journal's writer has to wait. ``mean_ns`` is the mean time that a segment
    takes; ``full`` is whether there is no room."""

    def __init__(self, agenda: Agenda, random: Random, mean_ns: int, stall: Callable[[int], None]) -> None:
        self.full = False
        self.stalls = self.refusals = 0
        self._agenda, self._random, self._mean_ns, self._stall = agenda, random, mean_ns, stall

    def thread(self) -> Executor:
        return _Thread(self)

    def new_segment(self, path: Path, size: int) -> Segment:
        if self.full:
            self.refusals += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return new_segment(path, size)

    def finished_at(self) -> int:
        """When what is begun now is finished."""
        return self._agenda.now + (int(self._random.expovariate(1 / self._mean_ns)) if self._mean_ns else 0)

    def wait_until(self, when: int) -> None:
        if when > self._agenda.now:
            self.stalls += 1
            self._stall(when - self._agenda.now)


class _Thread(Executor):
    """Does at once what it is given; who asks for the result before its time has waited for it."""

    def __init__(self, disk: VirtualDisk) -> None:
        self._disk = disk

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **options: Any) -> "Future[Any]":
        future = _Waited(self._disk)
        try:
            future.set_result(work(*arguments, **options))
        except OSError as error:
            future.set_exception(error)
        return future


class _Waited(Future):
    def __init__(self, disk: VirtualDisk) -> None:
        super().__init__()
        self._disk, self._at = disk, disk.finished_at()

    def result(self, timeout: float | None = None) -> Any:
        self._disk.wait_until(self._at)
        return super().result(timeout)
