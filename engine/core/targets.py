"""From what a strategy wants to orders: with one venue, one working child a strategy and instrument.

The child is a day order at the far touch: it takes what is displayed there and rests with the remainder.
When the touch has moved away and ``reprice_after`` has passed, it is replaced by one at the new touch. A limit's
refusal ends the attempt until the target changes or the next session opens; one that passes by itself (a rate, an old
quote) ends it for ``reprice_after``. A position that is more than one order may ask for is taken down in several. Of a
strategy with a plan the child is a slice that the parent's schedule releases (``scheduling``). Where there are several
venues, the children are the router's (``routing``).
"""

from engine.core.bits import fetch
from engine.core.breaks import is_broken
from engine.core.compiled import njit
from engine.core.kill import CANCEL, DISCONNECT, PAUSE, shares_permitted
from engine.core.kill import FLATTEN as KILL_FLATTEN
from engine.core.limits import shares_in_one_order
from engine.core.orders import LIVE, PARTIALLY_FILLED, leaves, order_by_id
from engine.core.risk_record import SYMBOL_LEVELS
from engine.core.routing import level_to_work, work_routed
from engine.core.scheduling import end_schedule, is_over, shares_to_send
from engine.core.sending import cancel_order, passes, replace_order, send_order
from engine.core.state import Phase, StrategyState

VENUE = 0  # where there is only one
DAY = 0
OPEN = int(Phase.OPEN)
RUNNING = int(StrategyState.RUNNING)
FLATTENING = int(StrategyState.FLATTENING)
NO_STRATEGY = int(StrategyState.NONE)


@njit(cache=True)
def work_instrument(state, out, instrument):
    """Moves every strategy's position in ``instrument`` one order closer to its target."""
    if _may_trade(state, instrument):
        for strategy in range(len(state.slots)):
            if state.slots[strategy].state != NO_STRATEGY:
                _work_target(state, out, strategy, instrument)


@njit(cache=True)
def work_target(state, out, strategy, instrument):
    """The same of one strategy, whose kernel has just set a target."""
    if _may_trade(state, instrument):
        _work_target(state, out, strategy, instrument)


@njit(cache=True, inline="always")
def expect(state, strategy, instrument):
    """Fetches at once all that an order in ``instrument`` looks at, which would else be waited for piece by piece."""
    fetch(state.parents[strategy, instrument])
    fetch(state.positions[strategy, instrument])
    fetch(state.market[instrument])
    fetch(state.securities[instrument])
    fetch(state.levels[SYMBOL_LEVELS + instrument])
    fetch(state.holdings[0, instrument])
    fetch(state.holdings[1 + state.slots[strategy].desk, instrument])
    fetch(state.breaks[instrument])


@njit(cache=True)
def _may_trade(state, instrument):
    market = state.market[instrument]
    if state.phase != OPEN or not state.venue_up or state.feed_stale or not market.trading or market.venue_halted:
        return False
    return not is_broken(state, instrument)


@njit(cache=True)
def _work_target(state, out, strategy, instrument):
    running = state.slots[strategy].state
    level = level_to_work(state, strategy, instrument)
    if level in (PAUSE, CANCEL, DISCONNECT):
        return  # what is to be cancelled there, the kill and each timer after it ask for
    if running != RUNNING and running != FLATTENING and level != KILL_FLATTEN:  # noqa: PLR1714
        return
    at_once = level == KILL_FLATTEN  # no schedule holds that up
    parent = state.parents[strategy, instrument]
    wanted = shares_permitted(level, parent.target, state.positions[strategy, instrument].position)
    if state.venue_count > 1:
        work_routed(state, out, strategy, instrument, wanted, level)
        return
    if parent.retry_at and state.now >= parent.retry_at:
        parent.refused = parent.retry_at = 0
    market = state.market[instrument]
    if parent.child:
        _review_child(state, out, parent, market, wanted, at_once)
        return
    if wanted == 0:
        end_schedule(state, out, strategy, instrument)
    if wanted == 0 or parent.refused or (parent.id == 0 and not at_once):
        return
    side = 1 if wanted > 0 else -1
    touch = market.ask if side > 0 else market.bid
    if touch > 0:
        qty = abs(wanted) if at_once else shares_to_send(state, out, strategy, instrument, abs(wanted), 0)
        qty = shares_in_one_order(state, strategy, instrument, side, qty, touch)
        if qty > 0 and passes(state, out, strategy, instrument, side, qty, touch, VENUE):
            send_order(state, out, strategy, instrument, side, qty, touch, VENUE, DAY)


@njit(cache=True)
def _review_child(state, out, parent, market, wanted, at_once):
    """Cancels the child when it points the wrong way, replaces it when it rests behind a touch that has moved."""
    order = state.orders[order_by_id(state.orders, parent.child)]
    if wanted * order.side <= 0 or (not at_once and is_over(state, order.strategy, order.instrument)):
        cancel_order(state, out, order)
        return
    touch = market.ask if order.side > 0 else market.bid
    moved_away = touch > 0 and (touch - order.price) * order.side > 0
    waited = state.now - order.sent_at >= state.reprice_after
    if moved_away and waited and not parent.refused and (order.state == LIVE or order.state == PARTIALLY_FILLED):
        qty = abs(wanted)
        if not at_once:
            working = min(leaves(order), qty)
            qty = working + shares_to_send(state, out, order.strategy, order.instrument, qty, working)
        replace_order(state, out, order, qty, touch)


@njit(cache=True)
def cancel_working(state, out, strategy):
    """Cancels every open order of one strategy."""
    for instrument in range(state.instruments):
        child = state.parents[strategy, instrument].child
        while child:
            order = state.orders[order_by_id(state.orders, child)]
            cancel_order(state, out, order)
            child = order.sibling
