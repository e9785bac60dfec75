"""ITCH 5.0 messages: every type round trips, and bytes that break the protocol are refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.protocols import itch
from engine.protocols.layout import Wire, WireError

# Message lengths of the specification (offset of the last field + its length), section 1.
SPECIFIED = {
    "S": 12,
    "R": 39,
    "H": 25,
    "Y": 20,
    "L": 26,
    "V": 35,
    "W": 12,
    "K": 28,
    "J": 35,
    "h": 21,
    "A": 36,
    "F": 40,
    "E": 31,
    "C": 36,
    "X": 23,
    "D": 19,
    "U": 35,
    "P": 44,
    "Q": 40,
    "B": 19,
    "I": 50,
    "N": 20,
    "O": 48,
}


def values(wire: Wire) -> st.SearchStrategy:
    if wire.form in ("int", "int48"):
        return st.integers(0, (1 << 8 * wire.size) - 1)
    letters = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=wire.size)
    return letters if wire.form == "alpha" else st.sampled_from("ABNYQT ")


def instances(cls: type) -> st.SearchStrategy:
    fields = itch.LAYOUTS[ord(cls.TYPE)].fields
    return st.builds(cls, **{name: values(wire) for name, wire in fields})


def test_every_message_type_of_the_specification_is_there_with_its_length() -> None:
    assert {chr(code): length for code, length in itch.LENGTHS.items()} == SPECIFIED


@given(st.one_of([instances(cls) for cls in itch.MESSAGES]))
def test_encoding_and_decoding_gives_the_message_back(message: itch.ItchMessage) -> None:
    raw = itch.encode(message)
    assert len(raw) == SPECIFIED[message.TYPE]
    assert itch.decode(raw) == message


@given(st.sampled_from(sorted(SPECIFIED)), st.binary(min_size=49, max_size=49))
def test_any_bytes_of_the_right_length_come_back_exactly(letter: str, raw: bytes) -> None:
    message = letter.encode() + raw[: SPECIFIED[letter] - 1]
    assert itch.encode(itch.decode(message)) == message


def test_add_order_stands_as_the_specification_says() -> None:
    # Section 1.3.1: type, locate 2, tracking 2, timestamp 6, reference 8, side 1, shares 4, stock 8, price 4.
    raw = bytes.fromhex("41 1598 0000 1f1aced85306 000000000166b53e 42 00000640 49564f4f20202020 000d55ac")
    assert itch.decode(raw) == itch.AddOrder(0x1598, 0, 0x1F1ACED85306, 0x166B53E, "B", 1600, "IVOO", 873_900)


@pytest.mark.parametrize(
    ("raw", "reason"), [(b"", "truncated"), (b"?" * 12, "unknown_type"), (b"S" * 11, "wrong_length")]
)
def test_bytes_that_break_the_protocol_are_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(WireError) as error:
        itch.decode(raw)
    assert error.value.code == reason


@pytest.mark.parametrize(
    "message",
    [
        itch.OrderDelete(1 << 16, 0, 0, 1),
        itch.OrderDelete(0, 0, 1 << 48, 1),
        itch.OrderDelete(0, 0, 0, -1),
        itch.RegShoRestriction(0, 0, 0, "NINELETTR", "0"),
        itch.SystemEvent(0, 0, 0, ""),
        itch.RegShoRestriction(0, 0, 0, "\u20ac", "0"),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_refused(message: itch.ItchMessage) -> None:
    with pytest.raises(WireError, match="out_of_range"):
        itch.encode(message)


def test_every_message_names_its_section() -> None:
    assert all(cls.SECTION.startswith("1.") for cls in itch.MESSAGES)
