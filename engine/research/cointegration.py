"""Pairs by cointegration (Engle and Granger, 1987) and half-life, as of a date.

For two symbols ``a`` < ``b`` (in alphabetical order) the cointegrating regression on log prices is
``log a = intercept + hedge_ratio * log b + spread``. The test is statsmodels' ``coint``: augmented
Dickey-Fuller on the residuals, lag length by AIC, MacKinnon's (1994, 2010) p-value. The half-life is that
of an AR(1) fitted to the spread, ``s[t] = c + rho s[t-1]``: ``ln 0.5 / ln rho`` days.

Symbols with a missing close in the window are left out, and pairs with a hedge ratio of zero or less: both
legs would stand on the same side. Figures are rounded to 12 significant digits, so that they do not depend on
the last bits of a linear algebra kernel.

The full test costs 7 ms, so only pairs that can pass get it: the half-life comes first, from the panel's moments,
then the Dickey-Fuller statistic of ``engine.research.dickey_fuller``, which is the test's own but cheap.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.research.cache import FormationCache as _FormationCache
from engine.research.dickey_fuller import adf_statistic

MAX_PER_SYMBOL = 2
Interrupt = Callable[[], None]
DIGITS = 12
MIN_DAYS = 60  # below it the lags leave the test too few rows


class Pair(msgspec.Struct, frozen=True):
    """A chosen pair. The spread ``log a - hedge_ratio * log b - intercept`` has mean 0 over the window.

    ``half_life`` in trading days; ``deviation`` is the spread's standard deviation (ddof 1) over the window.
    """

    a: str
    b: str
    hedge_ratio: float
    intercept: float
    p_value: float
    half_life: float
    deviation: float


class Window(NamedTuple):
    """The rows a formation sees: ``logs`` float [n, m] of the symbols that have a close on every day."""

    dates: NDArray[np.int64]
    symbols: list[str]
    logs: NDArray[np.float64]


def form_pairs(
    closes: NDArray[Any],
    dates: NDArray[np.int64],
    symbols: list[str],
    *,
    as_of: int,
    formation_days: int,
    max_pairs: int,
    p_value: float,
    min_half_life: float,
    max_half_life: float,
    max_per_symbol: int = MAX_PER_SYMBOL,
    interrupt: Interrupt = lambda: None,
) -> list[Pair]:
    """The pairs with the smallest p-values, each symbol in at most ``max_per_symbol`` of them.

    ``closes`` [n, m] in any unit, missing where 0 or not finite; ``dates`` [n] ascending yyyymmdd. Looks at
    the last ``formation_days`` rows with a date before ``as_of`` (yyyymmdd) and at nothing else. Ties go by name.
    ``interrupt`` is called before each test, and raises where nobody waits for the pairs any more.
    Raises ``BadInput`` for a parameter out of range and where there are fewer rows.
    """
    _check(max_pairs, p_value, min_half_life, max_half_life, max_per_symbol)
    window = formation_window(closes, dates, symbols, as_of=as_of, formation_days=formation_days)
    tested = []
    for fit in _fits(window, min_half_life, max_half_life):
        interrupt()
        spread = window.logs[:, fit.a] - fit.hedge_ratio * window.logs[:, fit.b] - fit.intercept
        if not _may_pass(spread, p_value):
            continue
        found = _p_value(window.logs[:, fit.a], window.logs[:, fit.b])
        if found <= p_value:
            tested.append(_pair(window, fit, found, spread))
    return _greedy(tested, max_pairs, max_per_symbol)


def formation_window(
    closes: NDArray[Any], dates: NDArray[np.int64], symbols: list[str], *, as_of: int, formation_days: int
) -> Window:
    """The last ``formation_days`` rows before ``as_of``, with symbols in alphabetical order.

    Raises ``BadInput`` where the shapes disagree or there are fewer rows.
    """
    if closes.shape != (len(dates), len(symbols)):
        raise BadInput("bad_shape", "closes", closes.shape, f"({len(dates)} dates, {len(symbols)} symbols)")
    end = int(np.searchsorted(dates, as_of))
    if formation_days < MIN_DAYS or end < formation_days:
        raise BadInput(
            "too_little_history", "formation_days", formation_days, f"{MIN_DAYS} to {end} days before {as_of}"
        )
    order = sorted(range(len(symbols)), key=lambda place: symbols[place])
    prices = np.asarray(closes[end - formation_days : end], float)[:, order]
    with np.errstate(invalid="ignore"):
        complete = (np.isfinite(prices) & (prices > 0)).all(axis=0)
    usable = complete & (prices != prices[0]).any(axis=0)  # a price that never moves has no regression
    names = [symbols[place] for place, use in zip(order, usable, strict=True) if use]
    return Window(np.asarray(dates[end - formation_days : end], np.int64), names, np.log(prices[:, usable]))


def formation_dates(dates: NDArray[np.int64], first: int, last: int, *, formation_days: int) -> list[int]:
    """When pairs are formed to trade from ``first`` to ``last`` (yyyymmdd): the first trading day of each calendar
    year in between, of ``first``'s year too, that has ``formation_days`` rows before it.
    """
    years = range(first // 10_000, last // 10_000 + 1)
    starts = [int(np.searchsorted(dates, year * 10_000)) for year in years]
    days = [int(dates[at]) for at in starts if formation_days <= at < len(dates)]
    return sorted({day for day in days if day <= last})


class FormationCache(_FormationCache[Pair]):
    """``form_pairs`` remembered in a folder: ``form(data_hash, closes, dates, symbols, **parameters)``.

    An entry is keyed by the window's own rows, the parameters and the build of the research code, so what lies at
    or after ``as_of`` cannot change it, and a dataset that only grew keeps its formations; ``data_hash`` is noted
    in the entry. ``interrupt`` is that of ``form_pairs``.
    """

    def __init__(self, root: Any, interrupt: Interrupt = lambda: None) -> None:
        super().__init__(root, Pair)
        self._interrupt = interrupt

    def form(
        self, data_hash: str, closes: NDArray[Any], dates: NDArray[np.int64], symbols: list[str], **parameters: Any
    ) -> list[Pair]:
        """The same as ``form_pairs``, computed once."""
        window = formation_window(
            closes, dates, symbols, as_of=parameters["as_of"], formation_days=parameters["formation_days"]
        )
        key = self.key("form_pairs", [window.symbols], [window.dates, window.logs], parameters)
        return self.get(
            key, data_hash, lambda: form_pairs(closes, dates, symbols, **parameters, interrupt=self._interrupt)
        )


class _Fit(NamedTuple):
    a: int
    b: int
    hedge_ratio: float
    intercept: float
    half_life: float


def _fits(window: Window, min_half_life: float, max_half_life: float) -> list[_Fit]:
    """Cointegrating regressions of all pairs a < b with a half-life in range, from moments of the whole panel.

    With ``d`` the centred logs, hedge = cov(a, b) / var(b); the spread ``d_a - hedge d_b`` has lag-0 and lag-1
    moments that are quadratic in the hedge ratio, so no pair's spread has to be made.
    """
    logs = window.logs
    centred = logs - logs.mean(axis=0)
    covariance = centred.T @ centred
    hedge = covariance / np.diag(covariance)  # [a, b]: a on b
    earlier, later = logs[:-1] - logs[:-1].mean(axis=0), logs[1:] - logs[1:].mean(axis=0)
    variance = _spread_moment(earlier.T @ earlier, hedge)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = _spread_moment(earlier.T @ later, hedge) / variance
        half_life = np.where(rho >= 1, np.inf, np.where(rho <= 0, 0.0, np.log(0.5) / np.log(rho)))
    means = logs.mean(axis=0)
    fits = []
    for a, b in zip(*np.triu_indices(len(window.symbols), 1), strict=True):
        days = _rounded(half_life[a, b])
        if hedge[a, b] > 0 and min_half_life <= days <= max_half_life:
            ratio = _rounded(hedge[a, b])
            fits.append(_Fit(int(a), int(b), ratio, _rounded(means[a] - hedge[a, b] * means[b]), days))
    return fits


def _spread_moment(moments: NDArray[np.float64], hedge: NDArray[np.float64]) -> NDArray[np.float64]:
    """E[(d_a - h d_b)(d'_a - h d'_b)] for all a, b from moments [i, j] = E[d_i d'_j]."""
    own = np.diag(moments)
    return own[:, None] - hedge * (moments + moments.T) + hedge**2 * own[None, :]


def _may_pass(spread: NDArray[np.float64], p_value: float) -> bool:
    """Whether the full test can find a p-value of at most ``p_value``, with room for the last digits."""
    from statsmodels.tsa.adfvalues import mackinnonp

    return bool(mackinnonp(adf_statistic(spread), regression="c", N=2) <= p_value * 1.01)


def _p_value(log_a: NDArray[np.float64], log_b: NDArray[np.float64]) -> float:
    from statsmodels.tools.sm_exceptions import CollinearityWarning  # a second to import, needed only here
    from statsmodels.tsa.stattools import coint

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollinearityWarning)  # two share classes: the p-value is then 0, as it says
        _, p_value, _ = coint(log_a, log_b, trend="c", autolag="aic", return_results=False)
    return _rounded(p_value)


def _pair(window: Window, fit: _Fit, p_value: float, spread: NDArray[np.float64]) -> Pair:
    return Pair(
        window.symbols[fit.a],
        window.symbols[fit.b],
        fit.hedge_ratio,
        fit.intercept,
        p_value,
        fit.half_life,
        _rounded(spread.std(ddof=1)),
    )


def _greedy(tested: list[Pair], max_pairs: int, max_per_symbol: int) -> list[Pair]:
    used: dict[str, int] = {}
    chosen: list[Pair] = []
    for pair in sorted(tested, key=lambda pair: (pair.p_value, pair.a, pair.b)):
        if len(chosen) == max_pairs:
            break
        if used.get(pair.a, 0) < max_per_symbol and used.get(pair.b, 0) < max_per_symbol:
            chosen.append(pair)
            used[pair.a] = used.get(pair.a, 0) + 1
            used[pair.b] = used.get(pair.b, 0) + 1
    return chosen


def _check(max_pairs: int, p_value: float, min_half_life: float, max_half_life: float, max_per_symbol: int) -> None:
    if max_pairs < 1:
        raise BadInput("out_of_range", "max_pairs", max_pairs, "1 or more")
    if max_per_symbol < 1:
        raise BadInput("out_of_range", "max_per_symbol", max_per_symbol, "1 or more")
    if not 0 < p_value <= 1:
        raise BadInput("out_of_range", "p_value", p_value, "above 0, at most 1")
    if not 0 <= min_half_life <= max_half_life:
        raise BadInput("out_of_range", "min_half_life", min_half_life, f"0 to max_half_life ({max_half_life})")


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
