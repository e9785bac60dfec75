"""The kdb+ IPC protocol: serialised objects, message headers and their compression.

Source: KX, "Serialization and deserialization" and "IPC compression" (code.kx.com/q/basics/ipc, kb/serialization,
wp/capi), and KX's published Java client ``c.java`` for the compression.
"""

import struct
from typing import Any, NamedTuple

import numpy as np

EPOCH = np.datetime64("2000-01-01", "ns")
ASYNC, SYNC, RESPONSE = 0, 1, 2
LEAST_COMPRESSED = 2_000  # a shorter message is not compressed
NULL_LONG = np.iinfo(np.int64).min

ATOMS: dict[int, np.dtype] = {
    1: np.dtype("?"),
    4: np.dtype("u1"),
    5: np.dtype("<i2"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
    8: np.dtype("<f4"),
    9: np.dtype("<f8"),
    12: np.dtype("<i8"),  # timestamp: ns since 2000
    13: np.dtype("<i4"),  # month
    14: np.dtype("<i4"),  # date: days since 2000
    15: np.dtype("<f8"),  # datetime
    16: np.dtype("<i8"),  # timespan: ns
    17: np.dtype("<i4"),  # minute
    18: np.dtype("<i4"),  # second
    19: np.dtype("<i4"),  # time: ms
}
CODES = {"b": 1, "u1": 4, "i2": 5, "i4": 6, "i8": 7, "f4": 8, "f8": 9}


class Symbol(str):
    """A q symbol; a plain ``str`` is a char vector."""


class Symbols(list[str]):
    """A q symbol vector."""


class QError(Exception):
    """What q sends in place of a result."""


class Message(NamedTuple):
    kind: int
    value: Any


# ---- objects


def encode(value: Any) -> bytes:
    """The bytes of an object. Raises ``TypeError`` for one that has no q type here."""
    if value is None:
        return b"\x65\x00"  # the generic null, (::)
    if isinstance(value, QError):
        return b"\x80" + str(value).encode() + b"\0"
    if isinstance(value, Symbols):
        return _vector_head(11, len(value)) + b"".join(one.encode() + b"\0" for one in value)
    if isinstance(value, Symbol):
        return b"\xf5" + value.encode() + b"\0"
    if isinstance(value, (str, bytes)):
        text = value.encode() if isinstance(value, str) else value
        return _vector_head(10, len(text)) + text
    if isinstance(value, bool):
        return struct.pack("<bB", -1, value)
    if isinstance(value, int):
        return struct.pack("<bq", -7, value)
    if isinstance(value, float):
        return struct.pack("<bd", -9, value)
    if isinstance(value, np.ndarray):
        return _encode_array(value)
    if isinstance(value, (list, tuple)):
        return _vector_head(0, len(value)) + b"".join(encode(one) for one in value)
    if isinstance(value, dict):  # a table: its columns by name
        return b"\x62\x00\x63" + encode(Symbols(value)) + encode(list(value.values()))
    raise TypeError(f"{type(value).__name__} has no q type here")


def _encode_array(values: np.ndarray) -> bytes:
    if values.dtype.kind == "M":
        since = values.astype("M8[ns]") - EPOCH
        return _vector_head(12, len(values)) + since.astype("<i8").tobytes()
    code = CODES["b" if values.dtype.kind == "b" else values.dtype.str[1:]]
    return _vector_head(code, len(values)) + values.astype(ATOMS[code]).tobytes()


def _vector_head(code: int, count: int) -> bytes:
    return struct.pack("<bBi", code, 0, count)


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int) -> bytes:
        piece = self.content[self.at : self.at + count]
        if len(piece) < count:
            raise ValueError(f"the message ends within an object, at byte {self.at}")
        self.at += count
        return piece

    def unpack(self, form: str) -> Any:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def text(self) -> str:
        end = self.content.index(b"\0", self.at)
        return self.take(end + 1 - self.at)[:-1].decode()

    def object(self) -> Any:
        code = self.unpack("b")
        if code == -128:
            raise QError(self.text())
        if code == 98:
            self.take(1)
            return self.object()
        if code == 99:
            keys, values = self.object(), self.object()
            return dict(zip(keys, values, strict=True))
        if code == 101:
            self.take(1)
            return None
        if code < 0:
            return self._atom(-code)
        self.take(1)  # the attribute
        return self._vector(code, self.unpack("i"))

    def _atom(self, code: int) -> Any:
        if code == 10:
            return self.take(1).decode("latin-1")
        if code == 11:
            return Symbol(self.text())
        [value] = self._numbers(code, 1)
        return value if isinstance(value, np.datetime64) else value.item()

    def _vector(self, code: int, count: int) -> Any:
        if code == 0:
            return [self.object() for _ in range(count)]
        if code == 10:
            return self.take(count)
        if code == 11:
            return Symbols(self.text() for _ in range(count))
        return self._numbers(code, count)

    def _numbers(self, code: int, count: int) -> np.ndarray:
        if code not in ATOMS:
            raise ValueError(f"type {code} is not read here")
        values = np.frombuffer(self.take(count * ATOMS[code].itemsize), ATOMS[code])
        if code == 12:
            return EPOCH + values.astype("m8[ns]")
        return EPOCH.astype("M8[D]") + values.astype("m8[D]") if code == 14 else values


def decode(content: bytes) -> Any:
    """The object that the bytes are. Raises ``QError`` for an error, ``ValueError`` for what is no object."""
    reader = _Reader(content)
    value = reader.object()
    if reader.at != len(content):
        raise ValueError(f"{len(content) - reader.at} bytes after the object")
    return value


# ---- messages


def message(kind: int, value: Any, *, compressed: bool = False) -> bytes:
    """A whole message; ``compressed`` where that makes it shorter than half, as q does."""
    body = encode(value)
    plain = struct.pack("<BBBBi", 1, kind, 0, 0, 8 + len(body)) + body
    return (compress(plain) or plain) if compressed and len(plain) > LEAST_COMPRESSED else plain


def parse(content: bytes) -> Message:
    """A whole message, little endian. Raises as ``decode``."""
    endian, kind, packed, _, length = struct.unpack("<BBBBi", content[:8])
    if endian != 1 or length != len(content):
        raise ValueError(f"endian {endian}, length {length} of {len(content)}")
    return Message(kind, decode((decompress(content) if packed else content)[8:]))


def compress(plain: bytes) -> bytes | None:
    """The compressed message, or None where it would not be shorter than half (``c.java``, ``compress``)."""
    out, most = bytearray(12), len(plain) // 2
    seen = [0] * 256  # by the xor of two bytes: where they stood last
    flags_at, flags, bit, start, waiting, waiting_hash = 0, 0, 256, 8, 0, 0
    while start < len(plain):
        if bit == 256:
            if len(out) > most - 17:
                return None
            if flags_at:
                out[flags_at] = flags
            flags_at, flags, bit = len(out), 0, 1
            out.append(0)
        key = plain[start] ^ plain[start + 1] if start < len(plain) - 2 else 0
        before = seen[key] if start < len(plain) - 2 else 0
        literal = not before or plain[start] != plain[before]
        if waiting:
            seen[waiting_hash], waiting = waiting, 0
        if literal:
            waiting_hash, waiting = key, start
            out.append(plain[start])
            start += 1
        else:
            seen[key] = start
            flags |= bit
            begin = start + 2
            length = 0
            while begin + length < len(plain) and length < 255 and plain[before + 2 + length] == plain[begin + length]:
                length += 1
            out += bytes((key, length))
            start = begin + length
        bit *= 2
    out[flags_at] = flags
    out[:4] = plain[:2] + b"\1\0"
    struct.pack_into("<ii", out, 4, len(out), len(plain))
    return bytes(out)


def decompress(packed: bytes) -> bytes:
    """The plain message (``c.java``, ``uncompress``)."""
    (length,) = struct.unpack_from("<i", packed, 8)
    plain = bytearray(packed[:2] + b"\0\0" + struct.pack("<i", length))
    seen = [0] * 256
    source, known, bit, flags = 12, 8, 256, 0
    while len(plain) < length:
        if bit == 256:
            flags, bit = packed[source], 1
            source += 1
        repeated = 0
        if flags & bit:
            start, repeated = seen[packed[source]], packed[source + 1]
            source += 2
            for at in range(start, start + 2):
                plain.append(plain[at])
        else:
            plain.append(packed[source])
            source += 1
        while known < len(plain) - 1:
            seen[plain[known] ^ plain[known + 1]] = known
            known += 1
        if flags & bit:
            for at in range(start + 2, start + 2 + repeated):
                plain.append(plain[at])
            known = len(plain)
        bit *= 2
    return bytes(plain)
