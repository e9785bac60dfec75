"""The augmented Dickey-Fuller statistic, fast: what decides which pairs are worth the full test.

The same regression as statsmodels' ``adfuller(x, regression="n", autolag="AIC")``,
``dx[t] = g x[t-1] + sum_k d_k dx[t-k] + e[t]``, but all lag lengths come from one Cholesky factor of the
cross products instead of one least-squares fit each (0.2 ms instead of 7 ms for two years).
"""

import numpy as np
from numpy.typing import NDArray


def adf_statistic(series: NDArray[np.float64]) -> float:
    """The t-statistic of ``g``, lag length by AIC over 0 to Schwert's 12 (n / 100)^(1/4).

    ``series`` [n], n >= 10. -inf where the regressors are collinear, so that no prefilter drops the case.
    """
    longest = min(len(series) // 2 - 1, int(np.ceil(12.0 * (len(series) / 100.0) ** 0.25)))
    try:
        return _t_of_level(series, _best_lag(series, longest))
    except np.linalg.LinAlgError:
        return -np.inf


def _best_lag(series: NDArray[np.float64], longest: int) -> int:
    """The lag length with the smallest AIC, all on the rows that the longest leaves. The shorter wins a tie."""
    regressors, change = _design(series, longest)
    rows = len(change)
    factor = np.linalg.cholesky(regressors.T @ regressors)
    # In the basis of the factor the regressors are orthogonal: each explains its own part of the squares.
    explained = np.linalg.solve(factor, regressors.T @ change) ** 2
    residual = change @ change - np.cumsum(explained)
    if residual[-1] <= 0:
        raise np.linalg.LinAlgError("the regressors explain everything")
    return int(np.argmin(rows * np.log(residual / rows) + 2.0 * np.arange(1, longest + 2)))


def _t_of_level(series: NDArray[np.float64], lags: int) -> float:
    regressors, change = _design(series, lags)
    inverse = np.linalg.inv(regressors.T @ regressors)
    coefficients = inverse @ (regressors.T @ change)
    residual = change - regressors @ coefficients
    variance = residual @ residual / (len(change) - lags - 1)
    return float(coefficients[0] / np.sqrt(variance * inverse[0, 0]))


def _design(series: NDArray[np.float64], lags: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Regressors [rows, 1 + lags] (level before, then the changes before, newest first) and the change [rows]."""
    changes = np.diff(series)
    windows = np.lib.stride_tricks.sliding_window_view(changes, lags + 1)
    regressors = np.empty((len(windows), lags + 1))
    regressors[:, 0] = series[lags:-1]
    regressors[:, 1:] = windows[:, lags - 1 :: -1] if lags else windows[:, :0]
    return regressors, windows[:, lags]
