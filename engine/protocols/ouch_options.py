"""OUCH 5.0 (revision 1.05), section 1.2 and Appendix A: the TagValue options behind a message's fixed fields.

An appendage is a 2-byte length and elements; an element is a length byte (of tag and value), a tag and a value.
"""

import struct
from typing import TypeAlias

import msgspec

from engine.protocols.layout import WireError

# Option tag -> (name, struct code of the value; "s" stands for text)
OPTIONS: dict[int, tuple[str, str]] = {
    1: ("secondary_ord_ref_num", "Q"),
    2: ("firm", "4s"),
    3: ("min_qty", "I"),
    4: ("customer_type", "1s"),
    5: ("max_floor", "I"),
    6: ("price_type", "1s"),
    7: ("peg_offset", "i"),
    9: ("discretion_price", "Q"),
    10: ("discretion_price_type", "1s"),
    11: ("discretion_peg_offset", "i"),
    12: ("post_only", "1s"),
    13: ("random_reserves", "I"),
    14: ("route", "4s"),
    15: ("expire_time", "I"),
    16: ("trade_now", "1s"),
    17: ("handle_inst", "1s"),
    18: ("bbo_weight_indicator", "1s"),
    22: ("display_quantity", "I"),
    23: ("display_price", "Q"),
    24: ("group_id", "H"),
    25: ("shares_located", "1s"),
    26: ("locate_broker", "4s"),
    27: ("side", "1s"),
    28: ("user_ref_idx", "B"),
    29: ("aiq_strategy", "1s"),
    30: ("aiq_group_id", "2s"),
}
_TAGS = {name: tag for tag, (name, _) in OPTIONS.items()}
_VALUES = {tag: struct.Struct(">" + code) for tag, (_, code) in OPTIONS.items()}


class Option(msgspec.Struct, frozen=True):
    """One TagValue element. ``value`` is raw bytes where the tag is not in Appendix A."""

    tag: int
    value: int | str | bytes

    @property
    def name(self) -> str:
        return OPTIONS[self.tag][0] if self.tag in OPTIONS else f"tag_{self.tag}"


Appendage: TypeAlias = tuple[Option, ...]


def option(name: str, value: int | str) -> Option:
    """An option by its name in Appendix A, lower case with underscores."""
    if name not in _TAGS:
        raise WireError("unknown_type", "ouch.option", name, f"one of {', '.join(_TAGS)}")
    return Option(_TAGS[name], value)


def decode_appendage(name: str, tail: bytes) -> Appendage:
    """The options in `tail`, which begins with their length. `name` is for errors.

    Raises:
        WireError: ``wrong_length`` or ``bad_field``.
    """
    if len(tail) < 2 or int.from_bytes(tail[:2], "big") != len(tail) - 2:
        raise WireError("wrong_length", name, len(tail), "a 2-byte length and as many bytes")
    options, position = [], 2
    while position < len(tail):
        end = position + 1 + tail[position]
        if end < position + 2 or end > len(tail):
            raise WireError("bad_field", name, tail[position], "an option's length inside the appendage")
        options.append(_decode_option(name, tail[position + 1], tail[position + 2 : end]))
        position = end
    return tuple(options)


def encode_appendage(appendage: Appendage) -> bytes:
    """Length and options. Raises WireError ``out_of_range``."""
    elements = b"".join(_encode_option(element) for element in appendage)
    if len(elements) > 0xFFFF:
        raise WireError("out_of_range", "ouch.appendage", len(elements), "at most 65535 bytes")
    return len(elements).to_bytes(2, "big") + elements


def _decode_option(name: str, tag: int, raw: bytes) -> Option:
    packer = _VALUES.get(tag)
    if packer is None:
        return Option(tag, bytes(raw))
    if len(raw) != packer.size:
        raise WireError("bad_field", f"{name}.{OPTIONS[tag][0]}", len(raw), f"{packer.size} bytes")
    value = packer.unpack(raw)[0]
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        return Option(tag, text if len(raw) == 1 else text.rstrip(" "))
    return Option(tag, value)


def _encode_option(element: Option) -> bytes:
    packer = _VALUES.get(element.tag)
    try:
        if packer is None:
            raw = bytes(element.value) if isinstance(element.value, bytes) else None
        elif isinstance(element.value, str):
            raw = element.value.encode("latin-1").ljust(packer.size)
        else:
            raw = packer.pack(element.value)
    except (struct.error, UnicodeEncodeError):
        raw = None
    fits = raw is not None and len(raw) <= 254 and (packer is None or len(raw) == packer.size)
    if raw is None or not fits or not 0 <= element.tag <= 255:
        raise WireError("out_of_range", f"ouch.option.{element.name}", element.value, "a value that fits the option")
    return bytes((len(raw) + 1, element.tag)) + raw
