"""How much of a Sharpe ratio is luck, and how much of it is the search for it.

- Probabilistic Sharpe ratio: Bailey and Lopez de Prado (2012), "The Sharpe ratio efficient frontier", eq. 9-11.
- Deflated Sharpe ratio: Bailey and Lopez de Prado (2014), "The deflated Sharpe ratio", eq. 1 and 2.
- Probability of backtest overfitting by combinatorially symmetric cross-validation: Bailey, Borwein, Lopez de Prado and
  Zhu (2017), "The probability of backtest overfitting", section 3.

All Sharpe ratios here are of one day (``curve.daily_sharpe``), never annual; kurtosis is 3 for a normal distribution.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import norm, rankdata

from engine.errors import BadInput

EULER_MASCHERONI = 0.5772156649015329
MOST_BLOCKS = 16  # 12,870 ways to halve them


def probabilistic_sharpe(
    sharpe: float, days: int, skewness: float, kurtosis: float, benchmark: float = 0.0
) -> float | None:
    """The probability that the true Sharpe ratio is above ``benchmark``; None under two days."""
    if days < 2:
        return None
    deviation = _deviation(sharpe, skewness, kurtosis)
    return float(norm.cdf((sharpe - benchmark) * math.sqrt(days - 1) / deviation)) if deviation > 0 else None


def least_track_record(
    sharpe: float, skewness: float, kurtosis: float, benchmark: float = 0.0, confidence: float = 0.95
) -> float | None:
    """Days that it takes to say with ``confidence`` that the true ratio is above ``benchmark``; None if it is not."""
    if sharpe <= benchmark:
        return None
    deviation = _deviation(sharpe, skewness, kurtosis)
    return 1 + (deviation * float(norm.ppf(confidence)) / (sharpe - benchmark)) ** 2


def _deviation(sharpe: float, skewness: float, kurtosis: float) -> float:
    """Of the estimate of a Sharpe ratio, times the root of the days less one."""
    return math.sqrt(max(1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2, 0.0))


def expected_best_sharpe(trials: int, variance: float) -> float:
    """The largest to expect of ``trials`` independent Sharpe ratios, all 0 in truth, with ``variance`` between them."""
    if trials < 2:
        return 0.0
    first, second = norm.ppf(1 - 1 / trials), norm.ppf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * float((1 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second)


def deflated_sharpe(
    sharpe: float, days: int, skewness: float, kurtosis: float, trials: int, variance: float
) -> float | None:
    """The probability that the true ratio is above what the best of ``trials`` is by luck alone."""
    return probabilistic_sharpe(sharpe, days, skewness, kurtosis, expected_best_sharpe(trials, variance))


@dataclass(frozen=True)
class Overfitting:
    """``probability`` that the best in sample is below the median out of sample; ``logits`` float64 [ways] of its rank
    there; ``loss_probability`` that it has a negative ratio there.
    """

    probability: float
    loss_probability: float
    logits: np.ndarray


def overfitting_probability(returns: np.ndarray, blocks: int = MOST_BLOCKS) -> Overfitting:
    """CSCV of ``returns`` float64 [days, trials]: days are cut into an even number of ``blocks``, each half of which is
    in sample once. Days beyond a multiple of ``blocks`` are left out, the oldest first.

    Raises BadInput for fewer than two trials, an odd number of blocks, or fewer than two days a block.
    """
    days, trials = returns.shape
    if trials < 2:
        raise BadInput("too_few_trials", "returns", trials, "two trials or more")
    if blocks % 2 or not 2 <= blocks <= MOST_BLOCKS:
        raise BadInput("blocks", "blocks", blocks, f"an even number from 2 to {MOST_BLOCKS}")
    if days < 2 * blocks:
        raise BadInput("too_few_days", "returns", days, f"{2 * blocks} days or more")
    length = days // blocks
    cut = returns[days - length * blocks :].reshape(blocks, length, trials)
    sums, squares = cut.sum(axis=1), (cut**2).sum(axis=1)
    chosen = np.zeros((math.comb(blocks, blocks // 2), blocks))
    for row, members in enumerate(combinations(range(blocks), blocks // 2)):
        chosen[row, list(members)] = 1
    half = length * blocks // 2
    inside = _ratios(chosen @ sums, chosen @ squares, half)
    outside = _ratios((1 - chosen) @ sums, (1 - chosen) @ squares, half)
    best = inside.argmax(axis=1)
    rows = np.arange(len(best))
    relative = rankdata(outside, axis=1)[rows, best] / (trials + 1)
    logits = np.log(relative / (1 - relative))
    return Overfitting(float((logits <= 0).mean()), float((outside[rows, best] < 0).mean()), logits)


def _ratios(sums: np.ndarray, squares: np.ndarray, days: int) -> np.ndarray:
    """Sharpe ratios of a day, 0 where nothing moved."""
    variance = np.maximum(squares - sums**2 / days, 0) / (days - 1)
    return np.divide(sums / days, np.sqrt(variance), out=np.zeros_like(sums), where=variance > 1e-30)
