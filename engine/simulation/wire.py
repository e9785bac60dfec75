"""Matching reports to ITCH 5.0 messages, compiled, framed for MoldUDP64 and cut into packets.

Only the messages that a book makes by the thousand are made here: Add Order (A, section 1.3.1), Order Executed (E,
1.4.1; C, 1.4.2, in an auction), Order Cancel (X, 1.4.3), Order Delete (D, 1.4.4), Order Replace (U, 1.4.5), Trade (P,
1.5.1), for executions of orders that nobody saw, and Cross Trade (Q, 1.5.2). The others come from
``engine.protocols.itch``. A delete and an add of one owner back to back on one side of one book are a replace. An
iceberg's next slice is an add.

Nothing is said of shares that are not displayed until they trade; a dark venue displays none. An auction's executions
are not printable, for its Cross Trade prints them all.
"""

from collections.abc import Iterator

import numpy as np

from engine.core.compiled import njit
from engine.simulation.matching_records import (
    CROSS,
    CROSSED,
    DELETED,
    DISPLAYED,
    ENTERED,
    EXECUTED,
    INSTRUMENTS,
    NONE,
    REDUCED,
    REFRESHED,
    RESTED,
)

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
        ("dark", "<i8"),  # 1: of what stands in the books nothing is told
        ("cross_type", "<i8"),  # ITCH's letter of the auction whose reports come next
        ("symbols", "u1", (INSTRUMENTS, 8)),
        ("marks", "<i8", (PACKETS, 2)),
        ("buffer", "u1", (BUFFER_BYTES,)),
    ]
)


def wire_state(symbols: list[str], *, dark: bool = False) -> np.record:
    """Raises ``ValueError`` for a symbol that ITCH's eight ASCII characters do not hold."""
    state = np.zeros(1, WIRE)
    state["dark"] = dark
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
def _put_symbol(wire, instrument):
    for offset in range(8):
        wire.buffer[wire.position + offset] = wire.symbols[instrument, offset]
    wire.position += 8


@njit(cache=True)
def _put_add(wire, order):
    """Of an order that rests, or of the report that says so: ``visible`` shares under the reference ``shown``."""
    _begin(wire, 36, ord("A"), order.instrument)
    _put(wire, order.shown, 8)
    _put(wire, ord("B") if order.side > 0 else ord("S"), 1)
    _put(wire, order.visible, 4)
    _put_symbol(wire, order.instrument)
    _put(wire, order.price, 4)


@njit(cache=True)
def _put_replace(wire, old, new):
    _begin(wire, 35, ord("U"), new.instrument)
    _put(wire, old.shown, 8)
    _put(wire, new.shown, 8)
    _put(wire, new.visible, 4)
    _put(wire, new.price, 4)


@njit(cache=True)
def _put_executed(wire, report):
    _begin(wire, 31, ord("E"), report.instrument)
    _put(wire, report.shown, 8)
    _put(wire, report.visible, 4)
    _put(wire, report.match_number, 8)


@njit(cache=True)
def _put_crossed(wire, report):
    _begin(wire, 36, ord("C"), report.instrument)
    _put(wire, report.shown, 8)
    _put(wire, report.visible, 4)
    _put(wire, report.match_number, 8)
    _put(wire, ord("N"), 1)
    _put(wire, report.price, 4)


@njit(cache=True)
def _put_trade(wire, report):
    """The reference is 0 and the side B, whatever they were, as the specification has it."""
    _begin(wire, 44, ord("P"), report.instrument)
    _put(wire, 0, 8)
    _put(wire, ord("B"), 1)
    _put(wire, report.qty, 4)
    _put_symbol(wire, report.instrument)
    _put(wire, report.price, 4)
    _put(wire, report.match_number, 8)


@njit(cache=True)
def _put_cross(wire, report):
    _begin(wire, 40, ord("Q"), report.instrument)
    _put(wire, report.qty, 8)
    _put_symbol(wire, report.instrument)
    _put(wire, report.price, 4)
    _put(wire, report.match_number, 8)
    _put(wire, wire.cross_type, 1)


@njit(cache=True)
def _put_taken_off(wire, report):
    _begin(
        wire, 23 if report.kind == REDUCED else 19, ord("X") if report.kind == REDUCED else ord("D"), report.instrument
    )
    _put(wire, report.shown, 8)
    if report.kind == REDUCED:
        _put(wire, report.visible, 4)


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
        and new.visible > 0
    )


@njit(cache=True)
def encode(wire, timestamp, reports, n):
    """Appends the messages of ``reports[:n]`` to the packets, stamped ``timestamp`` (ns since midnight)."""
    wire.timestamp = timestamp
    index = 0
    while index < n:
        report = reports[index]
        seen = report.visible > 0 and not wire.dark
        if report.kind == EXECUTED and not seen:
            _put_trade(wire, report)
        elif report.kind == CROSS:
            _put_cross(wire, report)
        elif seen and (report.kind == RESTED or report.kind == REFRESHED):
            _put_add(wire, report)
        elif seen and report.kind == EXECUTED:
            _put_executed(wire, report)
        elif seen and report.kind == CROSSED:
            _put_crossed(wire, report)
        elif seen and report.kind == DELETED and _replaces(reports, index, n):
            _put_replace(wire, report, reports[index + 2])
            index += 2
        elif seen and (report.kind == REDUCED or report.kind == DELETED):
            _put_taken_off(wire, report)
        index += 1


@njit(cache=True)
def encode_book(wire, timestamp, books):
    """Appends an Add Order for every order that is displayed: best price first, and the oldest of a price first."""
    wire.timestamp = timestamp
    if wire.dark:
        return
    for instrument in range(books.instruments):
        for index in range(2):
            for position in range(books.depth[instrument, index] - 1, -1, -1):
                slot = books.levels[instrument, index, position].queues[DISPLAYED].head
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
