"""Books as the matching engine keeps them, compiled: a pool of orders, queues linked through it, levels of queues.

An order's reference is ``serial << 16 | slot``: unique for ever, rising with the time of entry, and found again
without a search. A side's levels are a sorted array with the **best price last**, so that the busy end is the cheap
one. A price has two queues: displayed orders, and behind them hidden ones.
"""

import numpy as np

from engine.core.compiled import njit
from engine.simulation.matching_records import (
    CLOSING,
    DISPLAYED,
    HIDDEN,
    LEVELS,
    NO_LIMIT,
    NONE,
    OPENING,
    ORDERS,
    PEGGED,
    SLOT_BITS,
)


@njit(cache=True)
def slot_of(state, reference):
    """The pool slot of a resting order, or ``NONE``."""
    slot = reference & (ORDERS - 1)
    if reference > 0 and state.orders[slot].reference == reference:
        return slot
    return NONE


@njit(cache=True)
def _best_displayed(state, instrument, index):
    position = state.depth[instrument, index] - 1
    levels = state.levels[instrument, index]
    while position >= 0 and levels[position].queues[DISPLAYED].head == NONE:
        position -= 1
    return position


@njit(cache=True)
def best(state, instrument, side):
    """Best displayed price of a side (+1 bids, -1 asks), 0 when it shows none."""
    index = (1 - side) >> 1
    position = _best_displayed(state, instrument, index)
    return state.levels[instrument, index, position].price if position >= 0 else 0


@njit(cache=True)
def best_qty(state, instrument, side):
    """Displayed shares at the best displayed price of a side, 0 when it shows none."""
    index = (1 - side) >> 1
    position = _best_displayed(state, instrument, index)
    return state.levels[instrument, index, position].queues[DISPLAYED].shares if position >= 0 else 0


@njit(cache=True)
def midpoint(state, instrument):
    """Middle of the displayed touch, rounded down to 1/10,000; 0 when a side shows nothing, or the touch is crossed."""
    bid, ask = best(state, instrument, 1), best(state, instrument, -1)
    return (bid + ask) >> 1 if 0 < bid < ask else 0


@njit(cache=True)
def take_slot(state):
    """A free slot, which must exist, with the next serial's reference in it."""
    slot = state.free
    state.free = state.orders[slot].next
    reference = state.next_serial << SLOT_BITS | slot
    state.orders[slot].reference = reference
    state.orders[slot].shown = reference
    state.next_serial += 1
    return slot


@njit(cache=True)
def free_slot(state, slot):
    state.orders[slot].reference = 0
    state.orders[slot].next = state.free
    state.free = slot


@njit(cache=True)
def level_index(state, instrument, side, price):
    """Where ``price`` stands among a side's levels, or where it would be put; searched from the best."""
    index = (1 - side) >> 1
    levels = state.levels[instrument, index]
    position = state.depth[instrument, index]
    while position > 0 and levels[position - 1].price * side >= price * side:
        position -= 1
    return position


@njit(cache=True)
def _add_level(state, instrument, side, position, price):
    index = (1 - side) >> 1
    levels = state.levels[instrument, index]
    depth = state.depth[instrument, index]
    for moved in range(depth, position, -1):
        levels[moved] = levels[moved - 1]
    level = levels[position]
    level.price = price
    for queue in (DISPLAYED, HIDDEN):
        level.queues[queue].shares = 0
        level.queues[queue].head = NONE
        level.queues[queue].tail = NONE
    state.depth[instrument, index] = depth + 1


@njit(cache=True)
def drop_empty_level(state, instrument, side, position):
    """Takes the level at ``position`` away if neither of its queues has an order."""
    index = (1 - side) >> 1
    levels = state.levels[instrument, index]
    level = levels[position]
    if level.queues[DISPLAYED].head != NONE or level.queues[HIDDEN].head != NONE:
        return
    depth = state.depth[instrument, index] - 1
    for moved in range(position, depth):
        levels[moved] = levels[moved + 1]
    state.depth[instrument, index] = depth


@njit(cache=True)
def append(state, queue, slot):
    """Puts an order at the end of a queue."""
    order = state.orders[slot]
    order.next = NONE
    order.previous = queue.tail
    if queue.tail == NONE:
        queue.head = slot
    else:
        state.orders[queue.tail].next = slot
    queue.tail = slot
    queue.shares += order.visible if order.queue == DISPLAYED else order.qty


@njit(cache=True)
def unlink(state, queue, slot):
    """Takes an order out of its queue."""
    order = state.orders[slot]
    queue.shares -= order.visible if order.queue == DISPLAYED else order.qty
    if order.previous == NONE:
        queue.head = order.next
    else:
        state.orders[order.previous].next = order.next
    if order.next == NONE:
        queue.tail = order.previous
    else:
        state.orders[order.next].previous = order.previous


@njit(cache=True)
def _insert_by_price(state, queue, slot):
    """Puts an auction order behind those with a better or the same price."""
    order = state.orders[slot]
    before = queue.tail
    while before != NONE and state.orders[before].price * order.side < order.price * order.side:
        before = state.orders[before].previous
    after = queue.head if before == NONE else state.orders[before].next
    if after == NONE:
        append(state, queue, slot)
        return
    order.previous, order.next = before, after
    state.orders[after].previous = slot
    if before == NONE:
        queue.head = slot
    else:
        state.orders[before].next = slot
    queue.shares += order.qty


@njit(cache=True)
def rest(state, slot):
    """Puts an order where its ``queue`` says; False when the side has no room for another price."""
    order = state.orders[slot]
    instrument, index = order.instrument, (1 - order.side) >> 1
    if order.queue == PEGGED:
        append(state, state.pegs[instrument, index], slot)
        state.pegged[instrument] += 1
    elif order.queue >= OPENING:
        _insert_by_price(state, state.auctions[instrument, order.queue - OPENING, index], slot)
    else:
        position = level_index(state, instrument, order.side, order.price)
        depth = state.depth[instrument, index]
        if position == depth or state.levels[instrument, index, position].price != order.price:
            if depth == LEVELS:
                return False
            _add_level(state, instrument, order.side, position, order.price)
        append(state, state.levels[instrument, index, position].queues[order.queue], slot)
    state.resting += 1
    return True


@njit(cache=True)
def queue_of(state, order):
    """The queue in which a resting order stands."""
    instrument, index = order.instrument, (1 - order.side) >> 1
    if order.queue == PEGGED:
        return state.pegs[instrument, index]
    if order.queue >= OPENING:
        return state.auctions[instrument, order.queue - OPENING, index]
    position = level_index(state, instrument, order.side, order.price)
    return state.levels[instrument, index, position].queues[order.queue]


@njit(cache=True)
def forget(state, queue, slot):
    """Takes a resting order out of its queue and frees its slot; an empty level stays for the caller to drop."""
    unlink(state, queue, slot)
    state.resting -= 1
    if state.orders[slot].queue == PEGGED:
        state.pegged[state.orders[slot].instrument] -= 1
    free_slot(state, slot)


@njit(cache=True)
def take_out(state, slot):
    """Takes a resting order out of the book, and its level away when it was the last."""
    order = state.orders[slot]
    instrument, side, price, queue = order.instrument, order.side, order.price, order.queue
    forget(state, queue_of(state, order), slot)
    if queue <= HIDDEN:
        drop_empty_level(state, instrument, side, level_index(state, instrument, side, price))


@njit(cache=True)
def show_next_slice(state, queue, slot):
    """Refreshes an iceberg whose slice is gone: a new ``shown`` reference, at the end of its queue."""
    order = state.orders[slot]
    unlink(state, queue, slot)
    order.visible = min(order.display, order.qty)
    order.shown = state.next_serial << SLOT_BITS | slot
    state.next_serial += 1
    append(state, queue, slot)


@njit(cache=True)
def write_report(reports, n, kind, order, qty, visible, reason):
    """Writes what happened to ``order`` into row ``n``; its remaining quantity is what it has now."""
    report = reports[n]
    report.kind = kind
    report.queue = order.queue
    report.side = order.side
    report.instrument = order.instrument
    report.reason = reason
    report.reference = order.reference
    report.shown = order.shown
    report.price = 0 if order.price == NO_LIMIT else order.price
    report.qty = qty
    report.visible = visible
    report.remaining = order.qty
    report.match_number = 0
    report.owner = order.owner
    report.tag = order.tag
    report.taker_reference = 0
    report.taker_owner = 0
    report.taker_tag = 0
    return n + 1


@njit(cache=True)
def _list_queue(state, queue, rows, n):
    slot = queue.head
    while slot != NONE:
        order = state.orders[slot]
        row = rows[n]
        row[0], row[1], row[2] = order.instrument, order.side, order.queue
        row[3] = 0 if order.price == NO_LIMIT else order.price
        row[4], row[5], row[6], row[7] = (
            order.qty,
            order.visible,
            order.reference >> SLOT_BITS,
            order.shown >> SLOT_BITS,
        )
        n += 1
        slot = order.next
    return n


@njit(cache=True)
def resting_orders(state, rows):
    """Fills int64 ``rows`` [n, 8]: instrument, side, queue, price, qty, visible, serial, serial of its priority.

    By instrument; bids, then asks; levels best first (displayed, then hidden), midpoint orders, auction orders; each
    queue in its order. Returns the number of rows.
    """
    n = 0
    for instrument in range(state.instruments):
        for index in range(2):
            for position in range(state.depth[instrument, index] - 1, -1, -1):
                level = state.levels[instrument, index, position]
                n = _list_queue(state, level.queues[DISPLAYED], rows, n)
                n = _list_queue(state, level.queues[HIDDEN], rows, n)
            n = _list_queue(state, state.pegs[instrument, index], rows, n)
            for auction in range(CLOSING - OPENING + 1):
                n = _list_queue(state, state.auctions[instrument, auction, index], rows, n)
    return n


def book_rows(state: np.record) -> np.ndarray:
    """All resting orders: int64 [n, 8], see ``resting_orders``."""
    rows = np.zeros((int(state["resting"]), 8), np.int64)
    resting_orders(state, rows)
    return rows
