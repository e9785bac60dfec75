"""The compiled books against the plain reference book."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import books
from engine.core.reference_book import ReferenceBooks

SMALL = books.books_dtype(instruments=2, orders=64, levels=8)


def make() -> np.void:
    return np.zeros(1, SMALL)[0]


def levels(book: np.void, instrument: int, side: int) -> list[tuple[int, int, int]]:
    depth = int(book["depth"][instrument, side])
    return [tuple(level) for level in book["levels"][instrument, side][:depth].tolist()]


operations = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "reduce", "delete", "replace"]),
        st.integers(0, 1),  # instrument
        st.integers(0, 1),  # side
        st.integers(1, 40),  # order
        st.integers(1, 25).map(lambda tick: tick * 100),  # price: more levels than the array holds
        st.integers(1, 500),
        st.integers(41, 56),  # the id that a replacement gets
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(operations)
def test_every_answer_and_the_best_levels_equal_the_reference_books(sequence):
    book, reference = make(), ReferenceBooks()
    for name, instrument, side, order, price, qty, new in sequence:
        if name == "add":
            if len(reference.orders) < 56:
                assert books.add(book, instrument, side, order, price, qty) == reference.add(
                    instrument, side, order, price, qty
                )
        elif name == "reduce":
            assert books.reduce(book, order, qty) == reference.reduce(order, qty)
        elif name == "delete":
            assert books.delete(book, order) == reference.delete(order)
        else:
            assert books.replace(book, order, new, price, qty) == reference.replace(order, new, price, qty)
        for i in range(2):
            for s in range(2):
                shown, expected = levels(book, i, s), reference.levels(i, s)
                assert shown == expected[: len(shown)]
                assert len(shown) == len(expected) or book["truncated"][i, s]
                assert len(shown) >= min(len(expected), 2)  # a quarter of the array is always right
    assert int(book["count"]) == len(reference.orders)


def test_a_full_table_refuses_and_counts_and_keeps_what_it_has():
    book = make()
    taken = sum(bool(books.add(book, 0, 0, order, 100, 1)) for order in range(1, 65))
    assert taken == 56 == int(book["count"])  # seven eighths of 64
    assert int(book["refused"]) == 64 - 56
    assert levels(book, 0, 0) == [(100, 56, 56)]


def test_a_report_on_an_unknown_order_is_counted_and_changes_nothing():
    book = make()
    books.add(book, 0, 1, 7, 1_000, 10)
    assert books.reduce(book, 8, 5) == 0
    assert books.delete(book, 9) == 0
    assert not books.replace(book, 9, 10, 1, 1)
    assert int(book["unknown"]) == 3
    assert levels(book, 0, 1) == [(1_000, 10, 1)]


@pytest.mark.parametrize("price", [1, 2_000_000_000])
def test_a_price_of_one_ten_thousandth_and_of_200000_dollars_are_kept_as_they_are(price):
    book = make()
    books.add(book, 1, 1, 1, price, 3)
    assert levels(book, 1, 1) == [(price, 3, 1)]


def test_clearing_leaves_the_same_bytes_as_an_empty_book():
    book = make()
    for order in range(1, 30):
        books.add(book, order % 2, order % 2, order, 100 * order, order)
    books.clear(book)
    counters = ("unknown", "refused", "rebuilt")
    empty = make()
    for name in counters:
        book[name] = 0
    assert book.tobytes() == empty.tobytes()
