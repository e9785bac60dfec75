"""Reading backtest runs, restricted to the desks of who asks."""

from django.db.models import QuerySet
from django.utils import timezone

from control.accounts.models import User
from control.backtests.models import BacktestRun, State, Study, Trial
from control.strategies.models import StrategyVersion
from control.strategies.selectors import versions_visible_to

LEAST_PROGRESS = 0.02


def runs_visible_to(user: User) -> QuerySet[BacktestRun]:
    """Newest first."""
    versions = versions_visible_to(user).order_by().values("pk")
    return (
        BacktestRun.objects.filter(version__in=versions)
        .select_related("version__strategy__desk", "requested_by")
        .order_by("-requested_at")
    )


def backtest_succeeded(version: StrategyVersion) -> bool:
    """Whether there is a result for exactly the content that ``version`` names."""
    return BacktestRun.objects.filter(
        version=version, content_hash=version.content_hash, state=State.SUCCEEDED, study=None
    ).exists()


def studies_visible_to(user: User) -> QuerySet[Study]:
    """Newest first."""
    versions = versions_visible_to(user).order_by().values("pk")
    return Study.objects.filter(version__in=versions).select_related("version__strategy__desk", "requested_by")


def trials_visible_to(user: User) -> QuerySet[Trial]:
    """Newest first."""
    return Trial.objects.filter(run__in=runs_visible_to(user).order_by().values("pk")).select_related("strategy")


def seconds_left(run: BacktestRun) -> float | None:
    """What a running run takes until its end if it goes on as so far; None while that says nothing yet."""
    if run.state != State.RUNNING or run.started_at is None or run.progress < LEAST_PROGRESS:
        return None
    elapsed = (timezone.now() - run.started_at).total_seconds()
    return max(elapsed, 0.0) * (1 - run.progress) / run.progress
