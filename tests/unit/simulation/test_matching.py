"""Price-time priority, stated once and asked of both engines: the compiled one and the plain reference."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.simulation import matching
from engine.simulation.matching import ReportKind, matching_state, report_buffer
from engine.simulation.reference import ReferenceMatching, Report

BUY, SELL = 1, -1


class CompiledMatching:
    """The compiled engine behind the reference's calls, references turned back into serials."""

    def __init__(self) -> None:
        self.state = matching_state(4)
        self.reports = report_buffer()
        self.references: dict[int, int] = {}

    def enter(self, instrument, side, price, qty, *, immediate=False, owner=0, tag=0) -> list[Report]:
        n = matching.enter(self.state, instrument, side, price, qty, immediate, owner, tag, self.reports, 0)
        reference = int(self.reports[0]["reference"])
        self.references[reference >> matching.SLOT_BITS] = reference
        return self._read(n)

    def reduce(self, serial: int, keep: int) -> list[Report]:
        return self._read(matching.reduce(self.state, self.references.get(serial, 0), keep, self.reports, 0))

    def resting_orders(self) -> list[tuple[int, ...]]:
        rows = np.zeros((4096, 5), np.int64)
        return [tuple(row) for row in rows[: matching.resting_orders(self.state, rows)].tolist()]

    def _read(self, n: int) -> list[Report]:
        return [
            Report(
                ReportKind(int(r["kind"])),
                int(r["reference"]) >> matching.SLOT_BITS,
                int(r["side"]),
                int(r["price"]),
                int(r["qty"]),
                int(r["remaining"]),
                int(r["match_number"]),
                int(r["taker_reference"]) >> matching.SLOT_BITS,
            )
            for r in self.reports[:n]
        ]


@pytest.fixture(params=[CompiledMatching, ReferenceMatching])
def engine(request: pytest.FixtureRequest):
    return request.param()


def trades(reports: list[Report]) -> list[tuple[int, int, int]]:
    return [(r.serial, r.price, r.qty) for r in reports if r.kind is ReportKind.EXECUTED]


def test_best_price_trades_first_then_the_older_order(engine):
    engine.enter(0, SELL, 101_00, 100)
    engine.enter(0, SELL, 100_00, 50)
    engine.enter(0, SELL, 100_00, 70)
    reports = engine.enter(0, BUY, 101_00, 150)
    assert trades(reports) == [(2, 100_00, 50), (3, 100_00, 70), (1, 101_00, 30)]


def test_trade_is_at_the_resting_orders_price(engine):
    engine.enter(0, BUY, 100_00, 10)
    assert trades(engine.enter(0, SELL, 90_00, 10)) == [(1, 100_00, 10)]


def test_what_is_left_rests_at_its_own_limit(engine):
    engine.enter(0, SELL, 100_00, 40)
    reports = engine.enter(0, BUY, 100_00, 100)
    assert [r.kind for r in reports] == [ReportKind.ENTERED, ReportKind.EXECUTED, ReportKind.RESTED]
    assert engine.resting_orders() == [(0, BUY, 100_00, 60, 2)]


def test_immediate_order_never_rests(engine):
    engine.enter(0, SELL, 100_00, 40)
    reports = engine.enter(0, BUY, 100_00, 100, immediate=True)
    assert (reports[-1].kind, reports[-1].qty) == (ReportKind.EXPIRED, 60)
    assert engine.resting_orders() == []


def test_orders_that_do_not_cross_both_rest(engine):
    engine.enter(0, BUY, 99_99, 1)
    assert trades(engine.enter(0, SELL, 100_00, 1)) == []
    assert len(engine.resting_orders()) == 2


def test_reduced_order_keeps_its_place_and_loses_shares_only(engine):
    engine.enter(0, BUY, 100_00, 100)
    engine.enter(0, BUY, 100_00, 100)
    (report,) = engine.reduce(1, 30)
    assert (report.kind, report.qty, report.remaining) == (ReportKind.REDUCED, 70, 30)
    assert trades(engine.enter(0, SELL, 100_00, 50)) == [(1, 100_00, 30), (2, 100_00, 20)]


def test_deleted_order_trades_no_more_and_deleting_twice_does_nothing(engine):
    engine.enter(0, BUY, 100_00, 100)
    assert [r.kind for r in engine.reduce(1, 0)] == [ReportKind.DELETED]
    assert engine.reduce(1, 0) == []
    assert trades(engine.enter(0, SELL, 100_00, 100)) == []


def test_books_of_two_symbols_do_not_meet(engine):
    engine.enter(0, SELL, 100_00, 10)
    assert trades(engine.enter(1, BUY, 100_00, 10)) == []


def test_match_numbers_rise_by_one(engine):
    engine.enter(0, SELL, 100_00, 10)
    engine.enter(0, SELL, 100_00, 10)
    reports = engine.enter(0, BUY, 100_00, 20) + engine.enter(0, SELL, 1, 5)
    assert [r.match_number for r in reports if r.kind is ReportKind.EXECUTED] == [1, 2]


ORDERS = st.tuples(
    st.just("enter"), st.integers(0, 1), st.sampled_from([BUY, SELL]), st.integers(9990, 10010), st.integers(1, 90)
)
CUTS = st.tuples(st.just("reduce"), st.integers(1, 60), st.integers(0, 60))


@settings(max_examples=150)
@given(st.lists(st.one_of(ORDERS, ORDERS, CUTS), max_size=60), st.integers(0, 9))
def test_compiled_engine_equals_the_reference_report_by_report(actions: list[tuple], every: int):
    engines: list[Callable] = [CompiledMatching(), ReferenceMatching()]
    for index, (call, *arguments) in enumerate(actions):
        immediate = {"immediate": index % 10 == every} if call == "enter" else {}
        assert len({tuple(getattr(engine, call)(*arguments, **immediate)) for engine in engines}) == 1
    assert engines[0].resting_orders() == engines[1].resting_orders()


def test_side_with_no_room_for_another_price_expires_the_order_and_stays_sound():
    state, reports = matching_state(1), report_buffer()
    for price in range(1, matching.LEVELS + 1):
        matching.enter(state, 0, BUY, price * 100, 1, False, 0, 0, reports, 0)
    n = matching.enter(state, 0, BUY, 50, 1, False, 0, 0, reports, 0)
    assert ReportKind(int(reports[n - 1]["kind"])) is ReportKind.EXPIRED
    assert int(state["resting"]) == matching.LEVELS
    assert matching.delete_all(state, 0, reports, 0) == matching.LEVELS
    assert int(state["resting"]) == 0


def test_full_order_pool_refuses_and_changes_nothing():
    state, reports = matching_state(1), report_buffer(8)
    for _ in range(matching.ORDERS):
        matching.enter(state, 0, BUY, 100_00, 1, False, 0, 0, reports, 0)
    n = matching.enter(state, 0, SELL, 100_00, 1, False, 3, 9, reports, 0)
    assert (n, int(reports[0]["kind"]), int(reports[0]["owner"])) == (1, ReportKind.REFUSED, 3)
    assert int(state["resting"]) == matching.ORDERS
