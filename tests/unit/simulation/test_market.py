"""The days of the simulated market against the closes they are made from."""

import numpy as np
import pytest

from engine.errors import BadInput
from engine.simulation.market import DEFAULT_DEVIATION, Market

DATES = np.array([20130102, 20130103, 20130104, 20130107, 20130108, 20130109, 20130110, 20130111])


def market(closes: list[list[int]], opens=None, start: int = 20130103, seed: int = 7) -> Market:
    symbols = [f"S{index}" for index in range(len(closes[0]))]
    return Market(DATES[: len(closes)], symbols, np.array(closes), opens, start=start, end=20130111, seed=seed)


def test_days_are_those_of_the_range_and_follow_each_other():
    found = market([[100_0000]] * 8, start=20130105)
    assert found.dates == [20130107, 20130108, 20130109, 20130110, 20130111]
    assert found.after(20130109) == [20130110, 20130111]


def test_range_without_a_day_is_refused():
    with pytest.raises(BadInput, match="no_days"):
        market([[100_0000]] * 8, start=20140101)


def test_opening_lies_on_the_bridge_a_quarter_of_the_way_on_average():
    opens = [market([[100_0000], [100_0000], [104_0000]], seed=seed).day(20130104).opens[0] for seed in range(4000)]
    expected = np.log(100_0000) + 0.25 * np.log(1.04)
    # Standard error of the mean: sqrt(0.25 * 0.75) * 1.5 % / sqrt(4000) = 0.0103 %.
    assert np.mean(np.log(opens)) == pytest.approx(expected, abs=4 * 0.000103)
    assert np.std(np.log(opens)) == pytest.approx(np.sqrt(0.25 * 0.75) * DEFAULT_DEVIATION, rel=0.05)


def test_real_opening_price_is_used_where_it_is_known():
    opens = np.array([[0], [101_5000], [0]])
    assert market([[100_0000], [102_0000], [103_0000]], opens).day(20130103).opens[0] == 101_5000


def test_symbol_without_a_close_does_not_trade_and_bridges_over_the_gap_later():
    found = market([[100_0000], [0], [100_0000]])
    assert found.day(20130103).closes[0] == 0
    assert found.day(20130103).opens[0] == 0
    assert found.day(20130104).opens[0] == pytest.approx(100_0000, rel=0.05)


def test_deviation_is_that_of_the_days_before():
    ratio = np.exp(0.02)
    closes = [[round(100_0000 * ratio ** (day % 2))] for day in range(8)]  # log returns of +2 % and -2 % in turn
    # Seven closes before the last day: six returns of 2 %; three quarters of the variance fall into the session.
    assert market(closes).day(20130111).deviations[0] == pytest.approx(0.02 * np.sqrt(0.75), rel=1e-3)


def test_same_seed_gives_the_same_opening_whatever_came_before():
    closes = [[100_0000 + 1_0000 * day] for day in range(8)]
    assert market(closes).day(20130110).opens[0] == market(closes, start=20130109).day(20130110).opens[0]
