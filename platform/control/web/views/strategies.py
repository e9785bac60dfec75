"""Strategies: the list, one with its versions, and a new one."""

from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from control.desks.selectors import desks_visible_to
from control.strategies.content import kernels
from control.strategies.selectors import strategies_visible_to
from control.strategies.services import strategy_create
from control.web.forms import StrategyForm
from control.web.views.access import page, visible_or_403
from control.web.views.acting import act_on_form


@page("strategies.view_strategy")
def strategy_list(request: HttpRequest) -> HttpResponse:
    strategies = strategies_visible_to(request.user).annotate(
        version_count=Count("versions", distinct=True),
        newest=Max("versions__number"),
        approved=Count("versions", filter=Q(versions__state="approved"), distinct=True),
        running=Count("deployments", filter=Q(deployments__stopped_at__isnull=True), distinct=True),
    )
    return render(request, "web/strategy_list.html", {"strategies": strategies})


@page("strategies.view_strategy")
def strategy_detail(request: HttpRequest, pk: int) -> HttpResponse:
    strategy = visible_or_403(strategies_visible_to(request.user), pk=pk)
    versions = strategy.versions.select_related("created_by", "submitted_by").order_by("-number")
    deployments = strategy.deployments.select_related("version", "node", "created_by")
    context = {
        "strategy": strategy,
        "versions": versions,
        "deployments": deployments,
        "kernel": kernels().get(strategy.kernel),
    }
    return render(request, "web/strategy_detail.html", context)


@page("strategies.create_strategy", methods=("GET", "HEAD", "POST"))
def strategy_new(request: HttpRequest) -> HttpResponse:
    form = StrategyForm(
        request.POST or None,
        desks=desks_visible_to(request.user),
        kernels=[(name, kernel.title) for name, kernel in sorted(kernels().items())],
    )
    if request.method == "POST" and form.is_valid():
        done = f"Strategy {form.cleaned_data['name']} created. Give it its first version."
        strategy = act_on_form(request, form, done, strategy_create, **form.cleaned_data)
        if strategy is not None:
            return redirect("version-new", pk=strategy.pk)
    return render(request, "web/strategy_new.html", {"form": form}, status=422 if form.errors else 200)
