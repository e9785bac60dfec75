"""The orders that rest, of all books: a hash table of buckets, each one cache line with ``LANES`` orders.

An order stands in its home bucket or, when that is full, in the next one with an empty lane; every bucket that it was
passed on from counts it in ``passed``, so a search ends at the first bucket that passed nothing on. Removing an order
empties its lane: no tombstones, nothing is moved, and a day's millions of orders leave the table as an empty one.

Only the first ``mask`` + 1 buckets are in use: few orders keep to few cache lines, whatever the capacity. When they
fill up, twice as many are taken into use, in place; the capacity bounds it all.
"""

import numpy as np

from engine.core.compiled import njit

EMPTY = 0
LANES = 3
SMALLEST = 256  # buckets in use at the least

# ``row`` is 2 * instrument + side (0 bid, 1 ask).
BUCKET = np.dtype(
    [
        ("order_id", "<i8", (LANES,)),
        ("qty", "<u4", (LANES,)),
        ("price", "<i4", (LANES,)),
        ("row", "<i4", (LANES,)),
        ("passed", "<i4"),
    ]
)
BUCKET_BYTES = BUCKET.itemsize


@njit(cache=True, forceinline=True)
def home_of(order_id, mask):
    """The bucket in which the search for ``order_id`` begins (multiplicative hashing)."""
    return np.int64((np.uint64(order_id) * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(32)) & mask


@njit(cache=True, forceinline=True)
def lane_of(bucket, order_id):
    """The lane that holds ``order_id``, or LANES; without branches."""
    ids = bucket.order_id
    lane = LANES - (ids[2] == order_id)
    lane = 1 if ids[1] == order_id else lane
    return 0 if ids[0] == order_id else lane


@njit(cache=True, forceinline=True)
def find(buckets, order_id, mask):
    """(bucket, lane) of an order, (bucket, LANES) when there is none of this id, which is not EMPTY."""
    home = home_of(order_id, mask)
    lane = lane_of(buckets[home], order_id)
    if lane == LANES and buckets[home].passed:
        return _find_further(buckets, order_id, mask, home)
    return home, lane


@njit(cache=True)
def _find_further(buckets, order_id, mask, index):
    while buckets[index].passed:
        index = (index + 1) & mask
        lane = lane_of(buckets[index], order_id)
        if lane < LANES:
            return index, lane
    return index, LANES


@njit(cache=True, forceinline=True)
def insert(buckets, order_id, qty, price, row, mask):
    """Puts an order in whose id is not in the table; a lane must be empty."""
    home = home_of(order_id, mask)
    lane = lane_of(buckets[home], EMPTY)
    if lane == LANES:
        home, lane = _pass_on(buckets, mask, home)
    put(buckets[home], lane, order_id, qty, price, row)


@njit(cache=True)
def _pass_on(buckets, mask, index):
    lane = LANES
    while lane == LANES:
        buckets[index].passed += 1
        index = (index + 1) & mask
        lane = lane_of(buckets[index], EMPTY)
    return index, lane


@njit(cache=True, forceinline=True)
def put(bucket, lane, order_id, qty, price, row):
    bucket.order_id[lane] = order_id
    bucket.qty[lane] = qty
    bucket.price[lane] = price
    bucket.row[lane] = row


@njit(cache=True, forceinline=True)
def remove(buckets, index, lane, mask):
    """Empties a lane."""
    home = home_of(buckets[index].order_id[lane], mask)
    if home != index:
        _take_back(buckets, mask, home, index)
    put(buckets[index], lane, EMPTY, 0, 0, 0)


@njit(cache=True)
def _take_back(buckets, mask, home, index):
    while home != index:
        buckets[home].passed -= 1
        home = (home + 1) & mask


@njit(cache=True)
def widen(buckets, mask):
    """Takes twice as many buckets into use; the new mask. There must be room.

    An order's home stays or moves up by the old size. One that stays keeps its place, unless it was passed on over the
    old end of the table.
    """
    wider = 2 * mask + 1
    for index in range(mask + 1):
        bucket = buckets[index]
        for lane in range(LANES):
            order_id = bucket.order_id[lane]
            if order_id != EMPTY and home_of(order_id, wider) > index:
                qty, price, row = bucket.qty[lane], bucket.price[lane], bucket.row[lane]
                remove(buckets, index, lane, mask)
                insert(buckets, order_id, qty, price, row, wider)
    return wider


@njit(cache=True)
def clear(buckets, mask):
    for index in range(mask + 1):
        for lane in range(LANES):
            put(buckets[index], lane, EMPTY, 0, 0, 0)
        buckets[index].passed = 0
