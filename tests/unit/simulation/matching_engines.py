"""Both matching engines behind one set of calls: the compiled one and the plain reference."""

from engine.simulation import auction, matching, order_book
from engine.simulation.matching_records import (
    SLOT_BITS,
    NewOrder,
    Phase,
    Reason,
    ReportKind,
    matching_state,
    report_buffer,
)
from engine.simulation.reference import ReferenceMatching, Report

BUY, SELL = 1, -1


class CompiledMatching:
    """The compiled engine with serials for references."""

    def __init__(self, tick: int = 1, collar: int = 0) -> None:
        self.state = matching_state(4, tick=tick, collar=collar)
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


ENGINES = (CompiledMatching, ReferenceMatching)


def trades(reports: list[Report]) -> list[tuple[int, int, int]]:
    """(serial of the resting order, price, qty) of each execution."""
    return [(r.serial, r.price, r.qty) for r in reports if r.kind is ReportKind.EXECUTED]


def ending(reports: list[Report]) -> tuple[ReportKind, Reason, int]:
    return reports[-1].kind, reports[-1].reason, reports[-1].qty
