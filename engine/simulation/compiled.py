"""The compiled matching engine behind Python calls: the ones that ``engine.simulation.reference`` has too."""

from hashlib import sha256

import numpy as np

from engine.simulation import auction, matching, order_book
from engine.simulation.matching_records import (
    INSTRUMENTS,
    SLOT_BITS,
    NewOrder,
    Phase,
    Reason,
    Report,
    ReportKind,
    matching_state,
    report_buffer,
)


def book_hash(rows: list[tuple[int, ...]] | np.ndarray) -> str:
    """SHA-256 (hex) of ``resting_orders``' rows as little-endian int64."""
    return sha256(np.asarray(rows, "<i8").tobytes()).hexdigest()


class CompiledMatching:
    """Orders are named by the serial that their ENTERED report has."""

    def __init__(self, tick: int = 1, collar: int = 0, instruments: int = INSTRUMENTS) -> None:
        self.state = matching_state(instruments, tick=tick, collar=collar)
        self.reports = report_buffer()
        self.references: dict[int, int] = {}

    def enter(self, new: NewOrder) -> list[Report]:
        reports = self._read(matching.enter_order(self.state, new, self.reports))
        reference = int(self.reports[0]["reference"])
        self.references[reference >> SLOT_BITS] = reference
        return reports

    def reduce(self, serial: int, keep: int) -> list[Report]:
        return self._read(matching.reduce(self.state, self.references.get(serial, 0), keep, self.reports, 0))

    def delete_all(self, instrument: int) -> list[Report]:
        return self._read(matching.delete_all(self.state, instrument, self.reports, 0))

    def set_phase(self, instrument: int, phase: Phase) -> None:
        self.state["phase"][instrument] = phase

    def cross_price(self, instrument: int, which: int, reference: int) -> tuple[int, int, int]:
        return tuple(auction.cross_price(self.state, instrument, which, reference))

    def uncross(self, instrument: int, which: int, reference: int) -> list[Report]:
        return self._read(auction.uncross(self.state, instrument, which, reference, self.reports, 0))

    def resting_orders(self) -> list[tuple[int, ...]]:
        return [tuple(row) for row in order_book.book_rows(self.state).tolist()]

    def _read(self, n: int) -> list[Report]:
        return [
            Report(
                ReportKind(int(r["kind"])),
                int(r["reference"]) >> SLOT_BITS,
                int(r["side"]),
                int(r["price"]),
                int(r["qty"]),
                int(r["remaining"]),
                int(r["visible"]),
                int(r["shown"]) >> SLOT_BITS,
                int(r["match_number"]),
                int(r["taker_reference"]) >> SLOT_BITS,
                Reason(int(r["reason"])),
            )
            for r in self.reports[:n]
        ]
