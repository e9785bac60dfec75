"""MoldUDP64 1.00: datagrams (section 1, "Downstream Packet" and "Request Packet").

A downstream packet is a 20-byte header (session of 10 ASCII bytes, sequence number of its first message, message
count) and that many message blocks, each a 2-byte big-endian length and the message. A count of 0 is a heartbeat and
of 0xFFFF the end of the session; both carry the next expected sequence number. A request packet is the same header
alone, with the number of messages wanted. The receiving state machine is `moldudp64_receiver.Receiver`, the sending
ones are `moldudp64_sender.Sender` and `RetransmissionStore`.
"""

import struct
from collections.abc import Iterable

import msgspec

from engine.protocols.layout import WireError

HEADER = struct.Struct(">10sQH")
HEADER_BYTES = HEADER.size
HEARTBEAT = 0
END_OF_SESSION = 0xFFFF
MAX_COUNT = 0xFFFE
SESSION_BYTES = 10
_LENGTH = struct.Struct(">H")


class Packet(msgspec.Struct, frozen=True):
    """A downstream packet. ``block`` is its messages, each behind its 2-byte length."""

    session: str
    sequence: int
    count: int
    block: bytes

    @property
    def messages(self) -> int:
        """Number of messages in the block (heartbeats and ends of session carry none)."""
        return 0 if self.count == END_OF_SESSION else self.count

    @property
    def next_sequence(self) -> int:
        return self.sequence + self.messages


class Request(msgspec.Struct, frozen=True):
    session: str
    sequence: int
    count: int


def _header(session: str, sequence: int, count: int) -> bytes:
    raw = session.encode("latin-1")
    if len(raw) > SESSION_BYTES:
        raise WireError("out_of_range", "moldudp64.session", session, "at most 10 characters")
    if not (0 <= sequence < 1 << 64 and 0 <= count <= END_OF_SESSION):
        raise WireError("out_of_range", "moldudp64.sequence", (sequence, count), "64 and 16 bit unsigned integers")
    return HEADER.pack(raw.ljust(SESSION_BYTES), sequence, count)


def frame(messages: Iterable[bytes]) -> bytes:
    """The block of `messages`: each behind its length."""
    parts = []
    for message in messages:
        if len(message) > 0xFFFF:
            raise WireError("out_of_range", "moldudp64.message", len(message), "at most 65535 bytes")
        parts.append(_LENGTH.pack(len(message)))
        parts.append(message)
    return b"".join(parts)


def boundaries(block: bytes | memoryview, count: int) -> list[int]:
    """Offsets of the first `count` messages of a block and the end of the last: `count` + 1 values.

    Raises:
        WireError: ``truncated`` when the block ends before.
    """
    offsets, position = [0], 0
    for index in range(count):
        if position + 2 > len(block):
            raise WireError("truncated", "moldudp64.block", len(block), f"message {index + 1} of {count}")
        position += 2 + _LENGTH.unpack_from(block, position)[0]
        if position > len(block):
            raise WireError("truncated", "moldudp64.block", len(block), f"{position} bytes")
        offsets.append(position)
    return offsets


def unframe(block: bytes | memoryview, count: int) -> list[bytes]:
    """The first `count` messages of a block. Raises WireError like `boundaries`."""
    offsets = boundaries(block, count)
    return [bytes(block[start + 2 : end]) for start, end in zip(offsets, offsets[1:], strict=False)]


def encode(session: str, sequence: int, messages: Iterable[bytes]) -> bytes:
    """A downstream packet with `messages`, the first of which has number `sequence`."""
    listed = list(messages)
    return encode_block(session, sequence, len(listed), frame(listed))


def encode_block(session: str, sequence: int, count: int, block: bytes) -> bytes:
    """A downstream packet whose `count` messages are framed already."""
    if not 0 < count <= MAX_COUNT:
        raise WireError("out_of_range", "moldudp64.count", count, f"1 to {MAX_COUNT} messages")
    return _header(session, sequence, count) + block


def encode_heartbeat(session: str, next_sequence: int) -> bytes:
    return _header(session, next_sequence, HEARTBEAT)


def encode_end_of_session(session: str, next_sequence: int) -> bytes:
    return _header(session, next_sequence, END_OF_SESSION)


def encode_request(session: str, sequence: int, count: int) -> bytes:
    return _header(session, sequence, count)


def decode(datagram: bytes | memoryview) -> Packet:
    """Raises WireError: ``truncated`` (shorter than its header or its messages), ``wrong_length`` (bytes behind)."""
    if len(datagram) < HEADER_BYTES:
        raise WireError("truncated", "moldudp64.packet", len(datagram), f"at least {HEADER_BYTES} bytes")
    session, sequence, count = HEADER.unpack_from(datagram)
    packet = Packet(session.decode("latin-1").rstrip(" "), sequence, count, bytes(datagram[HEADER_BYTES:]))
    end = boundaries(packet.block, packet.messages)[-1]
    if end != len(packet.block):
        raise WireError("wrong_length", "moldudp64.block", len(packet.block), f"{end} bytes")
    return packet


def decode_request(datagram: bytes | memoryview) -> Request:
    """Raises WireError ``wrong_length`` unless the datagram is one header."""
    if len(datagram) != HEADER_BYTES:
        raise WireError("wrong_length", "moldudp64.request", len(datagram), f"{HEADER_BYTES} bytes")
    session, sequence, count = HEADER.unpack_from(datagram)
    return Request(session.decode("latin-1").rstrip(" "), sequence, count)
