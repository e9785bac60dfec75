"""Spreads of pairs on the stream: hedge ratio, mean and deviation, z-score, half-life, stance; hundreds at once.

``spread = log(a) - hedge_ratio * (log(b) - reference) - intercept``, prices in the currency. The hedge ratio is
*static* (as the formation has it) or follows a *Kalman* filter whose state is (hedge ratio, intercept), a random walk;
the spread is then the filter's innovation. After Chan (2013), "Algorithmic Trading", chapter 3; ``reference`` is the
log price of b when the filter began, which takes the correlation between the two states away.

The z-score sets a spread against the mean and deviation of the samples *before* it. Each move of a price gives a
new z-score and stance; samples are taken at most one in ``interval`` ns, so that a pair's statistics are of time, not
of how busy the market is (0: each update is a sample).
"""

import math
from enum import IntEnum

import numpy as np

from engine.core.compiled import njit
from engine.core.signals.moments import (
    EXPONENTIAL,
    LEAST_VARIANCE,
    REVERSION,
    exponential_add,
    reversion_add,
    rolling_add,
    rolling_dtype,
    rolling_variance,
)

WINDOW = 64  # samples that a rolling window may hold
UNKNOWN = -1e300  # a log price that is not known yet


class Hedge(IntEnum):
    STATIC = 0
    KALMAN = 1


class Statistics(IntEnum):
    ROLLING = 0
    EXPONENTIAL = 1


KALMAN = int(Hedge.KALMAN)
ROLLING = int(Statistics.ROLLING)

# Times in ns, z-scores in deviations, ``lookback`` in samples.
PAIR_SETTINGS = np.dtype(
    [
        ("hedge", "<i8"),
        ("statistics", "<i8"),
        ("lookback", "<i8"),  # of the rolling window (at most WINDOW), and samples before there is a z-score
        ("interval", "<i8"),
        ("weight", "<f8"),  # of the newest sample, in exponential moments and in the reversion
        ("state_noise", "<f8"),  # variance that hedge ratio and intercept gain a sample
        ("spread_noise", "<f8"),  # variance of a spread around its filter
        ("entry", "<f8"),
        ("exit", "<f8"),
        ("stop", "<f8"),
    ]
)

# ``stance`` is +1 long the spread, -1 short, 0 flat; ``stopped`` keeps a pair out until the spread has come back.
PAIR = np.dtype(
    [
        ("a", "<i4"),
        ("b", "<i4"),
        ("hedge_ratio", "<f8"),
        ("intercept", "<f8"),
        ("reference", "<f8"),
        ("spread", "<f8"),
        ("away", "<f8"),  # spread less the mean that it is set against
        ("variance", "<f8"),  # that it is set against; 0 while there is no z-score
        ("stance", "<i4"),
        ("stopped", "<i4"),
        ("next_sample", "<i8"),
        ("hedge_variance", "<f8"),
        ("covariance", "<f8"),
        ("intercept_variance", "<f8"),
        ("exponential", EXPONENTIAL),
        ("reversion", REVERSION),
        ("rolling", rolling_dtype(WINDOW)),
    ]
)


def pairs_dtype(pairs: int, instruments: int) -> np.dtype:
    """Up to ``pairs`` of them over ``instruments``. ``index_pairs`` makes ready what a formation has filled in."""
    return np.dtype(
        [
            ("count", "<i8"),
            ("first", "<i4", (instruments + 2,)),  # of ``touching``, by instrument
            ("touching", "<i4", (2 * pairs,)),  # pairs that an instrument is a leg of
            ("logs", "<f8", (instruments,)),
            ("changed", "<i4", (pairs,)),  # those whose stance the last `on_price` has changed
            ("pair", PAIR, (pairs,)),
        ]
    )


@njit(cache=True)
def index_pairs(pairs):
    """After ``count`` and the pairs' legs have been set: which pairs an instrument touches. Forgets all prices."""
    pairs.logs[:] = UNKNOWN
    first = pairs.first
    first[:] = 0
    for index in range(pairs.count):
        first[pairs.pair[index].a + 2] += 1
        first[pairs.pair[index].b + 2] += 1
    for instrument in range(2, len(first)):
        first[instrument] += first[instrument - 1]
    for index in range(pairs.count):
        pair = pairs.pair[index]
        for leg in (pair.a, pair.b):
            pairs.touching[first[leg + 1]] = index
            first[leg + 1] += 1


@njit(cache=True)
def on_price(pairs, instrument, log_price, now, settings):
    """The price of an instrument is another one: moves its pairs on.

    Returns (pairs updated, pairs whose stance has changed); ``pairs.changed`` names the latter.
    """
    pairs.logs[instrument] = log_price
    updated = changed = 0
    for position in range(pairs.first[instrument], pairs.first[instrument + 1]):
        index = pairs.touching[position]
        pair = pairs.pair[index]
        log_a, log_b = pairs.logs[pair.a], pairs.logs[pair.b]
        if log_a == UNKNOWN or log_b == UNKNOWN:
            continue
        stance = pair.stance
        update_pair(pair, log_a, log_b, now, settings)
        updated += 1
        if pair.stance != stance:
            pairs.changed[changed] = index
            changed += 1
    return updated, changed


@njit(cache=True, inline="always")
def update_pair(pair, log_a, log_b, now, settings):
    """New prices of one pair: spread and stance, and a sample when one is due. No root and no division: a z-score is
    only made where it is asked for (`z_score`), and squares are compared with squares."""
    beside = log_b - pair.reference
    spread = log_a - pair.hedge_ratio * beside - pair.intercept
    if settings.statistics == ROLLING:
        mean, variance = pair.rolling.mean, rolling_variance(pair.rolling)
    else:
        mean, variance = pair.exponential.mean, pair.exponential.variance
        if pair.exponential.count < settings.lookback:
            variance = 0.0
    pair.spread, pair.away, pair.variance = spread, spread - mean, variance
    if variance > LEAST_VARIANCE:
        pair.stance, pair.stopped = next_stance(pair.stance, pair.stopped, spread - mean, variance, settings)
    if now >= pair.next_sample:
        pair.next_sample = now + settings.interval
        if settings.hedge == KALMAN:
            _filter(pair, spread, beside, settings)
        reversion_add(pair.reversion, spread, pair.exponential.mean, settings.weight)
        exponential_add(pair.exponential, spread, settings.weight)
        if settings.statistics == ROLLING:
            rolling_add(pair.rolling, spread)


@njit(cache=True)
def z_score(pair):
    """Of the last update; 0.0 while it is not known."""
    return pair.away / math.sqrt(pair.variance) if pair.variance > LEAST_VARIANCE else 0.0


@njit(cache=True, inline="always")
def _filter(pair, innovation, beside, settings):
    """One step of the Kalman filter on log(a) = hedge_ratio * beside + intercept + noise."""
    hedge_variance = pair.hedge_variance + settings.state_noise
    intercept_variance = pair.intercept_variance + settings.state_noise
    hedge_gain = hedge_variance * beside + pair.covariance
    intercept_gain = pair.covariance * beside + intercept_variance
    scale = 1.0 / (hedge_gain * beside + intercept_gain + settings.spread_noise)
    pair.hedge_ratio += hedge_gain * scale * innovation
    pair.intercept += intercept_gain * scale * innovation
    pair.hedge_variance = hedge_variance - hedge_gain * hedge_gain * scale
    pair.covariance -= hedge_gain * intercept_gain * scale
    pair.intercept_variance = intercept_variance - intercept_gain * intercept_gain * scale


@njit(cache=True, inline="always")
def next_stance(stance, stopped, away, variance, settings):
    """(stance, stopped) of a spread that is ``away`` from its mean, with hysteresis: enter beyond ``entry``, leave
    within ``exit``, give up beyond ``stop`` and stay out until the spread is back within ``exit``; ``settings`` has
    these three, in deviations."""
    square = away * away
    if stance == 0:
        if stopped:
            return 0, (0 if square <= settings.exit * settings.exit * variance else 1)
        if settings.entry * settings.entry * variance < square < settings.stop * settings.stop * variance:
            return (-1 if away > 0 else 1), 0
        return 0, 0
    if away * stance >= 0.0:  # back at the mean, or beyond it
        return 0, 0
    if square >= settings.stop * settings.stop * variance:
        return 0, 1
    return (0 if square <= settings.exit * settings.exit * variance else stance), 0
