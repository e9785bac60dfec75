"""Backtests: the list, a run while it runs, and its result (a Dash page in the same frame)."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache

from control.backtests.models import BacktestRun, State
from control.backtests.selectors import runs_visible_to
from control.backtests.services import backtest_cancel as cancel
from control.web.views.access import page, visible_or_403
from control.web.views.acting import act
from control.web.views.dash_pages import render_dash

NEWEST = 200


@page("backtests.view_backtestrun")
def backtest_list(request: HttpRequest) -> HttpResponse:
    return render(request, "web/backtest_list.html", {"runs": runs_visible_to(request.user)[:NEWEST]})


@page("backtests.view_backtestrun")
def backtest_detail(request: HttpRequest, pk: Any) -> HttpResponse:
    run = visible_or_403(runs_visible_to(request.user), pk=pk)
    context = {"run": run, "version": run.version, "strategy": run.version.strategy}
    if run.state == State.SUCCEEDED:
        return render_dash(request, "backtest", run, "web/backtest_result.html", context)
    return render(request, "web/backtest_running.html", context)


@never_cache
@page("backtests.view_backtestrun")
def backtest_status(request: HttpRequest, pk: Any) -> JsonResponse:
    """What the progress bar asks for each second while a run is not over."""
    return JsonResponse(_status(visible_or_403(runs_visible_to(request.user), pk=pk)))


def _status(run: BacktestRun) -> dict[str, Any]:
    return {"state": run.state, "progress": run.progress, "note": run.progress_note, "ended": run.ended}


@page("backtests.cancel_backtestrun", methods=("POST",))
def backtest_cancel(request: HttpRequest, pk: Any) -> HttpResponse:
    run = visible_or_403(runs_visible_to(request.user), pk=pk)
    act(request, "The backtest is being cancelled.", cancel, run=run)
    return redirect("backtest-detail", pk=run.pk)
