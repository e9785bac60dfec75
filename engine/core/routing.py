"""From what a strategy wants to orders at several venues: rounds of the smart order router.

A round asks the router (``router``) to take what is displayed up to the parent's price limit, the far touch as it was
when the limit was set, and to try each dark midpoint once; its orders are immediate. What they leave is routed again on
what is displayed then, once the feeds of those venues have told what was met there. When nothing is left within the
limit, the rest goes where resting is cheapest, post-only at the near touch, follows it up to the limit at its own venue
(``PEGS`` times in ``reprice_after``), and is called back when the limit is set anew.

A round begins when every order that a venue still answers for has ended or rests. Orders at a venue that is lost or
hangs are in doubt: they count as working until the venue has said what became of them, so that nothing is bought twice.

Left out is a venue whose feed is stale, whose order session is lost or silent (``hang_after``), that is closed or has
halted the instrument, that refused an order of this parent or MOST_REJECTS in a row, that a limit does not allow or a
kill covers. Nothing of it is protected then (Regulation NMS rule 611(b)(1), "self-help").
"""

from engine.core import books
from engine.core.answers import answers
from engine.core.capacities import MARKETS
from engine.core.compiled import njit
from engine.core.events import PEGGED, POST_ONLY, Kind, TimeInForce
from engine.core.exposure import LEVELS as LIMIT_LEVELS
from engine.core.exposure import level_row
from engine.core.kill import ARMED, DISCONNECT, kill_level
from engine.core.kill import FLATTEN as KILL_FLATTEN
from engine.core.limits import shares_in_one_order
from engine.core.orders import LIVE, PARTIALLY_FILLED, SUSPENDED, OrderState, leaves, order_by_id
from engine.core.outputs import emit
from engine.core.positions import worst_position
from engine.core.router import route
from engine.core.router_records import LEVELS, MIDPOINT, MOST_SHARES, POST, TAKE, note_outcome, relax
from engine.core.scheduling import end_schedule, is_over, shares_to_send
from engine.core.sending import cancel_order, passes, replace_order, send_order
from engine.core.state import ROUTED, Phase, StrategyState

ROUTE = int(Kind.ROUTE)
IOC = int(TimeInForce.IOC)
OPEN = int(Phase.OPEN)
FLATTENING = int(StrategyState.FLATTENING)
REJECTED = int(OrderState.REJECTED)
MOST_REJECTS = 3
OUT_NS = 60_000_000_000
RELAX_NS = 60_000_000_000
URGENCY_SHARE = 100_000  # of the price: what waiting a round is expected to cost (``benchmarks.router`` says why)
PEGS = 8
MOST_CHILDREN = 3 * MARKETS
WAIT = -1


# ---- what a venue may be asked -----------------------------------------------------------------------------


@njit(cache=True)
def level_to_work(state, strategy, instrument):
    """The kill level that holds where it is lowest: a venue that is killed further is left out by itself."""
    level = DISCONNECT if state.kills.latched else ARMED
    if level:
        for venue in range(state.venue_count):
            level = min(level, kill_level(state, strategy, instrument, venue))
    return level


@njit(cache=True)
def _is_open(state, strategy, instrument, number, level):
    """Whether a venue may be sent anything new, but for what limits say of it. What flattens asks those too that have
    refused others."""
    venue = state.venues[number]
    left_out = state.parents[strategy, instrument].left_out >> number & 1
    if venue.stale or venue.phase != OPEN or state.quotes[number, instrument].halted or left_out:
        return False
    flattens = level == KILL_FLATTEN or state.slots[strategy].state == FLATTENING
    if (state.now < venue.out_until and not flattens) or not answers(state, number):
        return False
    return state.kills.latched == 0 or kill_level(state, strategy, instrument, number) == level


@njit(cache=True)
def _open_venues(state, strategy, instrument, side, qty, level):
    """Says in ``terms`` which venues the router may use. Where limits allow none that there is, the others stay open,
    so that the refusal is told; one that is allowed and cannot be used now is waited for."""
    there = (1 << state.venue_count) - 1
    allowed, found = there, 0
    if worst_position(state.positions[strategy, instrument], side, qty) > 0:
        for number in range(LIMIT_LEVELS):
            allowed &= state.levels[level_row(state, strategy, instrument, number)].venues
    for number in range(state.venue_count):
        found |= _is_open(state, strategy, instrument, number, level) << number
    chosen = found & allowed if allowed else found
    for number in range(MARKETS):
        state.terms[number].open = chosen >> number & 1
    return chosen


@njit(cache=True)
def note_reject(state, parent, order):
    """A venue refuses an order of ``parent``; 1 when there is no other to ask."""
    if state.venue_count == 1:
        return 1
    parent.left_out |= 1 << order.venue
    venue = state.venues[order.venue]
    venue.rejects += 1
    if venue.rejects >= MOST_REJECTS:
        venue.rejects, venue.out_until = 0, state.now + OUT_NS
    return 1 if parent.left_out == (1 << state.venue_count) - 1 else 0


@njit(cache=True)
def learn(state, order):
    """An order has ended: what of it was got."""
    if state.venue_count == 1 or order.state == REJECTED:
        return
    state.venues[order.venue].rejects = 0
    quote = state.quotes[order.venue, order.instrument]
    if order.immediate and order.action == TAKE and order.seen == quote.changes:
        quote.spent, quote.spent_at = quote.changes, state.now
    if order.origin == 0 and order.before == 0 and order.asked > 0:
        note_outcome(state.terms[order.venue], order.action, order.asked, order.filled)


@njit(cache=True)
def relax_venues(state):
    """By the clock: a venue that gave nothing comes to be tried again."""
    if state.venue_count > 1 and state.now - state.relaxed_at >= RELAX_NS:
        state.relaxed_at = state.now
        for number in range(state.venue_count):
            relax(state.terms[number])


# ---- rounds ------------------------------------------------------------------------------------------------


@njit(cache=True)
def work_routed(state, out, strategy, instrument, wanted, level):
    """Moves the position of one strategy closer to its target. ``wanted`` is what it lacks (signed, at kill level
    ``level``)."""
    parent = state.parents[strategy, instrument]
    at_once = level == KILL_FLATTEN
    working = _review(state, out, parent, strategy, instrument, wanted, level) if parent.child else 0
    if working == WAIT:
        return
    if parent.retry_at and state.now >= parent.retry_at:
        parent.refused = parent.retry_at = 0
    if wanted == 0:
        end_schedule(state, out, strategy, instrument)
    if wanted == 0 or parent.refused or (parent.id == 0 and not at_once):
        return
    qty = abs(wanted) - working
    if not at_once:
        qty = shares_to_send(state, out, strategy, instrument, abs(wanted), working)
    if qty > 0 and state.routed + 2 * MOST_CHILDREN <= ROUTED:
        _route(state, out, strategy, instrument, 1 if wanted > 0 else -1, qty, level)


@njit(cache=True)
def _review(state, out, parent, strategy, instrument, wanted, level):
    """Shares that work, or WAIT while an answer is to come. Cancels what points the wrong way or is too much."""
    working, waits = 0, False
    turned = level != KILL_FLATTEN and is_over(state, strategy, instrument)
    child = parent.child
    while child:
        order = state.orders[order_by_id(state.orders, child)]
        child = order.sibling
        rests = (order.state == LIVE or order.state == PARTIALLY_FILLED) and not order.immediate  # noqa: PLR1714
        if wanted * order.side <= 0 or turned:
            cancel_order(state, out, order)
            waits |= answers(state, order.venue)
        elif not answers(state, order.venue):
            working += leaves(order)
        elif rests or order.state == SUSPENDED:
            working += leaves(order)
            waits |= rests and _follow(state, out, parent, order, level)
        else:
            waits = True
    if working > abs(wanted):
        _cancel_resting(state, out, parent)
        return WAIT
    return WAIT if waits else working


@njit(cache=True)
def _follow(state, out, parent, order, level):
    """Keeps a resting order at the near touch, as far as the limit goes and its venue is open to new ones; True when an
    answer is to come."""
    if state.now >= parent.limit_until:
        cancel_order(state, out, order)
        return True
    market = state.market[order.instrument]
    touch = market.bid if order.side > 0 else market.ask
    price = order.side * min(order.side * touch, order.side * parent.limit)
    behind = (price - order.price) * order.side > 0
    if touch == 0 or not behind or parent.refused or state.now - order.sent_at < state.reprice_after // PEGS:
        return False
    if not _is_open(state, order.strategy, order.instrument, order.venue, level):
        return False
    replace_order(state, out, order, leaves(order), price)
    return True


@njit(cache=True)
def _cancel_resting(state, out, parent):
    child = parent.child
    while child:
        order = state.orders[order_by_id(state.orders, child)]
        child = order.sibling
        if not order.immediate and answers(state, order.venue):
            cancel_order(state, out, order)


@njit(cache=True)
def _route(state, out, strategy, instrument, side, qty, level):
    """One round, for no more than one order may ask for where that takes risk off: the rest is of the next one. Where
    nobody has anything, that is after a while."""
    parent, intent = state.parents[strategy, instrument], state.intent
    if _open_venues(state, strategy, instrument, side, qty, level):
        if _is_spent(state, instrument):
            return
        best = _display(state, instrument, side)
        if best and state.now >= parent.limit_until:
            parent.limit, parent.limit_until = best, state.now + max(state.reprice_after, 1)
            parent.tried = 0
        market = state.market[instrument]
        dearest = max(parent.limit, market.bid, market.ask)
        most = shares_in_one_order(state, strategy, instrument, side, qty, dearest)
        intent.side, intent.qty, intent.limit = side, min(most, MOST_SHARES), parent.limit
        intent.urgency, intent.rests, intent.whole = best // URGENCY_SHARE, 0, 0
        intent.tried = parent.tried
        if not route(intent, state.terms, state.displayed, state.route):
            intent.rests, intent.tried = 1, -1
            route(intent, state.terms, state.displayed, state.route)
        if state.route.children:
            _send_children(state, out, strategy, instrument, side)
            return
    parent.refused, parent.retry_at = 1, state.now + max(state.reprice_after // PEGS, 1)


@njit(cache=True)
def _is_spent(state, instrument):
    """Whether a venue still displays what an order of ours has met: its feed comes behind its report. Not waited for
    longer than for a venue that hangs."""
    for venue in range(state.venue_count):
        quote = state.quotes[venue, instrument]
        fresh = state.now - quote.spent_at < state.hang_after
        if state.terms[venue].open and quote.spent and quote.spent == quote.changes and fresh:
            return True
    return False


@njit(cache=True)
def _display(state, instrument, side):
    """What the open venues display, into ``displayed``; the best price of the other side, 0 for none."""
    best = 0
    for venue in range(MARKETS):
        for half in range(2):
            prices, sizes = state.displayed.price[venue, half], state.displayed.size[venue, half]
            count = 0
            if state.terms[venue].open and state.terms[venue].displays:
                count = books.depth(state.books[venue], instrument, half, prices, sizes)
            for empty in range(count, LEVELS):
                sizes[empty] = 0
        price = state.displayed.price[venue, (1 + side) // 2, 0]
        if state.displayed.size[venue, (1 + side) // 2, 0] and (best == 0 or (best - price) * side > 0):
            best = price
    return best


@njit(cache=True)
def _send_children(state, out, strategy, instrument, side):
    """Sends the router's orders, better prices first: where a limit ends the round, nothing was traded through."""
    sent = 0
    for _ in range(state.route.children):
        at = -1
        for index in range(state.route.children):
            child = state.route.child[index]
            if sent >> index & 1 == 0 and (at < 0 or (state.route.child[at].price - child.price) * side > 0):
                at = index
        sent |= 1 << at
        child = state.route.child[at]
        if not passes(state, out, strategy, instrument, side, child.qty, child.price, child.venue):
            return
        _send_child(state, out, strategy, instrument, side, child)


@njit(cache=True)
def _send_child(state, out, strategy, instrument, side, child):
    """ROUTE, which says why there, and the order."""
    state.routed += 2
    how = IOC
    if child.action == MIDPOINT:
        how |= PEGGED
        state.parents[strategy, instrument].tried |= 1 << child.venue
    elif child.action == POST:
        how = POST_ONLY
    told = emit(state, out, ROUTE, instrument, side, strategy)
    told.venue = child.venue
    told.flags = child.sweep
    told.action = child.action
    told.rate = child.rate
    told.reason = child.reason
    slot = send_order(state, out, strategy, instrument, side, child.qty, child.price, child.venue, how)
    order = state.orders[slot]
    told.order_id = order.order_id
    order.action = child.action
    order.immediate = 1 if child.action != POST else 0
    order.seen = state.quotes[child.venue, instrument].changes
