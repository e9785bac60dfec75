"""Reading strategies and versions, restricted to the desks of who asks."""

from django.db.models import QuerySet

from control.accounts.models import User
from control.desks.selectors import desks_visible_to
from control.strategies.models import Strategy, StrategyVersion


def strategies_visible_to(user: User) -> QuerySet[Strategy]:
    return Strategy.objects.filter(desk__in=desks_visible_to(user)).select_related("desk", "created_by")


def versions_visible_to(user: User) -> QuerySet[StrategyVersion]:
    return StrategyVersion.objects.filter(strategy__desk__in=desks_visible_to(user)).select_related(
        "strategy__desk", "created_by", "submitted_by"
    )
