"""Positions by both ways of accounting, fees, corporate actions and adjustments, against figures worked out apart."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits_world import ASK, BID, World, event

from engine.core import memory
from engine.core.capacities import LOTS
from engine.core.events import Action, BlobType, Kind
from engine.core.limit_names import Level
from engine.core.parents import set_target
from engine.core.positions import apply_to_lots
from engine.core.recount import recount_states
from engine.core.reference_limits import ReferenceLimits
from engine.core.risk_record import LOT_RING
from engine.core.state import STATE, Anomaly
from engine.errors import BadInput

SPLIT, DIVIDEND = int(Action.SPLIT), int(Action.DIVIDEND)


def lots_of(world: World, strategy: int = 0, instrument: int = 0) -> list[tuple[int, int]]:
    ring = world.state["lots"][strategy][instrument]
    places = [(int(ring["first"]) + number) % LOTS for number in range(int(ring["count"]))]
    return [(int(ring["qty"][place]), int(ring["cost"][place])) for place in places]


def own(world: World, strategy: int = 0, instrument: int = 0) -> np.void:
    return world.state["positions"][strategy][instrument]


def test_a_worked_example_of_both_ways():
    """Buy 100 at 10 and 100 at 12, sell 150 at 13. Average cost 11: 300 realised, 50 left at 11. First in, first out:
    100 * 3 + 50 * 1 = 350 realised, 50 left at 12."""
    world = World()
    for side, qty, price in [(1, 100, 100_000), (1, 100, 120_000), (-1, 150, 130_000)]:
        world.fill(side, qty, price)
    assert (int(own(world)["realised"]), int(own(world)["cost"])) == (3_000_000, 50 * 110_000)
    assert (int(own(world)["fifo_realised"]), lots_of(world)) == (3_500_000, [(50, 50 * 120_000)])
    world.fill(-1, 80, 90_000)  # through zero
    assert int(own(world)["fifo_realised"]) == 3_500_000 - 50 * 30_000
    assert lots_of(world) == [(-30, -30 * 90_000)]


def test_a_fill_that_finds_no_free_lot_joins_the_newest_and_is_counted():
    ring = np.zeros(1, LOT_RING)[0]
    for number in range(LOTS + 3):
        assert apply_to_lots(ring, 1, 100 + number, 10) == 0
    assert (int(ring["count"]), int(ring["merged"])) == (LOTS, 3)
    newest = (int(ring["first"]) + LOTS - 1) % LOTS
    assert int(ring["qty"][newest]) == 40
    assert int(ring["cost"][newest]) == 10 * sum(100 + number for number in range(LOTS - 1, LOTS + 3))
    assert apply_to_lots(ring, -1, 200, 10 * LOTS + 30) == sum(10 * (100 - number) for number in range(LOTS + 3))
    assert int(ring["count"]) == 0


def test_a_venue_charges_what_takes_and_pays_for_what_adds():
    world = World(fee=5)
    world.blob(BlobType.VENUE_FEES, json.dumps([[-20, 30]]).encode())
    set_target(world.state, 0, 0, 300)
    (order,) = world.trade(ASK)
    for qty, flag in ((100, "R"), (200, "A")):
        report = event(Kind.EXECUTION, 0, order_id=int(order["order_id"]), price=ASK, qty=qty, ref=qty)
        report["flags"] = ord(flag)
        world.engine.apply(report)
    assert int(own(world)["fees"]) == 100 * (5 + 30) + 200 * (5 - 20)
    for level in Level:
        assert int(ReferenceLimits(world.state).row(level, 0, 0)["fees"]) == int(own(world)["fees"])
    with pytest.raises(BadInput, match="fees"):
        world.blob(BlobType.VENUE_FEES, json.dumps([[1]]).encode())


def test_a_split_rescales_shares_costs_a_share_orders_and_the_reference_and_wins_nothing():
    world = World()
    world.fill(1, 300, 90_000)
    world.fill(-1, 30, 100_000, strategy=1)
    set_target(world.state, 0, 0, 500)
    assert world.trade(100_000)["kind"].tolist() == [Kind.ORDER_NEW]
    before = ReferenceLimits(world.state).totals(Level.FIRM, 0, 0)
    out = world.engine.apply(event(Kind.CORPORATE_ACTION, 0, code=SPLIT, numerator=4, denominator=2))
    assert [int(row["position"]) for row in out if row["kind"] == Kind.POSITION] == [600, -60]
    assert (int(own(world)["position"]), int(own(world)["cost"]), lots_of(world)) == (
        600,
        27_000_000,
        [(600, 27_000_000)],
    )
    assert (int(own(world)["working_buy"]), int(world.state["parents"][0][0]["target"])) == (400, 1_000)
    order = world.state["orders"][1]
    assert (int(order["qty"]), int(order["price"])) == (400, ASK // 2)
    market = world.state["market"][0]
    assert [int(market[name]) for name in ("last", "bid", "ask")] == [50_000, BID // 2, ASK // 2]
    after = ReferenceLimits(world.state).totals(Level.FIRM, 0, 0)
    assert (after.net, after.profit) == (before.net, before.profit)
    assert int(world.state["levels"][0]["day_loss"]) == 0
    assert world.check(1, 1, ASK // 2)[0] == 0  # within collars of the new prices


def test_a_reverse_split_leaves_no_part_of_a_share_and_all_of_the_cost():
    world = World()
    for qty, price in ((7, 100_000), (2, 110_000), (16, 120_000)):
        world.fill(1, qty, price)
    cost = int(own(world)["cost"])
    world.engine.apply(event(Kind.CORPORATE_ACTION, 0, code=SPLIT, numerator=1, denominator=10))
    assert (int(own(world)["position"]), int(own(world)["cost"])) == (2, cost)
    assert sum(qty for qty, _ in lots_of(world)) == 2
    assert sum(part for _, part in lots_of(world)) == cost
    assert all(qty for qty, _ in lots_of(world))


def test_a_dividend_pays_longs_charges_shorts_and_lowers_reference_and_buy_orders():
    world = World()
    world.fill(1, 300, 90_000)
    world.fill(-1, 100, 100_000, strategy=2)
    set_target(world.state, 0, 0, 500)
    world.trade(100_000)
    world.engine.apply(event(Kind.CORPORATE_ACTION, 0, code=DIVIDEND, amount=4_400))
    assert int(own(world)["realised"]) == int(own(world)["fifo_realised"]) == 300 * 4_400
    assert int(own(world, 2)["realised"]) == -100 * 4_400
    assert int(world.state["levels"][0]["realised"]) == 200 * 4_400
    assert int(world.state["market"][0]["last"]) == 95_600
    assert int(world.state["orders"][1]["price"]) == ASK - 4_400


def test_shares_by_hand_need_a_named_person():
    world = World(fee=9)
    by_hand = {"strategy": 1, "price": 100_000, "qty": 40}
    (anomaly,) = world.engine.apply(event(Kind.ADJUSTMENT, 0, 1, **by_hand))
    assert anomaly["code"] == Anomaly.NO_PERSON
    (position,) = world.engine.apply(event(Kind.ADJUSTMENT, 0, 1, person=7, **by_hand))
    assert (int(position["kind"]), int(position["position"])) == (Kind.POSITION, 40)
    assert int(own(world, 1)["fees"]) == 0
    assert int(world.state["levels"][0]["cost"]) == 40 * 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        event(Kind.CORPORATE_ACTION, 0, code=SPLIT, numerator=0, denominator=1),
        event(Kind.CORPORATE_ACTION, 9, code=SPLIT, numerator=2, denominator=1),
        event(Kind.CORPORATE_ACTION, 0, code=DIVIDEND, amount=-1),
        event(Kind.CORPORATE_ACTION, 0, code=99),
        event(Kind.ADJUSTMENT, 0, 1, person=7, strategy=99, qty=1),
        event(Kind.ADJUSTMENT, 0, 0, person=7, qty=1),
        event(Kind.ADJUSTMENT, 0, 1, person=7, qty=-1),
    ],
)
def test_what_does_not_fit_is_an_anomaly_and_changes_no_position(wrong):
    world = World()
    world.fill(1, 10, 100_000)
    before = world.state["positions"].tobytes()
    (anomaly,) = world.engine.apply(wrong.copy())
    assert anomaly["code"] == Anomaly.ACTION_REFUSED
    assert world.state["positions"].tobytes() == before


def test_a_new_symbol_names_the_same_position():
    world = World(restricted=["META"])
    world.fill(1, 10, 100_000)
    world.blob(BlobType.SYMBOL_CHANGE, json.dumps({"instrument": 0, "symbol": "META"}).encode())
    assert world.engine.instruments == ["META", "PEP"]
    assert int(own(world)["position"]) == 10
    assert not world.passes(1, 1, ASK)  # restricted under its new name
    with pytest.raises(BadInput, match="symbol"):
        world.blob(BlobType.SYMBOL_CHANGE, json.dumps({"instrument": 1, "symbol": "META"}).encode())


happenings = st.lists(
    st.one_of(
        st.tuples(
            st.just("fill"), st.integers(0, 2), st.sampled_from([-1, 1]), st.integers(1, 999), st.integers(1, 10**6)
        ),
        st.tuples(st.just("split"), st.integers(1, 5), st.integers(1, 5)),
        st.tuples(st.just("dividend"), st.integers(1, 900)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(happenings)
def test_cash_is_cost_and_realised_to_the_last_unit_through_fills_splits_and_dividends(sequence):
    world = World()
    cash = [0, 0, 0]
    for name, *rest in sequence:
        if name == "fill":
            strategy, side, qty, price = rest
            world.fill(side, qty, price, strategy=strategy)
            cash[strategy] -= side * qty * price
        elif name == "split":
            world.engine.apply(event(Kind.CORPORATE_ACTION, 0, code=SPLIT, numerator=rest[0], denominator=rest[1]))
        else:
            for strategy in range(3):
                cash[strategy] += int(own(world, strategy)["position"]) * rest[0]
            world.engine.apply(event(Kind.CORPORATE_ACTION, 0, code=DIVIDEND, amount=rest[0]))
    for strategy in range(3):
        mine, lots = own(world, strategy), lots_of(world, strategy)
        assert int(mine["realised"]) - int(mine["cost"]) == cash[strategy]
        assert int(mine["fifo_realised"]) - sum(cost for _, cost in lots) == cash[strategy]
        assert sum(qty for qty, _ in lots) == int(mine["position"])
    fresh = memory.zeros(STATE)
    fresh[:] = world.engine.record
    recount_states(fresh)
    assert fresh[0]["levels"].tobytes() == world.state["levels"].tobytes()
    assert fresh[0]["holdings"].tobytes() == world.state["holdings"].tobytes()
