"""Walking journal records: which are records and which the raw cells of a blob."""

from dataclasses import dataclass

import numpy as np

from engine.core.compiled import njit
from engine.core.events import EVENT_BYTES, BlobType, Kind
from engine.live.journal import words_of
from engine.live.segment import BLOB, KIND_SHIFT, KIND_WORD, LENGTH_WORD


@dataclass(frozen=True)
class Blob:
    """A blob whose cells have all come. ``number`` is the record number of its header."""

    number: int
    blob_type: BlobType
    strategy: int
    header: np.ndarray  # EVENT[1]
    payload: bytes


@njit(cache=True, nogil=True)
def _mark(words, pending, wanted, marks):
    """Sets marks[i] to 1 for wanted records, 2 for blob headers, 3 for cells; returns cells still to come."""
    for row in range(len(words)):
        if pending > 0:
            marks[row] = 3
            pending -= 1
            continue
        kind = (words[row, KIND_WORD] >> np.uint64(KIND_SHIFT)) & np.uint64(0xFF)
        if kind == BLOB:
            marks[row] = 2
            pending = (np.int64(words[row, LENGTH_WORD]) + EVENT_BYTES - 1) // EVENT_BYTES
        else:
            marks[row] = wanted[kind]
    return pending


class Walk:
    """Follows a journal's records in order; ``wanted`` are the kinds that ``feed`` picks out."""

    def __init__(self, wanted: frozenset[Kind]) -> None:
        self._wanted = np.zeros(256, np.uint8)
        self._wanted[[int(kind) for kind in wanted]] = 1
        self._pending = 0
        self._header: np.ndarray | None = None
        self._number = 0
        self._payload = bytearray()

    @property
    def inside_blob(self) -> bool:
        """Whether the last record fed was not the last one of its blob."""
        return self._pending > 0

    def rows(self, records: np.ndarray) -> np.ndarray:
        """Indices of the wanted records; blobs are passed over. Use either this or ``feed``."""
        marks = np.zeros(len(records), np.uint8)
        self._pending = int(_mark(words_of(records), self._pending, self._wanted, marks))
        return np.flatnonzero(marks == 1)

    def feed(self, first: int, records: np.ndarray) -> list[tuple[int, np.ndarray] | Blob]:
        """Wanted records, as (number, EVENT[1]), and whole blobs, in order. ``first`` numbers ``records[0]``."""
        marks = np.zeros(len(records), np.uint8)
        self._pending = int(_mark(words_of(records), self._pending, self._wanted, marks))
        found: list[tuple[int, np.ndarray] | Blob] = []
        rows = np.flatnonzero(marks)
        for row in rows.tolist():
            mark = marks[row]
            if mark == 1:
                found.append((first + row, records[row : row + 1]))
                continue
            if mark == 2:
                self._header, self._number = records[row : row + 1].copy(), first + row
                self._payload = bytearray()
            else:
                self._payload += records[row : row + 1].tobytes()
            blob = self._finished()
            if blob:
                found.append(blob)
        return found

    def _finished(self) -> Blob | None:
        if self._header is None:
            return None
        header = self._header[0]
        length = int(header["length"])
        if len(self._payload) < length:
            return None
        blob = Blob(
            self._number,
            BlobType(int(header["blob_type"])),
            int(header["strategy"]),
            self._header,
            bytes(self._payload[:length]),
        )
        self._header = None
        return blob
