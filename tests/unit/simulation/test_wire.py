"""Compiled ITCH messages against the table-driven codec of ``engine.protocols.itch``."""

import numpy as np
import pytest

from engine.protocols import itch, moldudp64
from engine.simulation import matching, wire
from engine.simulation.matching import matching_state, report_buffer

BUY, SELL = 1, -1
STAMP = 34_200_000_000_123


class Book:
    """A matching engine whose reports are encoded as they come."""

    def __init__(self) -> None:
        self.state, self.reports, self.wire = matching_state(2), report_buffer(), wire.wire_state(["KO", "PEP"])

    def enter(self, instrument: int, side: int, price: int, qty: int, owner: int = 0) -> int:
        n = matching.enter(self.state, instrument, side, price, qty, False, owner, 0, self.reports, 0)
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


def test_delete_and_add_of_one_owner_back_to_back_are_a_replace():
    book = Book()
    old = book.enter(0, SELL, 40_0000, 100)
    n = matching.reduce(book.state, old, 0, book.reports, 0)
    n = matching.enter(book.state, 0, SELL, 41_0000, 70, False, 0, 0, book.reports, n)
    wire.encode(book.wire, STAMP, book.reports, n)
    new = int(book.reports[1]["reference"])
    assert book.messages()[1:] == [itch.OrderReplace(1, 0, STAMP, old, new, 70, 41_0000)]


@pytest.mark.parametrize(("side", "owner"), [(BUY, 0), (SELL, 5)])
def test_add_on_the_other_side_or_of_another_owner_is_no_replace(side: int, owner: int):
    book = Book()
    old = book.enter(0, SELL, 40_0000, 100)
    n = matching.reduce(book.state, old, 0, book.reports, 0)
    n = matching.enter(book.state, 0, side, 39_0000, 70, False, owner, 0, book.reports, n)
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
