"""Executions of ours that can still be busted, corrected or reported twice: the newest of them, found by their key.

A key is (venue, match number, side): where two orders of ours meet, both sides carry one number. The table is a ring;
what it has forgotten is too old to be known again, and a bust of it is a break.
"""

import numpy as np

from engine.core.compiled import njit

CAPACITY = 1 << 14
HEADS = 1 << 14
NONE = -1

EXECUTION = np.dtype(
    [
        ("match", "<i8"),
        ("order_id", "<i8"),
        ("price", "<i8"),
        ("qty", "<i8"),  # 0: busted
        ("instrument", "<i4"),
        ("strategy", "<i4"),
        ("venue", "<i2"),
        ("side", "<i2"),
        ("next", "<i4"),  # older one with the same head, NONE for none
        ("fee", "<i8"),  # a share
        ("liquidity", "<i8"),  # the venue's flag
    ]
)
EXECUTIONS = np.dtype([("count", "<i8"), ("heads", "<i4", (HEADS,)), ("ring", EXECUTION, (CAPACITY,))])
# Heads are stored plus one, so that zeros are an empty table.


@njit(cache=True, inline="always")
def _head_of(venue, match, side):
    key = np.uint64(match) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(2 * venue + (side < 0))
    return np.int64((key >> np.uint64(40)) & np.uint64(HEADS - 1))


@njit(cache=True)
def find_execution(table, venue, match, side):
    """Index in the ring, or NONE."""
    index = np.int64(table.heads[_head_of(venue, match, side)]) - 1
    while index != NONE:
        execution = table.ring[index]
        if execution.match == match and execution.venue == venue and execution.side == side:
            return index
        index = np.int64(execution.next)
    return NONE


@njit(cache=True)
def note_execution(table, venue, match, order, price, qty, fee, liquidity):
    """Remembers an execution of ``order``, and returns its index; the oldest one makes room."""
    index = table.count % CAPACITY
    execution = table.ring[index]
    if table.count >= CAPACITY:
        _forget(table, index)
    table.count += 1
    head = _head_of(venue, match, order.side)
    execution.match, execution.order_id, execution.price, execution.qty = match, order.order_id, price, qty
    execution.instrument, execution.strategy = order.instrument, order.strategy
    execution.venue, execution.side = venue, order.side
    execution.fee, execution.liquidity = fee, liquidity
    execution.next = table.heads[head] - 1
    table.heads[head] = index + 1
    return index


@njit(cache=True)
def _forget(table, index):
    """Takes the oldest entry out of its chain, of which it is the last."""
    execution = table.ring[index]
    head = _head_of(execution.venue, execution.match, execution.side)
    at = np.int64(table.heads[head]) - 1
    if at == index:
        table.heads[head] = 0
        return
    while table.ring[at].next != index:
        at = np.int64(table.ring[at].next)
    table.ring[at].next = NONE
