"""A sweep from the request to its end, every run through the real backtester on a small history."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from control.backtests.execution import execute_next
from control.backtests.models import BacktestRun, Trial
from control.backtests.studies import studies_advance, study_request
from control.desks.models import Desk
from control.strategies.models import StrategyVersion
from control.strategies.services import strategy_create, version_create
from dashboards.results import read_result
from dashboards.tear_sheet import Trials, sheet_of
from engine.backtest import run_backtest
from engine.history import BARS, open_history
from tests.control_fixtures import ENVELOPE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def version(people: SimpleNamespace, desk: Desk, tmp_path: Path, settings: Any, monkeypatch: Any) -> StrategyVersion:
    """A version of ``sma`` over 500 days of two symbols with opens."""
    monkeypatch.setattr("celery.current_app.send_task", lambda name, args: None)
    settings.HISTORY_ROOT, settings.BACKTEST_ROOT = tmp_path / "history", tmp_path / "backtests"
    days = [day for n in range(800) if (day := date(2015, 1, 1) + timedelta(n)).weekday() < 5][:500]
    random = np.random.default_rng(3)
    bars = []
    for symbol in ("AAA", "BBB"):
        closes = np.rint(500_000 * np.exp(np.cumsum(random.normal(0.0005, 0.01, len(days))))).astype(int)
        for day, close in zip(days, closes.tolist(), strict=True):
            row = {"date": int(f"{day:%Y%m%d}"), "symbol": symbol, "open": close + 100, "close": close}
            bars.append(row | {"high": None, "low": None, "volume": None})
    open_history(settings.HISTORY_ROOT).append_bars("small", pa.Table.from_pylist(bars, schema=BARS))
    strategy = strategy_create(actor=people.quant, desk=desk, name="Trend", kernel="sma")
    return version_create(
        actor=people.quant,
        strategy=strategy,
        parameters={},
        envelope=ENVELOPE,
        dataset="small",
        capital=Decimal(50_000),
    )


def test_a_sweep_runs_to_its_end_and_its_best_is_deflated_by_its_trials(
    version: StrategyVersion, people: SimpleNamespace
) -> None:
    space = {"fast": [5, 10], "slow": [10, 30]}  # 10 over 10 is refused by the strategy itself
    study = study_request(actor=people.quant, version=version, kind="grid", space=space)
    for _ in range(3):
        assert studies_advance() == 0
        execute_next(run_backtest)
    runs = list(study.runs.all())
    assert {(run.state, run.error) for run in runs} == {("succeeded", "")}
    assert len({run.result_sha256 for run in runs}) == 3
    assert Trial.objects.count() == 3
    assert studies_advance() == 1
    study.refresh_from_db()
    assert 0 <= study.overfitting["probability"] <= 1
    best = max(runs, key=lambda run: run.statistics["sharpe"])
    count, variance = best.tried()
    assert count == 3
    assert variance == pytest.approx(np.var([run.statistics["sharpe"] for run in runs], ddof=1) / 252)
    luck = dict(sheet_of(read_result(best.folder, best.result_sha256), Trials(count, variance)).groups)["Luck"]
    figures = {figure.label: float(figure.value.rstrip("%")) for figure in luck if figure.value.endswith("%")}
    assert figures["Deflated Sharpe"] < figures["Probabilistic Sharpe"]


def test_a_run_of_one_window_trades_within_it_alone(version: StrategyVersion, people: SimpleNamespace) -> None:
    study = study_request(actor=people.quant, version=version, kind="grid", space={"fast": [5]})
    study.runs.update(first=date(2016, 1, 1), last=date(2016, 6, 30))
    execute_next(run_backtest)
    run = BacktestRun.objects.get(study=study)
    assert (run.state, run.error) == ("succeeded", "")
    result = read_result(run.folder, run.result_sha256)
    assert ("2016-01-01", "2016-06-30") == (result.dates[0], result.dates[-1])
    assert result.trades["date"].to_pylist()[0] >= 20160101
