"""Figures of an equity curve: 252 days a year, ddof 1, risk-free rate 0, simple daily returns."""

import math

import numpy as np

DAYS_A_YEAR = 252


def equity_statistics(equity: np.ndarray, capital: float) -> dict[str, float | None]:
    """``equity`` float64 [days] at the closes, after a start at ``capital``; None where a figure has no meaning."""
    curve = np.concatenate([[capital], equity])
    returns = curve[1:] / curve[:-1] - 1
    deviation = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    years = len(returns) / DAYS_A_YEAR
    growth = float(curve[-1] / capital)
    return {
        "total_return": growth - 1,
        "cagr": growth ** (1 / years) - 1 if years and growth > 0 else None,
        "volatility": deviation * math.sqrt(DAYS_A_YEAR),
        "sharpe": float(returns.mean()) / deviation * math.sqrt(DAYS_A_YEAR) if deviation > 0 else None,
        "max_drawdown": float(drawdown(curve).min()),
    }


def drawdown(curve: np.ndarray) -> np.ndarray:
    """Fraction below the highest value so far, zero or negative, same shape as ``curve``."""
    return curve / np.maximum.accumulate(curve) - 1
