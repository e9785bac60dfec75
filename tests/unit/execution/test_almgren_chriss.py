"""Almgren and Chriss against published figures, the paper's closed forms, and a quadratic program.

The worked example of the paper: S0 = 50, X = 1,000,000, T = N = 5 days, sigma = 0.95, gamma = 2.5e-7, eta = 2.5e-6,
epsilon = 1/16. Rows of PUBLISHED and the trajectory of sigma = 0.9487 were printed by another implementation, DROP
(github.com/lakshmiDRIP/DROP, drop/org/drip/sample/almgrenchriss/{EfficientFrontier,OptimalTrajectory}NoDrift.drop).
"""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.__main__ import main
from engine.errors import BadInput
from engine.execution.almgren_chriss import Impact, cost_of, frontier, optimal

SHARES, DAYS, INTERVALS = 1e6, 5.0, 5
EXAMPLE = Impact(volatility=0.95, permanent=2.5e-7, temporary=2.5e-6, fixed=0.0625)
PUBLISHED = [  # risk aversion, expected cost in millions, variance in 10**12, 1 / kappa in days
    (1e-9, 0.6625, 1.0812, 51.30),
    (9e-9, 0.6626, 1.0669, 17.10),
    (0.25e-6, 0.6996, 0.7513, 3.26),
    (1e-6, 0.9112, 0.3641, 1.65),
    (2e-6, 1.1407, 0.2019, 1.18),
    (4e-6, 1.4341, 0.0970, 0.86),
]

impacts = st.builds(
    Impact,
    volatility=st.floats(0.01, 3.0),
    permanent=st.floats(0.0, 3e-7),
    temporary=st.floats(1e-6, 1e-4),
    fixed=st.floats(0.0, 0.1),
)


@pytest.mark.parametrize(("aversion", "cost", "variance", "half_life"), PUBLISHED)
def test_cost_variance_and_half_life_are_the_published_ones(aversion, cost, variance, half_life):
    plan = optimal(SHARES, DAYS, INTERVALS, EXAMPLE, aversion)
    assert plan.expected_cost / 1e6 == pytest.approx(cost, abs=5e-5)
    assert plan.variance / 1e12 == pytest.approx(variance, abs=5e-5)
    assert plan.half_life == pytest.approx(half_life, abs=6e-3)


def test_the_papers_kappa_is_061_a_day():
    assert round(optimal(SHARES, DAYS, INTERVALS, EXAMPLE, 1e-6).kappa, 2) == 0.61


def test_the_published_trajectory_is_reproduced_to_a_tenth_of_a_share():
    impact = Impact(50 * 0.30 / math.sqrt(250), 2.5e-7, 2.5e-6, 0.0625)
    plan = optimal(SHARES, DAYS, INTERVALS, impact, 1e-6)
    assert plan.holdings == pytest.approx([1e6, 542_380.7, 290_295.1, 148_216.1, 62_303.2, 0.0], abs=0.06)
    assert plan.trades == pytest.approx([457_619.3, 252_085.6, 142_079.0, 85_912.9, 62_303.2], abs=0.06)
    assert (plan.expected_cost, plan.variance / 1e6) == pytest.approx((910_477.8, 363_868.0), abs=0.06)
    assert (plan.kappa, plan.kappa_tilde) == pytest.approx((0.6063, 0.6156), abs=5e-5)


def test_the_even_pace_and_all_at_once_cost_what_section_1_5_says():
    """E = gamma X**2 / 2 + epsilon X + (eta - gamma tau / 2) X**2 / T; at once E = epsilon X + eta X**2 / tau."""
    even = optimal(SHARES, DAYS, INTERVALS, EXAMPLE, 0.0)
    assert even.trades == pytest.approx([200_000] * 5)
    assert even.expected_cost == pytest.approx(125_000 + 62_500 + 475_000)
    assert even.variance == pytest.approx(0.95**2 * 1e12 * 5 / 3 * (1 - 1 / 5) * (1 - 1 / 10))
    assert cost_of(np.array([1e6, 0, 0, 0, 0, 0]), DAYS, EXAMPLE) == pytest.approx((62_500 + 2_500_000, 0.0))


@given(impacts, st.floats(1e-8, 1e-4), st.integers(1, 40))
def test_cost_and_variance_agree_with_the_closed_forms_of_section_2_2(impact, aversion, intervals):
    plan = optimal(SHARES, DAYS, intervals, impact, aversion)
    k, tau = plan.kappa, DAYS / intervals
    if not 0.05 < k * DAYS < 300:  # outside, the paper's form cancels or overflows
        return
    eta, squared = impact.temporary - impact.permanent * tau / 2, SHARES**2
    shape = (tau * math.sinh(2 * k * DAYS) + 2 * DAYS * math.sinh(k * tau)) / (2 * tau**2 * math.sinh(k * DAYS) ** 2)
    cost = impact.permanent * squared / 2 + impact.fixed * SHARES + eta * squared * math.tanh(k * tau / 2) * shape
    spread = tau * math.sinh(k * DAYS) * math.cosh(k * (DAYS - tau)) - DAYS * math.sinh(k * tau)
    variance = impact.volatility**2 * squared / 2 * spread / (math.sinh(k * DAYS) ** 2 * math.sinh(k * tau))
    assert plan.expected_cost == pytest.approx(cost, rel=1e-6)
    assert plan.variance == pytest.approx(variance, rel=1e-5, abs=1e-6 * squared)


@given(impacts, st.floats(1e-9, 1e-5), st.integers(2, 30))
def test_the_trajectory_solves_the_quadratic_program(impact, aversion, intervals):
    """Minimise over trades n that sum to X: gamma sum x n + eta / tau sum n**2 + lambda sigma**2 tau sum x**2."""
    tau = DAYS / intervals
    left = np.triu(np.ones((intervals, intervals)), 1)  # x = left @ n: what is still to come
    hessian = impact.permanent * (left + left.T) + 2 * impact.temporary / tau * np.eye(intervals)
    hessian += 2 * aversion * impact.volatility**2 * tau * left.T @ left
    scale = hessian.max()
    conditions = np.block([[hessian / scale, np.ones((intervals, 1))], [np.ones((1, intervals)), np.zeros((1, 1))]])
    trades = np.linalg.solve(conditions, np.append(np.zeros(intervals), SHARES))[:-1]
    assert optimal(SHARES, DAYS, intervals, impact, aversion).trades == pytest.approx(trades, abs=1e-4 * SHARES / 100)


def test_along_the_frontier_less_variance_costs_more():
    plans = frontier(SHARES, DAYS, 50, EXAMPLE, 30)
    costs, variances = [plan.expected_cost for plan in plans], [plan.variance for plan in plans]
    assert costs == sorted(costs)
    assert variances == sorted(variances, reverse=True)
    assert plans[0].trades == pytest.approx([20_000] * 50)
    assert plans[-1].trades[0] > 0.99 * SHARES


@pytest.mark.parametrize("aversion", [1e-18, 1e-14, 1e6, 1e12])
def test_extreme_risk_aversions_neither_overflow_nor_cancel(aversion):
    plan = optimal(SHARES, DAYS, 1_000, EXAMPLE, aversion)
    assert np.isfinite(plan.holdings).all()
    assert (plan.trades >= 0).all()
    assert plan.trades.sum() == pytest.approx(SHARES)


def test_permanent_impact_that_outweighs_the_temporary_one_has_no_optimal_trajectory():
    with pytest.raises(BadInput, match="temporary"):
        optimal(SHARES, 21.0, 1, EXAMPLE, 1e-6)


COMMAND = "execution almgren-chriss --X 1000000 --T 5 --N 5 --sigma 0.95 --gamma 2.5e-7 --eta 2.5e-6 --epsilon 0.0625"


def test_the_command_prints_the_figures_and_names_method_and_sign(capsys):
    assert main([*COMMAND.split(), "--lambda", "1e-6", "--S0", "50", "--frontier", "5"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["expected_cost"] == pytest.approx(911_200, abs=50)
    assert answer["expected_cost_bps"] == pytest.approx(182.2, abs=0.05)  # of 50 million
    assert "Almgren" in answer["method"]
    assert "positive" in answer["sign"]
    assert len(answer["frontier"]) == 5


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--lambda", "-1"], "risk_aversion"),
        (["--lambda", "some"], "risk_aversion"),
        (["--lambda=-1e-6"], "risk_aversion"),
        (["--lambda", "-1e-6"], "arguments"),  # an option, for argparse
        (["--kappa", "1"], "arguments"),
        ([], "risk_aversion"),
        (["--lambda", "1e-6", "--N", "2.5"], "intervals"),
        (["--lambda", "1e-6", "--N", "0"], "intervals"),
        (["--lambda", "1e-6", "--X", "nan"], "shares"),
        (["--lambda", "1e-6", "--eta", "1e-8"], "temporary"),
        (["--lambda", "1e-6", "--S0", "0"], "price"),
    ],
)
def test_bad_input_is_answered_with_the_field_and_exit_2(capsys, options, field):
    assert main([*COMMAND.split(), *options]) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"]["field"] == field
