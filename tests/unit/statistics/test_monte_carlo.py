"""The bootstrap of days: against what is known of independent days, and of days that hang together."""

import numpy as np
import pytest

from engine.statistics.monte_carlo import resample


def test_paths_spread_as_independent_days_do() -> None:
    """The logarithm of the end is normal: its quantiles are those of 250 days of 1 % a day."""
    returns = np.random.default_rng(1).normal(0, 0.01, 250)
    returns -= returns.mean()
    found = resample(returns, paths=2_000, mean_block=1)
    log_deviation = np.log1p(returns).std() * np.sqrt(250)
    expected = np.exp(np.log1p(returns).sum() + log_deviation * np.array([-1.645, 0, 1.645])) - 1
    assert found.total_return[[0, 2, 4]] == pytest.approx(expected, abs=0.02)


def test_losses_that_come_together_draw_down_deeper_in_blocks_than_day_by_day() -> None:
    returns = np.where(np.arange(500) % 100 < 20, -0.01, 0.0028)
    blocks, alone = (resample(returns, mean_block=block).max_drawdown[2] for block in (20, 1))
    assert blocks < alone < 0


def test_days_that_only_gain_never_lose() -> None:
    found = resample(np.full(100, 0.001))
    assert found.loss_probability == 0
    assert found.max_drawdown.tolist() == [0] * 5
    assert found.total_return == pytest.approx([1.001**100 - 1] * 5)


def test_the_same_seed_draws_the_same_paths() -> None:
    returns = np.random.default_rng(2).normal(0, 0.01, 100)
    first, second, other = (resample(returns, paths=50, seed=seed).total_return.tolist() for seed in (3, 3, 4))
    assert first == second != other
