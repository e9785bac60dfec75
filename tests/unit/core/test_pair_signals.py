"""Signals of pairs against the plain reference, which sums its windows from scratch and filters with matrices."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.signals.moments import (
    EXPONENTIAL,
    LAPS,
    REVERSION,
    exponential_add,
    half_life,
    reversion_add,
    rolling_add,
    rolling_dtype,
    rolling_start,
    rolling_variance,
)
from engine.core.signals.pairs import (
    PAIR_SETTINGS,
    Hedge,
    Statistics,
    index_pairs,
    next_stance,
    on_price,
    pairs_dtype,
    z_score,
)
from engine.core.signals.reference import ReferencePair, sample_weights

SECOND = 1_000_000_000
LOOKBACK = 20
STATE_VARIANCE = 1e-4


def settings(hedge=Hedge.STATIC, statistics=Statistics.ROLLING, interval=0, entry=1.5, exit=0.3, stop=4.0):
    record = np.zeros(1, PAIR_SETTINGS)
    record["hedge"], record["statistics"], record["lookback"] = hedge, statistics, LOOKBACK
    record["interval"], record["weight"] = interval, 0.1
    record["state_noise"], record["spread_noise"] = 1e-6, 1e-4
    record["entry"], record["exit"], record["stop"] = entry, exit, stop
    return record[0]


def pairs_of(legs, instruments, hedge_ratio=0.8, intercept=0.1, reference=0.0):
    pairs = np.zeros(1, pairs_dtype(16, instruments))[0]
    pairs["count"] = len(legs)
    for pair, (a, b) in zip(pairs["pair"], legs, strict=False):
        pair["a"], pair["b"], pair["hedge_ratio"] = a, b, hedge_ratio
        pair["intercept"], pair["reference"] = intercept, reference
        pair["hedge_variance"] = pair["intercept_variance"] = STATE_VARIANCE
        rolling_start(pair["rolling"], LOOKBACK)
    index_pairs(pairs)
    return pairs


def reference_of(chosen, hedge_ratio=0.8, intercept=0.1, reference=0.0):
    names = ("lookback", "interval", "weight", "state_noise", "spread_noise", "entry", "exit", "stop")
    return ReferencePair(
        hedge_ratio,
        intercept,
        reference,
        kalman=chosen["hedge"] == Hedge.KALMAN,
        rolling=chosen["statistics"] == Statistics.ROLLING,
        state_variance=STATE_VARIANCE,
        **{name: chosen[name].item() for name in names},
    )


def walk(steps, seed):
    """(instrument, log price, now) of two prices whose spread reverts, and jumps once."""
    random = np.random.default_rng(seed)
    common, apart = 4.0, 0.0
    for step in range(steps):
        common += random.normal(0, 0.002)
        apart = 0.9 * apart + random.normal(0, 0.003) + (0.05 if step == steps // 2 else 0.0)
        now = step * SECOND + int(random.integers(0, SECOND))
        yield (0, common * 0.8 + 0.1 + apart, now) if step % 2 else (1, common, now)


@pytest.mark.parametrize("hedge", list(Hedge))
@pytest.mark.parametrize("statistics", list(Statistics))
@pytest.mark.parametrize("interval", [0, 7 * SECOND])
def test_spread_z_score_hedge_half_life_and_stance_are_the_references(hedge, statistics, interval):
    chosen = settings(hedge, statistics, interval)
    pairs, plain = pairs_of([(0, 1)], 2, reference=4.0), reference_of(chosen, reference=4.0)
    pair, logs, stances = pairs["pair"][0], {}, set()
    for instrument, log_price, now in walk(3_000 if interval else 600, seed=5):
        on_price(pairs, instrument, log_price, now, chosen)
        logs[instrument] = log_price
        if len(logs) < 2:
            continue
        plain.update(logs[0], logs[1], now)
        assert pair["spread"] == pytest.approx(plain.spread, abs=1e-12)
        assert z_score(pair) == pytest.approx(plain.z or 0.0, abs=1e-6)
        assert (pair["stance"], bool(pair["stopped"])) == (plain.stance, plain.stopped)
        stances.add(plain.stance)
    assert pair["hedge_ratio"] == pytest.approx(plain.hedge, abs=1e-10)
    assert half_life(pair["reversion"]) == pytest.approx(plain.half_life(), rel=1e-6)
    assert stances == {-1, 0, 1}


def test_a_kalman_hedge_ratio_finds_the_one_that_made_the_prices():
    random = np.random.default_rng(11)
    chosen = settings(Hedge.KALMAN, interval=2)  # a sample at each odd time, when both prices are of one moment
    pairs = pairs_of([(0, 1)], 2, hedge_ratio=0.8, intercept=0.0, reference=4.0)
    log_b = 4.0
    for step in range(4_000):
        log_b += random.normal(0, 0.02)
        on_price(pairs, 1, log_b, 2 * step, chosen)
        on_price(pairs, 0, 1.3 * (log_b - 4.0) + 0.05 + random.normal(0, 0.003), 2 * step + 1, chosen)
    assert pairs["pair"][0]["hedge_ratio"] == pytest.approx(1.3, abs=0.05)
    assert pairs["pair"][0]["intercept"] == pytest.approx(0.05, abs=0.02)


def test_a_price_moves_the_pairs_of_its_instrument_and_no_others():
    pairs = pairs_of([(0, 1), (1, 2), (3, 0), (2, 3)], 5)
    chosen = settings()
    for instrument in range(4):
        on_price(pairs, instrument, 4.0, 0, chosen)
    before = pairs["pair"]["spread"][:4].copy()
    updated, changed = on_price(pairs, 1, 4.5, 1, chosen)
    assert (updated, changed) == (2, 0)
    assert (pairs["pair"]["spread"][:4] != before).tolist() == [True, True, False, False]
    assert on_price(pairs, 4, 1.0, 2, chosen) == (0, 0)


def test_a_pair_waits_for_the_price_of_its_other_leg():
    pairs = pairs_of([(0, 1)], 2)
    assert on_price(pairs, 0, 4.0, 0, settings()) == (0, 0)
    assert on_price(pairs, 1, 0.0, 1, settings()) == (1, 0)  # one dollar is a price


def test_at_most_one_sample_is_taken_an_interval():
    pairs = pairs_of([(0, 1)], 2)
    chosen = settings(interval=10 * SECOND)
    on_price(pairs, 1, 4.0, 0, chosen)
    for tenth in range(0, 400, 5):
        on_price(pairs, 0, 4.0, tenth * SECOND // 10, chosen)
    assert pairs["pair"][0]["exponential"]["count"] == 4  # at 0, 10, 20 and 30 of 39.5 seconds


@pytest.mark.parametrize("sign", [1, -1])
def test_stance_has_hysteresis_and_a_stopped_pair_stays_out_until_it_is_back(sign):
    chosen = settings(entry=2.0, exit=0.5, stop=4.0)
    stance, stopped, seen = 0, 0, []
    for z in (1.9, 2.1, 1.0, 0.6, 0.4, 2.1, 4.0, 3.0, 0.6, 0.5, 3.0, -1.0, 4.1):
        stance, stopped = next_stance(stance, stopped, sign * z * 3.0, 9.0, chosen)
        seen.append(stance * sign)
    assert seen == [0, -1, -1, -1, 0, -1, 0, 0, 0, 0, -1, 0, 0]


VALUES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=200)


@given(VALUES, st.integers(2, 16))
def test_a_rolling_window_has_the_mean_and_deviation_of_its_last_values(values, length):
    rolling = np.zeros(1, rolling_dtype(16))[0]
    rolling_start(rolling, length)
    for value in values:
        rolling_add(rolling, value)
    window = np.array(values[-length:])
    assert rolling["mean"] == pytest.approx(window.mean(), abs=1e-9)
    expected = window.var(ddof=1) if len(values) >= length else 0.0
    assert rolling_variance(rolling) == pytest.approx(expected, rel=1e-9, abs=1e-7)


def test_rounding_leaves_nothing_behind_in_a_window():
    rolling = np.zeros(1, rolling_dtype(8))[0]
    rolling_start(rolling, 8)
    for value in (1e9, -1e9) * 40:
        rolling_add(rolling, value)
    for _ in range(8 * (LAPS + 1)):
        rolling_add(rolling, 0.1)
    assert rolling_variance(rolling) == pytest.approx(0.0, abs=1e-30)


@given(VALUES, st.floats(0.01, 1.0))
def test_exponential_moments_are_the_weighted_sums(values, weight):
    moments = np.zeros(1, EXPONENTIAL)[0]
    for value in values:
        exponential_add(moments, value, weight)
    weights = np.array(sample_weights(len(values), weight))
    mean = float(weights @ np.array(values))
    assert sum(weights) == pytest.approx(1.0)
    assert moments["mean"] == pytest.approx(mean, abs=1e-8)
    variance = float(weights @ (np.array(values) - mean) ** 2)
    assert moments["variance"] == pytest.approx(variance, rel=1e-8, abs=1e-6)


@pytest.mark.parametrize("remains", [0.5, 0.9, 0.98])
def test_half_life_is_that_of_the_process_that_made_the_values(remains):
    random = np.random.default_rng(2)
    moments, reversion, value = np.zeros(1, EXPONENTIAL)[0], np.zeros(1, REVERSION)[0], 0.0
    for _ in range(200_000):
        value = remains * value + random.normal()
        reversion_add(reversion, value, moments["mean"], 1e-4)
        exponential_add(moments, value, 1e-4)
    assert half_life(reversion) == pytest.approx(math.log(0.5) / math.log(remains), rel=0.2)


def test_what_does_not_revert_has_an_infinite_half_life():
    moments, reversion = np.zeros(1, EXPONENTIAL)[0], np.zeros(1, REVERSION)[0]
    assert half_life(reversion) == math.inf
    for value in range(100):
        reversion_add(reversion, float(value), moments["mean"], 0.05)
        exponential_add(moments, float(value), 0.05)
    assert half_life(reversion) == math.inf
