"""Fixed binary layouts, big-endian, from one table: the annotated fields of a message class.

Nasdaq's binary protocols (ITCH 5.0 section 1, OUCH 5.0 section 1.2, "Data Types") know unsigned big-endian
integers, prices as integers with implied decimals, and ASCII fields padded on the right with spaces. A message class
lists its fields in wire order with the types below; `Layout` makes its codec from them. Alpha fields become ``str``
without their padding; the bytes come back exactly (latin-1 keeps every byte, and only trailing spaces are padding).
"""

import struct
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple, get_type_hints

import msgspec

from engine.errors import BadInput


class WireError(BadInput):
    """Bytes (or a message to be encoded) that break the protocol. ``code`` is the reason that counters use:
    ``unknown_type``, ``wrong_length``, ``truncated``, ``bad_field``, ``out_of_range``."""


class Wire(NamedTuple):
    """How a field stands on the wire: its `struct` code, its size in bytes, and what it is made of."""

    code: str
    size: int
    form: str  # "int", "int48", "char" or "alpha"


U16 = Annotated[int, Wire("H", 2, "int")]
U32 = Annotated[int, Wire("I", 4, "int")]
U48 = Annotated[int, Wire("6s", 6, "int48")]
U64 = Annotated[int, Wire("Q", 8, "int")]
Char = Annotated[str, Wire("1s", 1, "char")]
Alpha2 = Annotated[str, Wire("2s", 2, "alpha")]
Alpha4 = Annotated[str, Wire("4s", 4, "alpha")]
Alpha8 = Annotated[str, Wire("8s", 8, "alpha")]
Alpha14 = Annotated[str, Wire("14s", 14, "alpha")]
Price4 = Annotated[int, Wire("I", 4, "int")]  # 1/10,000
LongPrice4 = Annotated[int, Wire("Q", 8, "int")]  # 1/10,000 in 8 bytes (OUCH 5.0)


class WireMessage(msgspec.Struct, frozen=True):
    """Base of all table-driven messages. ``TYPE`` is the first byte on the wire."""

    TYPE: ClassVar[str]
    SECTION: ClassVar[str]  # of the specification


def _decode_alpha(raw: bytes) -> str:
    return raw.decode("latin-1").rstrip(" ")


def _decode_char(raw: bytes) -> str:
    return raw.decode("latin-1")


def _decode_int48(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "alpha": _decode_alpha,
    "char": _decode_char,
    "int48": _decode_int48,
}


def wire_fields(cls: type[msgspec.Struct]) -> list[tuple[str, Wire]]:
    """The fields of `cls` that stand at fixed places on the wire, in order."""
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for name in cls.__struct_fields__:
        wires = [meta for meta in getattr(hints[name], "__metadata__", ()) if isinstance(meta, Wire)]
        if wires:
            found.append((name, wires[0]))
    return found


class Layout:
    """Codec of one message class: type byte and fixed fields. ``size`` is in bytes, the type byte included."""

    def __init__(self, protocol: str, cls: type[WireMessage]) -> None:
        self.protocol, self.cls = protocol, cls
        self.fields = wire_fields(cls)
        self.names = [name for name, _ in self.fields]
        self._struct = struct.Struct(">c" + "".join(wire.code for _, wire in self.fields))
        self.size = self._struct.size
        self._type = cls.TYPE.encode("latin-1")
        self._encoded = [(i, name, wire) for i, (name, wire) in enumerate(self.fields) if wire.form != "int"]
        self._decoders = [(i + 1, _DECODERS[w.form]) for i, (_, w) in enumerate(self.fields) if w.form in _DECODERS]

    def offset(self, name: str) -> int:
        """Where field `name` begins, in bytes from the type byte."""
        index = self.names.index(name)
        return 1 + sum(wire.size for _, wire in self.fields[:index])

    def unpack(self, message: bytes | memoryview, offset: int = 0) -> list[Any]:
        """Field values of the message that begins at `offset`; the caller has checked the length."""
        values = list(self._struct.unpack_from(message, offset))
        for index, decoder in self._decoders:
            values[index] = decoder(values[index])
        return values[1:]

    def pack(self, message: WireMessage) -> bytes:
        """The fixed part of `message`.

        Raises:
            WireError: a value does not fit its field.
        """
        values = [getattr(message, name) for name in self.names]
        for index, name, wire in self._encoded:
            values[index] = self._value(name, wire, values[index])
        try:
            return self._struct.pack(self._type, *values)
        except struct.error:
            for (name, wire), value in zip(self.fields, values, strict=True):
                if wire.form == "int":
                    self._value(name, wire, value)  # says which one does not fit
            raise

    def _value(self, name: str, wire: Wire, value: Any) -> Any:
        if wire.form == "int":
            signed = wire.code.islower()
            low, high = (-(1 << 8 * wire.size - 1), 1 << 8 * wire.size - 1) if signed else (0, 1 << 8 * wire.size)
            if not isinstance(value, int) or not low <= value < high:
                raise self._error(name, value, f"an integer from {low} to {high - 1}")
            return value
        if wire.form == "int48":
            if not isinstance(value, int) or not 0 <= value < 1 << 48:
                raise self._error(name, value, "an integer below 2**48")
            return value.to_bytes(6, "big")
        return self._text(name, wire, value)

    def _text(self, name: str, wire: Wire, value: Any) -> bytes:
        try:
            raw = value.encode("latin-1")
        except (AttributeError, UnicodeEncodeError) as error:
            raise self._error(name, value, f"up to {wire.size} latin-1 characters") from error
        if len(raw) > wire.size or (wire.form == "char" and len(raw) != 1):
            raise self._error(name, value, f"{'' if wire.form == 'char' else 'up to '}{wire.size} characters")
        return bytes(raw.ljust(wire.size))

    def _error(self, name: str, value: Any, expected: str) -> WireError:
        return WireError("out_of_range", f"{self.protocol}.{self.cls.__name__}.{name}", value, expected)
