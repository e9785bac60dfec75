"""The compiled books against the plain reference book, and at the edges of what they can hold."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import books, memory
from engine.core.books import MAX_PRICE, MAX_QTY, Refusal, Touch
from engine.core.events import EVENT, Kind, Session
from engine.core.reference_book import ReferenceBooks, content_hash

INSTRUMENTS = 3
# Two buckets hold four orders before the table is widened, and 36 at the most; the pool places ladders at the start.
SMALL = books.books_dtype(instruments=INSTRUMENTS, buckets=16, far_blocks=24)
ROOMY = books.books_dtype(instruments=INSTRUMENTS, buckets=2_048, far_blocks=600)


def make(dtype: np.dtype = SMALL) -> np.void:
    return memory.zeros(dtype)[0]


def apply(book, kind, *, instrument=0, side=1, order=0, price=0, qty=0, old=0):
    return books.apply_order(book, instrument, int(kind), side, order, price, qty, old)


def add(book, order, price, qty=1, *, side=1, instrument=0):
    return apply(book, Kind.ADD, instrument=instrument, side=side, order=order, price=price, qty=qty)


def levels(book, instrument, side, count=1_000):
    prices, shares = np.zeros(count, np.int64), np.zeros(count, np.int64)
    found = books.depth(book, instrument, side, prices, shares)
    return list(zip(prices[:found].tolist(), shares[:found].tolist(), strict=True))


def refused(book):
    return {reason: int(book["refused"][reason]) for reason in Refusal if book["refused"][reason]}


def check_equal(book, reference):
    content = books.book_content(book)
    assert content == reference.content()
    assert content_hash(content) == content_hash(reference.content())
    for instrument in range(INSTRUMENTS):
        for side in range(2):
            expected = [(price, shares) for price, shares, _ in reference.levels(instrument, side)]
            assert levels(book, instrument, side) == expected
            assert books.touch(book, instrument, side) == (expected[0] if expected else (0, 0))
        assert book["touch_state"][instrument] == reference.touch_state(instrument)
    assert int(book["count"]) == len(reference.orders)
    assert refused(book) == dict(reference.refused)
    assert int(book["excess"]) == reference.excess


# Prices on and off the tick, near one another and far apart, under a dollar and at the ends of what there is.
PRICES = st.one_of(
    st.integers(990, 1_020).map(lambda cent: cent * 100),
    st.integers(99_000, 102_000),
    st.integers(9_900, 10_100),
    st.integers(1, 80),
    st.sampled_from([1, 50, 9_999, 10_000, 10_050, 5_000_000, 2_000_000_000, MAX_PRICE]),
)
STEPS = st.tuples(
    st.sampled_from([Kind.ADD, Kind.ADD, Kind.ADD, Kind.EXECUTE, Kind.REDUCE, Kind.DELETE, Kind.REPLACE]),
    st.integers(0, INSTRUMENTS - 1),
    st.sampled_from([1, -1, 1, -1, 1, -1, 0]),
    st.integers(0, 30),  # order
    st.one_of(PRICES, PRICES, PRICES, st.sampled_from([0, -1, MAX_PRICE + 1])),
    st.one_of(st.integers(1, 500), st.sampled_from([0, -5, MAX_QTY, MAX_QTY + 1])),
    st.integers(0, 30),  # the order that a replace replaces
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=120))
def test_every_answer_and_all_content_equal_the_reference_books(steps):
    book, reference = make(), ReferenceBooks()
    for kind, instrument, side, order, price, qty, old in steps:
        answer = books.apply_order(book, instrument, int(kind), side, order, price, qty, old)
        assert answer == reference.apply(instrument, kind, side, order, price, qty, old)
        assert book["touch_state"][instrument] == reference.touch_state(instrument)
    check_equal(book, reference)


@pytest.mark.parametrize(("seed", "spread"), [(1, 100), (2, 1), (3, 5_000), (4, 37)])
def test_a_market_that_wanders_far_equals_the_reference_books(seed, spread):
    """Thousands of orders around a price that moves by many ladders' lengths, up and down, so that ladders are placed
    anew, tables widened, far levels split and joined."""
    chance = random.Random(seed)
    book, reference = make(ROOMY), ReferenceBooks()
    mid, resting, last = 1_000_000, [], 0
    for step in range(12_000):
        mid = max(spread * 80, mid + chance.choice([-2, -1, 1, 2]) * spread * (3 if step // 3_000 % 2 else 1))
        if chance.random() < 0.55 or not resting:
            last += 1
            side = chance.choice([1, -1])
            price = max(mid - side * spread * int(chance.expovariate(0.08)), 1)
            step_of = (Kind.ADD, chance.randrange(INSTRUMENTS), side, last, price, chance.randrange(1, 900), 0)
            resting.append((step_of[1], last))
        else:
            instrument, order = resting.pop(chance.randrange(len(resting)))
            step_of = (chance.choice([Kind.DELETE, Kind.EXECUTE]), instrument, 0, order, 0, 900, 0)
        kind, instrument, side, order, price, qty, old = step_of
        answer = books.apply_order(book, instrument, int(kind), side, order, price, qty, old)
        assert answer == reference.apply(instrument, kind, side, order, price, qty, old)
        if step % 1_500 == 0:
            check_equal(book, reference)
    check_equal(book, reference)
    assert book["placed"] > 6
    for instrument, order in resting:
        apply(book, Kind.DELETE, instrument=instrument, order=order)
    assert (int(book["count"]), int(book["far_taken"])) == (0, 0)
    assert not book["orders"]["order_id"].any()
    assert not book["orders"]["passed"].any()
    assert not book["rungs"].any()


@pytest.mark.parametrize("price", [1, 9_999, 10_001, 2_000_000_000])
@pytest.mark.parametrize("side", [1, -1])
def test_any_price_from_a_hundredth_of_a_cent_to_200000_dollars_is_kept_beside_an_ordinary_market(price, side):
    book = make()
    add(book, 1, 500_000, 10, side=side)
    add(book, 2, price, 3, side=side)
    expected = sorted([(500_000, 10), (price, 3)], reverse=side > 0)
    assert levels(book, 0, 0 if side > 0 else 1) == expected
    assert apply(book, Kind.DELETE, order=2) == price
    assert levels(book, 0, 0 if side > 0 else 1) == [(500_000, 10)]


def test_a_full_table_refuses_and_counts_and_keeps_what_it_has():
    book = make()
    answers = [add(book, order, 10_000) for order in range(1, 41)]
    assert answers == [10_000] * 36 + [-Refusal.TABLE_FULL] * 4  # 2.25 orders in each of 16 buckets
    assert refused(book) == {Refusal.TABLE_FULL: 4}
    assert levels(book, 0, 0) == [(10_000, 36)]
    assert apply(book, Kind.DELETE, order=40) == -Refusal.UNKNOWN
    apply(book, Kind.DELETE, order=1)
    assert add(book, 41, 10_100) == 10_100


def test_when_the_far_levels_are_full_a_level_is_refused_and_room_comes_back():
    book = make(books.books_dtype(instruments=1, buckets=1_024, far_blocks=2))
    add(book, 1, 1_000_000)
    # Better and better prices, none of them on the ladder that a pool of two blocks cannot place.
    answers = [add(book, 2 + n, 1_000_000 + 10_000 * (n + 1)) for n in range(40)]
    taken = [answer for answer in answers if answer > 0]
    assert answers[len(taken) :] == [-Refusal.LEVELS_FULL] * (40 - len(taken))
    assert 16 <= len(taken) <= 32  # two blocks of up to 16
    assert levels(book, 0, 0) == [(price, 1) for price in [*reversed(taken), 1_000_000][: len(taken) + 1]]
    assert apply(book, Kind.DELETE, order=2) > 0
    assert refused(book) == {Refusal.LEVELS_FULL: 40 - len(taken)}
    for order in (1, *range(3, 2 + len(taken))):
        apply(book, Kind.DELETE, order=order)
    assert int(book["far_taken"]) == 0
    assert add(book, 99, 3_000_000) == 3_000_000


def test_a_replace_for_which_there_is_no_room_keeps_the_old_order():
    book = make(books.books_dtype(instruments=1, buckets=1_024, far_blocks=1))
    answers = [add(book, order, order * 1_000_000) for order in range(1, 30)]
    order = answers.index(-Refusal.LEVELS_FULL)  # the last one taken
    before = books.book_content(book)
    add(book, 50, order * 1_000_000, 3)  # its price stays when it goes, so that nothing gets free
    between = books.book_content(book)
    assert apply(book, Kind.REPLACE, order=99, price=77_000_000, qty=5, old=order) == -Refusal.LEVELS_FULL
    assert books.book_content(book) == between != before


def test_more_shares_than_a_level_counts_are_refused_not_wrapped():
    book = make(ROOMY)
    fits = ((1 << 40) - 1) // MAX_QTY
    answers = [add(book, order, 10_000, MAX_QTY) for order in range(1, fits + 3)]
    assert answers == [10_000] * fits + [-Refusal.LEVELS_FULL] * 2
    assert levels(book, 0, 0) == [(10_000, fits * MAX_QTY)]


def test_a_message_that_names_another_instrument_touches_neither_book():
    book = make()
    add(book, 7, 1_000_000, 10, instrument=1)
    for kind in (Kind.DELETE, Kind.EXECUTE, Kind.REDUCE, Kind.REPLACE):
        answer = apply(book, kind, instrument=2, order=8 if kind == Kind.REPLACE else 7, price=5, qty=5, old=7)
        assert answer == -Refusal.ELSEWHERE
    assert refused(book) == {Refusal.ELSEWHERE: 4}
    assert levels(book, 1, 0) == [(1_000_000, 10)]
    assert levels(book, 2, 0) == []


def test_locked_and_crossed_books_are_flagged_and_counted_and_unflagged():
    book = make()
    add(book, 1, 1_000_000, side=1)
    add(book, 2, 1_000_100, side=-1)
    assert book["touch_state"][0] == Touch.ORDINARY
    add(book, 3, 1_000_100, side=1)
    assert book["touch_state"][0] == Touch.LOCKED
    add(book, 4, 2_000_000, side=1)
    assert book["touch_state"][0] == Touch.CROSSED
    apply(book, Kind.DELETE, order=4)
    assert book["touch_state"][0] == Touch.LOCKED
    apply(book, Kind.EXECUTE, order=2, qty=1)
    assert book["touch_state"][0] == Touch.ORDINARY
    assert (int(book["locked"]), int(book["crossed"])) == (2, 1)


def test_depth_stops_at_the_levels_asked_for_and_joins_ladder_and_far_levels():
    book = make(ROOMY)
    prices = [1_000_000, 999_900, 999_950, 990_000, 500_000, 1_000_051]
    for order, price in enumerate(prices, 1):
        add(book, order, price, order)
    expected = sorted(((price, order) for order, price in enumerate(prices, 1)), reverse=True)
    for count in range(1, 8):
        assert levels(book, 0, 0, count) == expected[:count]


def test_clearing_leaves_the_same_bytes_as_an_empty_book():
    book = make()
    for order in range(1, 30):
        add(book, order, 333 * order * order, order, side=1 - 2 * (order % 2), instrument=order % INSTRUMENTS)
    books.clear(book)
    for name in ("locked", "crossed", "placed"):
        book[name] = 0
    assert book.tobytes() == make().tobytes()


def test_a_batch_of_events_does_what_the_events_do_one_by_one_and_a_new_day_clears():
    chance = random.Random(5)
    events = np.zeros(600, EVENT)
    for index, event in enumerate(events):
        event["kind"] = Kind.TRADE if index % 50 == 7 else chance.choice([Kind.ADD, Kind.ADD, Kind.DELETE])
        event["side"], event["order_id"] = chance.choice([1, -1]), chance.randrange(1, 90)
        event["price"], event["qty"] = chance.randrange(9_000, 11_000), 100
    events[300]["kind"], events[300]["code"] = Kind.SESSION, Session.START_OF_MESSAGES
    batch, single = memory.zeros(ROOMY), memory.zeros(ROOMY)
    books.apply_events(batch, events, len(events))
    for index, event in enumerate(events):
        if index == 300:
            books.clear(single[0])
        elif event["kind"] != Kind.TRADE:
            kind, side, order, price = (int(event[name]) for name in ("kind", "side", "order_id", "price"))
            apply(single[0], kind, side=side, order=order, price=price, qty=100)
    assert batch.tobytes() == single.tobytes()
    assert int(batch[0]["count"]) > 10


def test_capacity_is_a_power_of_two():
    with pytest.raises(ValueError, match="power of two"):
        books.books_dtype(instruments=1, buckets=1_000, far_blocks=1)
