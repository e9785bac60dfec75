"""Price levels that stand outside their side's ladder: sorted blocks, chained best first, from one shared pool.

A block holds up to ``WIDTH`` levels; a full one is split, an emptied one goes back to the pool. Block 0 is none.
Any price fits. When the pool is exhausted a level is refused, and nothing is changed.

A level is one int64: ``orders << QTY_BITS | shares``. It is 0 exactly when no order rests there.
"""

import numpy as np

from engine.core.compiled import njit

WIDTH = 16
QTY_BITS = 40
QTY_MASK = (1 << QTY_BITS) - 1
ONE_ORDER = 1 << QTY_BITS

FAR_BLOCK = np.dtype([("next", "<i4"), ("count", "<i4"), ("prices", "<i4", (WIDTH,)), ("levels", "<i8", (WIDTH,))])
FAR_POOL_FIELDS = [
    ("far_used", "<i4"),  # blocks that were ever taken
    ("far_free", "<i4"),  # head of the chain of blocks that were given back
    ("far_taken", "<i4"),  # blocks in use
    ("far_pad", "<i4"),
]


@njit(cache=True, inline="always")
def spare_blocks(books):
    return len(books.far) - 1 - books.far_taken


@njit(cache=True)
def _take_block(books):
    """A block of zeros, or 0 when there is none."""
    if books.far_free:
        block = books.far_free
        books.far_free = books.far[block].next
        books.far[block].next = 0
    elif books.far_used + 1 < len(books.far):
        books.far_used += 1
        block = books.far_used
    else:
        return 0
    books.far_taken += 1
    return block


@njit(cache=True)
def _drop_block(books, side, previous, block):
    """Takes an empty block out of its chain."""
    following = books.far[block].next
    if previous:
        books.far[previous].next = following
    else:
        side.far_head = following
    books.far[block].next = books.far_free
    books.far_free = block
    books.far_taken -= 1


@njit(cache=True)
def _block_of(books, head, price, sign):
    """(block before, block) in which ``price`` stands or would stand: the last one when it is the worst of all."""
    previous, block = 0, head
    while True:
        far = books.far[block]
        if far.next == 0 or (far.prices[far.count - 1] - price) * sign <= 0:
            return previous, block
        previous, block = block, np.int64(far.next)


@njit(cache=True)
def _position_of(far, price, sign):
    position = 0
    while position < far.count and (far.prices[position] - price) * sign > 0:
        position += 1
    return position


@njit(cache=True)
def _split(books, block):
    """Moves the worse half of a full block into a new one behind it; False without a spare block."""
    new = _take_block(books)
    if new == 0:
        return False
    old, half = books.far[block], books.far[new]
    kept = WIDTH // 2
    for index in range(kept, WIDTH):
        half.prices[index - kept] = old.prices[index]
        half.levels[index - kept] = old.levels[index]
        old.prices[index] = 0
        old.levels[index] = 0
    half.count = WIDTH - kept
    half.next = old.next
    old.count = kept
    old.next = new
    return True


@njit(cache=True)
def far_add(books, side, sign, price, amount):
    """Adds ``amount`` (a level: orders and shares) at ``price``; False when the pool or the level is full."""
    if side.far_head == 0:
        side.far_head = _take_block(books)
        if side.far_head == 0:
            return False
    _, block = _block_of(books, np.int64(side.far_head), price, sign)
    far = books.far[block]
    position = _position_of(far, price, sign)
    if position < far.count and far.prices[position] == price:
        if (far.levels[position] & QTY_MASK) + (amount & QTY_MASK) > QTY_MASK:
            return False
        far.levels[position] += amount
        return True
    if far.count == WIDTH:
        if not _split(books, block):
            return False
        if position > far.count:
            block, position = np.int64(far.next), position - far.count
            far = books.far[block]
    for index in range(far.count, position, -1):
        far.prices[index] = far.prices[index - 1]
        far.levels[index] = far.levels[index - 1]
    far.prices[position] = price
    far.levels[position] = amount
    far.count += 1
    side.far_levels += 1
    side.far_best = books.far[side.far_head].prices[0]
    return True


@njit(cache=True)
def _remove_entry(far, position):
    last = far.count - 1
    for index in range(position, last):
        far.prices[index] = far.prices[index + 1]
        far.levels[index] = far.levels[index + 1]
    far.prices[last] = 0
    far.levels[last] = 0
    far.count = last


@njit(cache=True)
def far_take(books, side, sign, price, amount):
    """Takes ``amount`` off the level at ``price``, which holds at least that; the level goes when it is empty."""
    previous, block = _block_of(books, np.int64(side.far_head), price, sign)
    far = books.far[block]
    position = _position_of(far, price, sign)
    far.levels[position] -= amount
    if far.levels[position]:
        return
    _remove_entry(far, position)
    if far.count == 0:
        _drop_block(books, side, previous, block)
    side.far_levels -= 1
    side.far_best = books.far[side.far_head].prices[0]


@njit(cache=True)
def compact_block(books, side, previous, block):
    """Closes up a block of which levels were set to 0; returns the block before the next one of the chain."""
    far = books.far[block]
    kept = 0
    for index in range(far.count):
        if far.levels[index]:
            far.prices[kept] = far.prices[index]
            far.levels[kept] = far.levels[index]
            kept += 1
    for index in range(kept, far.count):
        far.prices[index] = 0
        far.levels[index] = 0
    side.far_levels -= far.count - kept
    far.count = kept
    if kept:
        return block
    _drop_block(books, side, previous, block)
    return previous


@njit(cache=True)
def far_best_level(books, side):
    return books.far[side.far_head].levels[0]


@njit(cache=True)
def far_clear(books):
    """Gives every block back, as zeros. The sides are the caller's to clear."""
    for block in range(1, books.far_used + 1):
        far = books.far[block]
        for index in range(WIDTH):
            far.prices[index] = 0
            far.levels[index] = 0
        far.count = 0
        far.next = 0
    books.far_used = 0
    books.far_free = 0
    books.far_taken = 0
