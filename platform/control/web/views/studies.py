"""Sweeps and walk-forwards: asking for one, what came of it so far, cancelling it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from control.backtests.models import ENDED, BacktestRun, State, Study, StudyKind
from control.backtests.selectors import studies_visible_to
from control.backtests.studies import best_of, study_cancel, study_request
from control.strategies.content import kernels
from control.strategies.selectors import versions_visible_to
from control.web.study_form import StudyForm
from control.web.views.access import page, visible_or_403
from control.web.views.acting import act, act_on_form
from dashboards import formats

SHOWN = 500  # runs, best first
DEEPEST = 60  # percent of the colour


@page("backtests.request_study", methods=("GET", "HEAD", "POST"))
def study_new(request: HttpRequest, pk: Any) -> HttpResponse:
    version = visible_or_403(versions_visible_to(request.user), pk=pk)
    model = kernels()[version.strategy.kernel].parameters_model
    form = StudyForm(request.POST or None, model=model, present=version.parameters)
    if request.method == "POST" and form.is_valid():
        done = "The study is queued; its runs give way to every other backtest."
        study = act_on_form(request, form, done, study_request, version=version, **form.arguments())
        if study is not None:
            return redirect("study-detail", pk=study.pk)
    context = {"version": version, "strategy": version.strategy, "form": form}
    return render(request, "web/study_new.html", context, status=422 if form.errors else 200)


@page("backtests.view_study")
def study_detail(request: HttpRequest, pk: Any) -> HttpResponse:
    study = visible_or_403(studies_visible_to(request.user), pk=pk)
    runs = list(study.runs.all())
    over = sum(run.state in ENDED for run in runs)
    context = {
        "study": study,
        "version": study.version,
        "strategy": study.version.strategy,
        "names": list(study.space),
        "runs": _rows(study, sorted(runs, key=_order)[:SHOWN]),
        "shown": min(len(runs), SHOWN),
        "total": len(runs),
        "over": over,
        "failed": sum(run.state == State.FAILED for run in runs),
        "progress": over / len(runs) if runs else 1.0,
        "left": _seconds_left(runs, over),
        "surface": _surface(study, runs),
        "folds": _folds(runs) if study.kind == StudyKind.WALK_FORWARD else [],
    }
    return render(request, "web/study_detail.html", context)


def _order(run: BacktestRun) -> tuple[bool, float]:
    """Best first; what has no Sharpe ratio last."""
    sharpe = run.statistics.get("sharpe")
    return sharpe is None, -(sharpe or 0.0)


def _rows(study: Study, runs: list[BacktestRun]) -> list[dict[str, Any]]:
    return [{"run": run, "values": [run.parameters[name] for name in study.space]} for run in runs]


def _seconds_left(runs: list[BacktestRun], over: int) -> float | None:
    """As many seconds a run as so far, by the clock: more workers have made that shorter already."""
    started = min((run.started_at for run in runs if run.started_at), default=None)
    ended = max((run.finished_at for run in runs if run.finished_at), default=None)
    if started is None or ended is None or not over or over == len(runs):
        return None
    return (ended - started).total_seconds() / over * (len(runs) - over)


def _surface(study: Study, runs: list[BacktestRun]) -> dict[str, Any] | None:
    """The mean Sharpe ratio by the first two parameters, over all others and windows; None where there are not two."""
    names = [name for name in study.space if len(study.space[name]) > 1][:2]
    if len(names) < 2 or study.kind == StudyKind.RANDOM:
        return None
    found: dict[tuple[Any, Any], list[float]] = {}
    for run in runs:
        sharpe = run.statistics.get("sharpe")
        if sharpe is not None and not run.out_of_sample:
            found.setdefault((run.parameters[names[0]], run.parameters[names[1]]), []).append(sharpe)
    means = {place: sum(values) / len(values) for place, values in found.items()}
    largest = max(map(abs, means.values()), default=0.0) or 1.0
    down, across = (sorted(study.space[name]) for name in names)
    rows = [(value, [_shade(means.get((value, other)), largest) for other in across]) for value in down]
    return {"down": names[0], "across": names[1], "values": across, "rows": rows}


def _shade(value: float | None, largest: float) -> tuple[float | None, str, int]:
    """A figure, its tone, and how deep its shade is (percent of the colour)."""
    if value is None:
        return None, "gain", 0
    return value, "gain" if value >= 0 else "loss", round(DEEPEST * abs(value) / largest)


def _folds(runs: list[BacktestRun]) -> list[dict[str, Any]]:
    """Each fold's choice, what it had in sample, and what came of it on the year after."""
    folds: dict[int, list[BacktestRun]] = {}
    for run in runs:
        folds.setdefault(run.fold or 0, []).append(run)
    found = []
    for _fold, of_fold in sorted(folds.items()):
        best = best_of([run for run in of_fold if not run.out_of_sample])
        after = next((run for run in of_fold if run.out_of_sample), None)
        first, last = of_fold[0].first, of_fold[0].last
        found.append(
            {
                "window": f"{formats.day(first)} to {formats.day(last)}",
                "chosen": ", ".join(f"{name} {value}" for name, value in best.parameters.items()) if best else "",
                "best": best,
                "after": after,
            }
        )
    return found


@page("backtests.cancel_study", methods=("POST",))
def study_stop(request: HttpRequest, pk: Any) -> HttpResponse:
    study = visible_or_403(studies_visible_to(request.user), pk=pk)
    act(request, "The study is being cancelled; what has a result keeps it.", study_cancel, study=study)
    return redirect("study-detail", pk=study.pk)
