"""Sums, counts, extremes of what came within the last t, in fixed memory.

The time is cut into panes of ``span / PANES``; a window is the pane that runs and the ``PANES - 1`` before it (Li et
al. 2005, "No pane, no gain: efficient evaluation of sliding-window aggregates over data streams"). So it reaches back
by more than ``span - span / PANES`` and never by ``span`` or more.
"""

from enum import IntEnum

import numpy as np

from engine.core.compiled import njit

PANES = 16


class Aggregate(IntEnum):
    """What a window says of its values; without any, 0."""

    COUNT = 0
    SUM = 1
    MEAN = 2
    MIN = 3
    MAX = 4


COUNT, SUM, MEAN = int(Aggregate.COUNT), int(Aggregate.SUM), int(Aggregate.MEAN)
MIN = int(Aggregate.MIN)

WINDOW_STATE = np.dtype([("pane", "<i8"), ("counts", "<i4", (PANES,)), ("values", "<f8", (PANES,))])


@njit(cache=True)
def window_move(window, now, span):
    """Empties the panes that ``now`` (ns) has left behind; returns the index of the one that runs."""
    pane = now // (span // PANES)
    gone = pane - window.pane
    if gone > 0:
        for step in range(min(gone, PANES)):
            index = (pane - step) % PANES
            window.counts[index] = 0
            window.values[index] = 0.0
        window.pane = pane
    return pane % PANES


@njit(cache=True)
def window_add(window, value, now, span, aggregate):
    index = window_move(window, now, span)
    if window.counts[index] == 0:
        window.values[index] = value
    elif aggregate <= MEAN:
        window.values[index] += value
    elif aggregate == MIN:
        window.values[index] = min(window.values[index], value)
    else:
        window.values[index] = max(window.values[index], value)
    window.counts[index] += 1


@njit(cache=True)
def window_value(window, now, span, aggregate):
    window_move(window, now, span)
    count = 0
    value = 0.0
    for index in range(PANES):
        if window.counts[index] == 0:
            continue
        if count == 0:
            value = window.values[index]
        elif aggregate <= MEAN:
            value += window.values[index]
        elif aggregate == MIN:
            value = min(value, window.values[index])
        else:
            value = max(value, window.values[index])
        count += window.counts[index]
    if aggregate == COUNT:
        return float(count)
    return value / count if aggregate == MEAN and count else value
