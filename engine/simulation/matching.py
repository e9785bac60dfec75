"""Price-time matching, compiled: one book a symbol, integer prices (1/10,000), whole shares.

An incoming order trades against the best prices on the other side, at the resting order's price, up to its own limit.
At a price, displayed orders trade before hidden ones, older before newer; an iceberg's next slice goes to the back of
the displayed ones. Midpoint orders trade at the middle of the touch as it stood when the incoming order came, behind
hidden orders of that price. What is left rests, or expires when the order is immediate.

- Fill-or-kill and minimum quantity count what is there first, up to the first order of the same group (past it, when
  the order cancels older orders). A minimum counts in all when the order comes in; when it rests, for each execution.
- Post-only: an order that would trade expires instead.
- When the touch moves, midpoint orders that now meet another midpoint or hidden order trade with it, as if they came
  in: buys, then sells, by time of entry.
- Beyond the collar (a share of the touch that the order came to) nothing is bought or sold, and no order rests.

``engine.simulation.auction`` uncrosses a book whose orders were only collected. ``engine.simulation.reference`` is all
of it again in plain Python; both stand under one test suite.
"""

import numpy as np

from engine.core.compiled import njit
from engine.simulation.matching_records import (
    ALLOW,
    CANCEL_NEWEST,
    CLOSING,
    COLLECTING,
    CONTINUOUS,
    DAY,
    DISPLAYED,
    ENTERED,
    EXPIRED,
    FILL_OR_KILL,
    HIDDEN,
    LIMIT,
    MARKET,
    MIDPOINT,
    MOST_PRICE,
    MOST_QTY,
    NO_LIMIT,
    NONE,
    OPENING,
    PEGGED,
    REFUSED,
    RESTED,
    NewOrder,
    Reason,
    new_orders,
)
from engine.simulation.order_book import (
    best,
    drop_empty_level,
    free_slot,
    level_index,
    midpoint,
    queue_of,
    rest,
    slot_of,
    take_slot,
    write_report,
)
from engine.simulation.trading import (
    LEAST_ROOM,
    NO_REASON,
    NO_REPORT_ROOM,
    available,
    cut,
    match,
    settle_midpoint,
    would_trade,
)

MALFORMED, IN_HALT, WRONG_PHASE = map(int, (Reason.MALFORMED, Reason.HALTED, Reason.WRONG_PHASE))
NO_ORDER_ROOM, NO_PRICE_ROOM, NOT_TAKEN = map(int, (Reason.NO_ORDER_ROOM, Reason.NO_PRICE_ROOM, Reason.IMMEDIATE))
UNFILLED, MINIMUM, POST_ONLY, COLLAR = map(int, (Reason.UNFILLED, Reason.MINIMUM, Reason.POST_ONLY, Reason.COLLAR))


@njit(cache=True)
def _is_malformed(state, new):
    sides = new.side == 1 or new.side == -1
    if not sides or not 0 <= new.instrument < state.instruments or not 0 < new.qty <= MOST_QTY:
        return True
    if new.kind == LIMIT and (not 0 < new.price <= MOST_PRICE or new.price % state.tick != 0):
        return True
    if new.kind == MARKET and (new.time_in_force == DAY or new.post_only):
        return True
    auction = new.time_in_force >= OPENING
    if new.kind == MIDPOINT and (auction or not 0 <= new.price <= MOST_PRICE):
        return True
    if new.post_only and new.time_in_force != DAY:
        return True
    shown = new.kind == LIMIT and new.time_in_force == DAY and new.display > 0
    if new.min_qty and (auction or shown or new.min_qty > new.qty):
        return True
    known = (
        LIMIT <= new.kind <= MIDPOINT
        and DAY <= new.time_in_force <= CLOSING
        and CANCEL_NEWEST <= new.prevention <= ALLOW
    )
    return not known or new.display < 0 or new.min_qty < 0 or new.group < 0


@njit(cache=True)
def _why_refused(state, new, room):
    if room < LEAST_ROOM:
        return NO_REPORT_ROOM
    if _is_malformed(state, new):
        return MALFORMED
    phase = state.phase[new.instrument]
    if phase != CONTINUOUS and phase != COLLECTING:
        return IN_HALT
    immediate = DAY < new.time_in_force < OPENING
    if (phase == COLLECTING and immediate) or (phase != COLLECTING and new.time_in_force == OPENING):
        return WRONG_PHASE
    return NO_ORDER_ROOM if state.free == NONE else NO_REASON


@njit(cache=True)
def _refuse(state, new, reason, reports, n):
    state.counts[reason] += 1
    if n == len(reports):
        return n
    report = reports[n]
    report.kind, report.reason = REFUSED, reason
    report.side, report.instrument, report.queue = new.side, new.instrument, 0
    report.price, report.qty = new.price, new.qty
    report.owner, report.tag = new.owner, new.tag
    report.reference = report.shown = report.visible = report.remaining = report.match_number = 0
    report.taker_reference = report.taker_owner = report.taker_tag = 0
    return n + 1


@njit(cache=True)
def _accept(state, new):
    """A slot with the order in it, which stands nowhere yet."""
    slot = take_slot(state)
    order = state.orders[slot]
    without_limit = new.kind == MARKET or new.price == 0
    order.price = (NO_LIMIT if new.side > 0 else 0) if without_limit else new.price
    order.qty = new.qty
    order.instrument = new.instrument
    order.side = new.side
    order.group = new.group
    order.prevention = new.prevention
    order.display = new.display
    order.min_qty = new.min_qty
    order.owner = new.owner
    order.tag = new.tag
    order.visible = 0
    if new.time_in_force >= OPENING:
        order.queue = new.time_in_force
    elif new.kind == MIDPOINT:
        order.queue = PEGGED
    else:
        order.queue = DISPLAYED if new.display > 0 else HIDDEN
    return slot


@njit(cache=True)
def _collar_price(state, instrument, side):
    """The worst price at which an order may buy or sell now, on a tick; ``NO_LIMIT`` or 0 without a collar."""
    base = 0
    if state.collar:
        base = best(state, instrument, -side)
        base = base if base else state.last[instrument]
    if base == 0:
        return NO_LIMIT if side > 0 else 0
    worst = base * (10_000 + side * state.collar) // 10_000
    return side * (side * worst // state.tick) * state.tick


@njit(cache=True)
def _hindrance(state, new, order, middle, limit):
    """Why the order must not trade now, though it may: decided before anything is touched."""
    if new.post_only and would_trade(state, order, middle, limit):
        return POST_ONLY
    if new.time_in_force == FILL_OR_KILL and available(state, order, middle, limit, order.qty) < order.qty:
        return UNFILLED
    if new.min_qty and available(state, order, middle, limit, order.min_qty) < order.min_qty:
        return MINIMUM
    return NO_REASON


@njit(cache=True)
def enter(state, new, reports, n):
    """Takes in one order (a NEW_ORDER record), writes what follows from row ``n`` on; returns the next free row.

    Reports: ENTERED, what it trades, then RESTED or EXPIRED for what is left, then what midpoint orders trade because
    the touch has moved; or REFUSED alone. With no room for a report not even that: only ``counts`` shows it.
    """
    reason = _why_refused(state, new, len(reports) - n)
    if reason:
        return _refuse(state, new, reason, reports, n)
    slot = _accept(state, new)
    order = state.orders[slot]
    instrument = order.instrument
    n = write_report(reports, n, ENTERED, order, order.qty, 0, NO_REASON)
    if state.phase[instrument] == CONTINUOUS and order.queue < OPENING:
        n, reason = _trade_incoming(state, new, order, reports, n)
    if order.qty == 0:
        free_slot(state, slot)
        return settle_midpoint(state, instrument, reports, n)
    if DAY < new.time_in_force < OPENING:
        reason = reason if reason else NOT_TAKEN
    elif reason == MINIMUM:
        reason = NO_REASON
    if not reason:
        order.visible = min(order.display, order.qty) if order.queue == DISPLAYED else 0
        if rest(state, slot):
            n = write_report(reports, n, RESTED, order, order.qty, order.visible, NO_REASON)
            return settle_midpoint(state, instrument, reports, n)
        reason = NO_PRICE_ROOM
    n = write_report(reports, n, EXPIRED, order, order.qty, 0, reason)
    state.counts[reason] += 1
    free_slot(state, slot)
    return settle_midpoint(state, instrument, reports, n)


def enter_order(state: np.record, order: NewOrder, reports: np.ndarray, n: int = 0) -> int:
    """``enter`` for Python's form of an order."""
    return int(enter(state, new_orders(order)[0], reports, n))


@njit(cache=True)
def _trade_incoming(state, new, order, reports, n):
    """Returns the next free row, and the reason for which what is left may not rest (``MINIMUM``: it may)."""
    instrument, side = order.instrument, order.side
    pegs_matter = state.pegged[instrument] > 0 or order.queue == PEGGED
    middle = midpoint(state, instrument) if pegs_matter else 0
    if order.queue == PEGGED and middle == 0:
        return n, NO_REASON
    worst = middle if order.queue == PEGGED else _collar_price(state, instrument, side)
    limit = side * min(side * worst, side * order.price)
    beyond = order.queue != PEGGED and limit != order.price and new.time_in_force == DAY
    if new.post_only or new.min_qty or new.time_in_force == FILL_OR_KILL:
        reason = _hindrance(state, new, order, middle, limit)
        if reason:
            return n, COLLAR if reason == MINIMUM and beyond else reason
    n = match(state, order, middle, limit, reports, n)
    if state.stopped:
        return n, state.stopped
    return n, COLLAR if beyond else NO_REASON


@njit(cache=True)
def reduce(state, reference, keep, reports, n):
    """Cuts a resting order to ``keep`` shares (0: takes it out). Nothing happens to what does not rest.

    Reports REDUCED (qty: the shares taken off; the order keeps its place) or DELETED, then what midpoint orders trade
    because the touch has moved. Possible in every phase.
    """
    slot = slot_of(state, reference)
    if slot == NONE or keep >= state.orders[slot].qty or len(reports) - n < LEAST_ROOM:
        return n
    order = state.orders[slot]
    instrument, side, price, queue = order.instrument, order.side, order.price, order.queue
    n = cut(state, queue_of(state, order), slot, max(keep, 0), NO_REASON, reports, n)
    if keep <= 0 and queue <= HIDDEN:
        drop_empty_level(state, instrument, side, level_index(state, instrument, side, price))
    return settle_midpoint(state, instrument, reports, n)


@njit(cache=True)
def delete(state, reference, reports, n):
    """``reduce`` to nothing."""
    return reduce(state, reference, np.int64(0), reports, n)  # a literal 0 would compile ``reduce`` once more


@njit(cache=True)
def delete_each(state, references, reports, n):
    """``delete`` of each of ``references``, int64[k], in their order."""
    for index in range(len(references)):
        n = delete(state, references[index], reports, n)
    return n


@njit(cache=True)
def _delete_queue(state, queue, reports, n):
    while queue.head != NONE and len(reports) - n >= LEAST_ROOM:
        n = delete(state, state.orders[queue.head].reference, reports, n)
    return n


@njit(cache=True)
def delete_all(state, instrument, reports, n):
    """Takes every order of a book out, DELETED for each: midpoint and auction orders, then best prices first."""
    for index in range(2):
        n = _delete_queue(state, state.pegs[instrument, index], reports, n)
    for index in range(2):
        for auction in range(2):
            n = _delete_queue(state, state.auctions[instrument, auction, index], reports, n)
        while state.depth[instrument, index] > 0 and len(reports) - n >= LEAST_ROOM:
            level = state.levels[instrument, index, state.depth[instrument, index] - 1]
            queue = level.queues[DISPLAYED if level.queues[DISPLAYED].head != NONE else HIDDEN]
            n = delete(state, state.orders[queue.head].reference, reports, n)
    return n
