"""Auctions, asked of both engines: the compiled one and the plain reference, which tries every price."""

import pytest
from matching_engines import BUY, ENGINES, SELL, ending

from engine.simulation.matching_records import NewOrder, OrderKind, Phase, Reason, ReportKind, TimeInForce

OPENING, CLOSING = TimeInForce.OPENING, TimeInForce.CLOSING


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest):
    """Collects orders for the opening."""
    engine = request.param()
    engine.set_phase(0, Phase.COLLECTING)
    return engine


def enter(engine, side: int, price: int, qty: int, **fields):
    return engine.enter(NewOrder(0, side, price, qty, **fields))


def market(engine, side: int, qty: int, when: int = OPENING):
    return enter(engine, side, 0, qty, kind=OrderKind.MARKET, time_in_force=when)


def crossed(reports) -> list[tuple[int, int, int]]:
    return [(r.serial, r.price, r.qty) for r in reports if r.kind is ReportKind.CROSSED]


def test_price_executes_the_most_shares(engine):
    enter(engine, BUY, 102, 100)
    enter(engine, BUY, 101, 100)
    enter(engine, SELL, 100, 50)
    enter(engine, SELL, 101, 120)
    # At 100: 50 shares; at 101: 170; at 102: 100.
    assert engine.cross_price(0, OPENING, 0) == (101, 170, 30)


def test_of_the_prices_with_the_most_shares_the_smallest_imbalance_decides(engine):
    enter(engine, BUY, 100, 100)
    enter(engine, BUY, 104, 100)
    enter(engine, SELL, 100, 100)
    enter(engine, SELL, 104, 100)
    # 100 shares at every price from 100 to 104; 100 are left over at both ends and none between.
    assert engine.cross_price(0, OPENING, 0) == (101, 100, 0)


@pytest.mark.parametrize(("reference", "price"), [(95, 100), (102, 102), (110, 104), (0, 100)])
def test_then_the_price_nearest_to_the_reference_decides(engine, reference: int, price: int):
    enter(engine, BUY, 104, 100)
    enter(engine, SELL, 100, 100)
    assert engine.cross_price(0, OPENING, reference) == (price, 100, 0)


def test_all_trade_at_one_price_and_better_prices_first(engine):
    enter(engine, SELL, 100, 90)
    enter(engine, BUY, 101, 50)
    enter(engine, BUY, 103, 60)
    reports = engine.uncross(0, OPENING, 100)
    assert [trade for trade in crossed(reports) if trade[0] != 1] == [(3, 100, 60), (2, 100, 30)]
    assert {price for _, price, _ in crossed(reports)} == {100}
    assert engine.resting_orders() == [(0, BUY, 0, 101, 20, 20, 2, 2)]


def test_market_orders_come_first_then_displayed_then_hidden_orders(engine):
    enter(engine, BUY, 100, 10, display=0)
    enter(engine, BUY, 100, 10)
    market(engine, BUY, 10)
    enter(engine, SELL, 100, 25)
    bought = [trade for trade in crossed(engine.uncross(0, OPENING, 100)) if trade[0] != 4]
    assert [(serial, qty) for serial, _, qty in bought] == [(3, 10), (2, 10), (1, 5)]


def test_market_orders_alone_cross_at_the_reference_or_not_at_all(engine):
    market(engine, BUY, 30)
    market(engine, SELL, 20)
    assert engine.cross_price(0, OPENING, 0) == (0, 0, 0)
    assert engine.cross_price(0, OPENING, 77) == (77, 20, 10)


def test_cross_says_the_whole_volume_and_each_match_has_its_own_number(engine):
    enter(engine, SELL, 100, 30)
    enter(engine, SELL, 100, 30)
    enter(engine, BUY, 100, 60)
    reports = engine.uncross(0, OPENING, 100)
    cross = reports[-1]
    assert (cross.kind, cross.price, cross.qty, cross.match_number) == (ReportKind.CROSS, 100, 60, 3)
    assert [r.match_number for r in reports if r.kind is ReportKind.CROSSED] == [1, 1, 2, 2]


def test_auction_orders_that_are_left_expire_and_book_orders_stay(engine):
    enter(engine, BUY, 99, 10, time_in_force=OPENING)
    enter(engine, BUY, 98, 10)
    assert ending(engine.uncross(0, OPENING, 100)) == (ReportKind.EXPIRED, Reason.AUCTION_OVER, 10)
    assert [row[6] for row in engine.resting_orders()] == [2]


def test_after_the_auction_trading_is_continuous_and_the_book_not_crossed(engine):
    enter(engine, BUY, 105, 10)
    enter(engine, SELL, 95, 25)
    engine.uncross(0, OPENING, 100)
    assert [(row[1], row[4]) for row in engine.resting_orders()] == [(SELL, 15)]
    assert ending(enter(engine, BUY, 95, 5))[0] is ReportKind.EXECUTED


def test_on_open_order_is_refused_once_trading_is_continuous(engine):
    engine.uncross(0, OPENING, 0)
    assert ending(market(engine, BUY, 10))[:2] == (ReportKind.REFUSED, Reason.WRONG_PHASE)


def test_on_close_orders_wait_unseen_and_trade_with_the_book_at_the_close(engine):
    engine.uncross(0, OPENING, 0)
    market(engine, BUY, 50, CLOSING)
    enter(engine, SELL, 101, 30)
    enter(engine, BUY, 100, 30)
    assert len(engine.resting_orders()) == 3
    reports = engine.uncross(0, CLOSING, 100)
    assert crossed(reports) == [(1, 101, 30), (2, 101, 30)]
    assert ending(reports) == (ReportKind.EXPIRED, Reason.AUCTION_OVER, 20)


def test_icebergs_take_part_with_their_reserve(engine):
    enter(engine, SELL, 100, 50, display=10)
    enter(engine, BUY, 100, 45)
    reports = engine.uncross(0, OPENING, 100)
    assert [(r.qty, r.visible) for r in reports if r.kind is ReportKind.CROSSED and r.serial == 1] == [(45, 10)]
    assert engine.resting_orders()[0][4:6] == (5, 5)


def test_minimum_quantity_and_midpoint_orders_stay_out(engine):
    enter(engine, BUY, 105, 50, display=0, min_qty=10)
    enter(engine, BUY, 0, 50, kind=OrderKind.MIDPOINT)
    enter(engine, SELL, 100, 50)
    assert engine.cross_price(0, OPENING, 102) == (0, 0, 0)


def test_halted_book_reopens_by_an_auction(engine):
    engine.uncross(0, OPENING, 0)
    enter(engine, SELL, 100, 10)
    engine.set_phase(0, Phase.HALTED)
    engine.set_phase(0, Phase.COLLECTING)
    enter(engine, BUY, 102, 10)
    assert crossed(engine.uncross(0, OPENING, 101)) == [(2, 101, 10), (1, 101, 10)]
