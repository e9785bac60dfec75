"""Captures: the classic pcap file (draft-ietf-opsawg-pcap, sections 4 and 5), Ethernet with VLAN tags (802.1Q), IPv4
(RFC 791), UDP (RFC 768) and TCP (RFC 9293) as far as it takes to get at payloads. For tests and `decode`.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from engine.protocols.layout import WireError

_MAGIC = {0xA1B2C3D4: 1_000, 0xA1B23C4D: 1}  # -> ns a tick of the fraction
_ETHERNET, _RAW_IP = 1, 101
_VLAN_TAGS = (0x8100, 0x88A8)
_IPV4, _UDP, _TCP = 0x0800, 17, 6
_TCP_SYN = 0x02

Flow: TypeAlias = tuple[bytes, int, bytes, int]  # source address and port, destination address and port


class Datagram(msgspec.Struct, frozen=True):
    ts: int  # ns UTC of the capture
    flow: Flow
    payload: bytes


class Segment(msgspec.Struct, frozen=True):
    ts: int
    flow: Flow
    sequence: int
    syn: bool
    payload: bytes


def is_pcap(content: bytes | memoryview) -> bool:
    return len(content) >= 4 and any(int.from_bytes(content[:4], order) in _MAGIC for order in ("little", "big"))


def read(content: bytes | memoryview, skipped: Counter[str]) -> Iterator[Datagram | Segment]:
    """UDP datagrams and TCP segments of a capture, in file order; others are counted in `skipped` by reason.

    Raises:
        WireError: ``unknown_type`` (no pcap file), ``truncated`` (the file ends inside a packet).
    """
    order = "<" if int.from_bytes(content[:4], "little") in _MAGIC else ">"
    if not is_pcap(content) or len(content) < 24:
        raise WireError("unknown_type", "pcap.magic", bytes(content[:4]).hex(), "a pcap file")
    magic, _, _, _, _, _, link = struct.unpack_from(order + "IHHiIII", content)
    if link & 0xFFFF not in (_ETHERNET, _RAW_IP):
        raise WireError("unknown_type", "pcap.link_type", link, "Ethernet (1) or raw IP (101)")
    header = struct.Struct(order + "IIII")
    position = 24
    while position < len(content):
        if position + header.size > len(content):
            raise WireError("truncated", "pcap.packet", len(content) - position, f"{header.size} bytes")
        seconds, fraction, size, _ = header.unpack_from(content, position)
        end = position + header.size + size
        if end > len(content):
            raise WireError("truncated", "pcap.packet", len(content) - position, f"{header.size + size} bytes")
        ts = seconds * 1_000_000_000 + fraction * _MAGIC[magic]
        frame = bytes(content[position + header.size : end])
        try:
            yield _transport(ts, _network(frame, link & 0xFFFF))
        except _Skip as skip:
            skipped[skip.reason] += 1
        position = end


class _Skip(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason


def _network(frame: bytes, link: int) -> bytes:
    """The IPv4 packet in a frame."""
    if link == _RAW_IP:
        return frame
    at = 12
    while int.from_bytes(frame[at : at + 2], "big") in _VLAN_TAGS:
        at += 4
    if int.from_bytes(frame[at : at + 2], "big") != _IPV4:
        raise _Skip("not_ipv4")
    return frame[at + 2 :]


def _transport(ts: int, packet: bytes) -> Datagram | Segment:
    if len(packet) < 20 or packet[0] >> 4 != 4:
        raise _Skip("not_ipv4")
    total = int.from_bytes(packet[2:4], "big")  # what lies behind it is padding and checksums of the link
    start = 4 * (packet[0] & 15)
    if not 20 <= start <= total <= len(packet):
        raise _Skip("cut_short")
    if int.from_bytes(packet[6:8], "big") & 0x3FFF:
        raise _Skip("fragment")
    body = packet[start:total]
    if packet[9] not in (_UDP, _TCP) or len(body) < 8:
        raise _Skip("other_transport")
    ports = struct.unpack_from(">HH", body)
    flow = (packet[12:16], ports[0], packet[16:20], ports[1])
    if packet[9] == _UDP:
        return Datagram(ts, flow, body[8 : int.from_bytes(body[4:6], "big")])
    if len(body) < 20:
        raise _Skip("cut_short")
    return Segment(ts, flow, int.from_bytes(body[4:8], "big"), bool(body[13] & _TCP_SYN), body[4 * (body[12] >> 4) :])


class Reassembly:
    """The byte streams of TCP flows; a flow met in the middle begins with its first segment."""

    def __init__(self) -> None:
        self._next: dict[Flow, int] = {}
        self._waiting: dict[Flow, dict[int, bytes]] = {}

    @property
    def gaps(self) -> int:
        """Flows that still wait for bytes which the capture lacks."""
        return sum(1 for waiting in self._waiting.values() if waiting)

    def add(self, segment: Segment) -> bytes:
        """Bytes that continue the segment's flow now."""
        flow = segment.flow
        if segment.syn:
            self._next[flow] = (segment.sequence + 1) % (1 << 32)
            return b""
        self._next.setdefault(flow, segment.sequence)
        waiting = self._waiting.setdefault(flow, {})
        if len(segment.payload) > len(waiting.get(segment.sequence, b"")):
            waiting[segment.sequence] = segment.payload
        out = b""
        while (chunk := self._due(flow, waiting)) is not None:
            out += chunk
            self._next[flow] = (self._next[flow] + len(chunk)) % (1 << 32)
        return out

    def _due(self, flow: Flow, waiting: dict[int, bytes]) -> bytes | None:
        for sequence in list(waiting):
            behind = (self._next[flow] - sequence) % (1 << 32)
            if behind < 1 << 31:  # begins at or before what is expected
                fresh = waiting.pop(sequence)[behind:]
                if fresh:
                    return fresh
        return None
