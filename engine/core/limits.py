"""Pre-trade limits: firm, desk, strategy and symbol must all pass; a refusal says which limit, at which level, and both
values. What each limit measures stands in ``limit_names``.

A limit of 0 lets nothing pass (it is held as -1, which no number is within), and every limit is finite. Buys and sells
never net: positions, gross and net are those that would be if everything on the worse side were filled.

An order that only takes its strategy's position down, with all that works on its side, adds no risk: it is held to
order size, notional and collars, and to what is law for any order (no trade with oneself, short sales). At each level
it is held to positions, gross, net and concentration as far as it adds to that level's. Without a valid bundle such
orders alone go out, within the floor limits.

Money at the marks; an order's own shares count at its price or the mark, whichever is more.
"""

from engine.core.activity import ONE, RATIO_ORDERS, equal_orders, leaked
from engine.core.compiled import njit
from engine.core.exposure import DESK, FIRM, LEVELS, STRATEGY, level_row
from engine.core.limit_names import FIRST_OF_LEVEL, MEASURED, PASSING, Level, Limit, Mark
from engine.core.orders import is_open
from engine.core.positions import worst_position

NONE = int(Limit.NONE)
ORDER_QTY, ORDER_NOTIONAL = int(Limit.ORDER_QTY), int(Limit.ORDER_NOTIONAL)
COLLAR_FAR_TOUCH = int(Limit.COLLAR_FAR_TOUCH)
ORDER_RATE, MESSAGE_RATE = int(Limit.ORDER_RATE), int(Limit.MESSAGE_RATE)
CANCEL_RATIO, EXECUTIONS = int(Limit.CANCEL_RATIO), int(Limit.EXECUTIONS)
BUNDLE, RESTRICTED, INSTRUMENT = int(Limit.BUNDLE), int(Limit.RESTRICTED), int(Limit.INSTRUMENT)
VENUE, HOURS, CROSSED_MARKET = int(Limit.VENUE), int(Limit.HOURS), int(Limit.CROSSED_MARKET)
SELF_TRADE, PRICE_TEST, LOCATE = int(Limit.SELF_TRADE), int(Limit.PRICE_TEST), int(Limit.LOCATE)
SYMBOL = int(Level.SYMBOL)
LONG, SHORT, SHORT_EXEMPT = int(Mark.LONG), int(Mark.SHORT), int(Mark.SHORT_EXEMPT)

BPS = 10_000
MOST = (1 << 31) - 1  # shares of an order, and its price: their product fits
BEYOND = 1 << 62  # no limit is as high
NOT_MEASURED = -BEYOND  # within every limit

FLOOR_QTY = 100_000  # what a reduction without a bundle is held to
FLOOR_NOTIONAL = 5_000_000 * 10_000
FLOOR_COLLAR = 1_000  # bps
_PASSES = tuple(limit in PASSING for limit in Limit)
FLOOR = (0, FLOOR_QTY, FLOOR_NOTIONAL, FLOOR_COLLAR, FLOOR_COLLAR, FLOOR_COLLAR)


@njit(cache=True)
def check_order(state, strategy, instrument, side, qty, price, venue):
    """(limit, level, limit's value, order's value); the first is ``Limit.NONE`` when every level passes."""
    own = state.positions[strategy, instrument]
    reduces = worst_position(own, side, qty) <= 0
    sized = 0 < qty <= MOST and 0 < price <= MOST
    measured = _measure_order(state, strategy, instrument, side, qty, price, sized, reduces)
    if not _has_bundle(state):
        if not reduces:
            return BUNDLE, FIRM, state.bundle.valid_until, state.now
        for limit in range(ORDER_QTY, COLLAR_FAR_TOUCH + 1):
            if measured[limit] > FLOOR[limit]:
                return limit, FIRM, FLOOR[limit], measured[limit]
    else:
        security = state.securities[instrument]
        dearest = max(price, security.mark)
        grown = max(own.position + own.working_buy + qty, own.exposure) if side > 0 else 0
        if side < 0:
            grown = max(own.working_sell + qty - own.position, own.exposure)
        grown = (grown - own.exposure) * dearest
        added = qty * dearest if sized else BEYOND
        since_open = state.now - state.opened_at
        for level in range(LEVELS):
            entry = state.levels[level_row(state, strategy, instrument, level)]
            at_level = _measure_level(state, entry, strategy, instrument, level, side, qty, grown, added, reduces)
            beyond = False
            for limit in range(1, FIRST_OF_LEVEL):
                beyond |= measured[limit] > entry.limit[limit]
            for limit in range(FIRST_OF_LEVEL, MEASURED + 1):
                beyond |= at_level[limit - FIRST_OF_LEVEL] > entry.limit[limit]
            if beyond:
                return _first_beyond(state, entry, measured, at_level, level)
            if not reduces and not _permits(entry, instrument, venue, since_open):
                return _not_permitted(entry, instrument, level, venue, since_open)
    return _check_conditions(state, instrument, side, qty, price, venue, reduces)


@njit(cache=True, inline="always")
def _has_bundle(state):
    return state.bundle.valid_from <= state.now <= state.bundle.valid_until


@njit(cache=True)
def shares_in_one_order(state, strategy, instrument, side, qty, price):
    """How many of ``qty`` shares one order at up to ``price`` may ask for by size and notional, where all of them only
    reduce: the rest follows it. All of them where they add risk, or limits let none pass: that refusal is told."""
    if worst_position(state.positions[strategy, instrument], side, qty) > 0:
        return qty
    most, notional = FLOOR_QTY, FLOOR_NOTIONAL
    if _has_bundle(state):
        most, notional = MOST, BEYOND
        for level in range(LEVELS):
            entry = state.levels[level_row(state, strategy, instrument, level)]
            most, notional = min(most, entry.limit[ORDER_QTY]), min(notional, entry.limit[ORDER_NOTIONAL])
    most = min(most, notional // max(price, 1))
    return min(qty, most) if most > 0 else qty


@njit(cache=True, inline="always")
def passes_by_itself(limit):
    """Whether the same order may be tried again later."""
    return _PASSES[limit]


@njit(cache=True, inline="always")
def _bps(distance, reference):
    """``distance`` in bps of ``reference``, rounded up; nothing where the distance or the reference is none."""
    return (distance * BPS + reference - 1) // reference if distance > 0 and reference > 0 else 0


@njit(cache=True, inline="always")
def _measure_order(state, strategy, instrument, side, qty, price, sized, reduces):
    """The order's own numbers, by Limit; the first stands for ``Limit.NONE``."""
    market = state.market[instrument]
    near, far = (market.bid, market.ask) if side > 0 else (market.ask, market.bid)
    reference = market.last if market.last > 0 else market.close
    notional = qty * price if sized else BEYOND
    if sized and (reference > 0 or near > 0 or far > 0):
        from_reference = _bps(abs(price - reference), reference)
        behind_near = _bps((near - price) * side, near)
        through_far = _bps((price - far) * side, far)
    else:  # an order without any price to hold it against
        from_reference = behind_near = through_far = BEYOND
    age = skew = equal = NOT_MEASURED
    if not reduces:
        security = state.securities[instrument]
        age = BEYOND if state.feed_stale else state.now - security.heard_at
        skew = abs(security.skew)
        equal = equal_orders(state, strategy, instrument, side * qty, price)
    return NOT_MEASURED, qty, notional, from_reference, behind_near, through_far, age, skew, equal


@njit(cache=True, inline="always")
def _measure_level(state, entry, strategy, instrument, level, side, qty, grown, added, reduces):
    """A level's numbers with the order in it, by Limit from LONG_POSITION on.

    ``grown`` is what the order adds to its strategy's exposure, ``added`` all of it, in money. Rates and ratios are
    compared here, without a division: BEYOND stands for a number that ``_first_beyond`` works out.
    """
    security = state.securities[instrument]
    if level == STRATEGY:
        own = state.positions[strategy, instrument]
        held, working, exposure = own.position, own.working_buy if side > 0 else own.working_sell, own.exposure
    else:
        holding = state.holdings[1 + state.slots[strategy].desk if level == DESK else 0, instrument]
        held, exposure = holding.position, holding.exposure
        working = holding.working_buy if side > 0 else holding.working_sell
    worst = side * held + working + qty
    adds = worst > 0
    grows = adds and grown > 0
    on_side = entry.buying if side > 0 else entry.selling
    rate, message_rate = entry.limit[ORDER_RATE], entry.limit[MESSAGE_RATE]
    orders = leaked(entry.order_bucket, entry.leaked_at, rate, state.now) + ONE
    messages = leaked(entry.message_bucket, entry.leaked_at, message_rate, state.now) + ONE
    too_many = entry.cancels * 1_000 > entry.limit[CANCEL_RATIO] * max(entry.orders, RATIO_ORDERS)
    return (
        worst if adds and side > 0 else NOT_MEASURED,
        worst if adds and side < 0 else NOT_MEASURED,
        entry.gross + grown if grows else NOT_MEASURED,
        max(side * entry.net + on_side + added, 0) if adds else NOT_MEASURED,
        exposure * security.mark + grown if grows else NOT_MEASURED,
        NOT_MEASURED if reduces else entry.day_loss,
        NOT_MEASURED if reduces else entry.drawdown,
        NOT_MEASURED if reduces or orders <= rate * ONE else BEYOND,
        NOT_MEASURED if reduces or messages <= message_rate * ONE else BEYOND,
        NOT_MEASURED if reduces or not too_many else BEYOND,
        NOT_MEASURED if reduces else entry.executions,
    )


@njit(cache=True)
def _first_beyond(state, entry, measured, at_level, level):
    """The refusal of a level that some number is beyond."""
    for limit in range(1, FIRST_OF_LEVEL):
        if measured[limit] > entry.limit[limit]:
            return limit, level, max(entry.limit[limit], 0), measured[limit]
    for limit in range(FIRST_OF_LEVEL, MEASURED + 1):
        if at_level[limit - FIRST_OF_LEVEL] > entry.limit[limit]:
            value = at_level[limit - FIRST_OF_LEVEL]
            if limit == ORDER_RATE:
                value = _in_bucket(entry.order_bucket, entry, limit, state.now)
            elif limit == MESSAGE_RATE:
                value = _in_bucket(entry.message_bucket, entry, limit, state.now)
            elif limit == CANCEL_RATIO:
                value = entry.cancels * 1_000 // max(entry.orders, RATIO_ORDERS)
            return limit, level, max(entry.limit[limit], 0), value
    return NONE, 0, 0, 0


@njit(cache=True)
def _in_bucket(bucket, entry, limit, now):
    """Orders or messages in a bucket with one more, those that have leaked in part counted whole."""
    return 1 + (leaked(bucket, entry.leaked_at, entry.limit[limit], now) + ONE - 1) // ONE


@njit(cache=True, inline="always")
def _permits(entry, instrument, venue, since_open):
    """Whether the level goes on, and has this instrument, this venue and this hour."""
    in_hours = (entry.hours_from <= since_open) & (since_open < entry.hours_until)
    listed = entry.instruments[instrument >> 6] >> (instrument & 63) & entry.venues >> venue & 1
    return in_hours & (listed == 1) & (entry.throttled == 0)


@njit(cache=True)
def _not_permitted(entry, instrument, level, venue, since_open):
    if entry.throttled:
        return EXECUTIONS, level, max(entry.limit[EXECUTIONS], 0), entry.executions
    if not entry.instruments[instrument >> 6] >> (instrument & 63) & 1:
        return INSTRUMENT, level, 0, instrument
    if not entry.venues >> venue & 1:
        return VENUE, level, entry.venues, venue
    return HOURS, level, entry.hours_until, since_open


@njit(cache=True, inline="always")
def _check_conditions(state, instrument, side, qty, price, venue, reduces):
    """What holds for the security and the market whatever the level."""
    market = state.market[instrument]
    security = state.securities[instrument]
    if not reduces:
        if security.restricted:
            return RESTRICTED, SYMBOL, 0, qty
        if market.bid >= market.ask and market.bid > 0 and market.ask > 0:
            return CROSSED_MARKET, SYMBOL, market.ask, market.bid
    firm = state.holdings[0, instrument]
    if side > 0:
        if firm.working_sell and price >= security.own_ask:
            return _check_own_orders(state, instrument, side, price, venue)
        return NONE, 0, 0, 0
    if sale_mark(state, instrument, side, qty, price) != LONG:
        if security.price_test and price <= market.bid:
            return PRICE_TEST, SYMBOL, market.bid, price
        if security.located + qty > security.locate:
            return LOCATE, SYMBOL, security.locate, security.located + qty
    if firm.working_buy and price <= security.own_bid:
        return _check_own_orders(state, instrument, side, price, venue)
    return NONE, 0, 0, 0


@njit(cache=True)
def _check_own_orders(state, instrument, side, price, venue):
    """``own_bid`` and ``own_ask`` are bounds over all venues: this looks at the orders themselves, and tightens the
    bound. Only those at ``venue`` can be met there."""
    best = there = 0
    for slot in range(len(state.orders)):
        order = state.orders[slot]
        if order.instrument == instrument and order.side == -side and is_open(order):
            best = order.price if best == 0 or (best - order.price) * side > 0 else best
            if order.venue == venue and (there == 0 or (there - order.price) * side > 0):
                there = order.price
    security = state.securities[instrument]
    if side > 0:
        security.own_ask = best
    else:
        security.own_bid = best
    if there and (price - there) * side >= 0:
        return SELF_TRADE, FIRM, there, price
    return NONE, 0, 0, 0


@njit(cache=True, inline="always")
def sale_mark(state, instrument, side, qty, price):
    """How the order is marked: a sell is long when the firm's position, as far as it is allotted here and no sell
    works on it, covers all of it (Rule 200(c), (g)). Under the price test a short sale above the best bid may be
    marked exempt (Rule 201(c))."""
    firm = state.holdings[0, instrument]
    security = state.securities[instrument]
    if side > 0 or qty <= firm.position + security.allotted - firm.working_sell:
        return LONG
    return SHORT_EXEMPT if security.price_test and price > state.market[instrument].bid else SHORT


@njit(cache=True)
def check(states, strategy, instrument, side, qty, price, venue):
    """``check_order`` for callers in Python: ``states`` is STATE[1]."""
    return check_order(states[0], strategy, instrument, side, qty, price, venue)
