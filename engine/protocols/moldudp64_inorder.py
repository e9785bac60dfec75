"""MoldUDP64 packets that continue their session plainly, compiled: many datagrams to events in one call.

Nearly every packet of a day is the next one of its session, whole, with nothing missing, or the same packet come once
more by the other line. Those need no state machine: they are checked here (session, sequence number, and, of what is
new, that the block is exactly its messages), and decoded or counted. The first packet that is anything else stops this
and is the `Receiver`'s, which also learns what was taken.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.core.compiled import njit
from engine.protocols import moldudp64
from engine.protocols.itch_events import decode_whole
from engine.protocols.moldudp64_receiver import Receiver
from engine.protocols.unaligned import load_u16, load_u64

LINE = np.dtype(
    [
        ("session", "<i8"),  # its first 8 bytes, and the last 2 below
        ("session_end", "<i8"),
        ("next_sequence", "<i8"),
        ("packets", "<i8"),  # taken by the last call
        ("messages", "<i8"),
        ("duplicates", "<i8"),  # of those packets
    ]
)
HEADER_BYTES = moldudp64.HEADER_BYTES
MAX_COUNT = moldudp64.MAX_COUNT


@njit(cache=True)
def _is_block(payload, start, stop, count):
    """Whether ``payload[start:stop]`` is `count` messages, each behind its length, and nothing else."""
    position = start
    for _ in range(count):
        if position + 2 > stop:
            return False
        position += 2 + load_u16(payload, position)
    return position == stop


@njit(cache=True, nogil=True)
def decode_packets(datagrams, ends, first, lines, feed, locate_map, symbols, out):
    """Decodes datagrams from number `first` on while they continue the session or repeat it; returns the number of
    events.

    Args:
        datagrams: uint8 (n,), one behind the other; ``ends`` int64 (m,) says where each ends.
        lines: LINE[1]; says how many packets, messages and duplicates were taken. A packet with more messages than
            there is room left in `out` is not.
        feed, locate_map, symbols, out: as for `decode_block`.
    """
    line = lines[0]
    line.packets = 0
    line.messages = 0
    line.duplicates = 0
    events = 0
    for index in range(first, len(ends)):
        start = ends[index - 1] if index else 0
        stop = ends[index]
        block = start + HEADER_BYTES
        if stop - start < HEADER_BYTES:
            break
        if load_u64(datagrams, start) != line.session or load_u16(datagrams, start + 8) != line.session_end:
            break
        sequence = load_u64(datagrams, start + 10)
        count = load_u16(datagrams, start + 18)
        if not 0 < count <= MAX_COUNT:
            break
        if 0 < sequence <= line.next_sequence - count:
            line.packets += 1
            line.duplicates += 1
            continue
        if sequence != line.next_sequence or count > len(out) - events or not _is_block(datagrams, block, stop, count):
            break
        line.packets += 1
        events += decode_whole(datagrams, block, stop, feed, locate_map, symbols, out[events:])
        line.next_sequence += count
        line.messages += count
    return events


def place_of(receiver: Receiver, lines: np.ndarray) -> None:
    """Sets LINE[1] to where the session of a `Receiver` stands."""
    line, name = lines[0], receiver.session.encode("latin-1").ljust(moldudp64.SESSION_BYTES)
    line["session"], line["session_end"] = int.from_bytes(name[:8], "big", signed=True), int.from_bytes(name[8:])
    line["next_sequence"] = receiver.next_sequence


class InOrder:
    """What stands in front of a `Receiver` and takes what needs none of its care, many datagrams in a call."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self._lines = np.zeros(1, LINE)

    def take(
        self,
        datagrams: npt.NDArray[np.uint8],
        ends: npt.NDArray[np.int64],
        first: int,
        feed: np.ndarray,
        locate_map: npt.NDArray[np.int32],
        symbols: npt.NDArray[np.int64],
        out: np.ndarray,
        by: int = 0,
    ) -> tuple[int, int]:
        """(packets taken, events made of them): see `decode_packets`; ``feed`` is FEED[1] here, ``by`` the number of
        the line that the datagrams came by.

        What follows the packets taken is for `Receiver.on_datagram`.
        """
        receiver = self.receiver
        if not receiver.plain:
            return 0, 0
        line = self._lines[0]
        place_of(receiver, self._lines)
        events = _decode(datagrams, ends, first, self._lines, feed, locate_map, symbols, out)
        packets = int(line["packets"])
        receiver.took(packets, int(line["messages"]), int(line["duplicates"]), by)
        return packets, events


@njit(cache=True, nogil=True)
def _decode_array(datagrams, ends, first, lines, feeds, locate_map, symbols, out):
    """`decode_packets` with FEED[1]: numba takes an array from Python ten times faster than a record."""
    return decode_packets(datagrams, ends, first, lines, feeds[0], locate_map, symbols, out)


_decode: Any = _decode_array
