"""Schedules in plain Python, written to be obviously right: what ``engine.core.schedules`` must agree with.

All slices of the parent are listed beforehand, with the point of the path that releases each; nothing is shared with
the compiled functions but the record's fields.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

MILLION = 1_000_000
WORD = (1 << 64) - 1


def splitmix64(seed: int) -> Iterator[int]:
    """The generator as it is published: a state that steps by the golden gamma, and a mix of it."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & WORD
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & WORD
        yield mixed ^ (mixed >> 31)


@dataclass
class ReferenceSchedule:
    """``record`` is one SCHEDULE."""

    record: np.void

    def __post_init__(self) -> None:
        self.slices = list(self._slices())

    def _field(self, name: str) -> int:
        return int(self.record[name])

    def _slices(self) -> Iterator[tuple[int, int]]:
        """(shares done when the slice is, point of the path that releases it)."""
        least, most, qty = self._field("min_slice"), self._field("max_slice"), self._field("qty")
        half = (most - least) // 2
        stream = splitmix64(self._field("seed"))
        next(stream)
        begin, number = 0, 0
        while begin < qty:
            number += 1
            for_size = next(stream) >> 32
            end = min(number * (least + half) + (for_size * (half + 1) >> 32), qty)
            size = end - begin
            margin = size * (MILLION - self._field("timing")) // (2 * MILLION)
            for_point = next(stream) >> 32 if number else 0
            yield end, begin + margin + (for_point * (size - 2 * margin) >> 32)
            begin = end

    def path(self, now: int, volume: int) -> int:
        """Shares that the path asks for, rounded down."""
        start, end, qty = self._field("start"), self._field("end"), self._field("qty")
        if now >= end:
            return qty
        if self._field("pace"):
            return min(volume * self._field("pace") // MILLION, qty)
        curve = [int(value) for value in self.record["curve"][: self._field("points") + 1]]
        place = Fraction((now - start) * self._field("points"), end - start)
        interval = int(place)
        return int(curve[interval] + (curve[interval + 1] - curve[interval]) * (place - interval))

    def due(self, now: int, volume: int, done: int) -> int:
        if now < self._field("start"):
            return done
        if now >= self._field("end") and not self._field("completes"):
            return done
        path = self.path(now, volume)
        due = max((end for end, point in self.slices if point <= path), default=0)
        if path >= self._field("qty"):
            due = self._field("qty")
        if self._field("max_participation"):
            due = min(due, volume * self._field("max_participation") // MILLION)
        return max(due, done)

    def to_send(self, now: int, volume: int, done: int, working: int) -> int:
        missing = self.due(now, volume, done) - done - working
        left = self._field("qty") - done - working
        if missing <= 0 or (missing < self._field("min_slice") and missing < left):
            return 0
        return min(missing, self._field("max_slice"))


def as_dict(record: np.void) -> dict[str, Any]:
    """A record's fields, for messages of tests."""
    return {name: record[name].tolist() for name in record.dtype.names or ()}
