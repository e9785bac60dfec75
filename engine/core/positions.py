"""Positions at average cost, and profit and loss, in integers.

Quantities in shares (negative is short), prices in 1/10,000, money in 1/10,000 of the currency. Each
division rounds toward the position's cost staying exact: what leaves ``cost`` on a close is what enters
``realised``, so that the sum of cash flows is always cost + realised to the last unit.
"""

from engine.core.compiled import njit


@njit(cache=True)
def apply_fill(position, side, price, qty, fee_per_share):
    """Books an execution of ``qty`` shares at ``price`` on ``side`` (+1 buy, -1 sell)."""
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
def book_fill(state, strategy, instrument, side, price, qty):
    """Books one of our executions. The hold that it ends is the caller's to release."""
    apply_fill(state.positions[strategy, instrument], side, price, qty, state.fee_per_share)


@njit(cache=True)
def unbook_fill(state, strategy, instrument, side, price, qty):
    """Undoes one: the same shares back at the same price, and its fee with them."""
    apply_fill(state.positions[strategy, instrument], -side, price, qty, 0)
    state.positions[strategy, instrument].fees -= state.fee_per_share * qty


@njit(cache=True, inline="always")
def average_cost(position):
    """In 1/10,000; 0 when flat."""
    return position.cost // position.position if position.position else 0


@njit(cache=True, inline="always")
def mark_price(market):
    """Mid while both sides are quoted, else the last trade, else the last close; 0 where there is none."""
    if market.bid > 0 and market.ask > 0:
        return (market.bid + market.ask) // 2
    return market.last if market.last > 0 else market.close


@njit(cache=True, inline="always")
def unrealised(position, mark):
    """What closing at ``mark`` would add to ``realised``."""
    return position.position * mark - position.cost


@njit(cache=True, inline="always")
def hold(state, strategy, instrument, side, qty):
    """Takes a hold before an order is sent (``qty`` > 0) or releases one (``qty`` < 0); sides never net."""
    position = state.positions[strategy, instrument]
    if side > 0:
        position.working_buy += qty
    else:
        position.working_sell += qty


@njit(cache=True, inline="always")
def worst_position(position, side, qty):
    """The largest absolute position on ``side`` if everything that works there and ``qty`` more were filled."""
    if side > 0:
        return position.position + position.working_buy + qty
    return position.working_sell + qty - position.position
