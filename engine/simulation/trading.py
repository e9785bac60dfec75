"""How an order trades, compiled: whom it meets, what is there for it, executions, self-match prevention, midpoint.

``engine.simulation.matching`` says the rules; this is what it calls once an order stands in the pool.
"""

from engine.core.compiled import njit
from engine.simulation.matching_records import (
    ALLOW,
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    CONTINUOUS,
    DELETED,
    DISPLAYED,
    EXECUTED,
    EXPIRED,
    HIDDEN,
    NONE,
    REDUCED,
    REFRESHED,
    Reason,
)
from engine.simulation.order_book import drop_empty_level, forget, midpoint, show_next_slice, write_report

LEAST_ROOM = 8  # reports that one order may need beside its executions
NO_REASON, NO_REPORT_ROOM, SELF_MATCH = map(int, (Reason.NONE, Reason.NO_REPORT_ROOM, Reason.SELF_MATCH))
LEVEL_NEXT, PEGS_NEXT, NOTHING_NEXT = 0, 1, 2


# ---- whom an order meets, in which order --------------------------------------------------------------


@njit(cache=True)
def _next_stop(state, taker, position, pegs_left, middle, limit):
    """Where the order trades next: at the level at ``position``, with the midpoint orders, or nowhere."""
    side = taker.side
    price = state.levels[taker.instrument, (1 + side) >> 1, position].price if position >= 0 else 0
    level_in_reach = position >= 0 and price * side <= limit * side
    if pegs_left and not (level_in_reach and price * side <= middle * side):
        return PEGS_NEXT
    return LEVEL_NEXT if level_in_reach else NOTHING_NEXT


@njit(cache=True)
def _meets_pegs(state, taker, middle, limit):
    other = (1 + taker.side) >> 1
    in_reach = middle > 0 and middle * taker.side <= limit * taker.side
    return in_reach and state.pegs[taker.instrument, other].head != NONE


@njit(cache=True)
def _agrees(maker, price, offered):
    """Whether a resting order trades at ``price`` when ``offered`` shares come."""
    return maker.price * maker.side >= price * maker.side and min(maker.min_qty, maker.qty) <= offered


@njit(cache=True)
def _is_own(maker, taker):
    return maker.group == taker.group and maker.group != 0 and taker.prevention != ALLOW


# ---- what is there, before anything is touched ---------------------------------------------------------


@njit(cache=True)
def _has_own(state, queue, taker):
    slot = queue.head
    while slot != NONE and not _is_own(state.orders[slot], taker):
        slot = state.orders[slot].next
    return slot != NONE


@njit(cache=True)
def _offered_by_queue(state, queue, price, taker, wanted, past_own):
    """(shares that ``taker`` would get of ``wanted``, whether it would go on behind this queue)."""
    # Next slices of icebergs come behind an own order at which this ends.
    first_slices = not past_own and _has_own(state, queue, taker)
    found = 0
    slot = queue.head
    while slot != NONE and found < wanted:
        maker = state.orders[slot]
        if _agrees(maker, price, taker.qty - found):
            if not _is_own(maker, taker):
                in_reach = maker.visible if first_slices and maker.queue == DISPLAYED else maker.qty
                found += min(in_reach, taker.qty - found)
            elif not past_own:
                return found, False
        slot = maker.next
    return found, True


@njit(cache=True)
def available(state, taker, middle, limit, wanted):
    """Shares (at most about ``wanted``) that the order would get at once."""
    instrument, other = taker.instrument, (1 + taker.side) >> 1
    position = state.depth[instrument, other] - 1
    pegs_left = _meets_pegs(state, taker, middle, limit)
    past_own = taker.prevention == CANCEL_OLDEST
    found, further = 0, True
    whole = taker.qty
    while found < wanted and further:
        stop = _next_stop(state, taker, position, pegs_left, middle, limit)
        taker.qty = whole - found
        if stop == NOTHING_NEXT:
            break
        if stop == PEGS_NEXT:
            pegs_left = False
            queue = state.pegs[instrument, other]
            got, further = _offered_by_queue(state, queue, middle, taker, wanted - found, past_own)
            found += got
            continue
        level = state.levels[instrument, other, position]
        for index in (DISPLAYED, HIDDEN):
            if further and found < wanted:
                queue = level.queues[index]
                got, further = _offered_by_queue(state, queue, level.price, taker, wanted - found, past_own)
                found += got
                taker.qty = whole - found
        position -= 1
    taker.qty = whole
    return found


@njit(cache=True)
def would_trade(state, taker, middle, limit):
    """Whether anyone is there to trade with, of the own group or not."""
    prevention, taker.prevention = taker.prevention, ALLOW
    found = available(state, taker, middle, limit, 1)
    taker.prevention = prevention
    return found > 0


# ---- trading -------------------------------------------------------------------------------------------


@njit(cache=True)
def _trade(state, queue, slot, price, taker, reports, n):
    """One execution; a maker that is done leaves the queue, an iceberg without a slice goes to its end."""
    maker = state.orders[slot]
    displayed = maker.queue == DISPLAYED
    qty = min(taker.qty, maker.visible if displayed else maker.qty)
    taker.qty -= qty
    maker.qty -= qty
    queue.shares -= qty
    if displayed:
        maker.visible -= qty
    n = write_report(reports, n, EXECUTED, maker, qty, qty if displayed else 0, NO_REASON)
    report = reports[n - 1]
    report.price = price
    report.match_number = state.next_match
    report.taker_reference = taker.reference
    report.taker_owner = taker.owner
    report.taker_tag = taker.tag
    state.next_match += 1
    state.last[taker.instrument] = price
    if maker.qty == 0:
        forget(state, queue, slot)
    elif displayed and maker.visible == 0:
        show_next_slice(state, queue, slot)
        n = write_report(reports, n, REFRESHED, maker, maker.qty, maker.visible, NO_REASON)
    return n


@njit(cache=True)
def cut(state, queue, slot, keep, reason, reports, n):
    """Leaves ``keep`` shares of a resting order, a hidden part first; its level, if empty now, stays."""
    order = state.orders[slot]
    off = order.qty - keep
    seen = max(order.visible - keep, 0)
    queue.shares -= seen if order.queue == DISPLAYED else off
    order.qty = keep
    order.visible -= seen
    n = write_report(reports, n, REDUCED if keep else DELETED, order, off, seen, reason)
    if keep == 0:
        forget(state, queue, slot)
    return n


@njit(cache=True)
def _prevent_self_match(state, queue, slot, taker, reports, n):
    """What happens instead of a trade between two orders of one group."""
    maker = state.orders[slot]
    if taker.prevention == CANCEL_NEWEST:
        state.stopped = SELF_MATCH
        return n
    off = maker.qty if taker.prevention == CANCEL_OLDEST else min(maker.qty, taker.qty)
    n = cut(state, queue, slot, maker.qty - off, SELF_MATCH, reports, n)
    if taker.prevention == CANCEL_OLDEST:
        return n
    taker.qty -= off
    kind = REDUCED if taker.qty else EXPIRED
    if not taker.qty:
        state.counts[SELF_MATCH] += 1
    return write_report(reports, n, kind, taker, off, 0, SELF_MATCH)


@njit(cache=True)
def _trade_with_queue(state, queue, price, taker, reports, n):
    """Trades along a queue, oldest first, past orders that do not agree."""
    slot = queue.head
    while slot != NONE and taker.qty > 0 and not state.stopped:
        if len(reports) - n < LEAST_ROOM:
            state.stopped = NO_REPORT_ROOM
            break
        maker = state.orders[slot]
        following = maker.next
        if _agrees(maker, price, taker.qty):
            if _is_own(maker, taker):
                n = _prevent_self_match(state, queue, slot, taker, reports, n)
            else:
                n = _trade(state, queue, slot, price, taker, reports, n)
                if following == NONE and maker.qty > 0:
                    following = slot  # an iceberg's next slice, with nobody before it
        slot = following
    return n


@njit(cache=True)
def match(state, taker, middle, limit, reports, n):
    """Trades until the order is done, stopped, or everything left is beyond ``limit``."""
    instrument, other = taker.instrument, (1 + taker.side) >> 1
    position = state.depth[instrument, other] - 1
    pegs_left = _meets_pegs(state, taker, middle, limit)
    state.stopped = NO_REASON
    while taker.qty > 0 and not state.stopped:
        stop = _next_stop(state, taker, position, pegs_left, middle, limit)
        if stop == NOTHING_NEXT:
            break
        if stop == PEGS_NEXT:
            pegs_left = False
            n = _trade_with_queue(state, state.pegs[instrument, other], middle, taker, reports, n)
            continue
        level = state.levels[instrument, other, position]
        n = _trade_with_queue(state, level.queues[DISPLAYED], level.price, taker, reports, n)
        if level.queues[HIDDEN].head != NONE:
            n = _trade_with_queue(state, level.queues[HIDDEN], level.price, taker, reports, n)
        drop_empty_level(state, instrument, -taker.side, position)
        position -= 1
    return n


@njit(cache=True)
def settle_midpoint(state, instrument, reports, n):
    """Lets midpoint orders trade that meet a midpoint or hidden order at the touch as it is now."""
    if state.pegged[instrument] == 0 or state.phase[instrument] != CONTINUOUS:
        return n
    middle = midpoint(state, instrument)
    if middle == 0:
        return n
    for index in range(2):
        slot = state.pegs[instrument, index].head
        while slot != NONE and _someone_inside(state, instrument, index, middle):
            following = state.orders[slot].next
            n = _settle_one(state, slot, middle, reports, n)
            slot = following
    return n


@njit(cache=True)
def _someone_inside(state, instrument, index, middle):
    """Whether the other side has anyone at the middle or better."""
    if state.pegs[instrument, 1 - index].head != NONE:
        return True
    depth = state.depth[instrument, 1 - index]
    side = 1 - 2 * index
    return depth > 0 and state.levels[instrument, 1 - index, depth - 1].price * side <= middle * side


@njit(cache=True)
def _settle_one(state, slot, middle, reports, n):
    order = state.orders[slot]
    queue = state.pegs[order.instrument, (1 - order.side) >> 1]
    limit = order.side * min(order.side * middle, order.side * order.price)
    before = order.qty
    least = min(order.min_qty, before)
    if least and available(state, order, middle, limit, least) < least:
        return n
    n = match(state, order, middle, limit, reports, n)
    queue.shares -= before - order.qty
    if state.stopped == SELF_MATCH:
        state.counts[SELF_MATCH] += 1
        n = write_report(reports, n, EXPIRED, order, order.qty, 0, SELF_MATCH)
    if state.stopped == SELF_MATCH or order.qty == 0:
        forget(state, queue, slot)
    return n
