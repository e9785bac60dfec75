"""Parent orders: what a strategy wants of an instrument, and how far its children have brought it.

One parent a strategy and instrument at a time; a new target is a new parent. ``child`` is the order that works for it:
of a replace, the origin until the venue has answered.
"""

import numpy as np

from engine.core.compiled import njit
from engine.core.positions import mark_price

PARENT = np.dtype(
    [
        ("id", "<i8"),  # 0: there was none yet
        ("target", "<i8"),  # shares to hold, signed
        ("qty", "<i8"),  # shares to buy (+) or sell (-) when it began
        ("filled", "<i8"),  # of them, executed by its children
        ("child", "<i8"),  # order id, 0 for none
        ("refused", "<i8"),  # 1: not asked for again, until the target changes or the next session opens
        ("arrival_price", "<i8"),  # the mark when it began
        ("began", "<i8"),  # ns
    ]
)


@njit(cache=True)
def set_target(state, strategy, instrument, target):
    """A new target is a new parent order."""
    parent = state.parents[strategy, instrument]
    if parent.target == target:
        return
    parent.target = target
    parent.id = state.next_parent
    state.next_parent += 1
    parent.qty = target - state.positions[strategy, instrument].position
    parent.filled = 0
    parent.refused = 0
    parent.arrival_price = mark_price(state.market[instrument])
    parent.began = state.now
