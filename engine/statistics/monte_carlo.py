"""What else the same days could have come to: the stationary bootstrap of Politis and Romano (1994), "The stationary
bootstrap": blocks of days in their order, of geometric length, so that runs of losses stay together.
"""

from dataclasses import dataclass

import numpy as np

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Resampled:
    """Quantiles (``QUANTILES``) over the paths, and the share of paths that end below their start."""

    total_return: np.ndarray
    max_drawdown: np.ndarray
    loss_probability: float


def resample(returns: np.ndarray, *, paths: int = 500, mean_block: int = 20, seed: int = 7) -> Resampled:
    """``returns`` float64 [days], of which each path has as many; the same ``seed`` draws the same paths."""
    days = len(returns)
    random = np.random.default_rng(seed)
    total, worst = np.empty(paths), np.empty(paths)
    for path in range(paths):
        fresh = random.random(days) < 1 / mean_block
        fresh[0] = True
        starts = np.flatnonzero(fresh)
        lengths = np.diff(np.append(starts, days))
        within = np.arange(days) - np.repeat(starts, lengths)
        drawn = returns[(np.repeat(random.integers(days, size=len(starts)), lengths) + within) % days]
        curve = np.cumprod(1 + drawn)
        total[path] = curve[-1] - 1
        worst[path] = (curve / np.maximum(np.maximum.accumulate(curve), 1.0)).min() - 1
    worst = np.minimum(worst, 0.0)
    return Resampled(np.quantile(total, QUANTILES), np.quantile(worst, QUANTILES), float((total < 0).mean()))
