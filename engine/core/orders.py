"""The order table and the one table of legal moves.

An order's slot is its id modulo the table's size; an id whose slot still holds an open order is skipped,
so memory is bounded and ids (OUCH's UserRefNum) only ever grow. Orders that are done stay in their slot
until it is needed again, so that a late report still finds its order.
"""

from enum import IntEnum

import numpy as np
from numba import njit

from engine.core.activity import return_locate
from engine.core.positions import hold


class OrderState(IntEnum):
    FREE = 0
    PENDING_NEW = 1
    LIVE = 2
    PARTIALLY_FILLED = 3
    PENDING_CANCEL = 4
    FILLED = 5
    CANCELLED = 6
    REJECTED = 7


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


ILLEGAL = 0
_S, _R = OrderState, Report
_LEGAL = {
    (_S.PENDING_NEW, _R.ACCEPTED): _S.LIVE,
    (_S.PENDING_NEW, _R.PARTIAL_FILL): _S.PARTIALLY_FILLED,  # fill before acknowledgement
    (_S.PENDING_NEW, _R.FULL_FILL): _S.FILLED,
    (_S.PENDING_NEW, _R.CANCELED): _S.CANCELLED,
    (_S.PENDING_NEW, _R.REJECTED): _S.REJECTED,
    (_S.PENDING_NEW, _R.CANCEL_SENT): _S.PENDING_CANCEL,
    (_S.LIVE, _R.PARTIAL_FILL): _S.PARTIALLY_FILLED,
    (_S.LIVE, _R.FULL_FILL): _S.FILLED,
    (_S.LIVE, _R.PART_CANCELED): _S.LIVE,
    (_S.LIVE, _R.CANCELED): _S.CANCELLED,
    (_S.LIVE, _R.CANCEL_SENT): _S.PENDING_CANCEL,
    (_S.PARTIALLY_FILLED, _R.ACCEPTED): _S.PARTIALLY_FILLED,  # acknowledgement after the fill it belongs to
    (_S.PARTIALLY_FILLED, _R.PARTIAL_FILL): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _R.FULL_FILL): _S.FILLED,
    (_S.PARTIALLY_FILLED, _R.PART_CANCELED): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _R.CANCELED): _S.CANCELLED,
    (_S.PARTIALLY_FILLED, _R.CANCEL_SENT): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _R.ACCEPTED): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _R.PARTIAL_FILL): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _R.FULL_FILL): _S.FILLED,
    (_S.PENDING_CANCEL, _R.PART_CANCELED): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _R.CANCELED): _S.CANCELLED,
    (_S.PENDING_CANCEL, _R.REJECTED): _S.REJECTED,
    (_S.PENDING_CANCEL, _R.CANCEL_IN_DOUBT): _S.LIVE,
    (_S.FILLED, _R.ACCEPTED): _S.FILLED,  # acknowledgement after the fill that ended it
}


def _move_table() -> np.ndarray:
    table = np.full((len(OrderState), len(Report)), ILLEGAL, np.int8)
    for (state, report), new in _LEGAL.items():
        table[state, report] = new
    return table


MOVES = _move_table()

PENDING_NEW = int(_S.PENDING_NEW)
PENDING_CANCEL = int(_S.PENDING_CANCEL)
FILLED = int(_S.FILLED)
REPORT_CANCEL_SENT = int(_R.CANCEL_SENT)


@njit(cache=True, inline="always")
def is_open(order):
    """Whether the venue may still execute it."""
    return PENDING_NEW <= order.state <= PENDING_CANCEL


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


@njit(cache=True, inline="always")
def move(order, report):
    """Applies ``report`` to the order's state; False, and nothing changed, when the move is not legal."""
    new = MOVES[order.state, report]
    if new == ILLEGAL:
        return False
    order.state = new
    return True


@njit(cache=True)
def release(state, order):
    """Releases the hold of what the order will no longer execute."""
    hold(state, order.strategy, order.instrument, order.side, -leaves(order))
    return_locate(state, order.instrument, leaves(order), order.mark)
    position = state.positions[order.strategy, order.instrument]
    if position.child == order.order_id:
        position.child = 0
