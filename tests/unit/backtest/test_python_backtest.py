"""Python classes in the backtester: in lockstep with the step, whatever they do."""

from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest
from test_daily_backtest import WIDE, panel, store

from engine.backtest import lockstep, run_backtest
from engine.content import content_hash
from engine.history import open_history
from engine.messages import DataContract, Manifest
from engine.strategies import trend
from engine.strategies.python import StrategyFailed

PARAMETERS = {"fast": 5, "slow": 20, "band_bps": 20, "formation_days": 60, "notional": 10_000}


def manifest(history):
    data = DataContract("panel", history.data_hash("panel"))
    digest = content_hash("trend", PARAMETERS, WIDE, data)
    return Manifest("", "", "trend", digest, PARAMETERS, WIDE, data, "sim", 1_000_000_0000)


def trades(result):
    return [
        (row["date"], row["symbol"], row["side"], row["qty"])
        for row in pq.read_table(result.files["trades"]).to_pylist()
    ]


@pytest.fixture(scope="module")
def history_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("history")
    store(root, *panel())
    return root


@pytest.fixture(scope="module")
def result(history_root, tmp_path_factory):
    return run_backtest(manifest(open_history(history_root)), history_root, tmp_path_factory.mktemp("result"))


def expected_trades(dates, prices):
    """The rule, written again over whole columns: averages by recursion, an order the session after the close that
    says so."""
    first = next(n for n, day in enumerate(dates) if n >= 60 and day // 10_000 != dates[n - 1] // 10_000)
    found = []
    for symbol, column in prices.items():
        closes = np.round(column * 10_000).astype(np.int64)
        averages = {}
        for span in (5, 20):
            average, averages[span] = float(closes[0]), []
            for close in closes:
                average += 2 / (span + 1) * (close - average)
                averages[span].append(average)
        held = 0
        for day in range(first, len(dates) - 1):
            away = 10_000 * (averages[5][day] / averages[20][day] - 1)
            stance = int(np.sign(away))
            if abs(away) > 20 and stance != np.sign(held):
                wanted = stance * (10_000 * 10_000 // int(closes[day]))
                found.append((dates[day + 1], symbol, "buy" if wanted > held else "sell", abs(wanted - held)))
                held = wanted
    return sorted(found)


def test_the_trades_are_those_of_the_rule(result):
    dates, prices = panel()
    assert sorted(trades(result)) == expected_trades(dates, prices)
    assert len(trades(result)) > 50


def test_it_repeats_itself_byte_for_byte(result, history_root, tmp_path):
    again = run_backtest(manifest(open_history(history_root)), history_root, tmp_path)
    assert (again.manifest_hash, again.result_sha256) == (result.manifest_hash, result.result_sha256)


def test_how_far_the_step_runs_ahead_of_the_strategy_changes_nothing(result, history_root, tmp_path, monkeypatch):
    """A ring of a few records makes the step wait for the strategy after nearly every event."""
    monkeypatch.setattr(lockstep, "CAPACITY", 64)
    small = run_backtest(manifest(open_history(history_root)), history_root, tmp_path)
    assert small.result_sha256 == result.result_sha256


def test_a_strategy_that_takes_longer_than_the_weekend_trades_when_it_has_decided(history_root, tmp_path):
    """What Friday's close made it want arrives on Tuesday evening, 100 hours later, and trades on Wednesday."""
    slow = run_backtest(
        manifest(open_history(history_root)), history_root, tmp_path, reaction_ns=100 * 3_600_000_000_000
    )
    prompt_root = tmp_path / "prompt"
    prompt = run_backtest(manifest(open_history(history_root)), history_root, prompt_root)
    dates = open_history(history_root).closes("panel").dates.tolist()
    first = dates.index(trades(prompt)[0][0])
    assert date.fromisoformat(str(dates[first])).weekday() == 0
    assert trades(slow)[0][0] == dates[first + 2]


def test_a_strategy_that_raises_ends_the_run_with_its_name_and_reason(history_root, tmp_path, monkeypatch):
    def fails(self, bar):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(trend.Trend, "on_bar", fails)
    with pytest.raises(StrategyFailed, match=r"Trend.*on purpose.*BAR"):
        run_backtest(manifest(open_history(history_root)), history_root, tmp_path)
    assert not list(tmp_path.iterdir())
