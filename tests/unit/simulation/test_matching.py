"""The rules of continuous trading, stated once and asked of both engines: the compiled one and the plain reference."""

import pytest
from matching_engines import BUY, ENGINES, NO_INSTRUMENT, SELL, CompiledMatching, ending, trades

from engine.simulation import matching_records
from engine.simulation.matching_records import NewOrder, OrderKind, Phase, Prevention, Reason, ReportKind, TimeInForce

NOW, WHOLE = TimeInForce.IMMEDIATE, TimeInForce.FILL_OR_KILL
PEG = OrderKind.MIDPOINT


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest):
    return request.param()


@pytest.fixture(params=ENGINES)
def collared(request: pytest.FixtureRequest):
    """Nothing trades more than 5 % through the touch."""
    return request.param(tick=100, collar=500)


def order(side: int, price: int, qty: int, instrument: int = 0, **fields) -> NewOrder:
    return NewOrder(instrument, side, price, qty, **fields)


def enter(engine, side: int, price: int, qty: int, **fields):
    return engine.enter(order(side, price, qty, **fields))


# ---- price, then time ----------------------------------------------------------------------------------


def test_best_price_trades_first_then_the_older_order(engine):
    enter(engine, SELL, 101_00, 100)
    enter(engine, SELL, 100_00, 50)
    enter(engine, SELL, 100_00, 70)
    assert trades(enter(engine, BUY, 101_00, 150)) == [(2, 100_00, 50), (3, 100_00, 70), (1, 101_00, 30)]


def test_trade_is_at_the_resting_orders_price(engine):
    enter(engine, BUY, 100_00, 10)
    assert trades(enter(engine, SELL, 90_00, 10)) == [(1, 100_00, 10)]


def test_what_is_left_rests_at_its_own_limit(engine):
    enter(engine, SELL, 100_00, 40)
    reports = enter(engine, BUY, 100_00, 100)
    assert [r.kind for r in reports] == [ReportKind.ENTERED, ReportKind.EXECUTED, ReportKind.RESTED]
    assert engine.resting_orders() == [(0, BUY, 0, 100_00, 60, 60, 2, 2)]


def test_orders_that_do_not_cross_both_rest(engine):
    enter(engine, BUY, 99_99, 1)
    assert trades(enter(engine, SELL, 100_00, 1)) == []
    assert len(engine.resting_orders()) == 2


def test_reduced_order_keeps_its_place_and_loses_shares_only(engine):
    enter(engine, BUY, 100_00, 100)
    enter(engine, BUY, 100_00, 100)
    (report,) = engine.reduce(1, 30)
    assert (report.kind, report.qty, report.remaining) == (ReportKind.REDUCED, 70, 30)
    assert trades(enter(engine, SELL, 100_00, 50)) == [(1, 100_00, 30), (2, 100_00, 20)]


def test_deleted_order_trades_no_more_and_deleting_twice_does_nothing(engine):
    enter(engine, BUY, 100_00, 100)
    assert [r.kind for r in engine.reduce(1, 0)] == [ReportKind.DELETED]
    assert engine.reduce(1, 0) == []
    assert trades(enter(engine, SELL, 100_00, 100)) == []


def test_books_of_two_symbols_do_not_meet(engine):
    enter(engine, SELL, 100_00, 10)
    assert trades(enter(engine, BUY, 100_00, 10, instrument=1)) == []


def test_match_numbers_rise_by_one(engine):
    enter(engine, SELL, 100_00, 10)
    enter(engine, SELL, 100_00, 10)
    reports = enter(engine, BUY, 100_00, 20) + enter(engine, SELL, 1, 5)
    assert [r.match_number for r in reports if r.kind is ReportKind.EXECUTED] == [1, 2]


# ---- how long an order is good for ----------------------------------------------------------------------


def test_immediate_order_never_rests(engine):
    enter(engine, SELL, 100_00, 40)
    assert ending(enter(engine, BUY, 100_00, 100, time_in_force=NOW)) == (ReportKind.EXPIRED, Reason.IMMEDIATE, 60)
    assert engine.resting_orders() == []


def test_market_order_takes_any_price_and_never_rests(engine):
    enter(engine, SELL, 100_00, 40)
    enter(engine, SELL, 900_00, 40)
    reports = enter(engine, BUY, 0, 100, kind=OrderKind.MARKET, time_in_force=NOW)
    assert trades(reports) == [(1, 100_00, 40), (2, 900_00, 40)]
    assert ending(reports) == (ReportKind.EXPIRED, Reason.IMMEDIATE, 20)


def test_fill_or_kill_gets_all_of_its_shares_or_touches_nothing(engine):
    enter(engine, SELL, 100_00, 40)
    enter(engine, SELL, 100_01, 40, display=10)
    enter(engine, SELL, 100_02, 40)
    assert ending(enter(engine, BUY, 100_01, 81, time_in_force=WHOLE)) == (ReportKind.EXPIRED, Reason.UNFILLED, 81)
    assert len(engine.resting_orders()) == 3
    assert sum(qty for *_, qty in trades(enter(engine, BUY, 100_01, 80, time_in_force=WHOLE))) == 80


def test_post_only_order_that_would_trade_expires_and_otherwise_rests(engine):
    enter(engine, SELL, 100_00, 40, display=0)
    assert ending(enter(engine, BUY, 100_00, 10, post_only=True)) == (ReportKind.EXPIRED, Reason.POST_ONLY, 10)
    assert ending(enter(engine, BUY, 99_99, 10, post_only=True)) == (ReportKind.RESTED, Reason.NONE, 10)


# ---- what is not displayed ------------------------------------------------------------------------------


def test_hidden_order_ranks_behind_newer_displayed_orders_of_its_price_and_before_worse_prices(engine):
    enter(engine, SELL, 100_00, 10, display=0)
    enter(engine, SELL, 100_00, 10)
    enter(engine, SELL, 100_01, 10)
    assert trades(enter(engine, BUY, 100_01, 30)) == [(2, 100_00, 10), (1, 100_00, 10), (3, 100_01, 10)]


def test_icebergs_next_slice_goes_behind_all_displayed_orders_of_its_price(engine):
    enter(engine, SELL, 100_00, 50, display=20)
    enter(engine, SELL, 100_00, 20)
    enter(engine, SELL, 100_00, 5, display=0)
    assert trades(enter(engine, BUY, 100_00, 75)) == [
        (1, 100_00, 20),
        (2, 100_00, 20),
        (1, 100_00, 20),
        (1, 100_00, 10),
        (3, 100_00, 5),
    ]


def test_icebergs_next_slice_has_a_new_name_and_the_order_keeps_its_own(engine):
    enter(engine, SELL, 100_00, 50, display=20)
    refreshed = enter(engine, BUY, 100_00, 20)[-1]
    assert (refreshed.kind, refreshed.serial, refreshed.visible, refreshed.remaining) == (
        ReportKind.REFRESHED,
        1,
        20,
        30,
    )
    assert refreshed.shown > 2
    assert [r.kind for r in engine.reduce(1, 0)] == [ReportKind.DELETED]


def test_cut_takes_an_icebergs_reserve_before_what_it_shows(engine):
    enter(engine, SELL, 100_00, 50, display=20)
    assert [(r.qty, r.visible) for r in engine.reduce(1, 25) + engine.reduce(1, 15)] == [(25, 0), (10, 5)]


def test_resting_minimum_quantity_is_passed_over_by_smaller_orders(engine):
    enter(engine, SELL, 100_00, 100, display=0, min_qty=50)
    enter(engine, SELL, 100_01, 10)
    assert trades(enter(engine, BUY, 100_01, 49)) == [(2, 100_01, 10)]
    assert trades(enter(engine, BUY, 100_00, 60)) == [(1, 100_00, 60)]


def test_rest_below_its_minimum_trades_whole(engine):
    enter(engine, SELL, 100_00, 60, display=0, min_qty=50)
    enter(engine, BUY, 100_00, 50, time_in_force=NOW)
    assert trades(enter(engine, BUY, 100_00, 9, time_in_force=NOW)) == []
    assert trades(enter(engine, BUY, 100_00, 11, time_in_force=NOW)) == [(1, 100_00, 10)]


def test_incoming_minimum_quantity_counts_over_several_orders(engine):
    enter(engine, SELL, 100_00, 30)
    enter(engine, SELL, 100_01, 30)
    missed = enter(engine, BUY, 100_01, 90, min_qty=61, time_in_force=NOW)
    assert (trades(missed), ending(missed)) == ([], (ReportKind.EXPIRED, Reason.MINIMUM, 90))
    assert len(trades(enter(engine, BUY, 100_01, 90, min_qty=60, time_in_force=NOW))) == 2


# ---- midpoint -------------------------------------------------------------------------------------------


def quote(engine, bid: int = 100_00, ask: int = 100_05) -> None:
    """Serials 1 and 2."""
    enter(engine, BUY, bid, 100)
    enter(engine, SELL, ask, 100)


def test_midpoint_orders_meet_in_the_middle_of_the_displayed_touch(engine):
    quote(engine)
    enter(engine, BUY, 100_03, 100, display=0)  # hidden: does not move the middle
    enter(engine, SELL, 100_04, 100, display=0)
    engine.reduce(3, 0)
    engine.reduce(4, 0)
    enter(engine, BUY, 0, 60, kind=PEG)
    assert trades(enter(engine, SELL, 0, 100, kind=PEG)) == [(5, 100_02, 60)]  # 100.025 rounded down to the unit


def test_incoming_order_trades_with_midpoint_orders_before_the_touch(engine):
    quote(engine, 100_00, 100_10)
    enter(engine, SELL, 0, 30, kind=PEG)
    assert trades(enter(engine, BUY, 100_10, 50)) == [(3, 100_05, 30), (2, 100_10, 20)]


def test_midpoint_order_does_not_trade_beyond_its_own_limit(engine):
    quote(engine, 100_00, 100_10)
    enter(engine, SELL, 100_06, 30, kind=PEG)
    assert trades(enter(engine, BUY, 0, 30, kind=PEG)) == []


def test_hidden_order_at_the_middle_trades_before_midpoint_orders(engine):
    quote(engine, 100_00, 100_10)
    enter(engine, SELL, 0, 30, kind=PEG)
    enter(engine, SELL, 100_05, 30, display=0)
    assert trades(enter(engine, BUY, 100_05, 60)) == [(4, 100_05, 30), (3, 100_05, 30)]


def test_midpoint_orders_wait_while_a_side_shows_nothing(engine):
    enter(engine, BUY, 100_00, 10)
    enter(engine, BUY, 0, 30, kind=PEG)
    assert trades(enter(engine, SELL, 0, 30, kind=PEG)) == []
    assert trades(enter(engine, SELL, 100_10, 10)) == [(3, 100_05, 30)]


def test_midpoint_order_trades_when_the_touch_moves_to_where_it_meets_a_hidden_order(engine):
    quote(engine, 100_00, 100_10)
    enter(engine, BUY, 100_03, 20, display=0)
    enter(engine, SELL, 0, 30, kind=PEG)
    engine.reduce(2, 0)
    assert trades(enter(engine, SELL, 100_04, 5)) == [(3, 100_03, 20)]  # the middle is 100.02 now


def test_sweep_sees_the_middle_as_it_was_when_it_came(engine):
    quote(engine, 100_00, 100_10)
    enter(engine, SELL, 100_20, 100)
    enter(engine, SELL, 100_08, 10, kind=PEG)
    swept = enter(engine, BUY, 100_20, 150, time_in_force=NOW)
    assert trades(swept) == [(2, 100_10, 100), (3, 100_20, 50)]


# ---- own orders -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prevention", "traded", "left"),
    [
        (Prevention.CANCEL_NEWEST, [(1, 100_00, 10)], [(2, 30), (3, 50)]),
        (Prevention.CANCEL_OLDEST, [(1, 100_00, 10), (3, 100_00, 30)], [(3, 20)]),
        (Prevention.DECREMENT_BOTH, [(1, 100_00, 10)], [(3, 50)]),
        (Prevention.ALLOW, [(1, 100_00, 10), (2, 100_00, 30)], [(3, 50)]),
    ],
)
def test_order_that_meets_its_own_group_does_what_it_was_told(engine, prevention, traded, left):
    enter(engine, SELL, 100_00, 10)
    enter(engine, SELL, 100_00, 30, group=7)
    enter(engine, SELL, 100_00, 50, group=8)
    reports = enter(engine, BUY, 100_00, 40, group=7, prevention=prevention)
    assert trades(reports) == traded
    assert [(serial, qty) for _, _, _, _, qty, _, serial, _ in engine.resting_orders()] == left


def test_decrementing_takes_the_smaller_size_off_both(engine):
    enter(engine, SELL, 100_00, 30, group=7)
    reports = enter(engine, BUY, 100_00, 50, group=7, prevention=Prevention.DECREMENT_BOTH)
    prevented = [(r.kind, r.serial, r.qty) for r in reports if r.reason is Reason.SELF_MATCH]
    assert prevented == [(ReportKind.DELETED, 1, 30), (ReportKind.REDUCED, 2, 30)]
    assert reports[-1].qty == 20


def test_own_midpoint_order_that_would_not_trade_anyway_is_left_alone(engine):
    quote(engine, 100_00, 100_10)
    enter(engine, SELL, 100_08, 30, kind=PEG, group=7)
    enter(engine, BUY, 100_06, 30, group=7, prevention=Prevention.CANCEL_OLDEST)
    assert 3 in [row[6] for row in engine.resting_orders()]


def test_fill_or_kill_does_not_count_what_lies_behind_an_own_order(engine):
    enter(engine, SELL, 100_00, 40, display=10)
    enter(engine, SELL, 100_00, 10, group=7)
    enter(engine, SELL, 100_00, 90)
    assert trades(enter(engine, BUY, 100_00, 11, group=7, time_in_force=WHOLE)) == []
    assert trades(enter(engine, BUY, 100_00, 10, group=7, time_in_force=WHOLE)) == [(1, 100_00, 10)]
    oldest = enter(engine, BUY, 100_00, 120, group=7, time_in_force=WHOLE, prevention=Prevention.CANCEL_OLDEST)
    assert sum(qty for *_, qty in trades(oldest)) == 120


# ---- collar and phases ----------------------------------------------------------------------------------


def test_order_far_through_the_book_trades_up_to_the_collar_and_does_not_rest(collared):
    enter(collared, SELL, 100_0000, 10)
    enter(collared, SELL, 105_0000, 10)
    enter(collared, SELL, 105_0100, 10)
    reports = enter(collared, BUY, 500_0000, 100)
    assert trades(reports) == [(1, 100_0000, 10), (2, 105_0000, 10)]
    assert ending(reports) == (ReportKind.EXPIRED, Reason.COLLAR, 80)


def test_collar_stands_on_the_last_price_when_the_other_side_is_empty(collared):
    enter(collared, SELL, 100_0000, 10)
    enter(collared, BUY, 100_0000, 10)
    assert ending(enter(collared, BUY, 105_0100, 10))[1] is Reason.COLLAR
    assert ending(enter(collared, SELL, 94_9900, 10))[1] is Reason.COLLAR
    assert ending(enter(collared, BUY, 95_0000, 10))[0] is ReportKind.RESTED


def test_orders_that_are_far_from_the_touch_on_their_own_side_rest(collared):
    enter(collared, SELL, 100_0000, 10)
    assert ending(enter(collared, BUY, 1_0000, 10))[0] is ReportKind.RESTED
    assert ending(enter(collared, SELL, 900_0000, 10))[0] is ReportKind.RESTED


def test_halted_book_takes_cancels_and_no_orders(engine):
    enter(engine, SELL, 100_00, 10)
    engine.set_phase(0, Phase.HALTED)
    assert ending(enter(engine, BUY, 100_00, 10))[:2] == (ReportKind.REFUSED, Reason.HALTED)
    assert trades(enter(engine, BUY, 100_00, 10, instrument=1)) == []
    assert [r.kind for r in engine.reduce(1, 4) + engine.reduce(1, 0)] == [ReportKind.REDUCED, ReportKind.DELETED]


def test_while_orders_are_collected_nothing_trades_and_immediate_orders_are_refused(engine):
    engine.set_phase(0, Phase.COLLECTING)
    enter(engine, SELL, 100_00, 10)
    assert ending(enter(engine, BUY, 101_00, 10))[0] is ReportKind.RESTED
    assert ending(enter(engine, BUY, 101_00, 10, time_in_force=NOW))[:2] == (ReportKind.REFUSED, Reason.WRONG_PHASE)


@pytest.mark.parametrize(
    "bad",
    [
        order(2, 100_00, 10),
        order(BUY, 0, 10),
        order(BUY, 100_00, 0),
        order(BUY, 1 << 32, 10),
        order(BUY, 100_00, 10, instrument=NO_INSTRUMENT),
        order(BUY, 100_00, 10, display=-1),
        order(BUY, 100_00, 10, min_qty=5),  # displayed
        order(BUY, 100_00, 10, display=0, min_qty=11),
        order(BUY, 100_00, 10, post_only=True, time_in_force=NOW),
        order(BUY, 0, 10, kind=OrderKind.MARKET),
        order(BUY, 0, 10, kind=PEG, time_in_force=TimeInForce.CLOSING),
    ],
)
def test_order_that_means_nothing_is_refused_and_changes_nothing(engine, bad: NewOrder):
    assert ending(engine.enter(bad))[:2] == (ReportKind.REFUSED, Reason.MALFORMED)
    assert engine.resting_orders() == []


@pytest.mark.parametrize("engine_class", ENGINES)
def test_limit_that_is_not_on_the_tick_is_refused(engine_class):
    engine = engine_class(tick=100)
    assert ending(enter(engine, BUY, 100_50, 10))[1] is Reason.MALFORMED
    assert ending(enter(engine, BUY, 101_00, 10))[1] is Reason.NONE


def test_all_orders_of_a_book_can_be_taken_out_at_once(engine):
    quote(engine)
    enter(engine, SELL, 0, 30, kind=PEG)
    enter(engine, SELL, 100_01, 30, display=0)
    enter(engine, BUY, 99_00, 30, time_in_force=TimeInForce.CLOSING)
    enter(engine, BUY, 99_00, 30, instrument=1)
    assert {r.kind for r in engine.delete_all(0)} == {ReportKind.DELETED}
    assert [row[0] for row in engine.resting_orders()] == [1]


# ---- capacities (the reference has none) ----------------------------------------------------------------


def test_side_with_no_room_for_another_price_expires_the_order_and_stays_sound():
    engine = CompiledMatching()
    for price in range(1, matching_records.LEVELS + 1):
        enter(engine, BUY, price * 100, 1)
    assert ending(enter(engine, BUY, 50, 1)) == (ReportKind.EXPIRED, Reason.NO_PRICE_ROOM, 1)
    assert ending(enter(engine, BUY, 100, 1))[0] is ReportKind.RESTED
    assert len(engine.delete_all(0)) == matching_records.LEVELS + 1
    assert engine.resting_orders() == []


def test_full_order_pool_refuses_counts_and_changes_nothing():
    engine = CompiledMatching()
    for _ in range(matching_records.ORDERS):
        enter(engine, BUY, 100_00, 1)
    assert ending(enter(engine, SELL, 100_00, 1))[:2] == (ReportKind.REFUSED, Reason.NO_ORDER_ROOM)
    assert int(engine.state["resting"]) == matching_records.ORDERS
    assert matching_records.counts_by_reason(engine.state) == {"no_order_room": 1}


def test_order_whose_reports_do_not_fit_stops_and_what_was_traded_stands():
    engine = CompiledMatching()
    enter(engine, SELL, 100_00, 1_000, display=1)
    engine.reports = matching_records.report_buffer(64)
    reports = enter(engine, BUY, 100_00, 1_000)
    assert len(reports) <= 64
    assert ending(reports)[:2] == (ReportKind.EXPIRED, Reason.NO_REPORT_ROOM)
    traded = sum(qty for *_, qty in trades(reports))
    assert traded + reports[-1].qty == 1_000
    assert engine.resting_orders()[0][4] == 1_000 - traded
