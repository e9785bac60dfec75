"""Signals of one instrument: each against its definition, computed from the whole history at once."""

import math

import numpy as np
import pytest
from numba import njit

from engine.core.events import PRICE_SCALE
from engine.core.signals.instruments import (
    DAY_NS,
    INSTRUMENT_FIELDS,
    INSTRUMENT_SETTINGS,
    INSTRUMENT_SIGNALS,
    touch_price,
)
from engine.core.signals.instruments import on_touch as compiled_on_touch
from engine.core.signals.instruments import on_trade as compiled_on_trade
from engine.core.signals.instruments import start_day as compiled_start_day
from engine.core.state import MARKET

SECOND = 1_000_000_000


# Records whose fields overlap come from Python as arrays of one.
@njit
def on_touch(signals, market, now, settings):
    return compiled_on_touch(signals[0], market, now, settings)


@njit
def on_trade(signals, price, qty, side, now, settings):
    compiled_on_trade(signals[0], price, qty, side, now, settings)


@njit
def start_day(signals):
    compiled_start_day(signals[0])


def settings(return_weight=0.05):
    record = np.zeros(1, INSTRUMENT_SETTINGS)[0]
    record["fast"], record["slow"], record["flow"], record["grid"] = 10 * SECOND, 60 * SECOND, 5 * SECOND, SECOND
    record["return_weight"] = return_weight
    return record


def touch(bid, bid_size, ask, ask_size):
    market = np.zeros(1, MARKET)[0]
    market["bid"], market["bid_size"], market["ask"], market["ask_size"] = bid, bid_size, ask, ask_size
    return market


def fresh():
    return np.zeros(1, INSTRUMENT_SIGNALS)


def mids(count, seed=1):
    """(time, mid in 1/10,000) at irregular times, some seconds quiet, some busy."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.exponential(0.6 * SECOND, count).astype(np.int64) + 1)
    return list(
        zip(times.tolist(), (1_000_000 + np.cumsum(random.integers(-30, 31, count) * 100)).tolist(), strict=True)
    )


def follow(history, chosen):
    signals = fresh()
    for now, mid in history:
        assert on_touch(signals, touch(mid - 100, 300, mid + 100, 100), now, chosen)
    return signals


def test_imbalance_and_microprice_lean_to_the_side_that_waits_for_more():
    signals = fresh()
    on_touch(signals, touch(99_900, 300, 100_100, 100), 0, settings())
    assert signals[0]["mid"] == 10.0
    assert signals[0]["spread"] == pytest.approx(0.02)
    assert signals[0]["imbalance"] == pytest.approx(0.5)
    assert signals[0]["microprice"] == pytest.approx((9.99 * 100 + 10.01 * 300) / 400)


@pytest.mark.parametrize("market", [(0, 0, 100, 1), (100, 1, 0, 0), (100, 1, 100, 1), (101, 1, 100, 1)])
def test_a_touch_that_is_one_sided_locked_or_crossed_is_no_price(market):
    signals, chosen = fresh(), settings()
    on_touch(signals, touch(99_900, 300, 100_100, 100), 0, chosen)
    before = signals.tobytes()
    assert not on_touch(signals, touch(*market), SECOND, chosen)
    assert signals.tobytes() == before
    assert touch_price(touch(*market), True) == 0.0


@pytest.mark.parametrize(("name", "constant"), [("fast_average", 10 * SECOND), ("slow_average", 60 * SECOND)])
def test_an_average_weighs_each_mid_by_the_time_it_stood(name, constant):
    history = mids(300)
    signals = follow(history, settings())
    end = history[-1][0]
    expected = history[0][1] * math.exp(-(end - history[0][0]) / constant)
    for (since, mid), (until, _) in zip(history[:-1], history[1:], strict=True):
        expected += mid * (math.exp(-(end - until) / constant) - math.exp(-(end - since) / constant))
    assert signals[0][name] == pytest.approx(expected / PRICE_SCALE, rel=1e-9)


@pytest.mark.parametrize("weight", [0.002, 0.05])
def test_volatility_is_the_root_mean_square_return_over_a_grid_of_time(weight):
    history = mids(1_500)
    signals = follow(history, settings(weight))
    times, prices = np.array(history).T
    grid = np.arange(times[0] // SECOND + 1, times[-1] // SECOND + 1) * SECOND
    at_grid = prices[np.searchsorted(times, grid, side="left") - 1]  # the last mid before each point
    squares = np.diff(np.log(at_grid)) ** 2
    variance = 0.0
    for count, square in enumerate(squares, start=1):
        variance += max(weight, 1 / count) * (square - variance)
    assert signals[0]["volatility"] == pytest.approx(math.sqrt(variance * DAY_NS / SECOND), rel=1e-6)


def test_vwap_is_notional_over_volume_of_the_day():
    signals, chosen = fresh(), settings()
    for price, qty in ((100_000, 100), (101_000, 300), (99_500, 50)):
        on_trade(signals, price, qty, 1, 0, chosen)
    assert signals[0]["vwap"] == pytest.approx((10.0 * 100 + 10.1 * 300 + 9.95 * 50) / 450)
    assert signals[0]["last"] == 9.95
    start_day(signals)
    assert signals[0]["vwap"] == 0.0


def test_flow_is_signed_volume_over_volume_with_old_trades_fading():
    signals, chosen = fresh(), settings()
    trades = [(0, 500, 1), (2 * SECOND, 300, -1), (9 * SECOND, 200, -1)]
    for now, qty, side in trades:
        on_trade(signals, 100_000, qty, side, now, chosen)
    weights = [math.exp(-(9 * SECOND - now) / (5 * SECOND)) for now, _, _ in trades]
    volume = sum(w * qty for w, (_, qty, _) in zip(weights, trades, strict=True))
    signed = sum(w * qty * side for w, (_, qty, side) in zip(weights, trades, strict=True))
    assert signals[0]["flow"] == pytest.approx(signed / volume)
    assert signals[0]["traded"] == -200
    on_touch(signals, touch(99_900, 300, 100_100, 100), 10 * SECOND, chosen)
    assert signals[0]["traded"] == 0


def test_a_new_day_begins_with_nothing_known():
    signals = follow(mids(50), settings())
    on_trade(signals, 100_000, 10, 1, 10**12, settings())
    start_day(signals)
    assert signals.tobytes() == fresh().tobytes()


def test_patterns_read_the_same_numbers_as_the_names():
    signals = follow(mids(50), settings())
    assert signals[0]["columns"].tolist() == [signals[0][name] for name in INSTRUMENT_FIELDS]
