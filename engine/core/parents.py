"""Parent orders: what a strategy wants of an instrument, and how far its children have brought it.

One parent a strategy and instrument at a time; a new target is a new parent. ``child`` is the newest order that works
for it, the others follow by their ``sibling``: of a replace, the origin until the venue has answered.
"""

from engine.core.cache_lines import in_lines
from engine.core.compiled import njit
from engine.core.exposure import mark_price
from engine.core.orders import order_by_id

PARENT = in_lines(
    [
        ("id", "<i8"),  # 0: there was none yet
        ("target", "<i8"),  # shares to hold, signed
        ("qty", "<i8"),  # shares to buy (+) or sell (-) when it began
        ("filled", "<i8"),  # of them, executed by its children
        ("child", "<i8"),  # order id, 0 for none
        ("refused", "<i8"),  # 1: not asked for again, until the target changes or the next session opens
        ("retry_at", "<i8"),  # ns: a refusal that passes by itself stands until then, 0 for one that does not
        ("arrival_price", "<i8"),  # the mark when it began
        ("began", "<i8"),  # ns
        ("schedule", "<i8"),  # 1 + slot of its schedule, 0 while there is none (``scheduling``)
        ("volume", "<i8"),  # shares that the market had traded in the session when its schedule began
        ("limit", "<i8"),  # how far the router goes: the far touch, until ``limit_until``
        ("limit_until", "<i8"),
        ("tried", "<i8"),  # a bit for each venue whose midpoint was tried at that limit
        ("left_out", "<i8"),  # a bit for each venue that has refused an order of it
    ]
)


@njit(cache=True, inline="always")
def forget_refusals(parent):
    """What was refused may be asked for again, at every venue."""
    parent.refused = parent.retry_at = parent.left_out = 0


@njit(cache=True)
def drop_schedule(state, parent):
    """The parent is not worked by its schedule any more; a new one begins with what is wanted next."""
    if parent.schedule:
        state.scheduled[parent.schedule - 1] = 0
        parent.schedule = 0


@njit(cache=True)
def set_target(state, strategy, instrument, target):
    """A new target is a new parent order."""
    parent = state.parents[strategy, instrument]
    if parent.target == target:
        return
    drop_schedule(state, parent)
    parent.target = target
    parent.id = state.next_parent
    state.next_parent += 1
    parent.qty = target - state.positions[strategy, instrument].position
    parent.filled = 0
    forget_refusals(parent)
    parent.arrival_price = mark_price(state.market[instrument])
    parent.began = state.now
    parent.limit = parent.limit_until = parent.tried = 0


@njit(cache=True)
def add_child(state, order):
    """The order works for its parent from here on."""
    parent = state.parents[order.strategy, order.instrument]
    child = parent.child
    while child:
        if child == order.order_id:
            return
        child = state.orders[order_by_id(state.orders, child)].sibling
    order.sibling = parent.child
    parent.child = order.order_id


@njit(cache=True)
def drop_child(state, order):
    """It has ended."""
    parent = state.parents[order.strategy, order.instrument]
    if parent.child == order.order_id:
        parent.child = order.sibling
        return
    child = parent.child
    while child:
        elder = state.orders[order_by_id(state.orders, child)]
        if elder.sibling == order.order_id:
            elder.sibling = order.sibling
            return
        child = elder.sibling
