"""Price-time matching, compiled: one book a symbol, integer prices (1/10,000), whole shares.

An incoming order trades against the best prices on the other side, at the resting order's price, oldest
order first, up to its own limit; what is left rests, or expires when the order is immediate-or-cancel.

Orders lie in one pool. An order's reference is ``serial << 16 | slot``: unique for ever, rising with the
time of entry, and found again without a search. A level is a queue of orders linked through the pool.
A side's levels are a sorted array with the **best price last**, so that the busy end is the cheap one.

Sides: +1 buy, -1 sell; as an index, 0 buy, 1 sell. ``sign`` makes better prices larger, on both sides.
``engine.simulation.reference`` is the same in plain Python; both stand under one test suite.
"""

from enum import IntEnum

import numpy as np

from engine.core.compiled import njit

INSTRUMENTS = 512
LEVELS = 512  # prices a side of one book may show at once
ORDERS = 1 << 16  # orders that may rest at once, over all books
SLOT_BITS = 16
NONE = -1


class ReportKind(IntEnum):
    ENTERED = 1  # an order was taken in: reference, side, price, qty
    EXECUTED = 2  # qty at price; reference, side, owner, tag: the resting order; taker_*: the incoming one
    RESTED = 3  # what is left of an incoming order stands in the book
    EXPIRED = 4  # what is left of an incoming order does not rest (immediate-or-cancel, or no room)
    REDUCED = 5  # qty shares were taken off a resting order, which keeps its place
    DELETED = 6  # a resting order was taken out; qty: what it still had
    REFUSED = 7  # no room for an order at all; nothing was changed


# Numba folds plain integers into the code; IntEnum members it would have to look up.
ENTERED, EXECUTED, RESTED, EXPIRED = 1, 2, 3, 4
REDUCED, DELETED, REFUSED = 5, 6, 7

ORDER = np.dtype(
    [
        ("reference", "<i8"),  # 0: the slot is free
        ("price", "<i8"),
        ("qty", "<i8"),
        ("owner", "<i8"),  # 0 the simulated crowd, 1.. an account
        ("tag", "<i8"),  # the owner's own name for the order
        ("instrument", "<i4"),
        ("side", "<i4"),
        ("next", "<i4"),
        ("previous", "<i4"),
    ]
)
LEVEL = np.dtype([("price", "<i8"), ("qty", "<i8"), ("head", "<i4"), ("tail", "<i4")])
MATCHING = np.dtype(
    [
        ("next_serial", "<i8"),
        ("next_match", "<i8"),
        ("resting", "<i8"),
        ("free", "<i4"),
        ("instruments", "<i4"),
        ("depth", "<i4", (INSTRUMENTS, 2)),
        ("levels", LEVEL, (INSTRUMENTS, 2, LEVELS)),
        ("orders", ORDER, (ORDERS,)),
    ]
)
REPORT = np.dtype(
    [
        ("kind", "<i4"),
        ("side", "<i4"),
        ("instrument", "<i8"),
        ("reference", "<i8"),
        ("price", "<i8"),
        ("qty", "<i8"),
        ("remaining", "<i8"),
        ("match_number", "<i8"),
        ("owner", "<i8"),
        ("tag", "<i8"),
        ("taker_reference", "<i8"),
        ("taker_owner", "<i8"),
        ("taker_tag", "<i8"),
    ]
)


def matching_state(instruments: int, next_match: int = 1) -> np.record:
    """Empty books for ``instruments`` symbols; the first execution gets ``next_match``."""
    if not 0 < instruments <= INSTRUMENTS:
        raise ValueError(f"instruments: {instruments}, expected 1..{INSTRUMENTS}")
    state = np.zeros(1, MATCHING)
    state["next_serial"] = 1
    state["next_match"] = next_match
    state["instruments"] = instruments
    state["orders"][0]["next"] = np.append(np.arange(1, ORDERS, dtype=np.int32), np.int32(NONE))
    return state[0]


def report_buffer(size: int = 2 * ORDERS) -> np.ndarray:
    """Where ``enter`` and the rest write their reports. One order makes at most ``ORDERS`` + 2 of them,
    a step of all agents fewer than twice ``ORDERS``."""
    return np.zeros(size, REPORT)


@njit(cache=True)
def slot_of(state, reference):
    """The pool slot of a resting order, or ``NONE``."""
    slot = reference & (ORDERS - 1)
    if reference > 0 and state.orders[slot].reference == reference:
        return slot
    return NONE


@njit(cache=True)
def best(state, instrument, side):
    """Best price of a side (+1 bids, -1 asks), 0 when it is empty."""
    index = (1 - side) // 2
    depth = state.depth[instrument, index]
    return state.levels[instrument, index, depth - 1].price if depth else 0


@njit(cache=True)
def best_qty(state, instrument, side):
    """Shares at the best price of a side, 0 when it is empty."""
    index = (1 - side) // 2
    depth = state.depth[instrument, index]
    return state.levels[instrument, index, depth - 1].qty if depth else 0


@njit(cache=True)
def _take_slot(state):
    slot = state.free
    state.free = state.orders[slot].next
    return slot


@njit(cache=True)
def _free_slot(state, slot):
    state.orders[slot].reference = 0
    state.orders[slot].next = state.free
    state.free = slot


@njit(cache=True)
def _report(reports, n, kind, order):
    report = reports[n]
    report.kind = kind
    report.side = order.side
    report.instrument = order.instrument
    report.reference = order.reference
    report.price = order.price
    report.qty = order.qty
    report.remaining = order.qty
    report.match_number = 0
    report.owner = order.owner
    report.tag = order.tag
    report.taker_reference = 0
    report.taker_owner = 0
    report.taker_tag = 0
    return n + 1


@njit(cache=True)
def _level_index(state, instrument, side, price):
    """Where ``price`` stands among a side's levels, or where it would be put; searched from the best."""
    levels = state.levels[instrument, (1 - side) // 2]
    index = state.depth[instrument, (1 - side) // 2]
    while index > 0 and levels[index - 1].price * side >= price * side:
        index -= 1
    return index


@njit(cache=True)
def _remove_level(state, instrument, side, index):
    levels = state.levels[instrument, (1 - side) // 2]
    depth = state.depth[instrument, (1 - side) // 2] - 1
    for moved in range(index, depth):
        levels[moved] = levels[moved + 1]
    state.depth[instrument, (1 - side) // 2] = depth


@njit(cache=True)
def _rest(state, slot):
    """Appends the order to the queue of its price; False when the side has no room for another price."""
    order = state.orders[slot]
    instrument, side = order.instrument, order.side
    levels = state.levels[instrument, (1 - side) // 2]
    depth = state.depth[instrument, (1 - side) // 2]
    index = _level_index(state, instrument, side, order.price)
    order.next = NONE
    if index < depth and levels[index].price == order.price:
        level = levels[index]
        state.orders[level.tail].next = slot
        order.previous = level.tail
        level.tail = slot
        level.qty += order.qty
    else:
        if depth == LEVELS:
            return False
        for moved in range(depth, index, -1):
            levels[moved] = levels[moved - 1]
        level = levels[index]
        level.price = order.price
        level.qty = order.qty
        level.head = slot
        level.tail = slot
        order.previous = NONE
        state.depth[instrument, (1 - side) // 2] = depth + 1
    state.resting += 1
    return True


@njit(cache=True)
def _unlink(state, slot):
    """Takes a resting order out of its queue, and its level away when it was the last."""
    order = state.orders[slot]
    index = _level_index(state, order.instrument, order.side, order.price)
    level = state.levels[order.instrument, (1 - order.side) // 2, index]
    level.qty -= order.qty
    if order.previous == NONE:
        level.head = order.next
    else:
        state.orders[order.previous].next = order.next
    if order.next == NONE:
        level.tail = order.previous
    else:
        state.orders[order.next].previous = order.previous
    if level.head == NONE:
        _remove_level(state, order.instrument, order.side, index)
    state.resting -= 1


@njit(cache=True)
def _match(state, taker_slot, reports, n):
    """Trades the incoming order until it is done or the other side's best price is beyond its limit."""
    taker = state.orders[taker_slot]
    instrument, other = taker.instrument, (1 + taker.side) // 2
    while taker.qty > 0 and state.depth[instrument, other] > 0:
        level = state.levels[instrument, other, state.depth[instrument, other] - 1]
        if level.price * taker.side > taker.price * taker.side:
            break
        slot = level.head
        maker = state.orders[slot]
        qty = min(taker.qty, maker.qty)
        taker.qty -= qty
        n = _report(reports, n, EXECUTED, maker)
        report = reports[n - 1]
        report.qty = qty
        report.remaining = maker.qty - qty
        report.match_number = state.next_match
        report.taker_reference = taker.reference
        report.taker_owner = taker.owner
        report.taker_tag = taker.tag
        state.next_match += 1
        if qty == maker.qty:
            _unlink(state, slot)
            _free_slot(state, slot)
        else:
            maker.qty -= qty
            level.qty -= qty
    return n


@njit(cache=True)
def enter(state, instrument, side, price, qty, immediate, owner, tag, reports, n):
    """Takes in one order and writes what follows to ``reports`` from row ``n``; returns the next free row.

    Reports: ENTERED, an EXECUTED a trade, then RESTED or EXPIRED for what is left; or REFUSED alone.
    """
    if state.free == NONE:
        report = reports[n]
        report.kind = REFUSED
        report.owner = owner
        report.tag = tag
        return n + 1
    slot = _take_slot(state)
    order = state.orders[slot]
    order.reference = state.next_serial << SLOT_BITS | slot
    state.next_serial += 1
    order.instrument = instrument
    order.side = side
    order.price = price
    order.qty = qty
    order.owner = owner
    order.tag = tag
    n = _report(reports, n, ENTERED, order)
    n = _match(state, slot, reports, n)
    if order.qty == 0:
        _free_slot(state, slot)
        return n
    if not immediate and _rest(state, slot):
        return _report(reports, n, RESTED, order)
    n = _report(reports, n, EXPIRED, order)
    _free_slot(state, slot)
    return n


@njit(cache=True)
def reduce(state, reference, keep, reports, n):
    """Cuts a resting order to ``keep`` shares (0: takes it out). Nothing happens to what does not rest.

    Reports REDUCED (qty: the shares taken off) or DELETED. The order keeps its place in the queue.
    """
    slot = slot_of(state, reference)
    if slot == NONE or keep >= state.orders[slot].qty:
        return n
    order = state.orders[slot]
    if keep <= 0:
        n = _report(reports, n, DELETED, order)
        reports[n - 1].remaining = 0
        _unlink(state, slot)
        _free_slot(state, slot)
        return n
    cut = order.qty - keep
    index = _level_index(state, order.instrument, order.side, order.price)
    state.levels[order.instrument, (1 - order.side) // 2, index].qty -= cut
    order.qty = keep
    n = _report(reports, n, REDUCED, order)
    reports[n - 1].qty = cut
    return n


@njit(cache=True)
def delete_all(state, instrument, reports, n):
    """Takes every order of a book out, DELETED for each, best prices first, bids before asks."""
    for index in range(2):
        while state.depth[instrument, index] > 0:
            level = state.levels[instrument, index, state.depth[instrument, index] - 1]
            n = reduce(state, state.orders[level.head].reference, 0, reports, n)
    return n


@njit(cache=True)
def resting_orders(state, rows):
    """Fills int64 ``rows`` [n, 5] with instrument, side, price, qty, serial: best first, oldest first."""
    n = 0
    for instrument in range(state.instruments):
        for index in range(2):
            for position in range(state.depth[instrument, index] - 1, -1, -1):
                slot = state.levels[instrument, index, position].head
                while slot != NONE:
                    order = state.orders[slot]
                    rows[n, 0] = instrument
                    rows[n, 1] = order.side
                    rows[n, 2] = order.price
                    rows[n, 3] = order.qty
                    rows[n, 4] = order.reference >> SLOT_BITS
                    n += 1
                    slot = order.next
    return n
