"""Order-by-order books: an order table and aggregated price levels for every instrument.

Orders lie in one open-addressing table (Fibonacci hashing, linear probing, backward-shift deletion, so
that no tombstones gather). Levels are a sorted array a side, best first. Any price is kept as it is. A
side that has more levels than its array holds drops the worst one and says so in ``truncated``; when
the levels inside run low they are built again from the order table, which never forgets a price.

Sides are indexes: 0 bid, 1 ask. A side's ``sign`` (+1 bid, -1 ask) makes better prices larger.
"""

import numpy as np
from numba import njit

EMPTY = 0

BOOK_ORDER = np.dtype([("order_id", "<i8"), ("price", "<i8"), ("qty", "<i8"), ("instrument", "<i4"), ("side", "<i4")])
LEVEL = np.dtype([("price", "<i8"), ("qty", "<i8"), ("orders", "<i8")])


def books_dtype(instruments: int, orders: int, levels: int) -> np.dtype:
    """``orders`` must be a power of two; the table takes seven eighths of it."""
    if orders & (orders - 1):
        raise ValueError(f"orders must be a power of two, got {orders}")
    return np.dtype(
        [
            ("count", "<i8"),
            ("unknown", "<i8"),
            ("refused", "<i8"),
            ("rebuilt", "<i8"),
            ("depth", "<i4", (instruments, 2)),
            ("truncated", "<i4", (instruments, 2)),
            ("levels", LEVEL, (instruments, 2, levels)),
            ("orders", BOOK_ORDER, (orders,)),
        ]
    )


@njit(cache=True, inline="always")
def _home(order_id, mask):
    return ((np.uint64(order_id) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & np.uint64(mask)


@njit(cache=True)
def find(orders, order_id):
    """Index of ``order_id`` in the table, or -1."""
    mask = len(orders) - 1
    index = np.int64(_home(order_id, mask))
    while orders[index].order_id != EMPTY:
        if orders[index].order_id == order_id:
            return index
        index = (index + 1) & mask
    return -1


@njit(cache=True)
def _insert(orders, order_id, price, qty, instrument, side):
    mask = len(orders) - 1
    index = np.int64(_home(order_id, mask))
    while orders[index].order_id != EMPTY:
        index = (index + 1) & mask
    order = orders[index]
    order.order_id = order_id
    order.price = price
    order.qty = qty
    order.instrument = instrument
    order.side = side


@njit(cache=True)
def _remove(orders, hole):
    """Backward shift: pulls every later member of the run over the hole it may cross."""
    mask = len(orders) - 1
    index = hole
    while True:
        index = (index + 1) & mask
        if orders[index].order_id == EMPTY:
            break
        home = np.int64(_home(orders[index].order_id, mask))
        if ((index - home) & mask) >= ((index - hole) & mask):
            orders[hole] = orders[index]
            hole = index
    orders[hole].order_id = EMPTY
    orders[hole].price = 0
    orders[hole].qty = 0
    orders[hole].instrument = 0
    orders[hole].side = 0


@njit(cache=True)
def _level_position(levels, depth, price, sign):
    """Where ``price`` stands or would stand among the ``depth`` levels, best first."""
    position = 0
    while position < depth and levels[position].price * sign > price * sign:
        position += 1
    return position


@njit(cache=True)
def _level_add(books, instrument, side, price, qty):
    levels = books.levels[instrument, side]
    depth = books.depth[instrument, side]
    sign = 1 - 2 * side
    position = _level_position(levels, depth, price, sign)
    if position < depth and levels[position].price == price:
        levels[position].qty += qty
        levels[position].orders += 1
        return
    if position == depth and books.truncated[instrument, side]:
        return  # beyond what the array shows: the order table has it
    if depth == len(levels):
        books.truncated[instrument, side] = 1
        if position == depth:
            return
        depth -= 1
    for index in range(depth, position, -1):
        levels[index] = levels[index - 1]
    levels[position].price = price
    levels[position].qty = qty
    levels[position].orders = 1
    books.depth[instrument, side] = depth + 1


@njit(cache=True)
def _level_take(books, instrument, side, price, qty, gone):
    """Takes ``qty`` off the level at ``price``; ``gone`` is 1 when the order leaves it."""
    levels = books.levels[instrument, side]
    depth = books.depth[instrument, side]
    position = _level_position(levels, depth, price, 1 - 2 * side)
    if position == depth or levels[position].price != price:
        return
    levels[position].qty -= qty
    levels[position].orders -= gone
    if levels[position].orders > 0:
        return
    for index in range(position, depth - 1):
        levels[index] = levels[index + 1]
    depth -= 1
    levels[depth].price = 0
    levels[depth].qty = 0
    levels[depth].orders = 0
    books.depth[instrument, side] = depth
    if books.truncated[instrument, side] and depth < len(levels) // 4:
        _rebuild(books, instrument, side)


@njit(cache=True)
def _rebuild(books, instrument, side):
    books.rebuilt += 1
    books.depth[instrument, side] = 0
    books.truncated[instrument, side] = 0
    for index in range(len(books.orders)):
        order = books.orders[index]
        if order.order_id != EMPTY and order.instrument == instrument and order.side == side:
            _level_add(books, instrument, side, order.price, order.qty)


@njit(cache=True)
def add(books, instrument, side, order_id, price, qty):
    """Adds an order; False, counted in ``refused``, when the table is full or the id is taken."""
    if books.count >= len(books.orders) // 8 * 7 or order_id == EMPTY or find(books.orders, order_id) >= 0:
        books.refused += 1
        return False
    _insert(books.orders, order_id, price, qty, instrument, side)
    books.count += 1
    _level_add(books, instrument, side, price, qty)
    return True


@njit(cache=True)
def reduce(books, order_id, qty):
    """Takes shares off an order (execution or partial cancel); the order goes when none are left.

    Returns the order's price, or 0 (counted in ``unknown``) when there is no such order.
    """
    index = find(books.orders, order_id)
    if index < 0:
        books.unknown += 1
        return 0
    order = books.orders[index]
    price, instrument, side = order.price, order.instrument, order.side
    taken = min(qty, order.qty)
    gone = 1 if order.qty == taken else 0
    if gone:
        _remove(books.orders, index)
        books.count -= 1
    else:
        order.qty -= taken
    _level_take(books, instrument, side, price, taken, gone)
    return price


@njit(cache=True)
def delete(books, order_id):
    """Removes an order whole; returns its price, or 0 when there is none."""
    index = find(books.orders, order_id)
    if index < 0:
        books.unknown += 1
        return 0
    return reduce(books, order_id, books.orders[index].qty)


@njit(cache=True)
def replace(books, old_id, new_id, price, qty):
    """Cancels ``old_id`` and adds ``new_id`` on the same side of the same instrument, last in its queue."""
    index = find(books.orders, old_id)
    if index < 0:
        books.unknown += 1
        return False
    instrument, side = books.orders[index].instrument, books.orders[index].side
    delete(books, old_id)
    return add(books, instrument, side, new_id, price, qty)


@njit(cache=True)
def clear(books):
    """Forgets every order: a new trading day begins with empty books."""
    books.count = 0
    for index in range(len(books.orders)):
        if books.orders[index].order_id != EMPTY:
            order = books.orders[index]
            order.order_id = EMPTY
            order.price = 0
            order.qty = 0
            order.instrument = 0
            order.side = 0
    for instrument in range(books.depth.shape[0]):
        for side in range(2):
            for level in range(books.depth[instrument, side]):
                books.levels[instrument, side, level].price = 0
                books.levels[instrument, side, level].qty = 0
                books.levels[instrument, side, level].orders = 0
            books.depth[instrument, side] = 0
            books.truncated[instrument, side] = 0
