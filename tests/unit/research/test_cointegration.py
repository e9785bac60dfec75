"""Pair formation: figures against independent calculations, planted pairs found, no look ahead."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from statsmodels.tsa.stattools import adfuller, coint

from engine.errors import BadInput
from engine.history.ingest import read_bars
from engine.history.panel import skfolio_panel_path
from engine.research.cointegration import Pair, form_pairs, formation_dates, formation_window
from engine.research.dickey_fuller import adf_statistic

PARAMETERS = {
    "formation_days": 504,
    "max_pairs": 12,
    "p_value": 0.05,
    "min_half_life": 2.0,
    "max_half_life": 60.0,
}
ROWS = 760
DATES = np.array(
    [
        int(str(d).replace("-", ""))
        for d in np.arange("2015-01-01", "2018-12-31", dtype="datetime64[D]")
        if np.is_busday(d)
    ]
)[:ROWS]
AS_OF = int(DATES[600])


def walk(random: np.random.Generator, deviation: float = 0.015) -> NDArray[np.float64]:
    return np.cumsum(random.normal(0, deviation, ROWS))


def reverting(random: np.random.Generator, half_life: float, deviation: float = 0.01) -> NDArray[np.float64]:
    """An AR(1) with mean 0."""
    rho = 0.5 ** (1 / half_life)
    values = np.zeros(ROWS)
    for at in range(1, ROWS):
        values[at] = rho * values[at - 1] + random.normal(0, deviation)
    return values


def planted() -> tuple[NDArray[np.float64], list[str]]:
    """Six symbols: log A = 0.5 + 1.3 log B + an AR(1) of half-life 8; the others are walks of their own."""
    random = np.random.default_rng(5)
    b = 4 + walk(random)
    logs = [0.5 + 1.3 * b + reverting(random, 8), b, *(4 + walk(random) for _ in range(4))]
    return np.exp(np.stack(logs, axis=1)), ["A", "B", "C", "D", "E", "F"]


@pytest.fixture(scope="module")
def panel() -> tuple[NDArray[np.float64], NDArray[np.int64], list[str]]:
    """The shipped panel as floats, straight from its file's bars."""
    bars = read_bars(skfolio_panel_path()).bars
    symbols = sorted(set(bars["symbol"].to_pylist()))
    dates = np.unique(bars["date"].to_numpy())
    return bars["close"].to_numpy().reshape(len(symbols), len(dates)).T / 1e4, dates, symbols


def test_a_planted_pair_is_found_with_its_hedge_ratio_and_half_life() -> None:
    closes, symbols = planted()
    found = form_pairs(closes, DATES, symbols, as_of=AS_OF, **PARAMETERS)
    best = found[0]
    assert (best.a, best.b) == ("A", "B")
    assert best.hedge_ratio == pytest.approx(1.3, abs=0.03)
    assert best.intercept == pytest.approx(0.5, abs=0.12)
    assert 4 < best.half_life < 16
    assert best.p_value < 0.001


def test_random_walks_pass_about_as_often_as_the_level_says() -> None:
    """At a level of 5 %, and half of the pairs with a hedge ratio below zero: about 2.5 % of 1,125 pairs pass."""
    tested = passed = 0
    for seed in range(25):
        random = np.random.default_rng(seed)
        closes = np.exp(np.stack([walk(random) for _ in range(10)], axis=1))
        wide = PARAMETERS | {"max_pairs": 45, "min_half_life": 0.0, "max_half_life": 1e9}
        passed += len(form_pairs(closes, DATES, list("ABCDEFGHIJ"), as_of=AS_OF, max_per_symbol=9, **wide))
        tested += 45
    assert 0.01 * tested < passed < 0.06 * tested


def test_figures_equal_a_regression_and_a_dickey_fuller_test_done_by_hand() -> None:
    closes, symbols = planted()
    pair = form_pairs(closes, DATES, symbols, as_of=AS_OF, **PARAMETERS)[0]
    a, b = np.log(closes[96:600, 0]), np.log(closes[96:600, 1])

    # Least squares from sums, in plain arithmetic.
    n = len(a)
    hedge = (n * math.fsum(a * b) - math.fsum(a) * math.fsum(b)) / (n * math.fsum(b * b) - math.fsum(b) ** 2)
    intercept = (math.fsum(a) - hedge * math.fsum(b)) / n
    spread = a - intercept - hedge * b
    assert pair.hedge_ratio == pytest.approx(hedge, rel=1e-9)
    assert pair.intercept == pytest.approx(intercept, rel=1e-8)
    assert pair.deviation == pytest.approx(math.sqrt(math.fsum(spread**2) / (n - 1)), rel=1e-9)

    # Half-life: s[t] on a constant and s[t-1].
    slope, _ = np.polyfit(spread[:-1], spread[1:], 1)
    assert pair.half_life == pytest.approx(math.log(0.5) / math.log(slope), rel=1e-8)

    # The augmented Dickey-Fuller regression by a general solver, every lag length, the smallest AIC.
    statistic = dickey_fuller_by_hand(spread)
    assert adf_statistic(spread) == pytest.approx(statistic, rel=1e-8)
    # MacKinnon (1994): for two series with a constant, p = Phi(2.92 + 1.5012 t + 0.039796 t^2) below t = -2.62.
    p_value = 0.5 * math.erfc(-(2.92 + 1.5012 * statistic + 0.039796 * statistic**2) / math.sqrt(2))
    assert pair.p_value == pytest.approx(p_value, rel=1e-3)


def dickey_fuller_by_hand(series: NDArray[np.float64]) -> float:
    changes = np.diff(series)
    longest = math.ceil(12 * (len(series) / 100) ** 0.25)

    def regression(lags: int, first: int) -> tuple[float, float]:
        """AIC and the t-statistic of the level, on the changes from ``first`` on."""
        rows = range(first, len(changes))
        x = np.array([[series[t], *(changes[t - k] for k in range(1, lags + 1))] for t in rows])
        y = changes[first:]
        coefficients, *_ = np.linalg.lstsq(x, y, rcond=None)
        squares = float(((y - x @ coefficients) ** 2).sum())
        error = math.sqrt(squares / (len(y) - lags - 1) * np.linalg.pinv(x.T @ x)[0, 0])
        return len(y) * math.log(squares / len(y)) + 2 * (lags + 1), float(coefficients[0] / error)

    best = min(range(longest + 1), key=lambda lags: regression(lags, longest)[0])
    return regression(best, best)[1]


@pytest.mark.parametrize("seed", range(8))
def test_the_fast_statistic_is_that_of_statsmodels(seed: int) -> None:
    random = np.random.default_rng(seed)
    for series in (walk(random), reverting(random, 10), np.convolve(walk(random), [1, 0.5, 0.3], "same")):
        theirs = adfuller(series, regression="n", autolag="AIC", result_object=True)
        assert adf_statistic(series) == pytest.approx(theirs.statistic, rel=1e-8)


def test_the_cheap_filters_drop_no_pair_that_the_full_test_would_take(panel) -> None:  # type: ignore[no-untyped-def]
    """All 190 pairs of one window by statsmodels' ``coint`` and a plain half-life, without any filter before."""
    closes, dates, symbols = panel
    as_of, wide = 20130102, PARAMETERS | {"max_pairs": 190}
    found = form_pairs(closes, dates, symbols, as_of=as_of, max_per_symbol=19, **wide)
    window = np.log(closes[dates < as_of][-504:])
    expected = {}
    for i, a in enumerate(symbols):
        for j, b in list(enumerate(symbols))[i + 1 :]:
            hedge, intercept = np.polyfit(window[:, j], window[:, i], 1)
            spread = window[:, i] - hedge * window[:, j] - intercept
            rho = np.polyfit(spread[:-1], spread[1:], 1)[0]
            half_life = math.log(0.5) / math.log(rho) if 0 < rho < 1 else math.inf
            if hedge > 0 and 2 <= half_life <= 60:
                p_value = coint(window[:, i], window[:, j], return_results=False)[1]
                if p_value <= 0.05:
                    expected[a, b] = p_value
    assert {(pair.a, pair.b): pair.p_value for pair in found} == pytest.approx(expected, rel=1e-6)
    assert found == sorted(found, key=lambda pair: pair.p_value)


def test_rows_from_as_of_on_and_before_the_window_change_nothing() -> None:
    closes, symbols = planted()
    expected = form_pairs(closes, DATES, symbols, as_of=AS_OF, **PARAMETERS)
    changed = closes.copy()
    changed[600:] = np.random.default_rng(9).uniform(1, 1e6, changed[600:].shape)
    changed[700:] = np.nan
    changed[:96] = 0
    assert form_pairs(changed, DATES, symbols, as_of=AS_OF, **PARAMETERS) == expected
    assert form_pairs(closes[:600], DATES[:600], symbols, as_of=AS_OF, **PARAMETERS) == expected
    assert expected


def test_the_order_of_columns_changes_nothing() -> None:
    closes, symbols = planted()
    order = [3, 0, 5, 1, 4, 2]
    shuffled = form_pairs(closes[:, order], DATES, [symbols[at] for at in order], as_of=AS_OF, **PARAMETERS)
    assert shuffled == form_pairs(closes, DATES, symbols, as_of=AS_OF, **PARAMETERS)


def test_a_symbol_with_a_hole_or_without_movement_in_the_window_is_left_out() -> None:
    closes, symbols = planted()
    holed = closes.copy()
    holed[300, 0] = 0
    holed[:, 2] = 7.0
    assert formation_window(holed, DATES, symbols, as_of=AS_OF, formation_days=504).symbols == ["B", "D", "E", "F"]
    found = form_pairs(holed, DATES, symbols, as_of=AS_OF, **PARAMETERS)
    assert not any({"A", "C"} & {pair.a, pair.b} for pair in found)


def test_each_symbol_stands_in_at_most_so_many_pairs_and_the_best_go_first(panel) -> None:  # type: ignore[no-untyped-def]
    closes, dates, symbols = panel

    def found(per_symbol: int, most: int = 12) -> list[Pair]:
        wanted = PARAMETERS | {"max_pairs": most}
        return form_pairs(closes, dates, symbols, as_of=20110103, max_per_symbol=per_symbol, **wanted)

    for per_symbol in (1, 2):
        chosen = found(per_symbol)
        legs = [leg for pair in chosen for leg in (pair.a, pair.b)]
        assert max(legs.count(leg) for leg in legs) == per_symbol
        assert chosen == sorted(chosen, key=lambda pair: pair.p_value)
    assert found(2, most=3) == found(2)[:3]


def test_two_share_classes_of_one_company_do_not_break_the_test() -> None:
    closes, symbols = planted()
    twin = np.column_stack([closes, closes[:, 1] * (1 + 1e-9 * np.sin(np.arange(ROWS)))])
    pairs = form_pairs(twin, DATES, [*symbols, "G"], as_of=AS_OF, **PARAMETERS | {"min_half_life": 0.0})
    by_name = {(pair.a, pair.b): pair for pair in pairs}
    assert by_name["A", "G"].p_value == pytest.approx(by_name["A", "B"].p_value, rel=1e-6)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"formation_days": 601}, "formation_days"),
        ({"formation_days": 5}, "formation_days"),
        ({"max_pairs": 0}, "max_pairs"),
        ({"p_value": 0.0}, "p_value"),
        ({"p_value": 1.5}, "p_value"),
        ({"min_half_life": 61.0}, "min_half_life"),
        ({"max_per_symbol": 0}, "max_per_symbol"),
    ],
)
def test_a_parameter_out_of_range_is_named(changed: dict, field: str) -> None:
    closes, symbols = planted()
    with pytest.raises(BadInput) as refused:
        form_pairs(closes, DATES, symbols, as_of=AS_OF, **PARAMETERS | changed)
    assert refused.value.field == field


def test_closes_of_another_shape_are_refused() -> None:
    closes, symbols = planted()
    with pytest.raises(BadInput, match="bad_shape"):
        form_pairs(closes[:, :3], DATES, symbols, as_of=AS_OF, **PARAMETERS)


def test_pairs_are_formed_on_the_first_trading_day_of_each_year_that_has_a_window_before_it() -> None:
    dates = np.array([20181230, 20181231, 20190102, 20190103, 20200102, 20200103, 20210104])
    assert formation_dates(dates, 20190103, 20210104, formation_days=2) == [20190102, 20200102, 20210104]
    assert formation_dates(dates, 20181230, 20201231, formation_days=3) == [20200102]
    assert formation_dates(dates, 20190103, 20190103, formation_days=2) == [20190102]
    assert formation_dates(dates, 20250101, 20251231, formation_days=2) == []


def test_the_panel_is_formed_31_times(panel) -> None:  # type: ignore[no-untyped-def]
    _, dates, _ = panel
    days = formation_dates(dates, 19900102, 20221228, formation_days=504)
    assert (len(days), days[0], days[-1]) == (31, 19920102, 20220103)
