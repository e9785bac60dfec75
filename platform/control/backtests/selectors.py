"""Reading backtest runs, restricted to the desks of who asks."""

from django.db.models import QuerySet

from control.accounts.models import User
from control.backtests.models import BacktestRun, State
from control.strategies.models import StrategyVersion
from control.strategies.selectors import versions_visible_to


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
        version=version, content_hash=version.content_hash, state=State.SUCCEEDED
    ).exists()
