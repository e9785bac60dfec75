"""Mean and deviation of a stream of values, kept up to date value by value.

*Rolling*: over the last n values, by Welford's update with removal (Welford 1962, "Note on a method for calculating
corrected sums of squares and products"); each ``LAPS`` times n values the sums are formed anew from the window, so that
what rounding leaves behind never adds up. *Exponential*: the newest value has the weight w, the one before it w (1 -
w), and so on (Finch 2009, "Incremental calculation of weighted mean and variance", section 9); the first 1 / w values
weigh alike, so that the beginning is not a special value. *Reversion*: the slope of x[t] - x[t-1] on x[t-1] - mean, of
which the half-life of a deviation is -ln 2 / ln(1 + slope), in values.
"""

import math

import numpy as np

from engine.core.compiled import njit

LAPS = 16


def rolling_dtype(capacity: int) -> np.dtype:
    """A window of at most ``capacity`` values; ``rolling_start`` makes it ready."""
    return np.dtype(
        [
            ("length", "<i8"),
            ("share", "<f8"),  # 1 / length
            ("freedom", "<f8"),  # 1 / (length - 1)
            ("count", "<i8"),
            ("next", "<i4"),
            ("laps", "<i4"),
            ("mean", "<f8"),
            ("squares", "<f8"),  # sum of squared deviations from the mean
            ("values", "<f8", (capacity,)),
        ]
    )


# A deviation of 1e-9 and less is rounding: log prices have no steps so small.
LEAST_VARIANCE = 1e-18

EXPONENTIAL = np.dtype([("count", "<i8"), ("mean", "<f8"), ("variance", "<f8")])
REVERSION = np.dtype([("last", "<f8"), ("squares", "<f8"), ("products", "<f8")])


@njit(cache=True)
def rolling_start(rolling, length):
    """An empty window of the last ``length`` values (at least 2)."""
    rolling.length, rolling.share, rolling.freedom = length, 1.0 / length, 1.0 / (length - 1)
    rolling.count = rolling.next = rolling.laps = 0
    rolling.mean = rolling.squares = 0.0


@njit(cache=True, inline="always")
def rolling_add(rolling, value):
    """Takes ``value`` in, and the oldest one out when the window is full."""
    if rolling.count < rolling.length:
        rolling.count += 1
        above = value - rolling.mean
        rolling.mean += above / rolling.count
        rolling.squares += above * (value - rolling.mean)
    else:
        old = rolling.values[rolling.next]
        mean = rolling.mean + (value - old) * rolling.share
        rolling.squares += (value - old) * (value - mean + old - rolling.mean)
        rolling.mean = mean
    rolling.values[rolling.next] = value
    rolling.next += 1
    if rolling.next == rolling.length:
        rolling.next = 0
        rolling.laps += 1
        if rolling.laps == LAPS:
            _sum_anew(rolling)


@njit(cache=True)
def _sum_anew(rolling):
    rolling.laps = 0
    total = 0.0
    for index in range(rolling.length):
        total += rolling.values[index]
    mean = total * rolling.share
    squares = 0.0
    for index in range(rolling.length):
        squares += (rolling.values[index] - mean) ** 2
    rolling.mean, rolling.squares = mean, squares


@njit(cache=True, inline="always")
def rolling_variance(rolling):
    """Of the sample (n - 1 degrees of freedom); 0.0 while the window is not full."""
    return rolling.squares * rolling.freedom if rolling.count == rolling.length else 0.0


@njit(cache=True, inline="always")
def exponential_add(moments, value, weight):
    """Takes ``value`` in with ``weight`` (over 0, at most 1)."""
    moments.count += 1
    share = weight
    if moments.count * weight < 1.0:
        share = 1.0 / moments.count
    above = value - moments.mean
    moments.mean += share * above
    moments.variance = (1.0 - share) * (moments.variance + share * above * above)


@njit(cache=True, inline="always")
def reversion_add(reversion, value, mean, weight):
    """Takes ``value`` in; ``mean`` is that of the values before it. Sums decay by ``weight``, as exponential
    moments."""
    away = reversion.last - mean
    reversion.squares += weight * (away * away - reversion.squares)
    reversion.products += weight * (away * (value - reversion.last) - reversion.products)
    reversion.last = value


@njit(cache=True)
def half_life(reversion):
    """In values; infinite where nothing reverts, 0 where a deviation does not outlast one value."""
    if reversion.products >= 0.0 or reversion.squares <= 0.0:
        return math.inf
    remains = 1.0 + reversion.products / reversion.squares
    return -math.log(2.0) / math.log(remains) if remains > 0.0 else 0.0
