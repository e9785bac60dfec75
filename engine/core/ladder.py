"""The price levels of one side of one book: a ladder of ``RUNGS`` ticks near the touch, and exact far levels.

Rung ``r`` of a side holds the level at ``base + sign * r * tick``, so higher rungs are better prices for bid and ask
alike (``sign`` is +1 for bids, -1 for asks), and a 64-bit word has a bit set for every rung that holds orders. A price
that is off the tick or off the ladder stands in the side's far levels (``engine.core.far_levels``). A price is in
one place alone: on its rung if there is one, else far. So nothing is clipped, and where the ladder stands is a
question of speed only. It is placed anew, around the best price, when an added order shows that the market has moved.
"""

import numpy as np

from engine.core.bits import highest_bit
from engine.core.compiled import njit
from engine.core.far_levels import (
    QTY_MASK,
    compact_block,
    far_add,
    far_best_level,
    far_take,
    spare_blocks,
)

RUNGS = 64
ROOM = 16  # rungs left free above the best price when a ladder is placed
LOW = 16  # a best rung below this is a market that has moved away
TICK = 100  # $0.01, from $1.00 on
HALF_TICK = 50
TICK_FLOOR = 10_000
SPARE_BLOCKS = 16  # what placing a ladder may need of the pool
MAGIC_BITS = 31
BEST_RUNG = RUNGS - 1 - ROOM

SIDE = np.dtype(
    [
        ("rungs", "<i8"),  # bit r: rung r holds orders
        ("base", "<i4"),
        ("tick", "<i4"),  # 0: not placed yet
        ("magic", "<i4"),  # ceil(2**31 / tick): division by a multiplication
        ("far_best", "<i4"),  # best price of the far levels, 0 for none
        ("far_head", "<i4"),
        ("far_levels", "<i4"),
    ]
)
SIDE_BYTES = SIDE.itemsize


@njit(cache=True, forceinline=True)
def rung_of(side, sign, price):
    """The rung that ``price`` has on this ladder as it stands, or -1."""
    away = (np.int64(price) - side.base) * sign
    if away < 0 or away >= np.int64(side.tick) * RUNGS:
        return -1
    rung = (away * side.magic) >> MAGIC_BITS
    return rung if rung * side.tick == away else -1


@njit(cache=True, forceinline=True)
def ladder_best(side, sign):
    """Best price on the ladder; the ladder must not be empty."""
    return np.int64(side.base) + sign * side.tick * highest_bit(side.rungs)


@njit(cache=True, forceinline=True)
def best_price(books, row):
    """Best price of a side, 0 when it is empty."""
    side = books.sides[row]
    sign = 1 - 2 * (row & 1)
    far = np.int64(side.far_best)
    if side.rungs == 0:
        return far
    best = ladder_best(side, sign)
    return far if far != 0 and (far - best) * sign > 0 else best


@njit(cache=True)
def best_level(books, row):
    """(price, level) of the touch, (0, 0) when the side is empty."""
    side = books.sides[row]
    price = best_price(books, row)
    if price == 0 or price == side.far_best:
        return price, far_best_level(books, side)
    return price, books.rungs[row, highest_bit(side.rungs)]


@njit(cache=True)
def level_add(books, row, price, amount):
    """Adds ``amount`` (orders and shares) at ``price``; False, with nothing changed, when there is no room."""
    side = books.sides[row]
    sign = 1 - 2 * (row & 1)
    rung = rung_of(side, sign, price)
    if rung < 0:
        rung = _outside(books, side, row, sign, price)
        if rung < 0:
            return far_add(books, side, sign, price, amount)
    level = books.rungs[row, rung]
    if (level & QTY_MASK) + (amount & QTY_MASK) > QTY_MASK:
        return False
    books.rungs[row, rung] = level + amount
    side.rungs |= np.int64(1) << rung
    return True


@njit(cache=True, forceinline=True)
def level_take(books, row, price, amount):
    """Takes ``amount``, which must rest there, off the level at ``price``."""
    side = books.sides[row]
    sign = 1 - 2 * (row & 1)
    rung = rung_of(side, sign, price)
    if rung < 0:
        far_take(books, side, sign, price, amount)
        return
    level = books.rungs[row, rung] - amount
    books.rungs[row, rung] = level
    side.rungs &= ~(np.int64(level == 0) << rung)


@njit(cache=True)
def _outside(books, side, row, sign, price):
    """A price without a rung: places the ladder anew when the market has moved; returns the rung then, or -1."""
    best = _moved_to(side, sign, price)
    if best == 0 or spare_blocks(books) < SPARE_BLOCKS:
        return -1
    _place(books, side, row, sign, best)
    return rung_of(side, sign, price)


@njit(cache=True)
def _moved_to(side, sign, price):
    """Price around which the ladder should stand now that ``price`` is added off it; 0: where it stands."""
    if side.rungs == 0:
        far = np.int64(side.far_best)
        return far if far != 0 and (far - price) * sign > 0 else price
    away = (price - side.base) * sign
    if away >= np.int64(side.tick) * RUNGS:
        return price
    return ladder_best(side, sign) if away < 0 and highest_bit(side.rungs) < LOW else 0


@njit(cache=True)
def _place(books, side, row, sign, best):
    """Puts ``best`` on BEST_RUNG: every level goes far, and those that have a rung then come back."""
    for rung in range(RUNGS):
        level = books.rungs[row, rung]
        if level:
            books.rungs[row, rung] = 0
            far_add(books, side, sign, side.base + sign * rung * side.tick, level)
    books.placed += 1
    side.rungs = 0
    tick, off = TICK, best % TICK
    if best < TICK_FLOOR:
        tick, off = 1, 0
    elif off == HALF_TICK:
        tick, off = HALF_TICK, 0
    side.tick = tick
    side.magic = ((1 << MAGIC_BITS) + tick - 1) // tick
    side.base = best - off - sign * tick * BEST_RUNG
    _pull(books, side, row, sign)


@njit(cache=True)
def _pull(books, side, row, sign):
    """Takes the far levels that have a rung onto the ladder."""
    previous, block = 0, np.int64(side.far_head)
    while block:
        far = books.far[block]
        if (far.prices[0] - side.base) * sign < 0:
            break
        following = np.int64(far.next)
        for index in range(far.count):
            rung = rung_of(side, sign, far.prices[index])
            if rung >= 0:
                books.rungs[row, rung] = far.levels[index]
                side.rungs |= np.int64(1) << rung
                far.levels[index] = 0
        previous = compact_block(books, side, previous, block)
        block = following
    side.far_best = books.far[side.far_head].prices[0]


@njit(cache=True)
def read_levels(books, row, prices, levels):
    """The best ``len(prices)`` levels of a side, best first, into two int64 arrays; how many there were."""
    side = books.sides[row]
    sign = 1 - 2 * (row & 1)
    left = side.rungs
    block, position = np.int64(side.far_head), 0
    count = 0
    while count < len(prices) and (left != 0 or block != 0):
        rung = highest_bit(left)
        near = side.base + sign * rung * np.int64(side.tick)
        if left != 0 and (block == 0 or (near - books.far[block].prices[position]) * sign > 0):
            prices[count], levels[count] = near, books.rungs[row, rung]
            left &= ~(np.int64(1) << rung)
        else:
            far = books.far[block]
            prices[count], levels[count] = far.prices[position], far.levels[position]
            position += 1
            if position == far.count:
                block, position = np.int64(far.next), 0
        count += 1
    return count


@njit(cache=True)
def clear_side(books, row):
    """Leaves zeros; far blocks are given back by ``far_clear``."""
    side = books.sides[row]
    if side.tick == 0 and side.far_head == 0:
        return
    for rung in range(RUNGS):
        books.rungs[row, rung] = 0
    side.rungs = 0
    side.base = 0
    side.tick = 0
    side.magic = 0
    side.far_best = 0
    side.far_head = 0
    side.far_levels = 0
