"""OUCH 5.0 messages and their appendages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.protocols import ouch
from engine.protocols.layout import Wire, WireError
from engine.protocols.ouch_options import OPTIONS

# Offsets of the appendage length (or the message lengths) in the specification, sections 2 and 3.
INBOUND = {"O": 45, "U": 38, "X": 9, "M": 10, "C": 17, "D": 9, "E": 9, "Q": 1}
OUTBOUND = {
    "S": 10,
    "A": 62,
    "U": 66,
    "C": 18,
    "D": 32,
    "E": 34,
    "B": 36,
    "J": 29,
    "P": 13,
    "I": 13,
    "T": 30,
    "M": 18,
    "R": 14,
    "X": 25,
    "G": 17,
    "K": 17,
    "Q": 13,
}


def values(wire: Wire) -> st.SearchStrategy:
    if wire.form == "int":
        return st.integers(0, (1 << 8 * wire.size) - 1)
    letters = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=wire.size)
    return letters if wire.form == "alpha" else st.sampled_from("ABNYQT ")


def option_values(code: str) -> st.SearchStrategy:
    if code.endswith("s"):
        return st.text("ABCXYZ", min_size=1, max_size=int(code[:-1]))
    size = {"B": 1, "H": 2, "I": 4, "i": 4, "Q": 8}[code]
    return st.integers(-(1 << 31), (1 << 31) - 1) if code == "i" else st.integers(0, (1 << 8 * size) - 1)


KNOWN = st.one_of([st.builds(ouch.Option, st.just(tag), option_values(code)) for tag, (_, code) in OPTIONS.items()])
UNKNOWN = st.builds(ouch.Option, st.integers(31, 255), st.binary(max_size=20))
APPENDAGES = st.lists(KNOWN | UNKNOWN, max_size=6).map(tuple)


def instances(cls: type) -> st.SearchStrategy:
    layouts = ouch.INBOUND_LAYOUTS if cls in ouch.INBOUND else ouch.OUTBOUND_LAYOUTS
    fields = {name: values(wire) for name, wire in layouts[ord(cls.TYPE)].fields}
    if cls.APPENDAGE == "required":
        fields["appendage"] = APPENDAGES
    elif cls.APPENDAGE == "optional":
        fields["appendage"] = st.none() | APPENDAGES
    return st.builds(cls, **fields)


def test_every_message_type_of_the_specification_is_there_with_its_length() -> None:
    assert {chr(code): layout.size for code, layout in ouch.INBOUND_LAYOUTS.items()} == INBOUND
    assert {chr(code): layout.size for code, layout in ouch.OUTBOUND_LAYOUTS.items()} == OUTBOUND


@given(st.one_of([instances(cls) for cls in ouch.INBOUND]))
def test_inbound_messages_round_trip(message: ouch.OuchMessage) -> None:
    assert ouch.decode_inbound(ouch.encode(message)) == message


@given(st.one_of([instances(cls) for cls in ouch.OUTBOUND]))
def test_outbound_messages_round_trip(message: ouch.OuchMessage) -> None:
    assert ouch.decode_outbound(ouch.encode(message)) == message


@given(st.binary(max_size=90))
def test_any_bytes_decode_and_come_back_or_are_refused_with_a_reason(raw: bytes) -> None:
    for decode in (ouch.decode_inbound, ouch.decode_outbound):
        try:
            message = decode(raw)
        except WireError:
            continue
        assert ouch.encode(message) == raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "truncated"),
        (b"Z" + bytes(44), "unknown_type"),
        (b"O" + bytes(44), "wrong_length"),  # Enter Order needs the length of its appendage
        (b"O" + bytes(44) + b"\0\1", "wrong_length"),
        (b"O" + bytes(44) + b"\0\3\2\2A", "bad_field"),  # Firm is four letters
        (b"O" + bytes(44) + b"\0\1\0", "bad_field"),  # an option of length 0
        (b"O" + bytes(44) + b"\0\2\5\2", "bad_field"),  # an option longer than the appendage
    ],
)
def test_bytes_that_break_the_protocol_are_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(WireError) as error:
        ouch.decode_inbound(raw)
    assert error.value.code == reason


@pytest.mark.parametrize(
    "element",
    [
        ouch.Option(2, "TOOLONG"),
        ouch.Option(3, -1),
        ouch.Option(3, b"raw"),
        ouch.Option(31, "text"),
        ouch.Option(31, bytes(255)),
        ouch.Option(256, b""),
    ],
)
def test_an_option_that_does_not_fit_is_refused(element: ouch.Option) -> None:
    with pytest.raises(WireError, match="out_of_range"):
        ouch.encode(ouch.CancelOrder(1, appendage=(element,)))


def test_an_unknown_option_name_is_refused() -> None:
    with pytest.raises(WireError, match="unknown_type"):
        ouch.option("colour", 1)


def test_a_cancel_may_stand_without_an_appendage() -> None:
    assert ouch.encode(ouch.CancelOrder(7)) == b"X\0\0\0\7\0\0\0\0"
    assert ouch.encode(ouch.CancelOrder(7, appendage=())) == b"X\0\0\0\7\0\0\0\0\0\0"
