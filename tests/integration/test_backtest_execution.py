"""A worker sees a run through: progress and cancel cross between its threads and the database."""

import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from control.backtests import services
from control.backtests.execution import execute_next
from control.backtests.models import BacktestRun
from control.backtests.selectors import backtest_succeeded
from control.backtests.studies import study_request
from control.strategies.models import StrategyVersion
from engine.backtest import BacktestCancelled
from engine.messages import Manifest

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 30.0  # seconds: how long a test waits for what must come


@pytest.fixture
def run(
    people: SimpleNamespace, draft: StrategyVersion, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> BacktestRun:
    settings.BACKTEST_ROOT = tmp_path / "backtests"
    monkeypatch.setattr("celery.current_app.send_task", lambda name, args: None)
    return services.backtest_request(actor=people.quant, version=draft)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_the_version_is_computed_and_its_progress_seen_meanwhile(run: BacktestRun, draft: StrategyVersion) -> None:
    given = []

    def compute(manifest: Manifest, history: Any, folder: Path, *, progress: Any, **_: Any) -> SimpleNamespace:
        given.append(manifest)
        progress(0.5, "Trading 2001")
        until(lambda: BacktestRun.objects.get(pk=run.pk).progress_note == "Trading 2001")
        (folder / "result.json").write_text("{}")
        return SimpleNamespace(manifest_hash="c" * 64, result_sha256="d" * 64, statistics={"days": 4, "sharpe": 0.5})

    execute_next(compute)
    run.refresh_from_db()
    assert (run.state, run.statistics) == ("succeeded", {"days": 4, "sharpe": 0.5})
    assert [path.name for path in run.folder.iterdir()] == ["result.json"]
    [manifest] = given
    assert manifest.content_hash == draft.content_hash
    assert manifest.capital == 1_000_000 * 10_000
    assert [path.name for path in run.folder.parent.iterdir()] == [str(run.pk)]


def test_a_cancel_reaches_the_computation(run: BacktestRun, people: SimpleNamespace) -> None:
    def compute(*_: Any, cancelled: Callable[[], bool], **__: Any) -> None:
        services.backtest_cancel(actor=people.quant, run=run)
        until(cancelled)
        raise BacktestCancelled

    execute_next(compute)
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert not list(run.folder.parent.glob(".*"))


def test_an_exception_fails_the_run_with_class_and_message(run: BacktestRun) -> None:
    def compute(*_: Any, **__: Any) -> None:
        raise ValueError("no closes for XYZ")

    execute_next(compute)
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "ValueError: no closes for XYZ")


def test_a_worker_whose_lease_was_taken_changes_nothing(run: BacktestRun) -> None:
    def compute(*_: Any, cancelled: Callable[[], bool], **__: Any) -> None:
        BacktestRun.objects.filter(pk=run.pk).update(worker="another")
        until(cancelled)
        raise BacktestCancelled

    execute_next(compute)
    run.refresh_from_db()
    assert (run.state, run.worker) == ("running", "another")


def test_a_run_delivered_twice_is_computed_once(run: BacktestRun) -> None:
    computed = []

    def compute(*_: Any, **__: Any) -> SimpleNamespace:
        execute_next(compute)  # the second delivery, while the first is at work
        computed.append(1)
        return SimpleNamespace(manifest_hash="c" * 64, result_sha256="d" * 64, statistics={"days": 4, "sharpe": None})

    execute_next(compute)
    assert computed == [1]


def test_a_study_s_run_is_computed_with_its_own_parameters_and_days(
    run: BacktestRun, draft: StrategyVersion, people: SimpleNamespace
) -> None:
    services.backtest_cancel(actor=people.quant, run=run)
    study = study_request(actor=people.quant, version=draft, kind="grid", space={"lookback": [25]})
    study.runs.update(first=date(2013, 1, 3), last=date(2013, 1, 7))
    given: list[Any] = []

    def compute(manifest: Manifest, *_: Any, start: int, end: int, **__: Any) -> SimpleNamespace:
        given.extend((manifest, start, end))
        return SimpleNamespace(manifest_hash="c" * 64, result_sha256="d" * 64, statistics={"days": 3, "sharpe": 0.1})

    execute_next(compute)
    manifest, start, end = given
    assert manifest.parameters == draft.parameters | {"lookback": 25}
    assert manifest.content_hash == study.runs.get().content_hash != draft.content_hash
    assert (start, end) == (20130103, 20130107)
    assert not backtest_succeeded(draft)
