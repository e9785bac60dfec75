"""Nasdaq BinaryFILE 1.00 (sections "File Format" and "End of Session"), plain or gzipped.

A file is a row of packets: 2-byte big-endian length and that many bytes. A length of 0 marks the end of the session.
This is also the framing inside a MoldUDP64 packet, so a file (up to its end mark) is one message block.
"""

import gzip
import mmap
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.protocols.layout import WireError

_GZIP_MAGIC = b"\x1f\x8b"


def load(path: str | Path) -> npt.NDArray[np.uint8]:
    """The file's bytes, uint8 (size,): mapped where it is plain, in memory where it is gzipped.

    Raises:
        WireError: ``truncated`` for a gzip file that is cut or damaged.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        magic = file.read(2)
        if magic != _GZIP_MAGIC:
            if not magic:
                return np.zeros(0, np.uint8)
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    try:
        with gzip.open(path, "rb") as packed:
            return np.frombuffer(packed.read(), np.uint8)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise WireError("truncated", "binaryfile", str(path), "a whole gzip file") from error


def messages(content: npt.NDArray[np.uint8] | bytes) -> Iterator[bytes]:
    """The messages of a file's content, up to its end mark.

    Raises:
        WireError: ``truncated`` when the last packet is cut; every message before it has been handed out.
    """
    view = memoryview(content)  # type: ignore[arg-type]
    position, size = 0, len(view)
    while position < size:
        end = position + 2 + (view[position] << 8 | view[position + 1] if position + 2 <= size else 0)
        if position + 2 > size or end > size:
            raise WireError("truncated", "binaryfile.packet", size - position, f"{max(end - position, 2)} bytes")
        if end == position + 2:
            return
        yield bytes(view[position + 2 : end])
        position = end


def write(path: str | Path, parts: Iterable[bytes], *, end_mark: bool = False) -> int:
    """Writes `parts` as packets (gzipped when the name ends in .gz); the number of packets."""
    count = 0
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "wb") as file:
        for part in parts:
            if not 0 < len(part) <= 0xFFFF:
                raise WireError("out_of_range", "binaryfile.packet", len(part), "1 to 65535 bytes")
            file.write(len(part).to_bytes(2, "big") + part)
            count += 1
        if end_mark:
            file.write(b"\0\0")
    return count
