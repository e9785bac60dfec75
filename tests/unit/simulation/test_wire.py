"""Compiled ITCH messages against the table-driven codec of ``engine.protocols.itch``."""

import numpy as np
import pytest

from engine.protocols import itch, moldudp64
from engine.simulation import matching, wire
from engine.simulation.matching import enter_order
from engine.simulation.matching_records import NewOrder, OrderKind, matching_state, report_buffer

BUY, SELL = 1, -1
STAMP = 34_200_000_000_123


class Book:
    """A matching engine whose reports are encoded as they come."""

    def __init__(self) -> None:
        self.state, self.reports, self.wire = matching_state(2), report_buffer(), wire.wire_state(["KO", "PEP"])

    def enter(self, instrument: int, side: int, price: int, qty: int, **fields: int) -> int:
        n = enter_order(self.state, NewOrder(instrument, side, price, qty, **fields), self.reports)
        wire.encode(self.wire, STAMP, self.reports, n)
        return int(self.reports[0]["reference"])

    def reduce(self, reference: int, keep: int) -> None:
        wire.encode(self.wire, STAMP, self.reports, matching.reduce(self.state, reference, keep, self.reports, 0))

    def messages(self) -> list[itch.ItchMessage]:
        blocks = list(wire.drain(self.wire))
        return [itch.decode(message) for block, count in blocks for message in moldudp64.unframe(block, count)]


def test_orders_executions_and_cancels_are_the_messages_that_the_specification_has():
    book = Book()
    first = book.enter(1, BUY, 71_2500, 300)
    book.enter(1, SELL, 71_2500, 100)
    book.reduce(first, 50)
    book.reduce(first, 0)
    assert book.messages() == [
        itch.AddOrder(2, 0, STAMP, first, "B", 300, "PEP", 71_2500),
        itch.OrderExecuted(2, 0, STAMP, first, 100, 1),
        itch.OrderCancel(2, 0, STAMP, first, 150),
        itch.OrderDelete(2, 0, STAMP, first),
    ]


def test_incoming_order_that_never_rests_is_not_shown():
    book = Book()
    maker = book.enter(0, SELL, 40_0000, 100)
    book.enter(0, BUY, 40_0000, 100)
    assert [type(message) for message in book.messages()] == [itch.AddOrder, itch.OrderExecuted]
    assert maker > 0


def test_hidden_order_is_not_shown_until_it_trades_and_then_only_as_a_trade():
    book = Book()
    book.enter(0, SELL, 40_0000, 100, display=0)
    book.enter(0, BUY, 40_0000, 30)
    assert book.messages() == [itch.Trade(1, 0, STAMP, 0, "B", 30, "KO", 40_0000, 1)]


def test_iceberg_shows_one_slice_at_a_time_each_as_an_order_of_its_own():
    book = Book()
    first = book.enter(0, SELL, 40_0000, 250, display=100)
    book.enter(0, BUY, 40_0000, 120)
    shown, executed, again, partly = book.messages()
    assert shown == itch.AddOrder(1, 0, STAMP, first, "S", 100, "KO", 40_0000)
    assert executed == itch.OrderExecuted(1, 0, STAMP, first, 100, 1)
    assert again == itch.AddOrder(1, 0, STAMP, again.order_reference_number, "S", 100, "KO", 40_0000)
    assert again.order_reference_number > first
    assert partly == itch.OrderExecuted(1, 0, STAMP, again.order_reference_number, 20, 2)


def test_cutting_an_icebergs_reserve_is_not_seen():
    book = Book()
    iceberg = book.enter(0, SELL, 40_0000, 250, display=100)
    book.reduce(iceberg, 120)
    book.reduce(iceberg, 70)
    assert book.messages()[1:] == [itch.OrderCancel(1, 0, STAMP, iceberg, 30)]


def test_midpoint_execution_is_a_trade_at_half_a_tick():
    book = Book()
    book.enter(0, BUY, 40_0000, 100)
    book.enter(0, SELL, 40_0100, 100)
    book.enter(0, SELL, 0, 50, kind=OrderKind.MIDPOINT)
    book.enter(0, BUY, 40_0100, 50)
    assert book.messages()[2:] == [itch.Trade(1, 0, STAMP, 0, "B", 50, "KO", 40_0050, 1)]


def test_delete_and_add_of_one_owner_back_to_back_are_a_replace():
    book = Book()
    old = book.enter(0, SELL, 40_0000, 100)
    n = matching.reduce(book.state, old, 0, book.reports, 0)
    n = enter_order(book.state, NewOrder(0, SELL, 41_0000, 70), book.reports, n)
    wire.encode(book.wire, STAMP, book.reports, n)
    new = int(book.reports[1]["reference"])
    assert book.messages()[1:] == [itch.OrderReplace(1, 0, STAMP, old, new, 70, 41_0000)]


@pytest.mark.parametrize(("side", "owner"), [(BUY, 0), (SELL, 5)])
def test_add_on_the_other_side_or_of_another_owner_is_no_replace(side: int, owner: int):
    book = Book()
    old = book.enter(0, SELL, 40_0000, 100)
    n = matching.reduce(book.state, old, 0, book.reports, 0)
    n = enter_order(book.state, NewOrder(0, side, 39_0000, 70, owner=owner), book.reports, n)
    wire.encode(book.wire, STAMP, book.reports, n)
    assert [type(message) for message in book.messages()[1:]] == [itch.OrderDelete, itch.AddOrder]


def test_packets_stay_below_the_size_that_would_be_fragmented_and_lose_nothing():
    book = Book()
    for price in range(1, 201):
        book.enter(0, BUY, price * 100, 10)
    blocks = list(wire.drain(book.wire))
    assert max(len(block) for block, _ in blocks) <= wire.MAX_BLOCK
    assert sum(count for _, count in blocks) == 200
    prices = [itch.decode(m).price for block, count in blocks for m in moldudp64.unframe(block, count)]
    assert prices == [price * 100 for price in range(1, 201)]
    assert list(wire.drain(book.wire)) == []


@pytest.mark.parametrize("symbol", ["", "NINECHARS", "SMÖ"])
def test_symbol_that_itch_cannot_carry_is_refused(symbol: str):
    with pytest.raises(ValueError):
        wire.wire_state([symbol])


def test_wire_fields_hold_the_largest_values_of_the_protocol():
    book = Book()
    book.enter(0, BUY, 1_999_999_900, 4_000_000_000)
    (message,) = book.messages()
    assert (message.price, message.shares) == (1_999_999_900, 4_000_000_000)
    assert np.iinfo(np.uint32).max > message.shares
