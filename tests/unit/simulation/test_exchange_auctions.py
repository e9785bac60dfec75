"""Auctions and halts at the exchange: what is taken when, what accounts are told, what the market data says."""

from pathlib import Path

import pytest
from exchange_world import CLOSES, World

from engine.errors import BadInput
from engine.protocols import itch, ouch
from engine.simulation.crosses import Halt, price_variation
from engine.simulation.order_instructions import MARKET_PRICE, RejectReason

DAY = "20130102"
HALT = Halt("KO", "11:00", "12:00", "12:30")


def messages(world: World, kind: type, symbol: str = "KO") -> list:
    return [m for m in world.market_data()[DAY] if isinstance(m, kind) and m.stock == symbol]


def cross(number: int, side: str, qty: int, cross_type: str, price: int = MARKET_PRICE) -> ouch.EnterOrder:
    return ouch.EnterOrder(number, side, qty, "KO", price, cross_type=cross_type)


def executed(told: list) -> list[ouch.Executed]:
    return [m for m in told if isinstance(m, ouch.Executed)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, auctions=True)


def test_the_day_has_an_opening_and_a_closing_print_for_each_symbol_that_trades(world: World):
    world.close_market()
    for symbol, prints in [("KO", "OC"), ("PEP", "OC"), ("XOM", "")]:
        crosses = messages(world, itch.CrossTrade, symbol)
        assert "".join(m.cross_type for m in crosses) == prints
        assert all(m.shares > 0 for m in crosses)


def test_closing_auction_prints_at_the_real_close(world: World):
    world.close_market()
    for index, symbol in enumerate(["KO", "PEP"]):
        closing = messages(world, itch.CrossTrade, symbol)[-1]
        assert abs(closing.cross_price - CLOSES[0][index]) <= CLOSES[0][index] * 0.001


def test_on_open_order_is_taken_before_the_opening_and_executed_in_it(world: World):
    world.run_until(world.clock.pre_open_wall_ns(0))
    assert isinstance(world.send(cross(1, "B", 100, "O"))[0], ouch.Accepted)
    world.run_until(world.clock.open_wall_ns(0))
    told = executed(world.told())
    opening = messages(world, itch.CrossTrade)[0]
    assert sum(m.quantity for m in told) == 100
    assert {(m.price, m.liquidity_flag) for m in told} == {(opening.cross_price, "O")}


def test_day_order_of_the_pre_opening_is_displayed_and_its_auction_executions_are_not_printable(world: World):
    world.run_until(world.clock.pre_open_wall_ns(0))
    world.send(ouch.EnterOrder(1, "B", 100, "KO", 60_0000))  # far above the opening price
    assert messages(world, itch.AddOrder)[0].price == 60_0000
    world.run_until(world.clock.open_wall_ns(0))
    reference = messages(world, itch.AddOrder)[0].order_reference_number
    own = [m for m in world.market_data()[DAY] if getattr(m, "order_reference_number", 0) == reference][1:]
    assert {(type(m), m.printable) for m in own} == {(itch.OrderExecutedWithPrice, "N")}
    assert sum(m.executed_shares for m in own) == 100
    assert all(price < 60_0000 for price in {m.price for m in executed(world.told())})


def test_on_close_order_waits_for_the_closing_auction(world: World):
    world.open_market()
    assert isinstance(world.send(cross(1, "S", 70, "C"))[0], ouch.Accepted)
    assert executed(world.told()) == []
    world.close_market()
    assert sum(m.quantity for m in executed(world.told())) == 70
    assert {m.liquidity_flag for m in executed(world.told())} == {"C"}


def test_auction_order_that_is_not_executed_is_cancelled_behind_the_auction(world: World):
    world.open_market()
    world.send(cross(1, "B", 70, "C", price=1_0000))
    world.close_market()
    (canceled,) = [m for m in world.told() if isinstance(m, ouch.Canceled)]
    assert (canceled.quantity, canceled.reason) == (70, "T")


def test_interest_in_the_auctions_is_published_before_they_are_held(world: World):
    world.open_market()
    world.send(cross(1, "B", 200, "C"))
    world.close_market()
    last = [m for m in messages(world, itch.NetOrderImbalance) if m.cross_type == "C"][-1]
    closing = messages(world, itch.CrossTrade)[-1]
    assert (last.paired_shares, last.near_price) == (closing.shares, closing.cross_price)
    assert last.paired_shares >= 200
    assert last.timestamp <= closing.timestamp


@pytest.mark.parametrize("auctions", [False, True])
def test_halt_stops_trading_and_a_reopening_auction_ends_it(tmp_path: Path, auctions: bool):
    world = World(tmp_path, auctions=auctions, halts=[HALT])
    world.open_market()
    open_ns = world.clock.open_wall_ns(0)
    share = (world.clock.close_wall_ns(0) - open_ns) / 6.5
    world.run_until(open_ns + int(share * 1.75))  # 11:15
    (halted,) = world.send(ouch.EnterOrder(1, "B", 10, "KO", 37_0000))
    assert halted.reason == RejectReason.HALTED
    assert isinstance(world.send(ouch.EnterOrder(2, "B", 10, "PEP", 60_0000))[0], ouch.Accepted)
    world.run_until(open_ns + int(share * 2.75))  # 12:15
    assert isinstance(world.send(cross(3, "B", 50, "H"))[0], ouch.Accepted)
    world.close_market()
    assert {m.liquidity_flag for m in executed(world.told())} == {"K"}
    states = [m.trading_state for m in messages(world, itch.StockTradingAction)]
    assert states == ["T", "H", "Q", "T"]
    assert [m.cross_type for m in messages(world, itch.CrossTrade)].count("H") == 1


def test_nothing_trades_while_a_symbol_is_halted(tmp_path: Path):
    world = World(tmp_path, halts=[HALT])
    world.close_market()
    halted, collecting, resumed = (m.timestamp for m in messages(world, itch.StockTradingAction)[1:])
    names = {m.order_reference_number for m in messages(world, itch.AddOrder)}
    executions = [
        m.timestamp
        for m in world.market_data()[DAY]
        if isinstance(m, itch.OrderExecuted) and m.order_reference_number in names
    ]
    assert executions
    assert not [at for at in executions if halted <= at < resumed]
    assert halted < collecting < resumed


@pytest.mark.parametrize(
    "halt",
    [
        Halt("NOPE", "11:00"),
        Halt("KO", "25:00"),
        Halt("KO", "noon"),
        Halt("KO", "12:00", "11:00"),
        Halt("KO", "11:00", resume="12:00"),
    ],
)
def test_halt_that_makes_no_sense_is_bad_input(tmp_path: Path, halt: Halt):
    with pytest.raises(BadInput, match="halts"):
        World(tmp_path, halts=[halt])


@pytest.mark.parametrize(
    ("price", "letter"),
    [(100_99, "L"), (101_00, "1"), (109_99, "9"), (89_00, "A"), (120_00, "B"), (170_00, "C"), (0, " ")],
)
def test_price_variation_is_the_letter_of_the_specification(price: int, letter: str):
    assert price_variation(price, 100_00) == letter
