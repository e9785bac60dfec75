"""One version: its content, backtests, approval and deployments, and every step of its life."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from control.accounts.permissions import allowed
from control.approvals.selectors import approvals_visible_to, may_decide
from control.approvals.services import version_approve, version_reject
from control.backtests.models import State
from control.backtests.selectors import runs_visible_to
from control.backtests.services import backtest_request
from control.deployments.selectors import deployments_visible_to, nodes_visible_to
from control.deployments.services import deployment_create
from control.marketdata.selectors import datasets_visible_to
from control.strategies import services
from control.strategies.content import kernels
from control.strategies.models import Strategy, StrategyVersion, VersionState
from control.strategies.selectors import strategies_visible_to, versions_visible_to
from control.web.forms import DecisionForm, DeployForm, VersionForm, envelope_rows
from control.web.views.access import page, visible_or_403
from control.web.views.acting import act, act_on_form, say_errors
from dashboards import formats

LONGEST_NUMBER = 9  # digits of a version's number


@page("strategies.create_strategyversion", methods=("GET", "HEAD", "POST"))
def version_new(request: HttpRequest, pk: int) -> HttpResponse:
    strategy = visible_or_403(strategies_visible_to(request.user), pk=pk)
    form = _version_form(request, strategy)
    if request.method == "POST" and form.is_valid():
        done = "Draft created. Backtest it, then submit it for approval."
        version = act_on_form(request, form, done, services.version_create, strategy=strategy, **form.arguments())
        if version is not None:
            return redirect("version-detail", pk=version.pk)
    context = {"strategy": strategy, "form": form, "kernel": kernels()[strategy.kernel]}
    return render(request, "web/version_new.html", context, status=422 if form.errors else 200)


def _version_form(request: HttpRequest, strategy: Strategy) -> VersionForm:
    """Starts from the version named by ``?from=``, or the newest, so that a change is one field."""
    datasets = [dataset.name for dataset in datasets_visible_to(request.user)]
    versions = versions_visible_to(request.user).filter(strategy=strategy)
    number = request.GET.get("from", "")
    source = (
        versions.filter(number=number).first()
        if number.isdecimal() and len(number) <= LONGEST_NUMBER
        else versions.order_by("-number").first()
    )
    model = kernels()[strategy.kernel].parameters_model
    return VersionForm(request.POST or None, model=model, datasets=datasets, initial=_initial(source))


def _initial(source: StrategyVersion | None) -> dict[str, Any]:
    if source is None:
        return {}
    initial: dict[str, Any] = {f"parameters.{name}": value for name, value in source.parameters.items()}
    for name, _label, value, _unit in envelope_rows(source.envelope):
        initial[f"envelope.{name}"] = f"{value.normalize():f}"
    return initial | {"dataset": source.dataset, "capital": f"{source.capital.normalize():f}"}


@page("strategies.view_strategyversion", methods=("GET", "HEAD", "POST"))
def version_detail(request: HttpRequest, pk: Any) -> HttpResponse:
    """The page; a POST deploys."""
    version = visible_or_403(versions_visible_to(request.user), pk=pk)
    form = DeployForm(request.POST or None, nodes=nodes_visible_to(request.user), most=version.capital)
    if request.method == "POST" and form.is_valid():
        done = f"{version} is deployed to {form.cleaned_data['node']}."
        deployment = act_on_form(request, form, done, deployment_create, version=version, **form.cleaned_data)
        if deployment is not None:
            return redirect("deployment-detail", pk=deployment.pk)
    return _render(request, version, deploy_form=form)


def _render(request: HttpRequest, version: StrategyVersion, **forms: Any) -> HttpResponse:
    approval = approvals_visible_to(request.user).filter(version=version).first()
    backtests = list(runs_visible_to(request.user).filter(version=version, study=None))
    kernel = kernels().get(version.strategy.kernel)
    context = {
        "version": version,
        "version_name": str(version),
        "strategy": version.strategy,
        "kernel": kernel,
        "parameters": _parameter_rows(kernel, version.parameters),
        "envelope": envelope_rows(version.envelope),
        "approval": approval,
        "backtests": backtests,
        "succeeded": any(run.state == State.SUCCEEDED for run in backtests),
        "deployments": deployments_visible_to(request.user).filter(version=version),
        "may_decide": may_decide(request.user, version),
        "decision_form": DecisionForm(initial={"content_hash": version.content_hash}),
        "nodes": nodes_visible_to(request.user).exists(),
    } | forms
    shown = {
        "decision_form": context["may_decide"],
        "deploy_form": version.state == VersionState.APPROVED
        and allowed(request.user, "deployments.run_deployment", version.strategy.desk),
    }
    for name, form in forms.items():
        if not shown[name]:
            say_errors(request, form)
    refused = any(form.is_bound and form.errors for form in forms.values())
    return render(request, "web/version_detail.html", context, status=422 if refused else 200)


def _parameter_rows(kernel: Any, parameters: dict[str, Any]) -> list[tuple[str, Any, str, bool]]:
    """(label, value, description, whether it is the kernel's default)"""
    fields = kernel.parameters_model.model_fields if kernel else {}
    rows = []
    # In the model's order: the database keeps the keys of a JSON object in an order of its own.
    known = [name for name in fields if name in parameters]
    for name in [*known, *(name for name in parameters if name not in fields)]:
        value, field = parameters[name], fields.get(name)
        label = (field.title if field else None) or name.replace("_", " ").capitalize()
        default = field is not None and field.default == value
        rows.append((label, _shown(value), (field.description or "") if field else "", default))
    return rows


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "all"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    places = 0 if isinstance(value, int) else max(2, len(str(value).partition(".")[2]))
    return formats.number(value, places)


@page("strategies.submit_strategyversion", methods=("POST",))
def version_submit(request: HttpRequest, pk: Any) -> HttpResponse:
    return _step(request, pk, services.version_submit, "{} is submitted for approval.")


@page("strategies.submit_strategyversion", methods=("POST",))
def version_withdraw(request: HttpRequest, pk: Any) -> HttpResponse:
    return _step(request, pk, services.version_withdraw, "{} is withdrawn.")


@page("strategies.retire_strategyversion", methods=("POST",))
def version_retire(request: HttpRequest, pk: Any) -> HttpResponse:
    return _step(request, pk, services.version_retire, "{} is retired. It can no longer be deployed.")


def _step(request: HttpRequest, pk: Any, service: Any, done: str) -> HttpResponse:
    version = visible_or_403(versions_visible_to(request.user), pk=pk)
    act(request, done.format(version), service, version=version)
    return redirect("version-detail", pk=version.pk)


@page("backtests.request_backtestrun", methods=("POST",))
def version_backtest(request: HttpRequest, pk: Any) -> HttpResponse:
    version = visible_or_403(versions_visible_to(request.user), pk=pk)
    run = act(request, f"The backtest of {version} is queued.", backtest_request, version=version)
    return redirect("version-detail", pk=version.pk) if run is None else redirect("backtest-detail", pk=run.pk)


@page("approvals.decide_approval", methods=("POST",))
def version_decide(request: HttpRequest, pk: Any, decision: str) -> HttpResponse:
    """Approve or reject exactly the content that the page showed (its hash comes with the form)."""
    decisions = {"approve": (version_approve, "approved"), "reject": (version_reject, "rejected")}
    if decision not in decisions:
        raise Http404
    version = visible_or_403(versions_visible_to(request.user), pk=pk)
    service, word = decisions[decision]
    form = DecisionForm(request.POST)
    if form.is_valid():
        done = act_on_form(request, form, f"{version} is {word}.", service, version=version, **form.cleaned_data)
        if done is not None:
            return redirect("version-detail", pk=version.pk)
    deploy = DeployForm(nodes=nodes_visible_to(request.user), most=version.capital)
    return _render(request, version, decision_form=form, deploy_form=deploy)
