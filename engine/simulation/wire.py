"""Matching reports to ITCH 5.0 messages, compiled, framed for MoldUDP64 and cut into packets.

Only the five messages that a book makes by the thousand are made here: Add Order (A, section 1.3.1), Order
Executed (E, 1.4.1), Order Cancel (X, 1.4.3), Order Delete (D, 1.4.4) and Order Replace (U, 1.4.5). The others come
from ``engine.protocols.itch``. A delete and an add of one owner back to back on one side of one book are a replace.
"""

from collections.abc import Iterator

import numpy as np

from engine.core.compiled import njit
from engine.simulation.matching import DELETED, ENTERED, EXECUTED, INSTRUMENTS, NONE, REDUCED, RESTED

MAX_BLOCK = 1_380  # bytes of message blocks in a packet, so that no datagram is fragmented
PACKETS = 8_192
BUFFER_BYTES = 1 << 23  # as many messages as the matching engine can ever report at once

# ``marks``: end (byte) and count (messages) of each packet that is cut already.
WIRE = np.dtype(
    [
        ("timestamp", "<i8"),  # ns since midnight
        ("position", "<i8"),
        ("start", "<i8"),
        ("count", "<i8"),
        ("packets", "<i8"),
        ("symbols", "u1", (INSTRUMENTS, 8)),
        ("marks", "<i8", (PACKETS, 2)),
        ("buffer", "u1", (BUFFER_BYTES,)),
    ]
)


def wire_state(symbols: list[str]) -> np.record:
    """Raises ``ValueError`` for a symbol that ITCH's eight ASCII characters do not hold."""
    state = np.zeros(1, WIRE)
    for index, symbol in enumerate(symbols):
        raw = symbol.encode("ascii")
        if not 0 < len(raw) <= 8:
            raise ValueError(f"symbol: {symbol!r}, expected 1 to 8 ASCII characters")
        state["symbols"][0, index] = np.frombuffer(raw.ljust(8), np.uint8)
    return state[0]


@njit(cache=True)
def _put(wire, value, size):
    """Writes an unsigned big-endian integer of ``size`` bytes."""
    position = wire.position
    for offset in range(size):
        wire.buffer[position + offset] = (value >> (8 * (size - 1 - offset))) & 0xFF
    wire.position = position + size


@njit(cache=True)
def _begin(wire, size, letter, instrument):
    """Message length and the header that all messages share; starts a new packet when this one is full."""
    if wire.count and wire.position - wire.start + 2 + size > MAX_BLOCK:
        cut(wire)
    wire.count += 1
    _put(wire, size, 2)
    _put(wire, letter, 1)
    _put(wire, instrument + 1, 2)  # stock locate: 1 for the first symbol
    _put(wire, 0, 2)  # tracking number
    _put(wire, wire.timestamp, 6)


@njit(cache=True)
def cut(wire):
    """Ends the packet that is being filled."""
    if wire.count:
        wire.marks[wire.packets, 0] = wire.position
        wire.marks[wire.packets, 1] = wire.count
        wire.packets += 1
        wire.start = wire.position
        wire.count = 0


@njit(cache=True)
def _put_add(wire, report):
    _begin(wire, 36, ord("A"), report.instrument)
    _put(wire, report.reference, 8)
    _put(wire, ord("B") if report.side > 0 else ord("S"), 1)
    _put(wire, report.qty, 4)
    for offset in range(8):
        wire.buffer[wire.position + offset] = wire.symbols[report.instrument, offset]
    wire.position += 8
    _put(wire, report.price, 4)


@njit(cache=True)
def _put_replace(wire, old, new):
    _begin(wire, 35, ord("U"), new.instrument)
    _put(wire, old.reference, 8)
    _put(wire, new.reference, 8)
    _put(wire, new.qty, 4)
    _put(wire, new.price, 4)


@njit(cache=True)
def _replaces(reports, index, n):
    """Whether the delete at ``index`` and the two reports behind it are one replace."""
    if index + 2 >= n:
        return False
    old, new = reports[index], reports[index + 2]
    return (
        reports[index + 1].kind == ENTERED
        and new.kind == RESTED
        and new.reference == reports[index + 1].reference
        and new.owner == old.owner
        and new.instrument == old.instrument
        and new.side == old.side
    )


@njit(cache=True)
def encode(wire, timestamp, reports, n):
    """Appends the messages of ``reports[:n]`` to the packets, stamped ``timestamp`` (ns since midnight)."""
    wire.timestamp = timestamp
    index = 0
    while index < n:
        report = reports[index]
        if report.kind == RESTED:
            _put_add(wire, report)
        elif report.kind == EXECUTED:
            _begin(wire, 31, ord("E"), report.instrument)
            _put(wire, report.reference, 8)
            _put(wire, report.qty, 4)
            _put(wire, report.match_number, 8)
        elif report.kind == REDUCED:
            _begin(wire, 23, ord("X"), report.instrument)
            _put(wire, report.reference, 8)
            _put(wire, report.qty, 4)
        elif report.kind == DELETED and _replaces(reports, index, n):
            _put_replace(wire, report, reports[index + 2])
            index += 2
        elif report.kind == DELETED:
            _begin(wire, 19, ord("D"), report.instrument)
            _put(wire, report.reference, 8)
        index += 1


@njit(cache=True)
def encode_book(wire, timestamp, books):
    """Appends an Add Order for every order that rests: best price first, and the oldest of a price first."""
    wire.timestamp = timestamp
    for instrument in range(books.instruments):
        for index in range(2):
            for position in range(books.depth[instrument, index] - 1, -1, -1):
                slot = books.levels[instrument, index, position].head
                while slot != NONE:
                    order = books.orders[slot]
                    _put_add(wire, order)
                    slot = order.next


def drain(wire: np.record) -> Iterator[tuple[bytes, int]]:
    """The packets that are filled, as (block of framed messages, count); empties the buffer."""
    cut(wire)
    start = 0
    buffer = wire["buffer"]
    for end, count in wire["marks"][: int(wire["packets"])].tolist():
        yield buffer[start:end].tobytes(), count
        start = end
    wire["position"] = wire["start"] = wire["packets"] = 0
