"""Order-by-order books of all instruments: one order table, and price levels a side.

Prices in 1/10,000, quantities in shares. Any price from 1 to MAX_PRICE is kept as it is. Everything is of fixed
capacity; what does not fit is refused, counted under its reason, and changes nothing. A message whose order rests in
another instrument's book than the message says touches neither.

Sides are indexes: 0 bid, 1 ask; ``row`` = 2 * instrument + side. One path serves both, by a sign.

Answers of the operations: the order's price (over 0) when done, else minus the Refusal.
"""

from enum import IntEnum

import numpy as np

from engine.core.bits import nonnegative, prefetch
from engine.core.cache_lines import in_lines
from engine.core.compiled import njit
from engine.core.events import Kind, Session
from engine.core.far_levels import FAR_BLOCK, FAR_POOL_FIELDS, ONE_ORDER, QTY_BITS, QTY_MASK, far_clear
from engine.core.ladder import (
    BEST_RUNG,
    RUNGS,
    SIDE,
    SIDE_BYTES,
    best_level,
    best_price,
    clear_side,
    level_add,
    level_take,
    read_levels,
)
from engine.core.order_table import BUCKET, BUCKET_BYTES, EMPTY, LANES, SMALLEST, find, home_of, insert, remove, widen
from engine.core.order_table import clear as clear_orders

MAX_PRICE = 2_147_000_000  # $214,700; an ITCH price ends at $200,000
MAX_QTY = (1 << 32) - 1


class Refusal(IntEnum):
    """Why an operation was not done; each has a counter of its own."""

    UNKNOWN = 1  # no such order
    ELSEWHERE = 2  # the order rests in another instrument's book
    DUPLICATE = 3  # the id rests already
    MALFORMED = 4  # order id 0, a price or quantity out of range, no side, not a book's event
    TABLE_FULL = 5
    LEVELS_FULL = 6  # no far block left, or more shares at one price than a level counts


UNKNOWN, ELSEWHERE, DUPLICATE = int(Refusal.UNKNOWN), int(Refusal.ELSEWHERE), int(Refusal.DUPLICATE)
MALFORMED, TABLE_FULL, LEVELS_FULL = int(Refusal.MALFORMED), int(Refusal.TABLE_FULL), int(Refusal.LEVELS_FULL)


class Touch(IntEnum):
    """``touch_state`` of an instrument."""

    ORDINARY = 0
    LOCKED = 1  # bid = ask
    CROSSED = 2  # bid > ask


FULL = 9  # quarters of orders a bucket that the table takes at the most
CROWDED = 3  # and before more buckets are taken into use
LOCKED, CROSSED = int(Touch.LOCKED), int(Touch.CROSSED)
ADD, EXECUTE, REDUCE = int(Kind.ADD), int(Kind.EXECUTE), int(Kind.REDUCE)
DELETE, REPLACE = int(Kind.DELETE), int(Kind.REPLACE)
SESSION, START_OF_MESSAGES = int(Kind.SESSION), int(Session.START_OF_MESSAGES)
AHEAD = 12  # events between asking for an order's cache line and applying the event


def books_dtype(instruments: int, buckets: int, far_blocks: int) -> np.dtype:
    """Books of ``instruments``; ``buckets`` (a power of two) hold 2.25 orders each, a far block 8 to 16 levels.

    Bytes: 1,088 an instrument, 64 a bucket, 200 a far block. Zeros are empty books.
    """
    if buckets & (buckets - 1):
        raise ValueError(f"buckets must be a power of two, got {buckets}")
    return in_lines(
        [
            ("orders", BUCKET, (buckets,)),  # first: a bucket is a cache line where the array begins on one
            ("rungs", "<i8", (2 * instruments, RUNGS)),
            ("sides", SIDE, (2 * instruments,)),
            ("far", FAR_BLOCK, (far_blocks + 1,)),
            ("touch_state", "i1", (-(-instruments // 8) * 8,)),  # Touch
            ("count", "<i8"),  # orders that rest
            ("mask", "<i8"),  # buckets of ``orders`` in use, less one
            ("room", "<i8"),  # orders that they hold before more are taken into use
            ("refused", "<i8", (len(Refusal) + 1,)),  # by Refusal
            ("excess", "<i8"),  # reductions by more than was left
            ("locked", "<i8"),  # times that a book became locked
            ("crossed", "<i8"),  # and crossed
            ("placed", "<i8"),  # times that a ladder was placed
            *FAR_POOL_FIELDS,
        ]
    )


# A whole market's day; pages that no order needs are never touched. The live core's are ``engine.core.state.BOOKS``.
LARGE_INSTRUMENTS = 16_384
LARGE = books_dtype(instruments=LARGE_INSTRUMENTS, buckets=1 << 20, far_blocks=1 << 16)  # 2.4 million orders


@njit(cache=True)
def _refuse(books, reason):
    books.refused[reason] += 1
    return -reason


@njit(cache=True)
def _watch_touch(books, instrument):
    """Says whether the book is locked or crossed, and counts when it becomes so."""
    bid = best_price(books, 2 * instrument)
    ask = best_price(books, 2 * instrument + 1)
    state = 0
    if bid and ask and bid >= ask:
        state = LOCKED if bid == ask else CROSSED
    if state != books.touch_state[instrument]:
        books.touch_state[instrument] = state
        books.locked += state == LOCKED
        books.crossed += state == CROSSED


@njit(cache=True)
def _make_room(books):
    """Takes more buckets into use; False when the table is full."""
    buckets = len(books.orders)
    if books.room == 0:
        books.mask = min(SMALLEST, buckets) - 1
    elif books.mask + 1 < buckets:
        books.mask = widen(books.orders, books.mask)
    elif books.room == buckets * FULL // 4:
        return False
    in_use = books.mask + 1
    books.room = in_use * CROWDED // 4 if in_use < buckets else in_use * FULL // 4
    return True


@njit(cache=True, forceinline=True)
def _refusal_of_new(books, order_id, price, qty):
    """Why an order cannot be made, 0 when it can."""
    if order_id == EMPTY or not (0 < price <= MAX_PRICE and 0 < qty <= MAX_QTY):
        return MALFORMED
    _, lane = find(books.orders, order_id, books.mask)
    return DUPLICATE if lane < LANES else 0


@njit(cache=True, forceinline=True)
def _rest(books, row, order_id, price, qty):
    """Rests an order of which `_refusal_of_new` has nothing to say; its price, or minus the Refusal."""
    if books.count >= books.room and not _make_room(books):
        return _refuse(books, TABLE_FULL)
    if not level_add(books, row, price, ONE_ORDER + qty):
        return _refuse(books, LEVELS_FULL)
    insert(books.orders, order_id, qty, price, row, books.mask)
    books.count += 1
    opposite = best_price(books, row ^ 1)  # an order more can lock or cross a book, and undoes neither
    beyond = (price - opposite) * (1 - 2 * (row & 1))
    reached = (opposite != 0) * ((beyond >= 0) * LOCKED + (beyond > 0) * (CROSSED - LOCKED))
    if reached > books.touch_state[nonnegative(row >> 1)]:
        _watch_touch(books, row >> 1)
    return price


@njit(cache=True)
def _put_back(books, row, order_id, price, qty):
    """Rests an order again that was taken off a moment ago, so that there is room for it."""
    level_add(books, row, price, ONE_ORDER + qty)
    insert(books.orders, order_id, qty, price, row, books.mask)
    books.count += 1


@njit(cache=True, forceinline=True)
def apply_order(books, instrument, kind, side, order_id, price, qty, old_id):
    """One book event, by its fields; the resting order's price, or minus the Refusal.

    ``side`` (+1 bid, -1 ask) is read for ADD alone, ``old_id`` for REPLACE. EXECUTE and REDUCE take ``qty`` shares off;
    the order goes when none are left. What is refused changes nothing.
    """
    if kind in (ADD, REPLACE):
        refusal = _refusal_of_new(books, order_id, price, qty)
        if refusal or (kind == ADD and side == 0):
            return _refuse(books, refusal or MALFORMED)
    row = 2 * instrument + (side < 0)
    answer = taken = np.int64(0)
    level_went = False
    if kind != ADD:
        wanted = old_id if kind == REPLACE else order_id
        index, lane = find(books.orders, wanted, books.mask)
        if lane == LANES or wanted == EMPTY:
            return _refuse(books, UNKNOWN)
        bucket, place = books.orders[nonnegative(index)], nonnegative(lane)
        row, answer, resting = np.int64(bucket.row[place]), np.int64(bucket.price[place]), np.int64(bucket.qty[place])
        if row >> 1 != instrument:
            return _refuse(books, ELSEWHERE)
        taken = qty if kind in (EXECUTE, REDUCE) else resting
        if taken <= 0:
            return _refuse(books, MALFORMED)
        if taken < resting:
            bucket.qty[place] = resting - taken
            level_went = level_take(books, row, answer, taken)
        else:
            books.excess += taken > resting
            remove(books.orders, index, lane, books.mask)
            books.count -= 1
            level_went = level_take(books, row, answer, ONE_ORDER + resting)
    if kind in (ADD, REPLACE):
        old_price, answer = answer, _rest(books, row, order_id, price, qty)
        if answer < 0 and kind == REPLACE:
            _put_back(books, row, old_id, old_price, taken)
    if level_went & (books.touch_state[nonnegative(instrument)] != 0):
        _watch_touch(books, instrument)
    return answer


@njit(cache=True)
def apply(books, event):
    """Applies an ADD, EXECUTE, REDUCE, DELETE or REPLACE event; the resting order's price, or minus the Refusal."""
    instrument, kind, side = np.int64(event.instrument), np.int64(event.kind), np.int64(event.side)
    return apply_order(books, instrument, kind, side, event.order_id, event.price, event.qty, event.ref)


@njit(cache=True)
def clear(books):
    """Forgets every order: a new trading day begins with empty books. Counters go on."""
    clear_orders(books.orders, books.mask)
    for row in range(len(books.sides)):
        clear_side(books, row)
    for instrument in range(len(books.touch_state)):
        books.touch_state[instrument] = 0
    far_clear(books)
    books.count = 0
    books.mask = 0
    books.room = 0


@njit(cache=True, forceinline=True)
def _expect(books, event):
    """Asks for the cache lines of the event's order (a replace has two), of its book's sides and, by a guess that costs
    nothing to make, of the rungs under the best one as a ladder is placed."""
    orders = books.orders.ctypes.data
    prefetch(orders + home_of(event.order_id, books.mask) * BUCKET_BYTES)
    prefetch(orders + home_of(event.ref, books.mask) * BUCKET_BYTES)
    prefetch(books.sides.ctypes.data + event.instrument * (2 * SIDE_BYTES))
    near = books.rungs.ctypes.data + (event.instrument * (2 * RUNGS) + BEST_RUNG // 8 * 8) * 8
    prefetch(near)
    prefetch(near + RUNGS * 8)


@njit(cache=True, nogil=True)
def apply_events(books, events, count):
    """Applies the book events among ``events[:count]``; ``books`` is an array of one.

    A new trading day clears the books, other events are passed over. Instruments must be within the books' capacity.
    """
    book = books[0]
    for index in range(min(AHEAD, count)):
        _expect(book, events[index])
    for index in range(count):
        if index + AHEAD < count:
            _expect(book, events[index + AHEAD])
        event = events[index]
        if ADD <= event.kind <= REPLACE:
            instrument, kind, side = np.int64(event.instrument), np.int64(event.kind), np.int64(event.side)
            apply_order(book, instrument, kind, side, event.order_id, event.price, event.qty, event.ref)
        elif event.kind == SESSION and event.code == START_OF_MESSAGES:
            clear(book)


@njit(cache=True)
def touch(books, instrument, side):
    """(price, shares) of the best level, (0, 0) when the side is empty."""
    price, level = best_level(books, 2 * np.int64(instrument) + side)
    return price, level & QTY_MASK


@njit(cache=True, nogil=True)
def depth(books, instrument, side, prices, shares):
    """The best ``len(prices)`` levels of a side, best first, into two int64 arrays; returns how many there are."""
    count = read_levels(books, 2 * np.int64(instrument) + side, prices, shares)
    for level in range(count):
        shares[level] &= QTY_MASK
    return count


def levels_of(books: np.void, instrument: int, side: int) -> list[tuple[int, int, int]]:
    """(price, shares, orders) of all levels of a side, best first."""
    most = RUNGS + int(books["sides"][2 * instrument + side]["far_levels"])
    prices, levels = np.zeros(most, np.int64), np.zeros(most, np.int64)
    count = read_levels(books, 2 * instrument + side, prices, levels)
    found = zip(prices[:count].tolist(), levels[:count].tolist(), strict=True)
    return [(price, level & QTY_MASK, level >> QTY_BITS) for price, level in found]


def book_content(books: np.void) -> tuple[list[tuple], list[tuple]]:
    """All that the books hold, sorted: orders (id, instrument, side, price, shares) and levels (instrument, side,
    price, shares, orders). Equal to ``ReferenceBooks.content`` of the same messages."""
    lanes = ("order_id", "row", "price", "qty")
    taken = books["orders"][books["orders"]["order_id"].any(axis=1)]
    orders = [
        (order_id, row >> 1, row & 1, price, qty)
        for order_id, row, price, qty in zip(*(taken[name].ravel().tolist() for name in lanes), strict=True)
        if order_id != EMPTY
    ]
    sides = {(instrument, side) for _, instrument, side, _, _ in orders}
    return sorted(orders), sorted((*side, *level) for side in sides for level in levels_of(books, *side))
