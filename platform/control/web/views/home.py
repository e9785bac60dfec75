"""The overview: what trades, what waits, what happened."""

from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from control.approvals.selectors import approvals_visible_to, may_decide
from control.backtests.models import ENDED
from control.backtests.selectors import runs_visible_to
from control.deployments.selectors import deployments_visible_to
from control.monitoring.selectors import nodes_with_health
from control.trading.models import EquityPoint
from control.trading.selectors import fills_visible_to
from control.web.views.access import page

NEWEST_FILLS = 18
NEWEST_RUNS = 6


@page()
def home(request: HttpRequest) -> HttpResponse:
    user = request.user
    newest = EquityPoint.objects.filter(deployment=OuterRef("pk")).order_by("-ts")
    live = list(
        deployments_visible_to(user)
        .filter(stopped_at__isnull=True)
        .annotate(equity=Subquery(newest.values("equity")[:1]), gross=Subquery(newest.values("gross")[:1]))
    )
    fills = fills_visible_to(user)
    waiting = list(approvals_visible_to(user).filter(decision__isnull=True))
    known = [deployment for deployment in live if deployment.equity is not None]
    context = {
        "live": [(one, None if one.equity is None else one.equity - one.capital) for one in live],
        "equity": sum(one.equity for one in known) if known else None,
        "profit": sum(one.equity - one.capital for one in known) if known else None,
        "capital": sum(one.capital for one in live) if live else None,
        "gross": sum(one.gross for one in known) if known else None,
        "fills": fills.select_related("deployment__strategy")[:NEWEST_FILLS],
        "fill_count": fills.count(),
        "waiting": [(approval, may_decide(user, approval.version)) for approval in waiting],
        "runs": runs_visible_to(user)[:NEWEST_RUNS],
        "runs_going": runs_visible_to(user).exclude(state__in=ENDED).count(),
        "nodes": nodes_with_health(user),
    }
    return render(request, "web/home.html", context)
