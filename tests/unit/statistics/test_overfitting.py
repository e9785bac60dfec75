"""Sharpe ratios in the light of the search for them: the papers' worked examples, skfolio, and planted cases."""

import math

import numpy as np
import pytest
from skfolio import measures

from engine.errors import BadInput
from engine.statistics.curve import daily_sharpe, kurtosis, skewness
from engine.statistics.overfitting import (
    deflated_sharpe,
    expected_best_sharpe,
    least_track_record,
    overfitting_probability,
    probabilistic_sharpe,
)


def test_the_hedge_fund_of_the_2012_paper() -> None:
    """Two years of monthly returns: 0.982 if they were normal, 0.913 with their skewness and kurtosis."""
    assert probabilistic_sharpe(0.458, 24, 0.0, 3.0) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


def test_the_selected_strategy_of_the_2014_paper() -> None:
    """Annual ratio 2.5 on 1,250 days, best of 100 trials with an annual variance of 1/2: deflated to 0.90."""
    variance = 0.5 / 250
    assert expected_best_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, -3, 10, 100, variance) == pytest.approx(0.9004, abs=5e-5)


def test_with_46_trials_the_same_strategy_would_have_passed_at_95_percent() -> None:
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, -3, 10, 46, 0.5 / 250) == pytest.approx(0.9505, abs=5e-5)


def test_one_trial_deflates_nothing() -> None:
    assert deflated_sharpe(0.1, 500, 0.0, 3.0, 1, 0.01) == probabilistic_sharpe(0.1, 500, 0.0, 3.0)


def test_a_track_record_of_the_least_length_is_just_believed() -> None:
    days = least_track_record(0.05, -1.0, 6.0)
    assert days is not None
    assert probabilistic_sharpe(0.05, round(days), -1.0, 6.0) == pytest.approx(0.95, abs=1e-3)
    assert least_track_record(-0.01, 0.0, 3.0) is None


def test_the_figures_are_skfolios() -> None:
    returns = np.random.default_rng(3).standard_t(5, 600) * 0.01 + 0.0008
    ours = probabilistic_sharpe(daily_sharpe(returns), 600, skewness(returns), kurtosis(returns), 0.02)
    assert ours == pytest.approx(measures.probabilistic_sharpe_ratio(returns, 0.02), abs=2e-4)
    assert expected_best_sharpe(57, 0.0016) == pytest.approx(measures.expected_max_sharpe_ratio(57, 0.04), rel=1e-6)


def test_the_best_of_pure_noise_is_no_better_than_the_median_half_of_the_time() -> None:
    """Averaged over 40 searches: one alone is anywhere between 0.2 and 0.8."""
    random = np.random.default_rng(11)
    found = [overfitting_probability(random.normal(0, 0.01, (500, 20)), 10).probability for _ in range(40)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_a_strategy_that_is_better_everywhere_is_not_overfitted() -> None:
    returns = np.random.default_rng(5).normal(0, 0.01, (1000, 30))
    returns[:, 7] += 0.004
    found = overfitting_probability(returns, 10)
    assert (found.probability, found.loss_probability) == (0.0, 0.0)
    assert len(found.logits) == math.comb(10, 5)


def test_a_trial_that_lives_on_one_half_of_the_days_is_found_out() -> None:
    """Each trial wins on blocks of its own and loses what it won on all others."""
    random = np.random.default_rng(2)
    returns = random.normal(0, 0.001, (800, 8))
    for trial in range(8):
        returns[:, trial] -= 0.002
        returns[trial * 100 : (trial + 1) * 100, trial] += 0.016
    assert overfitting_probability(returns, 8).probability > 0.9


@pytest.mark.parametrize(
    ("shape", "blocks", "field"), [((100, 1), 10, "returns"), ((100, 3), 7, "blocks"), ((15, 3), 8, "returns")]
)
def test_too_little_to_cross_validate_is_refused(shape: tuple[int, int], blocks: int, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        overfitting_probability(np.zeros(shape), blocks)
    assert refused.value.field == field
