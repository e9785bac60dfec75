"""An ITCH BinaryFILE in pieces of whole messages, as bytes and as MoldUDP64 datagrams: a day is not held in memory."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.core.compiled import njit
from engine.errors import BadInput
from engine.protocols.feed import symbol_keys
from engine.protocols.moldudp64 import HEADER, HEADER_BYTES
from engine.protocols.unaligned import load_u16, load_u64, store_u16, store_u64

PIECE_BYTES = 1 << 20
DATAGRAM_BYTES = 1_400
SHORTEST_MESSAGE_BYTES = 14  # System Event, with its length
SESSION = "20130102"
R = ord("R")


def pieces(path: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """The file in pieces of up to PIECE_BYTES, each of whole messages; one buffer, overwritten by the next piece.

    Read-only, as what comes from a socket is: compiled code for arrays that may be written is other code.

    Raises BadInput for a file that cannot be read, is gzipped, or ends inside a message.
    """
    buffer = np.zeros(PIECE_BYTES, np.uint8)
    kept = 0
    try:
        with open(path, "rb") as file:
            while read := file.readinto(buffer[kept:].data):  # type: ignore[attr-defined]
                end = kept + read
                if buffer[0] == 0x1F and buffer[1] == 0x8B:
                    raise BadInput("gzipped", "input", path, "a plain BinaryFILE: the peer reads no other")
                whole = _whole_messages(buffer, end)
                yield read_only(buffer[:whole])
                kept = end - whole
                buffer[:kept] = buffer[whole:end].copy()
    except OSError as error:
        raise BadInput("unreadable", "input", path, error.strerror or "a readable file") from error
    if kept:
        raise BadInput("truncated", "input", path, "whole messages up to its end")


def read_only(content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    view = content[:]
    view.flags.writeable = False
    return view


@njit(cache=True)
def _whole_messages(content, stop):
    position = 0
    while position + 2 <= stop and position + 2 + load_u16(content, position) <= stop:
        position += 2 + load_u16(content, position)
    return position


def symbols_of(path: Path) -> npt.NDArray[np.int64]:
    """Keys of the symbols that the file's Stock Directory names, in its order; the directory opens the file."""
    keys = np.zeros(65_536, np.int64)
    count = 0
    for piece in pieces(path):
        found = _directory(piece, keys[count:])
        count += found
        if not found and count:
            break
    if not count:
        raise BadInput("no_directory", "input", path, "Stock Directory messages")
    return np.unique(keys[:count]) if count else symbol_keys([])


@njit(cache=True)
def _directory(content, keys):
    position, count = 0, 0
    while position < len(content):
        size = load_u16(content, position)
        if size >= 19 and content[position + 2] == R and count < len(keys):
            keys[count] = load_u64(content, position + 13)
            count += 1
        position += 2 + size
    return count


class Packer:
    """Puts pieces into datagrams of at most ``datagram_bytes``, headers included, but for messages that are longer."""

    def __init__(self, datagram_bytes: int = DATAGRAM_BYTES) -> None:
        self._sequence, self._datagram_bytes = 1, datagram_bytes
        self._datagrams = np.zeros(PIECE_BYTES * 3, np.uint8)
        self._ends = np.zeros(PIECE_BYTES // SHORTEST_MESSAGE_BYTES, np.int64)
        self._header = np.frombuffer(HEADER.pack(SESSION.encode().ljust(10), 0, 0), np.uint8)

    def pack(self, piece: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """(datagrams one behind the other, where each ends), overwritten by the next call."""
        room = self._datagram_bytes
        count, self._sequence = _pack(piece, self._header, self._sequence, room, self._datagrams, self._ends)
        return read_only(self._datagrams), self._ends[:count]


@njit(cache=True)
def _copy(target, at, source, start, count):
    for index in range(count):
        target[at + index] = source[start + index]


@njit(cache=True)
def _pack(piece, header, sequence, datagram_bytes, datagrams, ends):
    position = at = count = 0
    while position < len(piece):
        start, messages = at, 0
        at += HEADER_BYTES
        while position < len(piece):
            size = 2 + load_u16(piece, position)
            if messages and at + size - start > datagram_bytes:
                break
            _copy(datagrams, at, piece, position, size)
            at += size
            position += size
            messages += 1
        _copy(datagrams, start, header, 0, HEADER_BYTES)
        store_u64(datagrams, start + 10, sequence)
        store_u16(datagrams, start + 18, messages)
        sequence += messages
        ends[count] = at
        count += 1
    return count, sequence
