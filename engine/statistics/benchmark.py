"""A curve beside its benchmark's: what of it the benchmark explains.

Ordinary least squares of daily returns on the benchmark's (Jensen 1968, "The performance of mutual funds in the period
1945-1964"), information ratio and tracking error after Goodwin (1998), "The information ratio".
"""

import math

import numpy as np

from engine.statistics.curve import DAYS_A_YEAR


def equal_weights(closes: np.ndarray) -> np.ndarray:
    """Buy and hold of equal values of every column that has a price on the first day, as a multiple of the start.

    ``closes`` int64 [days, symbols], 0 = none: a symbol without a close that day keeps its last. Float64 [days]; all 1
    where no symbol has a first price.
    """
    held = closes[:, closes[0] > 0].astype(np.float64)
    if not held.shape[1]:
        return np.ones(len(closes))
    days = np.where(held > 0, np.arange(len(held))[:, None], 0)
    known = np.take_along_axis(held, np.maximum.accumulate(days, axis=0), axis=0)
    return (known / known[0]).mean(axis=1)


def relative_statistics(returns: np.ndarray, benchmark: np.ndarray) -> dict[str, float | None]:
    """``alpha`` (annual, simple), ``beta``, ``correlation``, ``tracking_error`` and ``information_ratio`` (annual),
    ``up_capture`` and ``down_capture`` (mean return over the benchmark's mean on its up and down days).

    Both float64 [days] of the same days. None where the benchmark, or the difference, does not move.
    """
    if len(returns) < 2 or not benchmark.std() > 0:
        return dict.fromkeys(FIGURES)
    covariance = np.cov(returns, benchmark, ddof=1)
    beta = float(covariance[0, 1] / covariance[1, 1])
    active = returns - benchmark
    error = float(active.std(ddof=1))
    moves = covariance[0, 0] > 0
    return {
        "alpha": float(returns.mean() - beta * benchmark.mean()) * DAYS_A_YEAR,
        "beta": beta,
        "correlation": float(np.corrcoef(returns, benchmark)[0, 1]) if moves else None,
        "tracking_error": error * math.sqrt(DAYS_A_YEAR),
        "information_ratio": float(active.mean()) / error * math.sqrt(DAYS_A_YEAR) if error > 0 else None,
        "up_capture": _capture(returns, benchmark, benchmark > 0),
        "down_capture": _capture(returns, benchmark, benchmark < 0),
    }


FIGURES = ("alpha", "beta", "correlation", "tracking_error", "information_ratio", "up_capture", "down_capture")


def _capture(returns: np.ndarray, benchmark: np.ndarray, days: np.ndarray) -> float | None:
    return float(returns[days].mean() / benchmark[days].mean()) if days.any() else None
