"""Both matching engines, and what the tests ask of their reports."""

from engine.simulation.compiled import CompiledMatching
from engine.simulation.matching_records import INSTRUMENTS, Reason, Report, ReportKind
from engine.simulation.reference import ReferenceMatching

BUY, SELL = 1, -1
NO_INSTRUMENT = INSTRUMENTS
ENGINES = (CompiledMatching, ReferenceMatching)


def trades(reports: list[Report]) -> list[tuple[int, int, int]]:
    """(serial of the resting order, price, qty) of each execution."""
    return [(r.serial, r.price, r.qty) for r in reports if r.kind is ReportKind.EXECUTED]


def ending(reports: list[Report]) -> tuple[ReportKind, Reason, int]:
    return reports[-1].kind, reports[-1].reason, reports[-1].qty
