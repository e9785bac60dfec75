"""Positions at average cost and first in, first out, and profit and loss, in integers.

Quantities in shares (negative is short), prices in 1/10,000, money in 1/10,000 of the currency. Each
division rounds toward the position's cost staying exact: what leaves ``cost`` on a close is what enters
``realised``, so that the sum of cash flows is always cost + realised to the last unit.

Both ways of accounting hold the same shares; they differ in which cost a close releases. A position has room for LOTS
lots: a fill that finds none free goes into the newest lot, at their joint cost, and is counted (``merged``), so that
shares and money stay exact and only the order of costs is coarser.
"""

from engine.core.capacities import LOTS, VENUES
from engine.core.compiled import njit
from engine.core.exposure import carry_fill, carry_hold
from engine.core.exposure import mark_price as mark_price

# Executed, "Liquidity Flag" (OUCH 5.0, appendix): the letters of shares that were added to the book.
ADDED, ADDED_HIDDEN, ADDED_MIDPOINT = ord("A"), ord("J"), ord("k")
IMPROVED, JOINED = ord("7"), ord("8")
EXECUTED, UNDONE, BY_HAND = 1, -1, 0
MILLION, HALF_A_MILLION = 1_000_000, 500_000


@njit(cache=True)
def apply_fill(position, side, price, qty, fee_per_share):
    """Books an execution of ``qty`` shares at ``price`` on ``side`` (+1 buy, -1 sell) at average cost."""
    held = position.position
    closing = min(qty, abs(held)) if held * side < 0 else 0
    if closing:
        released = position.cost * closing // abs(held) if closing < abs(held) else position.cost
        position.cost -= released
        position.realised -= side * price * closing + released
    position.cost += side * price * (qty - closing)
    position.position = held + side * qty
    position.fees += fee_per_share * qty


@njit(cache=True)
def apply_to_lots(lots, side, price, qty):
    """Books the same execution against the oldest lots; returns what it realised. ``lots`` is a LOT_RING."""
    realised = 0
    while qty > 0 and lots.count > 0 and lots.qty[lots.first] * side < 0:
        oldest = lots.first
        held = abs(lots.qty[oldest])
        closing = min(qty, held)
        released = lots.cost[oldest] * closing // held if closing < held else lots.cost[oldest]
        lots.cost[oldest] -= released
        lots.qty[oldest] += side * closing
        realised -= side * price * closing + released
        qty -= closing
        if closing == held:
            lots.first = (oldest + 1) % LOTS
            lots.count -= 1
    if qty > 0:
        _add_lot(lots, side * qty, side * price * qty)
    return realised


@njit(cache=True, inline="always")
def _add_lot(lots, qty, cost):
    if lots.count == LOTS:
        lots.merged += 1
    else:
        fresh = (lots.first + lots.count) % LOTS
        lots.qty[fresh] = 0
        lots.cost[fresh] = 0
        lots.count += 1
    newest = (lots.first + lots.count - 1) % LOTS
    lots.qty[newest] += qty
    lots.cost[newest] += cost


@njit(cache=True, inline="always")
def fee_a_share(commission, venue_fees, venue, liquidity):
    """Commission and the venue's fee, or rebate where it is negative, by the execution's liquidity flag."""
    fee = venue_fees[venue if 0 <= venue < VENUES else 0]
    added = liquidity in (ADDED, ADDED_HIDDEN, ADDED_MIDPOINT, IMPROVED, JOINED)
    return commission + (fee.adding if added else fee.taking)


@njit(cache=True, inline="always")
def charge_on_value(position, value, commission_ppm):
    """Books a commission in millionths of ``value``, negative to give one back. What rounding to 1/10,000 leaves is
    carried to the next one, so that any number of them comes to their exact sum, rounded once.
    """
    parts = position.fee_parts + value * commission_ppm
    whole = (parts + HALF_A_MILLION) // MILLION
    position.fees += whole
    position.fee_parts = parts - whole * MILLION


@njit(cache=True)
def book_fill(state, strategy, instrument, side, price, qty, venue, liquidity):
    """Books one of our executions. The hold that it ends is the caller's to release."""
    fee = fee_a_share(state.fee_per_share, state.venue_fees, venue, liquidity)
    book_at_fee(state, strategy, instrument, side, price, qty, fee, EXECUTED)


@njit(cache=True)
def book_at_fee(state, strategy, instrument, side, price, qty, fee, charged):
    """``fee`` is a share's; ``charged`` says what is booked: EXECUTED, UNDONE (fees come back) or BY_HAND (none)."""
    own = state.positions[strategy, instrument]
    position, cost, realised, fees = own.position, own.cost, own.realised, own.fees
    apply_fill(own, side, price, qty, charged * fee)
    charge_on_value(own, charged * price * qty, state.commission_ppm)
    own.fifo_realised += apply_to_lots(state.lots[strategy, instrument], side, price, qty)
    carry_fill(
        state,
        strategy,
        instrument,
        own.position - position,
        own.cost - cost,
        own.realised - realised,
        own.fees - fees,
    )


@njit(cache=True, inline="always")
def average_cost(position):
    """In 1/10,000; 0 when flat."""
    return position.cost // position.position if position.position else 0


@njit(cache=True, inline="always")
def unrealised(position, mark):
    """What closing at ``mark`` would add to ``realised``."""
    return position.position * mark - position.cost


@njit(cache=True)
def hold(state, strategy, instrument, side, qty):
    """Takes a hold before an order is sent (``qty`` > 0) or releases one (``qty`` < 0); sides never net."""
    position = state.positions[strategy, instrument]
    buys, sells = (qty, 0) if side > 0 else (0, qty)
    position.working_buy += buys
    position.working_sell += sells
    carry_hold(state, strategy, instrument, buys, sells)


@njit(cache=True, inline="always")
def worst_position(position, side, qty):
    """The largest absolute position on ``side`` if everything that works there and ``qty`` more were filled."""
    if side > 0:
        return position.position + position.working_buy + qty
    return position.working_sell + qty - position.position
