"""The order table and the one table of legal moves.

An order's slot is its id modulo the table's size; an id whose slot still holds an open order is skipped,
so memory is bounded and ids (OUCH's UserRefNum) only ever grow. Orders that are done stay in their slot
until it is needed again, so that a late report still finds its order.

A replace is an order of its own that names the one it is to replace (``origin``, and there ``successor``). Until the
venue has answered, both are open, and together they hold the larger of the two: the origin what it has left, the
successor what it wants beyond that. ``held`` is what an order's hold counts now; the holds of a position's side are
always the sum over its open orders.
"""

from enum import IntEnum

import numpy as np

from engine.core.activity import return_locate
from engine.core.cache_lines import in_lines
from engine.core.compiled import njit
from engine.core.positions import hold


class OrderState(IntEnum):
    """What an order is. The first that are not FREE are open: the venue may still execute them."""

    FREE = 0
    PENDING_NEW = 1
    LIVE = 2
    PARTIALLY_FILLED = 3
    PENDING_CANCEL = 4
    PENDING_REPLACE = 5
    SUSPENDED = 6  # the venue keeps it, and does not match it
    FILLED = 7
    CANCELLED = 8
    REJECTED = 9
    REPLACED = 10
    EXPIRED = 11
    DONE_FOR_DAY = 12


class Report(IntEnum):
    """What can happen to an order."""

    ACCEPTED = 0
    PARTIAL_FILL = 1
    FULL_FILL = 2
    PART_CANCELED = 3
    CANCELED = 4
    REJECTED = 5
    CANCEL_SENT = 6
    CANCEL_IN_DOUBT = 7  # the session came back; whether the cancel arrived is not known, so it is sent again
    CANCEL_REJECTED = 8
    REPLACE_SENT = 9
    REPLACED = 10
    REPLACE_REJECTED = 11  # or it never arrived
    EXPIRED = 12
    DONE_FOR_DAY = 13
    SUSPENDED = 14
    RESUMED = 15


ILLEGAL = 0
_S, _R = OrderState, Report
_WORKING = (_S.LIVE, _S.PARTIALLY_FILLED)
_LEGAL = {
    (_S.PENDING_NEW, _R.ACCEPTED): _S.LIVE,
    (_S.PENDING_NEW, _R.PARTIAL_FILL): _S.PARTIALLY_FILLED,  # fill before acknowledgement
    (_S.PENDING_NEW, _R.PART_CANCELED): _S.LIVE,
    (_S.PENDING_NEW, _R.REJECTED): _S.REJECTED,
    (_S.LIVE, _R.PARTIAL_FILL): _S.PARTIALLY_FILLED,
    (_S.LIVE, _R.PART_CANCELED): _S.LIVE,
    (_S.PARTIALLY_FILLED, _R.ACCEPTED): _S.PARTIALLY_FILLED,  # acknowledgement after the fill it belongs to
    (_S.PARTIALLY_FILLED, _R.PARTIAL_FILL): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _R.PART_CANCELED): _S.PARTIALLY_FILLED,
    **{(state, _R.REPLACE_SENT): _S.PENDING_REPLACE for state in _WORKING},
    **{(state, _R.SUSPENDED): _S.SUSPENDED for state in _WORKING},
    (_S.PENDING_CANCEL, _R.REJECTED): _S.REJECTED,  # the order itself, whose cancel followed at once
    (_S.PENDING_CANCEL, _R.CANCEL_REJECTED): _S.LIVE,
    (_S.PENDING_CANCEL, _R.CANCEL_IN_DOUBT): _S.LIVE,
    (_S.PENDING_CANCEL, _R.REPLACED): _S.REPLACED,  # a cancel that overtook the answer to a replace
    (_S.PENDING_CANCEL, _R.REPLACE_REJECTED): _S.PENDING_CANCEL,
    (_S.PENDING_REPLACE, _R.REPLACED): _S.REPLACED,
    (_S.PENDING_REPLACE, _R.REPLACE_REJECTED): _S.LIVE,
    (_S.SUSPENDED, _R.RESUMED): _S.LIVE,
    # A report that was on its way stays where the order is: acknowledged, executed or cut while an answer is awaited.
    **{
        (state, report): state
        for state in (_S.PENDING_CANCEL, _S.PENDING_REPLACE, _S.SUSPENDED)
        for report in (_R.ACCEPTED, _R.PARTIAL_FILL, _R.PART_CANCELED)
    },
    # What ends an open order, whatever it waits for.
    **{
        (state, report): end
        for state in (_S.PENDING_NEW, *_WORKING, _S.PENDING_CANCEL, _S.PENDING_REPLACE, _S.SUSPENDED)
        for report, end in (
            (_R.FULL_FILL, _S.FILLED),
            (_R.CANCELED, _S.CANCELLED),
            (_R.EXPIRED, _S.EXPIRED),
            (_R.DONE_FOR_DAY, _S.DONE_FOR_DAY),
        )
    },
    **{
        (state, _R.CANCEL_SENT): _S.PENDING_CANCEL
        for state in (_S.PENDING_NEW, *_WORKING, _S.PENDING_REPLACE, _S.SUSPENDED)
    },
    # Late answers to an order that has ended: too late to cancel or to replace, acknowledged after its fill.
    (_S.FILLED, _R.ACCEPTED): _S.FILLED,
    **{
        (state, report): state
        for state in (_S.FILLED, _S.CANCELLED, _S.REPLACED, _S.EXPIRED, _S.DONE_FOR_DAY)
        for report in (_R.CANCEL_REJECTED, _R.REPLACE_REJECTED)
    },
    # A fill that crossed the order's end on its way here.
    **{
        (state, report): state
        for state in (_S.CANCELLED, _S.REPLACED, _S.EXPIRED, _S.DONE_FOR_DAY)
        for report in (_R.PARTIAL_FILL, _R.FULL_FILL)
    },
}


def _move_table() -> np.ndarray:
    table = np.full((len(OrderState), len(Report)), ILLEGAL, np.int8)
    for (state, report), new in _LEGAL.items():
        table[state, report] = new
    return table


MOVES = _move_table()

PENDING_NEW, LIVE, PARTIALLY_FILLED = int(_S.PENDING_NEW), int(_S.LIVE), int(_S.PARTIALLY_FILLED)
PENDING_CANCEL, PENDING_REPLACE = int(_S.PENDING_CANCEL), int(_S.PENDING_REPLACE)
SUSPENDED = int(_S.SUSPENDED)
LAST_OPEN = SUSPENDED
REPORT_CANCEL_SENT, REPORT_REPLACE_SENT = int(_R.CANCEL_SENT), int(_R.REPLACE_SENT)

NOT_YET, KNOWN, MISSING = 0, 1, 2

# Prices in 1/10,000, quantities in shares, times in ns.
ORDER = in_lines(
    [
        ("order_id", "<i8"),
        ("parent", "<i8"),
        ("price", "<i8"),
        ("qty", "<i8"),
        ("filled", "<i8"),
        ("held", "<i8"),
        ("before", "<i8"),  # shares that those it replaces had executed
        ("origin", "<i8"),  # the order that it replaces, 0 for none
        ("successor", "<i8"),  # the order that is to replace it, 0 for none
        ("sent_at", "<i8"),
        ("sibling", "<i8"),  # the next open child of its parent, 0 for none
        ("asked", "<i8"),  # shares, as it was sent
        ("seen", "<i8"),  # VENUE_QUOTE's ``changes`` then
        ("instrument", "<i4"),
        ("strategy", "<i4"),
        ("state", "<i2"),
        ("side", "<i2"),
        ("mark", "<i2"),  # Mark: how a sell is marked
        ("venue", "<i2"),
        ("action", "<i2"),  # router_records.Action
        ("immediate", "<i2"),  # 1: the venue ends what it cannot execute at once
        ("unanswered", "<i2"),  # 1 while its venue has said nothing of it since it was sent something of it
        ("known", "<i2"),  # to its venue: NOT_YET, KNOWN, or MISSING after a login
    ]
)


@njit(cache=True, inline="always")
def is_open(order):
    """Whether the venue may still execute it."""
    return PENDING_NEW <= order.state <= LAST_OPEN


@njit(cache=True, inline="always")
def leaves(order):
    """Shares still to be executed or cancelled."""
    return order.qty - order.filled


@njit(cache=True)
def order_by_id(orders, order_id):
    """Slot of ``order_id``, or -1 when the table does not hold it."""
    slot = order_id & (len(orders) - 1)
    return slot if order_id > 0 and orders[slot].order_id == order_id else -1


@njit(cache=True)
def free_order_id(orders, next_id):
    """The next id whose slot can be used, or -1 when every slot holds an open order."""
    for candidate in range(next_id, next_id + len(orders)):
        if not is_open(orders[candidate & (len(orders) - 1)]):
            return candidate
    return -1


@njit(cache=True)
def has_room(state):
    """Whether another order fits the table."""
    return free_order_id(state.orders, state.next_order_id) >= 0


@njit(cache=True)
def cut(state, order, shares):
    """Takes ``shares`` off what an order still asks for, and gives the locate of a short sale back."""
    order.qty -= shares
    return_locate(state, order.instrument, shares, order.mark)


@njit(cache=True, inline="always")
def move(order, report):
    """Applies ``report`` to the order's state; False, and nothing changed, when the move is not legal."""
    new = MOVES[order.state, report]
    if new == ILLEGAL:
        return False
    order.state = PARTIALLY_FILLED if new == LIVE and order.filled > 0 else new
    return True


@njit(cache=True)
def hold_for(state, order, shares):
    """Makes ``shares`` what the order's hold counts."""
    hold(state, order.strategy, order.instrument, order.side, shares - order.held)
    order.held = shares


@njit(cache=True)
def open_order(state, strategy, instrument, side, qty, price, parent, mark, venue):
    """A new order in the table, with its hold; its slot, or -1 when every slot holds an open order."""
    order_id = free_order_id(state.orders, state.next_order_id)
    if order_id < 0:
        return -1
    state.next_order_id = order_id + 1
    slot = order_id & (len(state.orders) - 1)
    order = state.orders[slot]
    order.order_id = order_id
    order.parent = parent
    order.price = price
    order.qty = qty
    order.filled = 0
    order.held = 0
    order.before = 0
    order.origin = 0
    order.successor = 0
    order.sent_at = state.now
    order.sibling = 0
    order.asked = qty
    order.seen = 0
    order.instrument = instrument
    order.strategy = strategy
    order.state = PENDING_NEW
    order.side = side
    order.mark = mark
    order.venue = venue
    order.action = order.immediate = order.unanswered = 0
    order.known = NOT_YET
    hold_for(state, order, qty)
    return slot


@njit(cache=True)
def open_successor(state, order, qty, price, mark):
    """An order for ``qty`` shares that is to replace ``order``; its slot, or -1. It holds what it wants beyond that."""
    where = order.strategy, order.instrument, order.side
    slot = open_order(state, *where, qty, price, order.parent, mark, order.venue)
    if slot >= 0:
        successor = state.orders[slot]
        successor.before = order.before + order.filled
        successor.origin = order.order_id
        successor.action = order.action
        order.successor = successor.order_id
        hold_for(state, successor, max(qty - leaves(order), 0))
    return slot
