"""Every message of a BinaryFILE or a capture, decoded and encoded again from its decoded fields alone.

BinaryFILE holds ITCH; in a capture, UDP is taken for MoldUDP64 with ITCH in it and TCP for SoupBinTCP with OUCH.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from engine.protocols import binaryfile, itch, moldudp64, ouch, pcap, soupbintcp
from engine.protocols.layout import WireError, WireMessage


class Found(msgspec.Struct, frozen=True):
    """One message or packet. ``reason`` says why it is bad, "" when it is not; then `content` is None."""

    protocol: str
    name: str
    content: msgspec.Struct | None
    equal: bool = True  # encoding it again gave the same bytes
    reason: str = ""


def decode_file(path: str | Path, skipped: Counter[str] | None = None) -> Iterator[Found]:
    """The messages of a file in order; gzipped files too. Frames of a capture that are no UDP or TCP over IPv4 are
    counted in `skipped`.

    Raises:
        OSError: the file cannot be read.
        WireError: ``truncated`` for a damaged gzip file.
    """
    content = binaryfile.load(path)
    view = memoryview(content)  # type: ignore[arg-type]
    if pcap.is_pcap(view[:4]):
        yield from _capture(view, Counter() if skipped is None else skipped)
        return
    try:
        for message in binaryfile.messages(content):
            yield _message("itch", message, itch.decode, itch.encode)[0]
    except WireError as error:
        yield Found("binaryfile", "Packet", None, reason=error.code)


def _message(
    protocol: str, raw: bytes, decode: Callable[[bytes], WireMessage], encode: Callable[..., bytes]
) -> tuple[Found, bytes]:
    """The message found, and its bytes made again (those given, where it is bad)."""
    try:
        message = decode(raw)
    except WireError as error:
        return Found(protocol, "Unknown", None, reason=error.code), raw
    again = encode(message)
    return Found(protocol, type(message).__name__, message, again == raw), again


def _capture(content: memoryview, skipped: Counter[str]) -> Iterator[Found]:
    streams, splitters = pcap.Reassembly(), dict[pcap.Flow, soupbintcp.Splitter]()
    try:
        for unit in pcap.read(content, skipped):
            if isinstance(unit, pcap.Datagram):
                yield from _datagram(unit.payload)
            else:
                splitter = splitters.setdefault(unit.flow, soupbintcp.Splitter())
                yield from _stream(splitter, streams.add(unit))
    except WireError as error:
        yield Found("pcap", "Packet", None, reason=error.code)
    unfinished = streams.gaps + sum(1 for splitter in splitters.values() if splitter.pending)
    for _ in range(unfinished):
        yield Found("soupbintcp", "Packet", None, reason="truncated")


def _datagram(raw: bytes) -> Iterator[Found]:
    try:
        packet = moldudp64.decode(raw)
    except WireError as error:
        yield Found("moldudp64", "Packet", None, reason=error.code)
        return
    made = [_message("itch", one, itch.decode, itch.encode) for one in moldudp64.unframe(packet.block, packet.messages)]
    yield from (found for found, _ in made)
    name, again = _encode_datagram(packet, [part for _, part in made])
    yield Found("moldudp64", name, _Header(packet.session, packet.sequence, packet.messages), again == raw)


class _Header(msgspec.Struct, frozen=True):
    session: str
    sequence: int
    count: int


def _encode_datagram(packet: moldudp64.Packet, messages: list[bytes]) -> tuple[str, bytes]:
    if packet.count == moldudp64.END_OF_SESSION:
        return "EndOfSession", moldudp64.encode_end_of_session(packet.session, packet.sequence)
    if packet.count == moldudp64.HEARTBEAT:
        return "Heartbeat", moldudp64.encode_heartbeat(packet.session, packet.sequence)
    return "Packet", moldudp64.encode(packet.session, packet.sequence, messages)


_SOUP_NAMES = {
    soupbintcp.DEBUG: "Debug",
    soupbintcp.LOGIN_ACCEPTED: "LoginAccepted",
    soupbintcp.LOGIN_REJECTED: "LoginRejected",
    soupbintcp.SEQUENCED: "Sequenced",
    soupbintcp.SERVER_HEARTBEAT: "ServerHeartbeat",
    soupbintcp.END_OF_SESSION: "EndOfSession",
    soupbintcp.LOGIN_REQUEST: "LoginRequest",
    soupbintcp.UNSEQUENCED: "Unsequenced",
    soupbintcp.CLIENT_HEARTBEAT: "ClientHeartbeat",
    soupbintcp.LOGOUT_REQUEST: "LogoutRequest",
}
_DECODERS = {soupbintcp.SEQUENCED: ouch.decode_outbound, soupbintcp.UNSEQUENCED: ouch.decode_inbound}


class _Soup(msgspec.Struct, frozen=True):
    type: str
    bytes: int


def _stream(splitter: soupbintcp.Splitter, chunk: bytes) -> Iterator[Found]:
    try:
        for packet in splitter.feed(chunk):
            yield from _soup_packet(packet)
    except WireError as error:
        yield Found("soupbintcp", "Packet", None, reason=error.code)
        splitter.reset()


def _soup_packet(packet: soupbintcp.Packet) -> Iterator[Found]:
    payload = packet.payload
    if packet.type in _DECODERS:
        found, payload = _message("ouch", packet.payload, _DECODERS[packet.type], ouch.encode)
        yield found
    again = _encode_soup(packet, payload)
    content = _Soup(packet.type, len(packet.payload))
    equal = again == soupbintcp.encode(packet.type, packet.payload)
    yield Found("soupbintcp", _SOUP_NAMES[packet.type], content, equal)


def _encode_soup(packet: soupbintcp.Packet, payload: bytes) -> bytes:
    if packet.type == soupbintcp.LOGIN_REQUEST:
        return soupbintcp.encode_login(soupbintcp.decode_login(payload))
    if packet.type == soupbintcp.LOGIN_ACCEPTED:
        return soupbintcp.encode_login_accepted(*soupbintcp.decode_login_accepted(payload))
    return soupbintcp.encode(packet.type, payload)
