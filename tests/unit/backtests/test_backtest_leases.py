"""A backtest run is claimed once, held by a lease, and ends in exactly one way."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, ProgrammingError, transaction
from django.utils import timezone

from control.accounts.models import User
from control.audit.models import AuditRow
from control.backtests import leases, services
from control.backtests.leases import LEASE, MAX_ATTEMPTS, LeaseLost
from control.backtests.models import BacktestRun, Priority, Trial
from control.backtests.selectors import backtest_succeeded, runs_visible_to, seconds_left
from control.errors import Conflict, InvalidInput
from control.strategies import services as strategies_services
from control.strategies.models import StrategyVersion

STATISTICS = {"trades": 12, "sharpe": 0.7, "days": 500}
RESULT = SimpleNamespace(manifest_hash="c" * 64, result_sha256="d" * 64, statistics=STATISTICS)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that workers were told of."""
    told: list[str] = []

    def send_task(name: str, args: list[str]) -> None:
        assert name == "control.backtests.tasks.execute"
        told.extend(args)

    monkeypatch.setattr("celery.current_app.send_task", send_task)
    return told


@pytest.fixture
def run(people: SimpleNamespace, draft: StrategyVersion, sent: list[str]) -> BacktestRun:
    return services.backtest_request(actor=people.quant, version=draft)


def claim(run: BacktestRun, worker: str = "w1") -> BacktestRun:
    claimed = leases.backtest_claim(run_id=str(run.pk), worker=worker)
    assert claimed is not None
    return claimed


def let_the_lease_expire(run: BacktestRun) -> None:
    BacktestRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def actions(run: BacktestRun) -> list[str]:
    return list(AuditRow.objects.filter(object_id=str(run.pk)).order_by("pk").values_list("action", flat=True))


def test_workers_are_told_of_a_run_once_it_is_committed(
    people: SimpleNamespace,
    draft: StrategyVersion,
    sent: list[str],
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        run = services.backtest_request(actor=people.quant, version=draft)
    assert sent == []
    for callback in callbacks:
        callback()
    assert sent == [str(run.pk)]
    assert (run.state, run.content_hash) == ("queued", draft.content_hash)


def test_a_viewer_and_a_quant_of_another_desk_may_not_request(
    people: SimpleNamespace, outsider: Callable[[str], User], draft: StrategyVersion
) -> None:
    for actor in (people.viewer, people.admin, outsider("quant")):
        with pytest.raises(PermissionDenied):
            services.backtest_request(actor=actor, version=draft)
    assert not BacktestRun.objects.exists()


def test_a_version_of_another_engine_build_is_not_backtested(
    people: SimpleNamespace, draft: StrategyVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategies_services, "present_hash", lambda version: "0" * 64)
    with pytest.raises(Conflict, match="content hash no longer holds"):
        services.backtest_request(actor=people.quant, version=draft)
    assert not BacktestRun.objects.exists()


def test_a_run_is_claimed_by_one_worker_only(run: BacktestRun) -> None:
    claimed = claim(run, "w1")
    assert (claimed.state, claimed.worker, claimed.attempts) == ("running", "w1", 1)
    assert leases.backtest_claim(run_id=str(run.pk), worker="w2") is None


def test_a_heartbeat_shows_the_progress_and_renews_the_lease(run: BacktestRun) -> None:
    held = claim(run)
    let_the_lease_expire(run)
    assert leases.backtest_heartbeat(run=held, worker="w1", progress=0.25, note="Trading 1999")
    run.refresh_from_db()
    assert (run.progress, run.progress_note) == (0.25, "Trading 1999")
    assert run.lease_until > timezone.now() + LEASE / 2


def test_success_keeps_statistics_and_moves_the_files_into_place(
    run: BacktestRun, tmp_path: Path, settings: Any, draft: StrategyVersion
) -> None:
    settings.BACKTEST_ROOT = tmp_path
    held = claim(run)
    partial = tmp_path / ".partial"
    partial.mkdir()
    (partial / "result.json").write_text("{}")
    leases.backtest_finish(run=held, worker="w1", result=RESULT, partial=partial)
    run.refresh_from_db()
    assert (run.state, run.progress, run.result_sha256) == ("succeeded", 1.0, "d" * 64)
    assert run.statistics == RESULT.statistics
    assert (run.folder / "result.json").read_text() == "{}"
    assert run.folder == tmp_path / str(run.pk)
    assert backtest_succeeded(draft)
    assert actions(run) == ["backtest.request", "backtest.start", "backtest.succeed"]


def finish(run: BacktestRun, folder: Path, manifest_hash: str, sharpe: float | None) -> BacktestRun:
    """Sees ``run`` through with a result of this manifest."""
    partial = folder / f".{run.pk}"
    partial.mkdir()
    statistics = {"days": 500, "sharpe": sharpe}
    result = SimpleNamespace(manifest_hash=manifest_hash, result_sha256="d" * 64, statistics=statistics)
    return leases.backtest_finish(run=claim(run), worker="w1", result=result, partial=partial)


def test_every_result_is_a_trial_and_the_same_run_again_is_not_another(
    people: SimpleNamespace, draft: StrategyVersion, sent: list[str], tmp_path: Path, settings: Any
) -> None:
    settings.BACKTEST_ROOT = tmp_path
    annual = [1.0, 1.0, 2.0, None]
    for manifest_hash, sharpe in zip("aabc", annual, strict=True):
        run = services.backtest_request(actor=people.quant, version=draft)
        finish(run, tmp_path, manifest_hash * 64, sharpe)
    assert Trial.objects.count() == 4
    count, variance = run.tried()
    assert count == 3
    assert variance == pytest.approx(0.5 / 252)  # between 1 and 2 a year: 0.5, and a day's is a 252nd of it


def test_the_trial_ledger_cannot_be_rewritten(run: BacktestRun, tmp_path: Path, settings: Any) -> None:
    settings.BACKTEST_ROOT = tmp_path
    finish(run, tmp_path, "a" * 64, 1.0)
    with pytest.raises(ProgrammingError, match="Cannot update or delete"), transaction.atomic():
        Trial.objects.update(daily_sharpe=0.0)
    with pytest.raises(ProgrammingError, match="Cannot update or delete"), transaction.atomic():
        Trial.objects.all().delete()


def test_the_most_urgent_run_is_taken_first_and_of_equal_ones_the_oldest(
    people: SimpleNamespace, draft: StrategyVersion, sent: list[str]
) -> None:
    low, first, second, high = (
        services.backtest_request(actor=people.quant, version=draft, priority=priority)
        for priority in (Priority.LOW, Priority.NORMAL, Priority.NORMAL, Priority.HIGH)
    )
    taken = [leases.backtest_take(worker=f"w{number}") for number in range(5)]
    assert [run and run.pk for run in taken] == [high.pk, first.pk, second.pk, low.pk, None]


def test_time_left_is_what_the_rest_takes_at_the_pace_so_far(run: BacktestRun) -> None:
    held = claim(run)
    assert seconds_left(held) is None
    held.started_at, held.progress = timezone.now() - timedelta(seconds=30), 0.25
    assert seconds_left(held) == pytest.approx(90, abs=1)
    held.state = "succeeded"
    assert seconds_left(held) is None


def test_notes_and_tags_are_kept_once_each_and_written_down(run: BacktestRun, people: SimpleNamespace) -> None:
    kept = services.backtest_annotate(
        actor=people.trader, run=run, notes=" wide stop ", tags=["Idea", " idea", "", "x"]
    )
    assert (kept.notes, kept.tags) == ("wide stop", ["idea", "x"])
    assert actions(run) == ["backtest.request", "backtest.annotate"]
    with pytest.raises(PermissionDenied):
        services.backtest_annotate(actor=people.viewer, run=run, notes="", tags=[])
    with pytest.raises(InvalidInput, match="longer than 40"):
        services.backtest_annotate(actor=people.quant, run=run, notes="", tags=["t" * 41])
    run.refresh_from_db()
    assert run.tags == ["idea", "x"]


def test_failure_keeps_its_reason(run: BacktestRun, draft: StrategyVersion) -> None:
    leases.backtest_fail(run=claim(run), worker="w1", error="BadInput: data_hash is another")
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "BadInput: data_hash is another")
    assert not backtest_succeeded(draft)


def test_a_queued_run_is_cancelled_at_once_and_never_claimed(people: SimpleNamespace, run: BacktestRun) -> None:
    assert services.backtest_cancel(actor=people.trader, run=run).state == "cancelled"
    assert leases.backtest_claim(run_id=str(run.pk), worker="w1") is None


def test_a_running_run_hears_of_its_cancel_with_the_next_heartbeat(people: SimpleNamespace, run: BacktestRun) -> None:
    held = claim(run)
    assert services.backtest_cancel(actor=people.quant, run=run).state == "cancelling"
    assert not leases.backtest_heartbeat(run=held, worker="w1", progress=0.5, note="")
    leases.backtest_cancelled(run=held, worker="w1")
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_a_run_that_has_ended_is_not_cancelled(people: SimpleNamespace, run: BacktestRun) -> None:
    leases.backtest_fail(run=claim(run), worker="w1", error="ValueError: no")
    with pytest.raises(Conflict, match="is over: failed"):
        services.backtest_cancel(actor=people.quant, run=run)
    with pytest.raises(PermissionDenied):
        services.backtest_cancel(actor=people.viewer, run=run)


def test_an_expired_lease_goes_back_to_the_queue_and_its_worker_has_lost_it(run: BacktestRun) -> None:
    held = claim(run, "w1")
    assert leases.backtests_requeue() == 0
    let_the_lease_expire(run)
    assert leases.backtests_requeue() == 1
    run.refresh_from_db()
    assert (run.state, run.worker) == ("queued", "")
    assert claim(run, "w2").attempts == 2
    with pytest.raises(LeaseLost):
        leases.backtest_heartbeat(run=held, worker="w1", progress=0.5, note="")
    with pytest.raises(LeaseLost):
        leases.backtest_fail(run=held, worker="w1", error="too late")
    run.refresh_from_db()
    assert (run.state, run.worker, run.error) == ("running", "w2", "")


def test_a_run_that_costs_every_worker_fails_saying_so(run: BacktestRun) -> None:
    for attempt in range(MAX_ATTEMPTS):
        claim(run, f"w{attempt}")
        let_the_lease_expire(run)
        leases.backtests_requeue()
    run.refresh_from_db()
    assert run.state == "failed"
    assert run.error == "WorkerLost: 3 workers were lost while they ran it, the last was w2."


def test_a_cancelling_run_without_its_worker_is_cancelled(people: SimpleNamespace, run: BacktestRun) -> None:
    claim(run)
    services.backtest_cancel(actor=people.quant, run=run)
    let_the_lease_expire(run)
    leases.backtests_requeue()
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_a_message_that_the_queue_has_lost_is_sent_again(
    run: BacktestRun, sent: list[str], django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    BacktestRun.objects.filter(pk=run.pk).update(dispatched_at=timezone.now() - timedelta(minutes=2))
    with django_capture_on_commit_callbacks(execute=True):
        assert leases.backtests_requeue() == 1
        assert leases.backtests_requeue() == 0
    assert sent == [str(run.pk)]


@pytest.mark.parametrize("change", [{"progress": 1.5}, {"state": "running"}, {"state": "failed"}, {"state": "lost"}])
def test_the_database_refuses_a_run_that_cannot_be(run: BacktestRun, change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        BacktestRun.objects.filter(pk=run.pk).update(**change)


def test_runs_are_seen_by_the_desk_only(
    people: SimpleNamespace, outsider: Callable[[str], User], run: BacktestRun
) -> None:
    assert list(runs_visible_to(people.viewer)) == [run]
    assert not runs_visible_to(outsider("quant")).exists()
