"""What OUCH orders of every type do at the exchange, and what accounts and the market are told of them."""

from pathlib import Path

import msgspec
import pytest
from exchange_world import World

from engine.protocols import itch, ouch
from engine.simulation.order_instructions import MARKET_PRICE

NOW = "3"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.open_market()
    return world


@pytest.fixture
def inside(world: World) -> int:
    """A price one tick above the best bid of KO, below the best offer: nobody else is there."""
    price = world.quote("KO", "B") + 100
    assert price < world.quote("KO", "S")
    return price


def order(number: int, side: str, qty: int, price: int, *, options: dict | None = None, **fields) -> ouch.EnterOrder:
    appendage = tuple(ouch.option(name, value) for name, value in (options or {}).items())
    return ouch.EnterOrder(number, side, qty, "KO", price, appendage=appendage, **fields)


def heard(world: World) -> list[itch.ItchMessage]:
    return world.market_data()["20130102"]


def executions(messages: list[ouch.OuchMessage]) -> list[tuple[int, int, str]]:
    return [(m.quantity, m.price, m.liquidity_flag) for m in messages if isinstance(m, ouch.Executed)]


def test_hidden_order_is_heard_of_only_when_it_trades_and_then_as_a_trade(world: World, inside: int):
    before = len(heard(world))
    world.send(order(1, "B", 80, inside, display="N"))
    assert len(heard(world)) == before
    told = world.send(order(1, "S", 50, inside, time_in_force=NOW), "TWO")
    (trade,) = heard(world)[before:]
    assert (type(trade), trade.shares, trade.price, trade.order_reference_number) == (itch.Trade, 50, inside, 0)
    assert executions(told) == [(50, inside, "R")]
    assert executions(world.told("ONE")) == [(50, inside, "J")]


def test_iceberg_shows_its_floor_and_its_owner_learns_each_slices_reference(world: World, inside: int):
    world.send(order(1, "B", 250, inside, options={"max_floor": 100}))
    world.send(order(1, "S", 130, inside, time_in_force=NOW), "TWO")
    restated = [m for m in world.told() if isinstance(m, ouch.Restated)]
    shown = [m for m in heard(world) if isinstance(m, itch.AddOrder) and m.price == inside and m.stock == "KO"]
    assert [m.shares for m in shown[-2:]] == [100, 100]
    assert [(m.reason, m.appendage[0].value) for m in restated] == [("R", shown[-1].order_reference_number)]
    assert sum(qty for qty, *_ in executions(world.told())) == 130
    assert [m.quantity for m in world.send(ouch.CancelOrder(1))] == [120]


def test_midpoint_orders_trade_between_the_quotes_at_half_a_tick(world: World):
    bid, ask = world.quote("KO", "B"), world.quote("KO", "S")
    world.send(order(1, "B", 40, 0, display="N", options={"price_type": "M"}))
    told = world.send(order(1, "S", 40, 0, display="N", options={"price_type": "M"}), "TWO")
    assert executions(told) == [(40, (bid + ask) // 2, "m")]
    assert executions(world.told("ONE")) == [(40, (bid + ask) // 2, "k")]


def test_post_only_order_that_would_trade_is_cancelled(world: World):
    told = world.send(order(1, "B", 10, world.quote("KO", "S"), options={"post_only": "P"}))
    assert [type(m) for m in told] == [ouch.Accepted, ouch.Canceled]
    assert (told[1].quantity, told[1].reason) == (10, "G")


def test_post_only_order_that_is_replaced_where_it_would_trade_is_cancelled(world: World, inside: int):
    world.send(order(1, "B", 10, world.quote("KO", "B"), options={"post_only": "P"}))
    replace = ouch.ReplaceOrder(1, 2, 10, world.quote("KO", "S"), appendage=(ouch.option("post_only", "P"),))
    told = world.send(replace)
    assert [type(m) for m in told] == [ouch.Replaced, ouch.Canceled]
    assert (told[1].user_ref_num, told[1].quantity, told[1].reason) == (2, 10, "G")


def test_immediate_order_whose_minimum_is_all_of_it_gets_all_or_nothing(world: World, inside: int):
    world.send(order(1, "B", 50, inside, display="N"))
    whole = {"options": {"min_qty": 60}, "time_in_force": NOW}
    bid = world.quote("KO", "B")
    missed = world.send(order(1, "S", 60, inside, **whole), "TWO")
    assert (missed[-1].quantity, missed[-1].reason) == (60, "I")
    got = world.send(order(2, "S", 60, bid, **whole), "TWO")
    assert [qty for qty, *_ in executions(got)] == [50, 10]


def test_market_order_takes_what_is_there(world: World):
    ask = world.quote("KO", "S")
    told = world.send(order(1, "B", 10, MARKET_PRICE, time_in_force=NOW))
    assert executions(told) == [(10, ask, "R")]


def test_order_far_through_the_book_does_not_rest_there(world: World):
    told = world.send(order(1, "B", 900_000, 190_000_0000))
    assert isinstance(told[-1], ouch.Canceled)
    assert told[-1].reason == "K"
    assert max(price for _, price, _ in executions(told)) <= world.quote("KO", "B") * 2
    assert world.exchange.orders.working == 0


@pytest.mark.parametrize(("strategy", "cancelled"), [("W", [2]), ("O", [1]), ("D", [1, 2])])
def test_own_orders_that_would_trade_are_cancelled_as_asked(world: World, inside: int, strategy: str, cancelled):
    world.send(order(1, "B", 40, inside))
    told = world.send(order(2, "S", 40, inside, options={"aiq_strategy": strategy}))
    ended = [m for m in told if isinstance(m, ouch.AiqCanceled)]
    assert sorted(m.user_ref_num for m in ended) == cancelled
    assert {(m.decrement_shares, m.reason) for m in ended} == {(40, "Q")}
    assert {m.liquidity_flag for m in ended if m.user_ref_num == 2} <= {"R"}
    assert executions(told) == []


def test_own_orders_trade_with_each_other_when_nothing_else_was_asked(world: World, inside: int):
    world.send(order(1, "B", 40, inside))
    assert [m.quantity for m in world.send(order(2, "S", 40, inside, time_in_force=NOW)) if m.TYPE == "E"] == [40, 40]


def test_replaced_iceberg_keeps_what_its_new_instructions_say(world: World, inside: int):
    world.send(order(1, "B", 250, inside, options={"max_floor": 100}))
    replace = ouch.ReplaceOrder(1, 2, 250, inside, appendage=(ouch.option("max_floor", 50),))
    world.send(replace)
    assert heard(world)[-1].shares == 50


def test_record_names_every_message_so_that_a_restart_has_them(world: World, inside: int, tmp_path: Path):
    world.send(order(1, "B", 250, inside, options={"max_floor": 100}))
    world.send(order(1, "S", 100, inside, time_in_force=NOW), "TWO")
    again = World(tmp_path)
    assert again.told()[: len(world.told())] == world.told()
    assert again.cancelled_leftovers == 1
    assert msgspec.structs.asdict(again.told()[-1])["quantity"] == 150
