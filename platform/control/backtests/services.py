"""What people ask of backtests: run one, cancel one. What workers write stands in ``leases.py``."""

from django.db import transaction
from django.utils import timezone

from control.accounts.models import User
from control.accounts.permissions import require
from control.audit.services import record
from control.backtests.leases import dispatch
from control.backtests.models import BacktestRun, Priority, State
from control.errors import Conflict, Problem, invalid
from control.strategies.models import StrategyVersion
from control.strategies.services import refuse_stale

LONGEST_NOTES, LONGEST_TAG, MOST_TAGS = 10_000, 40, 20


@transaction.atomic
def backtest_request(*, actor: User, version: StrategyVersion, priority: int = Priority.NORMAL) -> BacktestRun:
    """Queue a backtest of ``version`` over all of its history; of the highest ``priority`` the oldest is taken first.

    Raises ``PermissionDenied``, and ``Conflict`` when the engine here is not the one the version was made with.
    """
    desk = version.strategy.desk
    require(actor, "backtests.request_backtestrun", desk)
    refuse_stale(version)
    run = BacktestRun.objects.create(
        version=version,
        content_hash=version.content_hash,
        requested_by=actor,
        dispatched_at=timezone.now(),
        priority=Priority(priority),
    )
    detail = {"version": str(version.pk), "content_hash": version.content_hash, "priority": run.priority}
    record(actor=actor, action="backtest.request", target=run, detail=detail, desk=desk)
    dispatch(run)
    return run


@transaction.atomic
def backtest_annotate(*, actor: User, run: BacktestRun, notes: str, tags: list[str]) -> BacktestRun:
    """Put ``notes`` and ``tags`` (each once, in their order) in the place of those before.

    Raises ``PermissionDenied``, and ``InvalidInput`` for what is too long.
    """
    run = BacktestRun.objects.select_for_update(of=("self",)).select_related("version__strategy__desk").get(pk=run.pk)
    desk = run.version.strategy.desk
    require(actor, "backtests.annotate_backtestrun", desk)
    kept = list(dict.fromkeys(tag.strip().lower() for tag in tags if tag.strip()))
    problems = [
        Problem("tags", f"{tag[:LONGEST_TAG]}... is longer than {LONGEST_TAG}.")
        for tag in kept
        if len(tag) > LONGEST_TAG
    ]
    if len(kept) > MOST_TAGS:
        problems.append(Problem("tags", f"{len(kept)} tags; at most {MOST_TAGS}."))
    if len(notes) > LONGEST_NOTES:
        problems.append(Problem("notes", f"{len(notes)} characters; at most {LONGEST_NOTES}."))
    if problems:
        raise invalid(problems, "annotation")
    run.notes, run.tags = notes.strip(), kept
    run.save(update_fields=["notes", "tags"])
    record(actor=actor, action="backtest.annotate", target=run, detail={"notes": run.notes, "tags": kept}, desk=desk)
    return run


@transaction.atomic
def backtest_exported(*, actor: User, run: BacktestRun, form: str, sha256: str) -> None:
    """Let ``actor`` take the tear sheet away, and keep that it was: ``form`` html or pdf, with the file's hash.

    Raises ``PermissionDenied``.
    """
    desk = run.version.strategy.desk
    require(actor, "backtests.export_backtestrun", desk)
    record(actor=actor, action="backtest.export", target=run, detail={"form": form, "sha256": sha256}, desk=desk)


@transaction.atomic
def backtest_cancel(*, actor: User, run: BacktestRun) -> BacktestRun:
    """Cancel ``run``: at once while it is queued, within two seconds once a worker has it.

    Raises ``PermissionDenied``, and ``Conflict`` when it has ended.
    """
    run = BacktestRun.objects.select_for_update(of=("self",)).select_related("version__strategy__desk").get(pk=run.pk)
    desk = run.version.strategy.desk
    require(actor, "backtests.cancel_backtestrun", desk)
    before = run.state
    if run.ended:
        raise Conflict("state", "state", f"The backtest is over: {State(before).label.lower()}.")
    if before == State.QUEUED:
        run.state, run.finished_at = State.CANCELLED, timezone.now()
    else:
        run.state = State.CANCELLING
    run.save(update_fields=["state", "finished_at"])
    detail = {"before": before, "after": run.state}
    record(actor=actor, action="backtest.cancel", target=run, detail=detail, desk=desk)
    return run
