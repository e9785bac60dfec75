"""Figures of an equity curve, against an independent library's and by hand.

The reference figures are those that empyrical-reloaded 0.7.1 printed on 2026-11-25 for ``series()`` (its alpha
compounds, ours does not, so alpha is checked against statsmodels' regression); skewness, kurtosis and the regression
come from scipy and statsmodels at test time.
"""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from engine.statistics import curve as figures
from engine.statistics.benchmark import equal_weights, relative_statistics

EMPYRICAL = {
    "cagr": 0.15744652574341922,
    "volatility": 0.16496652453197408,
    "sharpe": 0.9689145413563732,
    "sortino": 1.4353849211939365,
    "calmar": 0.8445838921255157,
    "max_drawdown": -0.1864190487308284,
}


def series() -> tuple[np.ndarray, np.ndarray]:
    """Returns of a strategy and of its benchmark, 750 days."""
    random = np.random.default_rng(20261125)
    benchmark = random.normal(0.0004, 0.01, 750)
    return 0.0002 + 0.6 * benchmark + random.standard_t(4, 750) * 0.006, benchmark


def equity_of(returns: np.ndarray) -> np.ndarray:
    return 1e6 * np.cumprod(1 + returns)


@pytest.mark.parametrize("name", EMPYRICAL)
def test_a_figure_is_empyricals(name: str) -> None:
    returns, _ = series()
    assert figures.equity_statistics(equity_of(returns), 1e6)[name] == pytest.approx(EMPYRICAL[name], rel=1e-9)


def test_skewness_and_kurtosis_are_the_populations() -> None:
    returns, _ = series()
    assert figures.skewness(returns) == pytest.approx(stats.skew(returns))
    assert figures.kurtosis(returns) == pytest.approx(stats.kurtosis(returns, fisher=False))


def test_rolling_sharpe_is_empyricals_of_the_last_days() -> None:
    returns, _ = series()
    rolled = figures.rolling(returns, 60)["sharpe"]
    assert np.isnan(rolled[:59]).all()
    assert np.isfinite(rolled[59:]).sum() == 691
    assert rolled[-1] == pytest.approx(0.6676225015438257, rel=1e-9)


def test_a_month_is_empyricals() -> None:
    returns, _ = series()
    days = np.array([int(str(d).replace("-", "")) for d in np.busday_offset("2020-01-01", np.arange(750))])
    months = figures.monthly_returns(1e6, days, equity_of(returns))
    assert months[2021, 1] == pytest.approx(-0.02201525425487405, rel=1e-9)


def test_alpha_and_beta_are_those_of_the_regression() -> None:
    returns, benchmark = series()
    fitted = sm.OLS(returns, sm.add_constant(benchmark)).fit().params
    found = relative_statistics(returns, benchmark)
    assert found["beta"] == pytest.approx(fitted[1])
    assert found["alpha"] == pytest.approx(fitted[0] * 252)
    assert found["beta"] == pytest.approx(0.5883473299812978)  # empyrical
    assert found["information_ratio"] == pytest.approx(-0.28430142961698257)  # empyrical


def test_a_curve_that_is_its_benchmark_has_beta_one_and_no_information() -> None:
    _, benchmark = series()
    found = relative_statistics(benchmark, benchmark)
    assert (found["beta"], found["information_ratio"]) == (pytest.approx(1), None)
    assert (found["up_capture"], found["down_capture"]) == (pytest.approx(1), pytest.approx(1))


def test_nothing_is_said_of_what_does_not_move() -> None:
    still = figures.equity_statistics(np.full(10, 100.0), 100.0)
    assert {still[name] for name in ("sharpe", "sortino", "calmar", "skewness")} == {None}
    assert set(relative_statistics(np.zeros(5), np.zeros(5)).values()) == {None}
    assert figures.equity_statistics(np.array([101.0]), 100.0)["volatility"] is None


def test_each_drawdown_knows_its_high_its_low_and_when_it_was_regained() -> None:
    curve = np.array([100, 90, 95, 100, 110, 99, 88, 104.5])
    first, second = figures.drawdowns(curve)
    assert (first.peak, first.trough, first.recovered, first.depth) == (0, 1, 3, pytest.approx(-0.1))
    assert (second.peak, second.trough, second.recovered, second.depth) == (4, 6, None, pytest.approx(-0.2))
    assert figures.deepest([first, second], 1) == [second]
    assert figures.equity_statistics(curve[1:], 100.0)["longest_drawdown_days"] == 3


def test_drawdown_is_measured_from_the_highest_value_so_far_the_capital_included() -> None:
    # high 100 (the capital) | 110, 99/110 | 99/110 | 118.8 | 106.92/118.8
    curve = figures.with_capital(100.0, np.array([110.0, 99.0, 99.0, 118.8, 106.92]))
    assert figures.drawdown(curve) == pytest.approx([0, 0, -0.1, -0.1, 0, -0.1])


def test_equal_weights_hold_what_was_bought_on_the_first_day() -> None:
    closes = np.array([[100, 200, 0], [110, 0, 50], [120, 100, 99]], np.int64)  # the third is not there yet
    assert equal_weights(closes) == pytest.approx([1, (1.1 + 1) / 2, (1.2 + 0.5) / 2])
    assert equal_weights(np.zeros((2, 1), np.int64)).tolist() == [1, 1]


DAYS = np.array([20211230, 20211231, 20220103, 20220131, 20220201], np.int64)
EQUITY = np.array([110.0, 99.0, 99.0, 118.8, 106.92])


def test_a_months_return_starts_at_the_last_close_before_it() -> None:
    returns = figures.monthly_returns(100.0, DAYS, EQUITY)
    assert list(returns) == [(2021, 12), (2022, 1), (2022, 2)]
    assert list(returns.values()) == pytest.approx([-0.01, 0.2, -0.1])


def test_a_years_return_compounds_its_months() -> None:
    returns = figures.monthly_returns(100.0, DAYS, EQUITY)
    assert figures.yearly_return(returns, 2021) == pytest.approx(-0.01)
    assert figures.yearly_return(returns, 2022) == pytest.approx(1.2 * 0.9 - 1)
