"""Every limit at every level: the number that it names passes, one more does not, and the refusal says both."""

from collections.abc import Callable

import pytest
from limits_world import ASK, BID, MARK, WIDE, World, document, event

from engine.core.engine import Engine, Loaded
from engine.core.events import BlobType, Command, Flag, Kind, Session, ShortSale
from engine.core.limit_names import MEASURED, Level, Limit, Mark
from engine.core.limit_tables import MEASURED_FIELDS
from engine.core.parents import set_target
from engine.core.state import Anomaly
from engine.errors import BadInput

SECOND = 1_000_000_000
Order = tuple[int, int, int]
BUY: Order = (1, 500, ASK)
SELL: Order = (-1, 500, BID)


def nothing(world: World) -> None:
    """The order alone."""


def last_trade(world: World) -> None:
    world.trade(100_000)


def five_seconds_later(world: World) -> None:
    world.at(5 * SECOND)


def stamped_late(world: World) -> None:
    record = event(Kind.QUOTE, 0, ts=9_000, bid=BID, bid_size=100, ask=ASK, ask_size=100)
    record["ts_event"] = 2_000
    world.engine.apply(record)


def the_same_twice(world: World) -> None:
    for _ in range(2):
        world.send(*BUY)


def long_and_working(world: World) -> None:
    """KO: 100 held and 50 to buy; PEP: 30 short. Marks are 10.01."""
    world.fill(1, 100, MARK)
    world.hold(1, 50)
    world.fill(-1, 30, MARK, instrument=1)


def short_and_working(world: World) -> None:
    world.fill(-1, 100, MARK)
    world.hold(-1, 50)


def fallen(world: World) -> None:
    """100 bought at 10.02, marked at 9.90."""
    world.fill(1, 100, 100_200)
    world.quote(98_900, 99_100)


def risen_and_fallen(world: World) -> None:
    """100 bought at 10.01: up to 10.21, which is the peak, down to 10.11, which is still a profit."""
    world.fill(1, 100, MARK)
    world.quote(102_000, 102_200)
    world.quote(101_000, 101_200)


def two_sent_one_cancelled(world: World) -> None:
    for qty in (1, 2):
        world.send(1, qty, ASK)
    world.cancel()


def thirty_of_two_hundred_cancelled(world: World) -> None:
    for qty in range(1, 201):
        world.send(1, qty, ASK)
    for _ in range(30):
        world.cancel()


def four_executions(world: World) -> None:
    for _ in range(4):
        world.fill(1, 1, ASK)


# limit, the field that sets it, what happened before, the order, and its number. Where a level sums over instruments
# the number differs at SYMBOL: a dict says it by level.
Number = int | dict[Level, int]
CASES: list[tuple[Limit, str, Callable[[World], None], Order, Number]] = [
    (Limit.ORDER_QTY, "max_order_qty", nothing, BUY, 500),
    (Limit.ORDER_NOTIONAL, "max_order_notional", nothing, BUY, 500 * 100_200),
    (Limit.COLLAR_REFERENCE, "max_from_reference_bps", last_trade, BUY, 20),  # 0.02 of 10.00
    (Limit.COLLAR_REFERENCE, "max_from_reference_bps", last_trade, (-1, 1, 99_801), 20),  # 19.9, rounded up
    (Limit.COLLAR_NEAR_TOUCH, "max_behind_near_touch_bps", nothing, (1, 1, 99_900), 10),
    (Limit.COLLAR_NEAR_TOUCH, "max_behind_near_touch_bps", nothing, (-1, 1, 100_701), 50),  # of 10.02: 49.999
    (Limit.COLLAR_FAR_TOUCH, "max_through_far_touch_bps", nothing, (1, 1, 100_300), 10),  # of 10.02: 9.98
    (Limit.COLLAR_FAR_TOUCH, "max_through_far_touch_bps", nothing, (-1, 1, 99_000), 100),
    (Limit.QUOTE_AGE, "max_quote_age_ns", five_seconds_later, BUY, 5 * SECOND),
    (Limit.CLOCK_SKEW, "max_clock_skew_ns", stamped_late, BUY, 7_000),
    (Limit.DUPLICATE_ORDERS, "max_duplicate_orders", the_same_twice, BUY, 3),
    (Limit.LONG_POSITION, "max_long_qty", long_and_working, BUY, 650),
    (Limit.SHORT_POSITION, "max_short_qty", short_and_working, SELL, 650),
    (
        Limit.GROSS_NOTIONAL,
        "max_gross_notional",
        long_and_working,
        BUY,
        dict.fromkeys(Level, 180 * MARK + 500 * ASK) | {Level.SYMBOL: 150 * MARK + 500 * ASK},
    ),
    (
        Limit.NET_NOTIONAL,
        "max_net_notional",
        long_and_working,
        BUY,
        dict.fromkeys(Level, 120 * MARK + 500 * ASK) | {Level.SYMBOL: 150 * MARK + 500 * ASK},
    ),
    (Limit.NET_NOTIONAL, "max_net_notional", short_and_working, SELL, 650 * MARK),
    (Limit.CONCENTRATION, "max_concentration_notional", long_and_working, BUY, 150 * MARK + 500 * ASK),
    (Limit.DAY_LOSS, "max_day_loss", fallen, (1, 1, 99_100), 100 * 1_200),
    (Limit.DRAWDOWN, "max_drawdown", risen_and_fallen, (1, 1, 101_200), 100 * 1_000),
    (Limit.ORDER_RATE, "max_orders_per_s", two_sent_one_cancelled, BUY, 3),
    (Limit.MESSAGE_RATE, "max_messages_per_s", two_sent_one_cancelled, BUY, 4),
    (Limit.CANCEL_RATIO, "max_cancel_ratio_permille", thirty_of_two_hundred_cancelled, BUY, 150),
    (Limit.EXECUTIONS, "max_executions", four_executions, BUY, 4),
]


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize(("limit", "field", "before", "order", "number"), CASES)
def test_the_number_passes_and_one_more_does_not(limit, field, before, order, number, level):
    value = number[level] if isinstance(number, dict) else number
    at_it = World(level, {field: value})
    before(at_it)
    assert at_it.check(*order)[0] == Limit.NONE
    below = World(level, {field: value - 1})
    before(below)
    assert below.check(*order) == (limit, level, value - 1, value)


def test_every_measured_limit_has_a_case():
    assert {limit for limit, *_ in CASES} == {Limit(number) for number in range(1, MEASURED + 1)}


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("field", MEASURED_FIELDS)
def test_a_limit_of_zero_lets_nothing_pass(field, level):
    world = World(level, {field: 0})
    order = (-1, 1, BID) if field == "max_short_qty" else (1, 1, ASK)
    limit, at, value, _ = world.check(*order)
    assert limit == 1 + MEASURED_FIELDS.index(field)
    assert (at, value) == (level, 0)


def test_an_order_is_held_to_other_strategies_of_its_desk_and_of_the_firm():
    world = World(Level.DESK, {"max_long_qty": 700})
    world.fill(1, 300, MARK, strategy=1)
    world.fill(1, 900, MARK, strategy=2)  # of the other desk
    assert world.passes(1, 400, ASK)
    assert world.check(1, 401, ASK) == (Limit.LONG_POSITION, Level.DESK, 700, 701)
    assert world.passes(1, 401, ASK, strategy=2)


def test_buys_and_sells_that_work_never_net():
    world = World(Level.SYMBOL, {"max_long_qty": 500, "max_short_qty": 500})
    world.hold(1, 300)
    world.hold(-1, 300, strategy=1)
    assert world.passes(1, 200, ASK)
    assert world.passes(-1, 200, BID, strategy=1)
    assert not world.passes(1, 201, ASK)
    assert not world.passes(-1, 201, BID, strategy=1)


@pytest.mark.parametrize("side", [1, -1])
def test_an_order_that_only_reduces_passes_what_stops_one_that_adds(side):
    changed = {"max_gross_notional": 1, "max_day_loss": 0, "max_orders_per_s": 0, "max_executions": 0, "venues": []}
    world = World(Level.STRATEGY, changed, restricted=["KO"])
    world.fill(-side, 500, MARK)
    price = ASK if side > 0 else BID
    assert world.passes(side, 500, price)
    assert not world.passes(side, 501, price)
    assert not world.passes(-side, 1, BID if side > 0 else ASK)


def test_an_order_that_reduces_is_still_held_to_size_notional_and_collars():
    for field, limit, order in (
        ("max_order_qty", Limit.ORDER_QTY, (-1, 101, BID)),
        ("max_order_notional", Limit.ORDER_NOTIONAL, (-1, 1, BID)),
        ("max_through_far_touch_bps", Limit.COLLAR_FAR_TOUCH, (-1, 1, 98_000)),
    ):
        world = World(Level.FIRM, {field: 100})
        world.fill(1, 500, MARK)
        assert world.check(*order)[:2] == (limit, Level.FIRM), field


def test_an_order_without_any_price_to_hold_it_against_is_refused():
    world = World()
    world.quote(0, 0)
    assert world.check(1, 1, ASK)[0] == Limit.COLLAR_REFERENCE


def test_quantities_and_prices_whose_product_would_not_fit_are_refused():
    world = World()
    for qty, price in ((1 << 40, ASK), (1, 1 << 40), (1 << 62, 1 << 62), (0, ASK), (-5, ASK), (5, 0), (5, -1)):
        assert not world.passes(1, qty, price), (qty, price)


# ---- conditions -----------------------------------------------------------------------------------------


def test_outside_the_bundles_time_nothing_that_adds_risk_goes_out():
    world = World(valid_from=10, valid_until=20)
    for ts, passes in ((9, False), (10, True), (20, True), (21, False)):
        world.at(ts)
        assert world.passes(1, 1, ASK) == passes, ts
    assert world.check(1, 1, ASK) == (Limit.BUNDLE, Level.FIRM, 20, 21)


def test_without_a_bundle_reductions_go_out_within_the_floor():
    world = World(Level.FIRM, {"max_order_qty": 0}, valid_until=20)
    world.fill(1, 200_000, MARK)
    world.at(21)
    assert world.passes(-1, 100_000, BID)
    assert world.check(-1, 100_001, BID) == (Limit.ORDER_QTY, Level.FIRM, 100_000, 100_001)
    assert world.passes(-1, 1, 90_000)
    assert world.check(-1, 1, 89_999) == (Limit.COLLAR_FAR_TOUCH, Level.FIRM, 1_000, 1_001)
    world.quote(10_000_000, 10_000_100, ts=21)
    assert world.passes(-1, 5_000, 10_000_000)  # 5,000,000.00 of money
    assert world.check(-1, 5_001, 10_000_000)[:3] == (Limit.ORDER_NOTIONAL, Level.FIRM, 50_000_000_000)


def test_an_engine_that_never_had_limits_sends_nothing():
    engine = Engine(lambda _: Loaded(0, frozenset(), 0))
    assert int(engine.state["bundle"]["valid_until"]) < 0


def test_a_restricted_security_is_not_traded():
    world = World(restricted=["PEP"])
    assert world.passes(1, 1, ASK)
    assert world.check(1, 1, ASK, instrument=1) == (Limit.RESTRICTED, Level.SYMBOL, 0, 1)


@pytest.mark.parametrize("level", list(Level))
def test_instruments_venues_and_hours_are_those_of_each_level(level):
    assert World(level, {"instruments": ["PEP"]}).check(1, 1, ASK) == (Limit.INSTRUMENT, level, 0, 0)
    assert World(level, {"instruments": ["KO"]}).passes(1, 1, ASK)
    venues = World(level, {"venues": [0, 2]})
    assert venues.passes(1, 1, ASK, venue=2)
    assert venues.check(1, 1, ASK, venue=1) == (Limit.VENUE, level, 0b101, 1)
    hours = World(level, {"hours_from_ns": 60, "hours_until_ns": 90})
    for ts, passes in ((59, False), (60, True), (89, True), (90, False)):
        hours.at(ts)
        assert hours.passes(1, 1, ASK) == passes, ts
    assert hours.check(1, 1, ASK) == (Limit.HOURS, level, 90, 90)


def test_hours_count_from_the_opening():
    world = World(Level.FIRM, {"hours_from_ns": 60, "hours_until_ns": 90})
    world.engine.apply(event(Kind.SESSION, code=Session.OPEN, date=20130102, ts=1_000))
    world.at(1_059)
    assert not world.passes(1, 1, ASK)
    world.at(1_060)
    assert world.passes(1, 1, ASK)


def test_nothing_is_sent_into_a_locked_or_crossed_market():
    world = World()
    world.quote(ASK - 1, ASK)
    assert world.passes(1, 1, ASK)
    world.quote(ASK, ASK)
    assert world.check(1, 1, ASK) == (Limit.CROSSED_MARKET, Level.SYMBOL, ASK, ASK)


def test_a_stale_feed_makes_every_quote_too_old():
    world = World()
    world.engine.apply(event(Kind.STALE, code=1))
    assert world.check(1, 1, ASK)[0] == Limit.QUOTE_AGE


# ---- no trade with oneself ------------------------------------------------------------------------------


def working_sell(world: World, qty: int = 100) -> None:
    """Strategy 1 sells KO at 10.00 through the step."""
    set_target(world.state, 1, 0, -qty)
    assert world.trade(BID)["kind"].tolist() == [Kind.ORDER_NEW]


def test_an_order_never_meets_another_of_the_firm():
    world = World()
    working_sell(world)
    assert world.passes(1, 1, BID - 1)
    assert world.check(1, 1, BID) == (Limit.SELF_TRADE, Level.FIRM, BID, BID)
    assert world.check(1, 1, ASK, strategy=2)[0] == Limit.SELF_TRADE  # of whatever desk
    assert world.passes(1, 1, ASK, instrument=1)


def test_an_order_at_another_venue_is_not_met():
    world = World()
    working_sell(world)
    assert world.passes(1, 1, ASK, venue=1)
    assert world.check(1, 1, ASK, venue=0)[0] == Limit.SELF_TRADE


def test_once_the_other_order_is_gone_the_price_is_free():
    world = World()
    working_sell(world)
    world.engine.apply(event(Kind.COMMAND, command=Command.PAUSE, strategy=1))
    assert not world.passes(1, 1, ASK)  # its cancel is on the way: it may still be executed
    world.engine.apply(event(Kind.CANCELED, 0, order_id=1, qty=100))
    assert world.passes(1, 1, ASK)


def test_a_price_that_was_left_behind_does_not_stand_in_the_way():
    world = World()
    world.hold(-1, 100)  # works at a price that the orders themselves know
    world.state["securities"][0]["own_ask"] = BID
    assert world.passes(1, 1, ASK)


# ---- short sales ----------------------------------------------------------------------------------------


def test_a_sell_is_marked_by_the_firms_position_not_the_strategys():
    world = World(allotted={"PEP": 50})
    assert world.send(-1, 100, BID) == Mark.SHORT
    world.fill(1, 300, MARK, strategy=2)
    world.hold(-1, -100)
    assert world.send(-1, 300, BID) == Mark.LONG
    assert world.send(-1, 1, BID, strategy=2) == Mark.SHORT  # 300 work already
    assert world.send(-1, 50, BID, instrument=1) == Mark.LONG
    assert world.send(-1, 1, BID, instrument=1) == Mark.SHORT
    assert world.send(1, 1, ASK) == Mark.LONG


def test_under_the_price_test_a_short_sale_stands_above_the_bid_and_is_exempt():
    world = World()
    for action, in_force in (
        (ShortSale.RESTRICTED, True),
        (ShortSale.REMAINS_RESTRICTED, True),
        (ShortSale.FREE, False),
    ):
        world.engine.apply(event(Kind.STATUS, 0, code=action, flags=Flag.SHORT_SALE))
        assert world.passes(-1, 1, BID) != in_force
        assert world.passes(-1, 1, BID + 1)
        if in_force:
            assert world.check(-1, 1, BID) == (Limit.PRICE_TEST, Level.SYMBOL, BID, BID)
            assert world.send(-1, 1, BID + 1) == Mark.SHORT_EXEMPT
    assert int(world.state["market"][0]["trading"]) == 1  # it says nothing of trading


def test_a_long_sale_is_free_of_the_price_test():
    world = World()
    world.engine.apply(event(Kind.STATUS, 0, code=ShortSale.RESTRICTED, flags=Flag.SHORT_SALE))
    world.fill(1, 100, MARK)
    assert world.passes(-1, 100, BID)
    assert not world.passes(-1, 101, BID)


def test_locates_are_used_up_by_the_day():
    world = World(locates={"KO": 150}, other_locate=0)
    world.send(-1, 100, BID)
    assert world.passes(-1, 50, BID)
    assert world.check(-1, 51, BID) == (Limit.LOCATE, Level.SYMBOL, 150, 151)
    assert world.check(-1, 1, BID, instrument=1) == (Limit.LOCATE, Level.SYMBOL, 0, 1)
    world.new_day()
    world.quote(BID, ASK)
    assert world.passes(-1, 150, BID)


def test_a_locate_returns_with_shares_that_were_not_sold():
    world = World(locates={"KO": 100})
    working_sell(world)
    assert not world.passes(-1, 1, BID)
    world.engine.apply(event(Kind.EXECUTION, 0, order_id=1, price=BID, qty=30, ref=1))
    world.engine.apply(event(Kind.COMMAND, command=Command.PAUSE, strategy=1))
    world.engine.apply(event(Kind.CANCELED, 0, order_id=1, qty=70))
    assert world.passes(-1, 70, BID)
    assert not world.passes(-1, 71, BID)


# ---- repeated executions, days, rates ---------------------------------------------------------------------


@pytest.mark.parametrize("level", list(Level))
def test_only_a_named_person_lets_repeated_executions_go_on(level):
    world = World(level, {"max_executions": 2})
    for _ in range(3):
        world.fill(1, 1, ASK)
    assert world.check(1, 1, ASK) == (Limit.EXECUTIONS, level, 2, 3)
    world.new_day()
    world.quote(BID, ASK)
    assert world.check(1, 1, ASK)[0] == Limit.EXECUTIONS
    (anomaly,) = world.engine.apply(event(Kind.COMMAND, command=Command.REENABLE, level=level, strategy=0))
    assert anomaly["code"] == Anomaly.NO_PERSON
    assert not world.passes(1, 1, ASK)
    command = event(Kind.COMMAND, command=Command.REENABLE, level=level, strategy=0, person=77, ts=5)
    assert len(world.engine.apply(command)) == 0
    assert world.passes(1, 1, ASK)
    assert 77 in world.state["levels"]["reenabled_by"]


def test_a_higher_limit_does_not_lift_the_latch():
    world = World(Level.FIRM, {"max_executions": 2})
    for _ in range(3):
        world.fill(1, 1, ASK)
    world.blob(BlobType.LIMITS, document(dict.fromkeys(Level, WIDE), number=2))
    assert world.check(1, 1, ASK)[0] == Limit.EXECUTIONS


def test_a_day_begins_with_nothing_lost_and_nothing_counted_but_drawdown_goes_on():
    loss = World(Level.FIRM, {"max_day_loss": 1})
    fallen(loss)
    assert loss.check(1, 1, 99_100)[0] == Limit.DAY_LOSS
    loss.new_day(20130102)  # the same day's messages again
    loss.quote(98_900, 99_100)
    assert loss.check(1, 1, 99_100)[0] == Limit.DAY_LOSS
    loss.new_day()
    loss.quote(98_900, 99_100)
    loss.trade(99_000)
    loss.new_day(20130104)
    loss.quote(98_900, 99_100)
    assert loss.passes(1, 1, 99_100)
    drawdown = World(Level.FIRM, {"max_drawdown": 1})
    fallen(drawdown)
    drawdown.new_day()
    drawdown.quote(98_900, 99_100)
    assert drawdown.check(1, 1, 99_100)[0] == Limit.DRAWDOWN


def test_a_rate_of_four_a_second_passes_one_more_each_quarter():
    world = World(Level.STRATEGY, {"max_orders_per_s": 4})
    for _ in range(4):
        assert world.passes(1, 1, ASK)
        world.send(1, 1, ASK)
    assert not world.passes(1, 1, ASK)
    world.at(SECOND // 4 - 1)
    assert not world.passes(1, 1, ASK)
    world.at(SECOND // 4)
    assert world.passes(1, 1, ASK)


def test_equal_orders_count_only_within_the_window():
    world = World(Level.FIRM, {"max_duplicate_orders": 1}, duplicate_window_ns=100)
    world.send(*BUY)
    assert not world.passes(*BUY)
    assert world.passes(1, 499, ASK)
    assert world.passes(1, 500, ASK - 1)
    assert world.passes(*BUY, instrument=1)
    assert world.passes(*BUY, strategy=1)
    world.at(100)
    assert not world.passes(*BUY)
    world.at(101)
    assert world.passes(*BUY)


# ---- bundles, snapshots -----------------------------------------------------------------------------------


def test_a_bundle_older_than_the_newest_is_refused_and_changes_nothing():
    world = World(number=7)
    before = world.engine.state_hash()
    tight = dict.fromkeys(Level, WIDE)
    for number, changed in ((6, {}), (7, {"restricted": ["KO"]})):
        with pytest.raises(BadInput, match="bundle.number"):
            world.blob(BlobType.LIMITS, document(tight, number=number, **changed))
        assert world.engine.state_hash() == before
    world.blob(BlobType.LIMITS, document(tight, number=8, restricted=["KO"]))
    assert not world.passes(1, 1, ASK)


def test_a_restart_from_a_snapshot_keeps_every_counter():
    world = World(Level.FIRM, {"max_executions": 2}, locates={"KO": 150}, number=7)
    world.send(-1, 100, BID)
    for _ in range(3):
        world.fill(-1, 1, BID)
    world.cancel()
    other = Engine(lambda _: Loaded(0, frozenset(), 0))
    other.restore(world.engine.snapshot())
    assert other.state_hash() == world.engine.state_hash()
    assert other.limits == world.engine.limits
    world.engine = other
    assert world.check(-1, 1, BID)[0] == Limit.EXECUTIONS
    with pytest.raises(BadInput):
        world.blob(BlobType.LIMITS, document(dict.fromkeys(Level, WIDE), number=6))


def test_a_refusal_that_passes_by_itself_is_tried_again_and_another_is_not():
    world = World(Level.STRATEGY, {"max_orders_per_s": 1, "max_order_qty": 100})
    world.state["reprice_after"] = SECOND
    for instrument, target in enumerate([100, 50]):
        set_target(world.state, 0, instrument, target)
    assert world.trade(MARK)["kind"].tolist() == [Kind.ORDER_NEW]
    assert world.trade(MARK, instrument=1)["kind"].tolist() == [Kind.LIMIT_REJECT]
    assert world.trade(MARK, instrument=1, ts=SECOND - 1)["kind"].tolist() == []
    assert world.trade(MARK, instrument=1, ts=SECOND)["kind"].tolist() == [Kind.ORDER_NEW]
    other = World(Level.STRATEGY, {"max_order_qty": 100})
    set_target(other.state, 0, 0, 101)
    assert other.trade(MARK)["kind"].tolist() == [Kind.LIMIT_REJECT]
    assert other.trade(MARK, ts=3_600 * SECOND)["kind"].tolist() == []
