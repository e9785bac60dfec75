"""OUCH order entry at the simulated exchange: what an account sends and what it is told."""

import json
from pathlib import Path

import msgspec
import pytest
from exchange_world import World

from engine.protocols import ouch
from engine.simulation.order_instructions import MARKET_PRICE, RejectReason

FAR_BELOW, FAR_ABOVE = 10_0000, 500_0000


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.open_market()
    return world


def buy(number: int, qty: int, price: int, symbol: str = "KO", **fields) -> ouch.EnterOrder:
    return ouch.EnterOrder(number, "B", qty, symbol, price, **fields)


def asking(order: ouch.EnterOrder, **options: int | str) -> ouch.EnterOrder:
    appendage = tuple(ouch.option(name, value) for name, value in options.items())
    return msgspec.structs.replace(order, appendage=appendage)


def kinds(messages: list[ouch.OuchMessage]) -> list[str]:
    return [type(message).__name__ for message in messages]


def lines(world: World) -> list[dict]:
    return [json.loads(line) for line in world.record.path.read_text().splitlines()]


def test_marketable_order_is_accepted_and_executed_at_once_level_by_level(world: World):
    ask = world.quote("KO", "S")
    told = world.send(buy(1, 1000, ask + 5_0000, time_in_force="3"))
    executed = [message for message in told if isinstance(message, ouch.Executed)]
    assert kinds(told)[0] == "Accepted"
    assert executed[0].price == ask
    assert [m.price for m in executed] == sorted(m.price for m in executed)
    assert sum(m.quantity for m in executed) == 1000
    assert {m.liquidity_flag for m in executed} == {"R"}


def test_rest_of_a_day_order_stays_in_the_book_and_in_the_market_data(world: World):
    (accepted,) = world.send(buy(1, 300, FAR_BELOW))
    (shown,) = [m for m in world.market_data()["20130102"] if getattr(m, "price", 0) == FAR_BELOW]
    assert (shown.order_reference_number, shown.shares) == (accepted.order_reference_number, 300)


def test_rest_of_an_immediate_order_is_cancelled_with_reason_i(world: World):
    told = world.send(buy(1, 300, FAR_BELOW, time_in_force="3"))
    assert kinds(told) == ["Accepted", "Canceled"]
    assert (told[1].quantity, told[1].reason) == (300, "I")


def test_two_accounts_trade_with_each_other_and_each_is_told_its_own_side(world: World):
    price = world.quote("KO", "B") + 100
    assert price < world.quote("KO", "S")
    world.send(ouch.EnterOrder(1, "B", 80, "KO", price), "ONE")
    taker = world.send(ouch.EnterOrder(1, "S", 80, "KO", price, time_in_force="3"), "TWO")
    maker = world.told("ONE")[-1]
    assert (maker.quantity, maker.price, maker.liquidity_flag) == (80, price, "A")
    assert (taker[1].quantity, taker[1].price, taker[1].liquidity_flag) == (80, price, "R")
    assert taker[1].match_number == maker.match_number


def test_cancel_to_a_smaller_size_counts_what_was_executed(world: World):
    bid = world.quote("KO", "B")
    world.send(buy(1, 100, bid + 100), "ONE")
    world.send(ouch.EnterOrder(1, "S", 40, "KO", bid + 100, time_in_force="3"), "TWO")
    (canceled,) = world.send(ouch.CancelOrder(1, 70))
    assert (canceled.quantity, canceled.reason) == (30, "U")
    (canceled,) = world.send(ouch.CancelOrder(1, 0))
    assert canceled.quantity == 30
    assert world.send(ouch.CancelOrder(1, 0)) == []


def test_replace_takes_over_what_is_open_under_a_new_number(world: World):
    world.send(buy(1, 100, FAR_BELOW))
    (replaced,) = world.send(ouch.ReplaceOrder(1, 2, 150, FAR_BELOW + 1_0000))
    assert (replaced.orig_user_ref_num, replaced.user_ref_num, replaced.quantity) == (1, 2, 150)
    assert world.send(ouch.CancelOrder(1)) == []
    assert [m.quantity for m in world.send(ouch.CancelOrder(2))] == [150]


def test_modify_cuts_the_size_and_changes_the_kind_of_sell_only(world: World):
    world.send(ouch.EnterOrder(1, "S", 100, "KO", FAR_ABOVE))
    (modified,) = world.send(ouch.ModifyOrder(1, "T", 60))
    assert (modified.side, modified.quantity) == ("T", 60)
    assert world.send(ouch.ModifyOrder(1, "B", 60)) == []
    assert [m.quantity for m in world.send(ouch.CancelOrder(1))] == [60]


def test_messages_that_come_together_are_answered_and_recorded_as_if_each_came_alone(tmp_path: Path):
    said = [buy(1, 100, FAR_BELOW), buy(2, 100, FAR_BELOW, "PEP"), ouch.CancelOrder(1), buy(2, 1, FAR_BELOW)]
    said += [buy(3, 100, FAR_BELOW), ouch.MassCancel(4, "ONE"), ouch.AccountQuery()]
    alone, together = World(tmp_path / "alone"), World(tmp_path / "together")
    for world in (alone, together):
        world.open_market()
    for message in said:
        alone.send(message)
    payloads = [("ONE", ouch.encode(message)) for message in said]
    together.datagrams += together.exchange.on_orders(payloads, together.now)
    assert together.told() == alone.told()
    assert lines(together) == lines(alone)
    assert together.market_data() == alone.market_data()


def test_a_mass_cancel_tells_the_account_of_each_of_thousands_of_orders_in_the_order_of_its_stream(world: World):
    ids = range(1, 5_001)
    orders = [("ONE", ouch.encode(buy(number, 1, FAR_BELOW, ["KO", "PEP"][number % 2]))) for number in ids]
    world.exchange.on_orders(orders, world.now)
    told = world.send(ouch.MassCancel(5_001, "ONE"))
    assert [m.user_ref_num for m in told[1:]] == list(ids)
    sequences = [entry["sequence"] for entry in lines(world) if entry["account"] == "ONE"]
    assert sequences == list(range(1, len(sequences) + 1))
    assert world.exchange.orders.working == 0


def test_mass_cancel_takes_the_accounts_orders_of_a_symbol_and_nobody_elses(world: World):
    world.send(buy(1, 10, FAR_BELOW))
    world.send(buy(2, 10, FAR_BELOW, "PEP"))
    world.send(buy(1, 10, FAR_BELOW), "TWO")
    told = world.send(ouch.MassCancel(3, "", "KO"))
    assert kinds(told) == ["MassCancelResponse", "Canceled"]
    assert told[1].user_ref_num == 1
    assert [m.user_ref_num for m in world.send(ouch.MassCancel(4, ""))[1:]] == [2]
    assert kinds(world.told("TWO")) == ["SystemEvent", "Accepted"]


def test_disabled_account_cannot_enter_orders_until_it_is_enabled(world: World):
    world.send(ouch.DisableOrderEntry(1, ""))
    (rejected,) = world.send(buy(2, 10, FAR_BELOW))
    assert rejected.reason == RejectReason.FIRM_NOT_AUTHORIZED
    world.send(ouch.EnableOrderEntry(3, ""))
    assert kinds(world.send(buy(4, 10, FAR_BELOW))) == ["Accepted"]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (buy(1, 10, FAR_BELOW, "NOPE"), RejectReason.INVALID_SYMBOL),
        (buy(1, 10, FAR_BELOW, "XOM"), RejectReason.HALTED),  # no close that day: it does not trade
        (buy(1, 0, FAR_BELOW), RejectReason.INVALID_QUANTITY),
        (buy(1, 1_000_000, FAR_BELOW), RejectReason.INVALID_QUANTITY),
        (buy(1, 10, 0), RejectReason.INVALID_PRICE),
        (buy(1, 10, 10_0050), RejectReason.INVALID_PRICE),
        (buy(1, 10, 200_000_0000), RejectReason.INVALID_PRICE),
        (ouch.EnterOrder(1, "Q", 10, "KO", FAR_BELOW), RejectReason.INVALID_SIDE),
        (buy(1, 10, FAR_BELOW, display="A"), RejectReason.INVALID_DISPLAY),
        (buy(1, 10, FAR_BELOW, cross_type="S"), RejectReason.INVALID_CROSS_ORDER),
        (buy(1, 10, FAR_BELOW, cross_type="O"), RejectReason.INVALID_CROSS_ORDER),  # the opening is over
        (buy(1, 10, MARKET_PRICE), RejectReason.INVALID_PRICE),  # neither immediate nor for a cross
        (buy(1, 10, FAR_BELOW, intermarket_sweep="Y"), RejectReason.ISO_NOT_ALLOWED),
        (buy(1, 10, FAR_BELOW, time_in_force="6"), RejectReason.OTHER),
        (asking(buy(1, 10, FAR_BELOW), peg_offset=100), RejectReason.OTHER),
        (asking(buy(1, 10, FAR_BELOW, time_in_force="3"), post_only="P"), RejectReason.OTHER),
        (asking(buy(1, 10, FAR_BELOW), min_qty=5), RejectReason.INVALID_MIN_QUANTITY),  # displayed
        (asking(buy(1, 10, FAR_BELOW, display="N"), min_qty=11), RejectReason.INVALID_MIN_QUANTITY),
        (asking(buy(1, 10, FAR_BELOW), max_floor=11), RejectReason.INVALID_MAX_FLOOR),
        (asking(buy(1, 10, FAR_BELOW, display="N"), max_floor=5), RejectReason.INVALID_MAX_FLOOR),
        (asking(buy(1, 10, FAR_BELOW), price_type="M"), RejectReason.INVALID_DISPLAY),
        (asking(buy(1, 10, FAR_BELOW), price_type="P"), RejectReason.INVALID_PEG_TYPE),
        (asking(buy(1, 10, FAR_BELOW), aiq_strategy="Q"), RejectReason.OTHER),
    ],
)
def test_order_that_cannot_be_taken_is_rejected_with_the_reason(world: World, order, reason: RejectReason):
    (rejected,) = world.send(order)
    assert (type(rejected), rejected.user_ref_num, rejected.reason) == (ouch.Rejected, 1, reason)
    assert lines(world)[-1]["type"] == "reject"
    assert lines(world)[-1]["reason"] == reason.name.lower()


def test_order_outside_the_session_is_rejected(tmp_path: Path):
    world = World(tmp_path)
    world.run_until(world.clock.pre_open_wall_ns(0))
    (rejected,) = world.send(buy(1, 10, FAR_BELOW))
    assert rejected.reason == RejectReason.DESTINATION_CLOSED
    world.close_market()
    (rejected,) = world.send(buy(2, 10, FAR_BELOW))
    assert rejected.reason == RejectReason.DESTINATION_CLOSED


def test_user_ref_num_that_does_not_rise_is_ignored(world: World):
    world.send(buy(5, 10, FAR_BELOW))
    assert world.send(buy(5, 10, FAR_BELOW)) == []
    assert world.send(buy(4, 10, FAR_BELOW)) == []
    assert world.exchange.orders.counters["user_ref_num_not_rising"] == 2
    assert kinds(world.send(buy(6, 10, FAR_BELOW))) == ["Accepted"]


def test_account_query_is_answered_with_the_next_number(world: World):
    assert world.send(ouch.AccountQuery())[0].next_user_ref_num == 1
    world.send(buy(7, 10, FAR_BELOW, "NOPE"))
    assert world.send(ouch.AccountQuery())[0].next_user_ref_num == 8
    assert world.send(ouch.AccountQuery(), "TWO")[0].next_user_ref_num == 1


@pytest.mark.parametrize("payload", [b"", b"O", b"Z" * 40, ouch.encode(buy(1, 10, FAR_BELOW))[:-1]])
def test_bytes_that_are_no_message_are_counted_and_change_nothing(world: World, payload: bytes):
    before = lines(world)
    assert world.send(payload) == []
    assert world.exchange.orders.counters["malformed"] == 1
    assert lines(world) == before


def test_record_has_a_line_for_each_order_execution_and_cancel(world: World):
    ask = world.quote("PEP", "S")
    world.send(buy(1, 10, ask, "PEP"))
    world.send(buy(2, 10, FAR_BELOW, "PEP"))
    world.send(ouch.CancelOrder(2))
    found = [line for line in lines(world) if line["account"] == "ONE" and line["type"] != "system"]
    assert [(line["type"], line["user_ref_num"], line["qty"]) for line in found] == [
        ("order", 1, 10),
        ("execution", 1, 10),
        ("order", 2, 10),
        ("cancel", 2, 10),
    ]
    assert found[1]["price"] == ask
    assert found[1]["match_number"] > 0
    assert {(line["symbol"], line["side"], line["trade_date"]) for line in found} == {("PEP", "buy", 20130102)}


def test_day_order_expires_at_the_close(world: World):
    world.send(buy(1, 10, FAR_BELOW))
    world.close_market()
    canceled, end = world.told()[-2:]
    assert (canceled.quantity, canceled.reason, end.event_code) == (10, "T", "E")
    assert canceled.timestamp == 16 * 3600 * 1_000_000_000
