"""Reading what engines reported, restricted to the deployments that the user may see.

``<things>_visible_to(user)`` are query sets over all of the user's deployments; narrow them with
``.filter(deployment=...)``.
"""

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from control.accounts.models import User
from control.deployments.models import Deployment
from control.deployments.selectors import deployments_visible_to, nodes_visible_to
from control.trading.models import (
    BreakResolution,
    EquityPoint,
    Fill,
    Incident,
    Order,
    Position,
    Reject,
    ReportBatch,
    SignalPoint,
)

POSITION_BREAK = "position_break"  # the code of an incident that is a break


def orders_visible_to(user: User) -> QuerySet[Order]:
    """Newest first."""
    return _of_deployments(Order.objects.all(), user).order_by("-ts", "-order_id")


def fills_visible_to(user: User) -> QuerySet[Fill]:
    """Newest first."""
    return _of_deployments(Fill.objects.select_related("bust"), user).order_by("-ts", "-pk")


def positions_visible_to(user: User) -> QuerySet[Position]:
    """By symbol; a symbol that was traded and is flat now stays, with quantity 0."""
    return _of_deployments(Position.objects.all(), user).order_by("symbol")


def equity_visible_to(user: User) -> QuerySet[EquityPoint]:
    """One point a session's close, newest first."""
    return _of_deployments(EquityPoint.objects.all(), user).order_by("-ts")


def signals_visible_to(user: User) -> QuerySet[SignalPoint]:
    """Newest first."""
    return _of_deployments(SignalPoint.objects.all(), user).order_by("-ts", "pair")


def rejects_visible_to(user: User) -> QuerySet[Reject]:
    """Orders that limits refused, newest first."""
    return _of_deployments(Reject.objects.all(), user).order_by("-ts", "-pk")


def batches_visible_to(user: User) -> QuerySet[ReportBatch]:
    """Report batches of all nodes (they name no deployment), newest first."""
    return ReportBatch.objects.filter(node__in=nodes_visible_to(user)).select_related("node").order_by("-pk")


def incidents_visible_to(user: User) -> QuerySet[Incident]:
    """Incidents of the user's deployments, and those that concern a node or the link, newest first."""
    mine = Q(deployment__in=deployments_visible_to(user).values("pk"))
    shared = Q(deployment__isnull=True) & (Q(node__isnull=True) | Q(node__in=nodes_visible_to(user).values("pk")))
    seen = Incident.objects.filter(mine | shared) if nodes_visible_to(user).exists() else Incident.objects.filter(mine)
    return seen.select_related("node", "deployment").order_by("-last_at")


def breaks_visible_to(user: User) -> QuerySet[Incident]:
    """Open breaks, each with the request to resolve it that the engine has not answered (``asked``, or None)."""
    asked = BreakResolution.objects.filter(incident=OuterRef("pk"), done_at__isnull=True)
    return (
        incidents_visible_to(user)
        .filter(code=POSITION_BREAK, open=True)
        .annotate(asked=Subquery(asked.values("requested_by__username")[:1]))
        .order_by("node__name", "subject")
    )


def with_newest_equity(deployments: QuerySet[Deployment]) -> QuerySet[Deployment]:
    """Each with ``equity``, ``gross`` and ``equity_at`` of its newest close, and the ``profit`` on its capital.

    All None before the first close.
    """
    newest = EquityPoint.objects.filter(deployment=OuterRef("pk")).order_by("-ts")
    return deployments.annotate(
        equity=Subquery(newest.values("equity")[:1]),
        gross=Subquery(newest.values("gross")[:1]),
        equity_at=Subquery(newest.values("ts")[:1]),
    ).annotate(profit=F("equity") - F("capital"))


def _of_deployments(rows: QuerySet, user: User) -> QuerySet:
    # Through a subquery without the selector's joins; .values("pk") drops them.
    return rows.filter(deployment__in=deployments_visible_to(user).order_by().values("pk"))
