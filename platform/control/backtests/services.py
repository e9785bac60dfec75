"""What people ask of backtests: run one, cancel one. What workers write stands in ``leases.py``."""

from django.db import transaction
from django.utils import timezone

from control.accounts.models import User
from control.accounts.permissions import require
from control.audit.services import record
from control.backtests.leases import dispatch
from control.backtests.models import BacktestRun, State
from control.errors import Conflict
from control.strategies.models import StrategyVersion
from control.strategies.services import refuse_stale


@transaction.atomic
def backtest_request(*, actor: User, version: StrategyVersion) -> BacktestRun:
    """Queue a backtest of ``version`` over all of its history.

    Raises ``PermissionDenied``, and ``Conflict`` when the engine here is not the one the version was made with.
    """
    desk = version.strategy.desk
    require(actor, "backtests.request_backtestrun", desk)
    refuse_stale(version)
    run = BacktestRun.objects.create(
        version=version, content_hash=version.content_hash, requested_by=actor, dispatched_at=timezone.now()
    )
    detail = {"version": str(version.pk), "content_hash": version.content_hash}
    record(actor=actor, action="backtest.request", target=run, detail=detail, desk=desk)
    dispatch(run)
    return run


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
