"""Figures of an equity curve: 252 days a year, ddof 1, risk-free rate 0, simple daily returns, drawdown at the closes.

A curve is float64 [days + 1] and begins with the capital. A figure without a meaning (no deviation, no loss, too few
days) is None. Sortino and van der Meer (1991), "Downside risk", for the downside deviation around 0; Young (1991),
"Calmar ratio: a smoother tool", with the drawdown of the whole curve instead of three years.
"""

import math
from dataclasses import dataclass

import numpy as np

DAYS_A_YEAR = 252


@dataclass(frozen=True)
class Drawdown:
    """From the close of the high (``peak``) over the lowest close (``trough``) to the close that has regained it.

    Indexes into the curve; ``recovered`` is None while it lasts. ``depth`` is a fraction below 0.
    """

    peak: int
    trough: int
    recovered: int | None
    depth: float


def with_capital(capital: float, equity: np.ndarray) -> np.ndarray:
    """The curve of closes ``equity`` that began at ``capital``."""
    return np.concatenate([[capital], equity])


def returns_of(curve: np.ndarray) -> np.ndarray:
    """Simple returns, float64 [days]."""
    return curve[1:] / curve[:-1] - 1


def equity_statistics(equity: np.ndarray, capital: float) -> dict[str, float | int | None]:
    """Every figure of the curve by its name; ``equity`` float64 [days] at the closes, after a start at ``capital``."""
    curve = with_capital(capital, equity)
    returns = returns_of(curve)
    falls = drawdowns(curve)
    return {
        "total_return": float(curve[-1] / capital) - 1,
        "cagr": cagr(curve),
        "volatility": volatility(returns),
        "sharpe": sharpe(returns),
        "sortino": sortino(returns),
        "calmar": calmar(curve),
        "max_drawdown": float(drawdown(curve).min()),
        "longest_drawdown_days": max(((fall.recovered or len(curve) - 1) - fall.peak for fall in falls), default=0),
        "skewness": skewness(returns),
        "kurtosis": kurtosis(returns),
        "best_day": float(returns.max()) if len(returns) else None,
        "worst_day": float(returns.min()) if len(returns) else None,
        "positive_days": float((returns > 0).mean()) if len(returns) else None,
    }


def cagr(curve: np.ndarray) -> float | None:
    """Compound annual growth rate."""
    years = (len(curve) - 1) / DAYS_A_YEAR
    growth = float(curve[-1] / curve[0])
    return growth ** (1 / years) - 1 if years and growth > 0 else None


def volatility(returns: np.ndarray) -> float | None:
    """Annual."""
    return float(returns.std(ddof=1)) * math.sqrt(DAYS_A_YEAR) if len(returns) > 1 else None


def sharpe(returns: np.ndarray) -> float | None:
    """Annual; None without deviation."""
    daily = daily_sharpe(returns)
    return None if daily is None else daily * math.sqrt(DAYS_A_YEAR)


def daily_sharpe(returns: np.ndarray) -> float | None:
    """Mean over deviation of one day: what the formulas of ``overfitting`` take."""
    deviation = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    return float(returns.mean()) / deviation if deviation > 0 else None


def daily_ratio(annual: float | None) -> float | None:
    """The Sharpe ratio of a day from that of a year."""
    return None if annual is None else annual / math.sqrt(DAYS_A_YEAR)


def sortino(returns: np.ndarray) -> float | None:
    """Annual mean over the root of the mean squared loss (of all days); None without a loss."""
    downside = math.sqrt(float((np.minimum(returns, 0) ** 2).mean())) if len(returns) else 0.0
    return float(returns.mean()) / downside * math.sqrt(DAYS_A_YEAR) if downside > 0 else None


def calmar(curve: np.ndarray) -> float | None:
    """CAGR over the deepest drawdown; None without one."""
    growth, deepest = cagr(curve), float(drawdown(curve).min())
    return growth / -deepest if growth is not None and deepest < 0 else None


def skewness(returns: np.ndarray) -> float | None:
    """Third standardised moment, of the population (ddof 0)."""
    return _moment(returns, 3)


def kurtosis(returns: np.ndarray) -> float | None:
    """Fourth standardised moment, of the population; 3 for a normal distribution."""
    return _moment(returns, 4)


def _moment(returns: np.ndarray, order: int) -> float | None:
    deviation = float(returns.std()) if len(returns) > 1 else 0.0
    return float((((returns - returns.mean()) / deviation) ** order).mean()) if deviation > 0 else None


def drawdown(curve: np.ndarray) -> np.ndarray:
    """Fraction below the highest value so far, zero or negative, same shape as ``curve``."""
    return curve / np.maximum.accumulate(curve) - 1


def drawdowns(curve: np.ndarray) -> list[Drawdown]:
    """Every stretch below an earlier high, in order of time."""
    depth = drawdown(curve)
    below = np.concatenate([[False], depth < 0, [False]])
    starts, ends = np.flatnonzero(below[1:] & ~below[:-1]), np.flatnonzero(~below[1:] & below[:-1])
    return [
        Drawdown(
            peak=start - 1,
            trough=start + int(depth[start:end].argmin()),
            recovered=end if end < len(curve) else None,
            depth=float(depth[start:end].min()),
        )
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def deepest(falls: list[Drawdown], most: int) -> list[Drawdown]:
    """The ``most`` deepest, deepest first."""
    return sorted(falls, key=lambda fall: fall.depth)[:most]


def rolling(returns: np.ndarray, window: int) -> dict[str, np.ndarray]:
    """Annual ``volatility`` and ``sharpe`` over the last ``window`` returns (at least 2), float64 [days]; NaN before
    there are as many, and of ``sharpe`` where nothing moved.
    """
    deviation, mean = np.full(len(returns), np.nan), np.full(len(returns), np.nan)
    if len(returns) >= window:
        windows = np.lib.stride_tricks.sliding_window_view(returns, window)
        deviation[window - 1 :] = windows.std(axis=1, ddof=1)
        mean[window - 1 :] = windows.mean(axis=1)
    moved = deviation > 0
    ratio = np.divide(mean, deviation, out=np.full(len(returns), np.nan), where=moved)
    return {"volatility": deviation * math.sqrt(DAYS_A_YEAR), "sharpe": ratio * math.sqrt(DAYS_A_YEAR)}


def monthly_returns(capital: float, days: np.ndarray, equity: np.ndarray) -> dict[tuple[int, int], float]:
    """The return of each calendar month from the last close before it; ``days`` int64 yyyymmdd, ascending."""
    returns = {}
    before = capital
    months = days // 100
    lasts = np.flatnonzero(np.append(months[1:] != months[:-1], True))
    for last in lasts.tolist():
        month = int(months[last])
        returns[month // 100, month % 100] = float(equity[last] / before - 1)
        before = float(equity[last])
    return returns


def yearly_return(monthly: dict[tuple[int, int], float], year: int) -> float:
    """The months of ``year`` compounded."""
    growth = 1.0
    for (of_year, _month), value in monthly.items():
        growth *= 1 + value if of_year == year else 1
    return growth - 1
