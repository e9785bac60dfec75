"""SoupBinTCP 3.00: packets (sections 2.1 "Debug" to 2.3.5 "Logout Request") and a stream splitter.

A packet is a 2-byte big-endian length (of what follows), a type letter and a payload. The state machines of both
sides are in `soupbintcp_session`.
"""

from collections.abc import Iterator

import msgspec

from engine.protocols.layout import WireError

DEBUG = "+"
LOGIN_ACCEPTED = "A"  # server: session (10), sequence number of the next message (20, ASCII)
LOGIN_REJECTED = "J"  # server: reason letter
SEQUENCED = "S"  # server
SERVER_HEARTBEAT = "H"
END_OF_SESSION = "Z"
LOGIN_REQUEST = "L"  # client: username (6), password (10), session (10), next sequence number (20, ASCII)
UNSEQUENCED = "U"  # both
CLIENT_HEARTBEAT = "R"
LOGOUT_REQUEST = "O"

NOT_AUTHORIZED = "A"
SESSION_NOT_AVAILABLE = "S"

_PAYLOAD_BYTES = {
    LOGIN_ACCEPTED: 30,
    LOGIN_REJECTED: 1,
    SERVER_HEARTBEAT: 0,
    END_OF_SESSION: 0,
    LOGIN_REQUEST: 46,
    CLIENT_HEARTBEAT: 0,
    LOGOUT_REQUEST: 0,
}
_ANY_LENGTH = {DEBUG, SEQUENCED, UNSEQUENCED}
MAX_PAYLOAD = 0xFFFF - 1


class Packet(msgspec.Struct, frozen=True):
    type: str
    payload: bytes = b""


class Login(msgspec.Struct, frozen=True):
    """``session`` "" asks for the current one; ``sequence`` is the next number wanted, 0 for only what is new."""

    username: str
    password: str
    session: str
    sequence: int


def encode(packet_type: str, payload: bytes = b"") -> bytes:
    if len(payload) > MAX_PAYLOAD:
        raise WireError("out_of_range", "soupbintcp.payload", len(payload), f"at most {MAX_PAYLOAD} bytes")
    return (len(payload) + 1).to_bytes(2, "big") + packet_type.encode("ascii") + payload


def _alpha(field: str, text: str, size: int) -> bytes:
    raw = text.encode("latin-1", "replace")
    if len(raw) > size:
        raise WireError("out_of_range", f"soupbintcp.{field}", "*" * len(raw), f"at most {size} characters")
    return raw.ljust(size)


def _number(raw: bytes, field: str) -> int:
    text = raw.decode("latin-1").strip(" ")
    if not (text.isascii() and text.isdigit()):
        raise WireError("bad_field", f"soupbintcp.{field}", text, "ASCII digits")
    return int(text)


def encode_login(login: Login) -> bytes:
    payload = (
        _alpha("username", login.username, 6)
        + _alpha("password", login.password, 10)
        + _alpha("session", login.session, 10).strip(b" ").rjust(10)
        + str(login.sequence).encode().rjust(20)
    )
    return encode(LOGIN_REQUEST, payload)


def decode_login(payload: bytes) -> Login:
    fields = [payload[:6], payload[6:16], payload[16:26]]
    username, password, session = (field.decode("latin-1").strip(" ") for field in fields)
    return Login(username, password, session, _number(payload[26:], "sequence"))


def encode_login_accepted(session: str, next_sequence: int) -> bytes:
    return encode(LOGIN_ACCEPTED, _alpha("session", session, 10).strip(b" ").rjust(10) + b"%20d" % next_sequence)


def decode_login_accepted(payload: bytes) -> tuple[str, int]:
    """Session and the sequence number of the next sequenced packet."""
    return payload[:10].decode("latin-1").strip(" "), _number(payload[10:], "sequence")


class Splitter:
    """Cuts a byte stream into packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a packet that is not complete yet."""
        return len(self._buffer)

    def reset(self) -> None:
        """Forgets what is pending."""
        self._buffer.clear()

    def feed(self, chunk: bytes) -> Iterator[Packet]:
        """Packets that are complete with `chunk`.

        Raises:
            WireError: ``wrong_length`` or ``unknown_type``; the stream cannot be trusted after that.
        """
        self._buffer += chunk
        while len(self._buffer) >= 2:
            length = int.from_bytes(self._buffer[:2], "big")
            if length == 0:
                raise WireError("wrong_length", "soupbintcp.packet", 0, "a length of at least 1")
            if len(self._buffer) < 2 + length:
                return
            packet = Packet(self._buffer[2:3].decode("latin-1"), bytes(self._buffer[3 : 2 + length]))
            del self._buffer[: 2 + length]
            yield checked(packet)


def checked(packet: Packet) -> Packet:
    """`packet`, or WireError when its type or the length of its payload is not the protocol's."""
    if packet.type in _ANY_LENGTH:
        return packet
    expected = _PAYLOAD_BYTES.get(packet.type)
    if expected is None:
        raise WireError("unknown_type", "soupbintcp.type", packet.type, "one of +AJSHZLURO")
    if len(packet.payload) != expected:
        raise WireError("wrong_length", f"soupbintcp.{packet.type}", len(packet.payload), f"{expected} bytes")
    return packet
