"""The overview: what trades, what waits, what happened."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from control.approvals.selectors import requests_waiting
from control.backtests.models import ENDED
from control.backtests.selectors import runs_visible_to
from control.deployments.selectors import deployments_visible_to
from control.monitoring.selectors import nodes_with_health
from control.trading.selectors import breaks_visible_to, fills_visible_to, with_newest_equity
from control.web.views.access import page

NEWEST_FILLS = 18
NEWEST_RUNS = 6


@page()
def home(request: HttpRequest) -> HttpResponse:
    user = request.user
    live = list(with_newest_equity(deployments_visible_to(user).filter(stopped_at__isnull=True)))
    fills = fills_visible_to(user)
    known = [deployment for deployment in live if deployment.equity is not None]
    context = {
        "live": live,
        "equity": sum(one.equity for one in known) if known else None,
        "profit": sum(one.profit for one in known) if known else None,
        "capital": sum(one.capital for one in live) if live else None,
        "gross": sum(one.gross for one in known) if known else None,
        "fills": fills.select_related("deployment__strategy")[:NEWEST_FILLS],
        "fill_count": fills.filter(bust__isnull=True).count(),
        "breaks": breaks_visible_to(user),
        "waiting": requests_waiting(user),
        "runs": runs_visible_to(user)[:NEWEST_RUNS],
        "runs_going": runs_visible_to(user).exclude(state__in=ENDED).count(),
        "nodes": nodes_with_health(user),
    }
    return render(request, "web/home.html", context)
