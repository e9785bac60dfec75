"""The worker's side of a backtest run: a claim, a lease that is renewed, and one of three ends.

The queue may deliver twice or not at all, and a worker may die. So a run is claimed by a conditional update,
belongs to its worker as long as the lease is renewed, and every later write asks for both. Times are the
database's, so that hosts need not agree on theirs.
"""

import logging
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import current_app
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from control.audit.services import record
from control.backtests.models import HELD, BacktestRun, State, Trial
from engine.statistics.curve import daily_ratio

LEASE = timedelta(seconds=15)
DISPATCH_AGAIN_AFTER = timedelta(seconds=60)
MAX_ATTEMPTS = 3
TASK = "control.backtests.tasks.execute"
logger = logging.getLogger(__name__)


class LeaseLost(Exception):
    """The run is no longer this worker's: what it has computed is thrown away."""


def backtest_take(*, worker: str) -> BacktestRun | None:
    """Claim what is queued with the highest priority, of those the oldest; None when nothing waits.

    A message says that there is work, not which: what was asked for later may be more urgent.
    """
    while True:
        waiting = BacktestRun.objects.filter(state=State.QUEUED).order_by("-priority", "requested_at", "pk").first()
        if waiting is None:
            return None
        claimed = backtest_claim(run_id=str(waiting.pk), worker=worker)
        if claimed is not None:
            return claimed


@transaction.atomic
def backtest_claim(*, run_id: str, worker: str) -> BacktestRun | None:
    """Make a queued run ``worker``'s (a name that is used for one claim only); None when there is nothing to do."""
    claimed = BacktestRun.objects.filter(pk=run_id, state=State.QUEUED).update(
        state=State.RUNNING,
        worker=worker,
        lease_until=Now() + LEASE,
        started_at=Now(),
        attempts=F("attempts") + 1,
        progress=0.0,
        progress_note="Starting",
    )
    if not claimed:
        return None
    run = BacktestRun.objects.select_related("version__strategy__desk").get(pk=run_id)
    _record(run, "backtest.start", {"attempt": run.attempts})
    return run


def backtest_heartbeat(*, run: BacktestRun, worker: str, progress: float, note: str) -> bool:
    """Renew the lease and show the progress; returns whether to go on (False: cancelled).

    Raises ``LeaseLost``. No audit row: progress is no decision.
    """
    renewed = BacktestRun.objects.filter(pk=run.pk, worker=worker, state=State.RUNNING).update(
        lease_until=Now() + LEASE, progress=min(max(progress, 0.0), 1.0), progress_note=note[:200]
    )
    if renewed:
        return True
    if BacktestRun.objects.filter(pk=run.pk, worker=worker, state=State.CANCELLING).update(lease_until=Now() + LEASE):
        return False
    raise LeaseLost(f"{run} is no longer {worker}'s")


@transaction.atomic
def backtest_finish(*, run: BacktestRun, worker: str, result: Any, partial: Path) -> BacktestRun:
    """The run has succeeded; ``partial`` becomes its result folder. ``result`` is a ``BacktestResult``.

    A cancel that came too late is dropped: there is a result. Raises ``LeaseLost``.
    """
    run = _held(run, worker)
    run.result_dir = str(run.pk)
    run.manifest_hash, run.result_sha256 = result.manifest_hash, result.result_sha256
    run.statistics = result.statistics
    run.progress, run.progress_note = 1.0, "Done"
    shutil.rmtree(run.folder, ignore_errors=True)  # of an attempt whose commit failed after this point
    partial.rename(run.folder)
    Trial.objects.create(
        run=run,
        strategy=run.version.strategy,
        dataset=run.version.dataset,
        manifest_hash=run.manifest_hash,
        days=result.statistics["days"],
        daily_sharpe=daily_ratio(result.statistics["sharpe"]),
    )
    return _end(run, State.SUCCEEDED, {"result_sha256": run.result_sha256, "manifest_hash": run.manifest_hash})


@transaction.atomic
def backtest_fail(*, run: BacktestRun, worker: str, error: str) -> BacktestRun:
    """The run has failed, and why. Raises ``LeaseLost``."""
    run = _held(run, worker)
    run.error = error
    return _end(run, State.FAILED, {"error": error[:1_000]})


@transaction.atomic
def backtest_cancelled(*, run: BacktestRun, worker: str) -> BacktestRun:
    """The worker has stopped, as it was told. Raises ``LeaseLost``."""
    return _end(_held(run, worker), State.CANCELLED, {})


@transaction.atomic
def backtests_requeue() -> int:
    """Take runs back from workers whose lease has expired, and send lost messages again; returns how many moved.

    A run that has cost three workers is failed instead: it is likely what ends them.
    """
    expired = _unlocked(BacktestRun.objects.filter(state__in=HELD, lease_until__lt=Now()))
    for run in expired:
        _take_back(run)
    waiting = _unlocked(BacktestRun.objects.filter(state=State.QUEUED, dispatched_at__lt=Now() - DISPATCH_AGAIN_AFTER))
    for run in waiting:
        dispatch(run)
    return len(expired) + len(waiting)


def _unlocked(runs: QuerySet[BacktestRun]) -> list[BacktestRun]:
    locked = runs.select_for_update(of=("self",), skip_locked=True)
    return list(locked.select_related("version__strategy__desk").order_by("requested_at"))


def _take_back(run: BacktestRun) -> None:
    lost = f"Its worker {run.worker} was lost."
    if run.state == State.CANCELLING:
        _end(run, State.CANCELLED, {"note": lost})
    elif run.attempts >= MAX_ATTEMPTS:
        run.error = f"WorkerLost: {run.attempts} workers were lost while they ran it, the last was {run.worker}."
        _end(run, State.FAILED, {"error": run.error})
    else:
        _record(run, "backtest.requeue", {"note": lost})
        run.state, run.worker, run.lease_until = State.QUEUED, "", None
        run.progress_note = f"Queued again. {lost}"
        run.save(update_fields=["state", "worker", "lease_until", "progress_note"])
        dispatch(run)


def dispatch(run: BacktestRun) -> None:
    """Tell the workers, once this transaction is committed. What the queue loses is sent again by the requeuing."""
    BacktestRun.objects.filter(pk=run.pk).update(dispatched_at=Now())
    transaction.on_commit(lambda: current_app.send_task(TASK, args=[str(run.pk)]), robust=True)


def _held(run: BacktestRun, worker: str) -> BacktestRun:
    held = (
        BacktestRun.objects.select_for_update(of=("self",))
        .select_related("version__strategy__desk")
        .filter(pk=run.pk, worker=worker, state__in=HELD)
        .first()
    )
    if held is None:
        raise LeaseLost(f"{run} is no longer {worker}'s")
    return held


def _end(run: BacktestRun, state: str, detail: dict[str, Any]) -> BacktestRun:
    run.state, run.finished_at, run.lease_until = state, Now(), None
    run.save()
    run.refresh_from_db(fields=["finished_at"])
    _record(run, f"backtest.{_VERB[state]}", detail)
    return run


_VERB = {State.SUCCEEDED: "succeed", State.FAILED: "fail", State.CANCELLED: "stop"}


def _record(run: BacktestRun, action: str, detail: dict[str, Any]) -> None:
    actor = f"worker:{run.worker}" if run.worker else "worker"
    record(actor=actor, action=action, target=run, detail=detail, desk=run.version.strategy.desk)
