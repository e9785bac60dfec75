"""The opening and the closing auction: one price for everything that was collected.

The price maximises the executed volume, then minimises the imbalance, then is nearest to a reference price, then is
the lower one. It lies between the lowest and the highest limit price of the orders that take part, or is the reference.
Executed are market orders first, then better prices; at a price displayed orders, then the others, by time of entry.

All limit orders of the book take part with all their shares, icebergs' reserves too, and the auction's own orders
(on-open, on-close). Orders with a minimum quantity and midpoint orders stay out. Self-match prevention does not act in
an auction. What is left of the auction's own orders expires; then trading is continuous.
"""

from engine.core.compiled import njit
from engine.simulation.matching_records import (
    CONTINUOUS,
    CROSS,
    CROSSED,
    DISPLAYED,
    EXPIRED,
    HIDDEN,
    NO_LIMIT,
    NONE,
    OPENING,
    REFRESHED,
    Reason,
)
from engine.simulation.order_book import queue_of, show_next_slice, take_out, write_report
from engine.simulation.trading import LEAST_ROOM, NO_REPORT_ROOM, settle_midpoint

AUCTION_OVER = int(Reason.AUCTION_OVER)


@njit(cache=True)
def _first_taking_part(state, level):
    """The first order of a level that takes part, or ``NONE``."""
    slot = level.queues[DISPLAYED].head
    if slot != NONE:
        return slot
    slot = level.queues[HIDDEN].head
    while slot != NONE and state.orders[slot].min_qty:
        slot = state.orders[slot].next
    return slot


@njit(cache=True)
def _interest(state, instrument, side, auction, price):
    """Shares of a side that would trade at ``price``."""
    index = (1 - side) >> 1
    total = 0
    for position in range(state.depth[instrument, index] - 1, -1, -1):
        level = state.levels[instrument, index, position]
        if level.price * side < price * side:
            break
        for queue in (DISPLAYED, HIDDEN):
            slot = level.queues[queue].head
            while slot != NONE:
                order = state.orders[slot]
                total += 0 if order.min_qty else order.qty
                slot = order.next
    slot = state.auctions[instrument, auction - OPENING, index].head
    while slot != NONE and state.orders[slot].price * side >= price * side:
        total += state.orders[slot].qty
        slot = state.orders[slot].next
    return total


@njit(cache=True)
def _is_limit(price):
    return 0 < price < NO_LIMIT


@njit(cache=True)
def _limit_range(state, instrument, auction):
    """Lowest and highest limit price of all who take part; lowest > highest when nobody has one."""
    lowest, highest = NO_LIMIT, 0
    for index in range(2):
        for position in range(state.depth[instrument, index]):
            level = state.levels[instrument, index, position]
            if _first_taking_part(state, level) != NONE:
                lowest, highest = min(lowest, level.price), max(highest, level.price)
        slot = state.auctions[instrument, auction - OPENING, index].head
        while slot != NONE:
            price = state.orders[slot].price
            if _is_limit(price):
                lowest, highest = min(lowest, price), max(highest, price)
            slot = state.orders[slot].next
    return lowest, highest


@njit(cache=True)
def _better(state, instrument, auction, reference, price, found):
    """The better of ``found`` and ``price``, as (-volume, imbalance without sign, distance, price): less is better."""
    bought = _interest(state, instrument, 1, auction, price)
    sold = _interest(state, instrument, -1, auction, price)
    this = (-min(bought, sold), abs(bought - sold), abs(price - reference), price)
    return this if this < found else found


@njit(cache=True)
def cross_price(state, instrument, auction, reference):
    """(price, executed volume, shares bid less shares offered) of an auction now; zeros when nothing would trade.

    ``auction`` is ``OPENING`` or ``CLOSING``; ``reference`` a price, 0 for none. Interest changes only at limit
    prices and one tick beyond them, so no other price needs to be looked at but the reference.
    """
    lowest, highest = _limit_range(state, instrument, auction)
    found = (0, 0, 0, 0)
    for index in range(2):
        beyond = (1 - 2 * index) * state.tick
        for position in range(state.depth[instrument, index]):
            limit = state.levels[instrument, index, position].price
            for price in (limit, limit + beyond):
                if lowest <= price <= highest:
                    found = _better(state, instrument, auction, reference, price, found)
        slot = state.auctions[instrument, auction - OPENING, index].head
        while slot != NONE:
            limit = state.orders[slot].price
            for price in (limit, limit + beyond):
                if _is_limit(limit) and lowest <= price <= highest:
                    found = _better(state, instrument, auction, reference, price, found)
            slot = state.orders[slot].next
    if reference:
        found = _better(state, instrument, auction, reference, reference, found)
    if found[0] == 0:
        return 0, 0, 0
    imbalance = _interest(state, instrument, 1, auction, found[3]) - _interest(state, instrument, -1, auction, found[3])
    return found[3], -found[0], imbalance


@njit(cache=True)
def _next_to_execute(state, instrument, side, auction):
    index = (1 - side) >> 1
    booked = NONE
    position = state.depth[instrument, index] - 1
    while position >= 0 and booked == NONE:
        booked = _first_taking_part(state, state.levels[instrument, index, position])
        position -= 1
    waiting = state.auctions[instrument, auction - OPENING, index].head
    if booked == NONE or waiting == NONE:
        return waiting if booked == NONE else booked
    one, other = state.orders[booked], state.orders[waiting]
    if one.price != other.price:
        return booked if one.price * side > other.price * side else waiting
    return booked if one.queue == DISPLAYED or one.shown < other.shown else waiting


@njit(cache=True)
def _execute(state, slot, price, qty, reports, n):
    order = state.orders[slot]
    queue = queue_of(state, order)
    seen = min(order.visible, qty)
    order.qty -= qty
    order.visible -= seen
    queue.shares -= seen if order.queue == DISPLAYED else qty
    n = write_report(reports, n, CROSSED, order, qty, seen, 0)
    reports[n - 1].price = price
    reports[n - 1].match_number = state.next_match
    if order.qty == 0:
        take_out(state, slot)
    elif order.queue == DISPLAYED and order.visible == 0:
        show_next_slice(state, queue, slot)
        n = write_report(reports, n, REFRESHED, order, order.qty, order.visible, 0)
    return n


@njit(cache=True)
def _report_cross(state, instrument, auction, price, volume, reports, n):
    report = reports[n]
    report.kind, report.instrument, report.price, report.qty = CROSS, instrument, price, volume
    report.match_number = state.next_match
    report.queue, report.side, report.reason = auction, 0, 0
    report.reference = report.shown = report.visible = report.remaining = report.owner = report.tag = 0
    report.taker_reference = report.taker_owner = report.taker_tag = 0
    state.next_match += 1
    return n + 1


@njit(cache=True)
def uncross(state, instrument, auction, reference, reports, n):
    """Holds the auction and goes over to continuous trading, whatever the phase was; returns the next free row.

    Reports: two CROSSED a match (buy, then sell), CROSS, EXPIRED for what is left of the auction's own orders; then
    what midpoint orders trade. Needs room for two reports an order that rests, or does nothing but count it.
    """
    if len(reports) - n < 2 * state.resting + LEAST_ROOM:
        state.counts[NO_REPORT_ROOM] += 1
        return n
    price, volume, _ = cross_price(state, instrument, auction, reference)
    left = volume
    while left > 0:
        buy = _next_to_execute(state, instrument, 1, auction)
        sell = _next_to_execute(state, instrument, -1, auction)
        qty = min(left, state.orders[buy].qty, state.orders[sell].qty)
        n = _execute(state, buy, price, qty, reports, n)
        n = _execute(state, sell, price, qty, reports, n)
        state.next_match += 1
        left -= qty
    if volume:
        state.last[instrument] = price
        n = _report_cross(state, instrument, auction, price, volume, reports, n)
    for index in range(2):
        queue = state.auctions[instrument, auction - OPENING, index]
        while queue.head != NONE:
            order = state.orders[queue.head]
            n = write_report(reports, n, EXPIRED, order, order.qty, 0, AUCTION_OVER)
            state.counts[AUCTION_OVER] += 1
            take_out(state, queue.head)
    state.phase[instrument] = CONTINUOUS
    return settle_midpoint(state, instrument, reports, n)
