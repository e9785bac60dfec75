"""Backtests: the list, a run while it runs, its result (a Dash page in the same frame), its file, several compared."""

from hashlib import sha256
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache

from control.backtests.models import BacktestRun, State
from control.backtests.selectors import runs_visible_to, seconds_left, studies_visible_to
from control.backtests.services import backtest_annotate, backtest_exported
from control.backtests.services import backtest_cancel as cancel
from control.marketdata.models import Dataset
from control.marketdata.selectors import warnings_of
from control.web.views.access import page, visible_or_403
from control.web.views.acting import act
from control.web.views.dash_pages import render_dash
from dashboards.results import MissingResult, read_result

NEWEST = 200
MOST_COMPARED = 6
FILE_TYPES = {"html": "text/html; charset=utf-8", "pdf": "application/pdf"}


@page("backtests.view_backtestrun")
def backtest_list(request: HttpRequest) -> HttpResponse:
    """Runs that somebody asked for one by one, and studies."""
    context = {
        "runs": runs_visible_to(request.user).filter(study=None)[:NEWEST],
        "studies": studies_visible_to(request.user)[:NEWEST],
        "most_compared": MOST_COMPARED,
    }
    return render(request, "web/backtest_list.html", context)


@page("backtests.view_backtestrun")
def backtest_detail(request: HttpRequest, pk: Any) -> HttpResponse:
    run = visible_or_403(runs_visible_to(request.user), pk=pk)
    context = {"run": run, "version": run.version, "strategy": run.version.strategy, "left": seconds_left(run)}
    if run.state == State.SUCCEEDED:
        return render_dash(request, "backtest", run, "web/backtest_result.html", context)
    return render(request, "web/backtest_running.html", context)


@never_cache
@page("backtests.view_backtestrun")
def backtest_status(request: HttpRequest, pk: Any) -> JsonResponse:
    """What the progress bar asks for each second while a run is not over."""
    return JsonResponse(_status(visible_or_403(runs_visible_to(request.user), pk=pk)))


def _status(run: BacktestRun) -> dict[str, Any]:
    return {
        "state": run.state,
        "progress": run.progress,
        "note": run.progress_note,
        "ended": run.ended,
        "seconds_left": seconds_left(run),
    }


@page("backtests.cancel_backtestrun", methods=("POST",))
def backtest_cancel(request: HttpRequest, pk: Any) -> HttpResponse:
    run = visible_or_403(runs_visible_to(request.user), pk=pk)
    act(request, "The backtest is being cancelled.", cancel, run=run)
    return redirect("backtest-detail", pk=run.pk)


@page("backtests.annotate_backtestrun", methods=("POST",))
def backtest_note(request: HttpRequest, pk: Any) -> HttpResponse:
    run = visible_or_403(runs_visible_to(request.user), pk=pk)
    tags = request.POST.get("tags", "").split(",")
    act(request, "Notes and tags are kept.", backtest_annotate, run=run, notes=request.POST.get("notes", ""), tags=tags)
    return redirect("backtest-detail", pk=run.pk)


@page("backtests.export_backtestrun", methods=("POST",))
def backtest_file(request: HttpRequest, pk: Any, form: str) -> HttpResponse:
    """The tear sheet as one file. A POST: that it was taken is written down."""
    from dashboards import report  # with the drawing library, which only files need
    from dashboards.tear_sheet import Trials, sheet_of

    run = visible_or_403(runs_visible_to(request.user), pk=pk)
    if form not in FILE_TYPES or run.state != State.SUCCEEDED:
        raise Http404
    try:
        result = read_result(run.folder, run.result_sha256)
    except MissingResult as missing:
        messages.error(request, f"The result's files cannot be read ({missing}). Run the backtest again.")
        return redirect("backtest-detail", pk=run.pk)
    dataset = Dataset.objects.filter(name=run.version.dataset).first()
    heading = report.heading_of(
        result, f"Backtest of {run.version}", run.result_sha256, warnings_of(dataset) if dataset else []
    )
    sheet = sheet_of(result, Trials(*run.tried()))
    made = report.as_pdf(result, sheet, heading) if form == "pdf" else report.as_html(result, sheet, heading).encode()
    backtest_exported(actor=request.user, run=run, form=form, sha256=sha256(made).hexdigest())
    answer = HttpResponse(made, content_type=FILE_TYPES[form])
    answer["Content-Disposition"] = f'attachment; filename="backtest-{run.result_sha256[:12]}.{form}"'
    return answer


@page("backtests.view_backtestrun")
def backtest_compare(request: HttpRequest) -> HttpResponse:
    """Up to six results side by side: ``?run=`` once for each."""
    from dashboards.comparison import compared

    asked = list(dict.fromkeys(request.GET.getlist("run")))[:MOST_COMPARED]
    runs = [visible_or_403(runs_visible_to(request.user).filter(state=State.SUCCEEDED), pk=pk) for pk in asked]
    context: dict[str, Any] = {"runs": runs, "most_compared": MOST_COMPARED}
    if runs:
        try:
            context |= compared(runs)
        except MissingResult as missing:
            messages.error(request, f"A result's files cannot be read ({missing}). Run that backtest again.")
    return render(request, "web/backtest_compare.html", context)
