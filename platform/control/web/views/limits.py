"""The limits page: what the firm and its desks may do, how that is split over nodes, and the changes that wait."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from control.accounts.permissions import allowed, require
from control.deployments.selectors import nodes_visible_to
from control.desks.selectors import desks_visible_to
from control.limits.models import MEASURES
from control.limits.selectors import allotments_visible_to, changes_waiting, limits_visible_to
from control.limits.services import allotment_set, limit_agree, limit_ask, limit_decline
from control.web.forms import AllotmentForm, LimitForm
from control.web.views.access import page, visible_or_403
from control.web.views.acting import act, act_on_form

DECISIONS = {
    "agree": (limit_agree, "The change of {} is in force and sent to every node."),
    "decline": (limit_decline, "The change of {} is declined."),
}


@page("limits.view_limit", methods=("GET", "HEAD", "POST"))
def limit_list(request: HttpRequest) -> HttpResponse:
    """Asking for a change is posted here."""
    form = LimitForm(request.POST or None, desks=desks_visible_to(request.user))
    if request.method == "POST":
        require(request.user, "limits.ask_limitchange")
        if form.is_valid():
            cleaned = form.cleaned_data
            change = act_on_form(
                request,
                form,
                "The change is taken; a looser one waits for a second person.",
                limit_ask,
                desk=cleaned["desk"],
                values={name: cleaned[name] for name in MEASURES},
                reason=cleaned["reason"],
            )
            if change is not None:
                return redirect("limit-list")
    return _page(request, form, _allotment_form(request))


@page("limits.set_allotment", methods=("POST",))
def allotment_change(request: HttpRequest) -> HttpResponse:
    form = _allotment_form(request)
    if form.is_valid():
        cleaned = form.cleaned_data
        done = f"{cleaned['node']} is told its part of {cleaned['limit']}."
        if act_on_form(request, form, done, allotment_set, **cleaned) is not None:
            return redirect("limit-list")
    return _page(request, LimitForm(None, desks=desks_visible_to(request.user)), form)


@page("limits.agree_limitchange", methods=("POST",))
def limit_decide(request: HttpRequest, pk: int, decision: str) -> HttpResponse:
    if decision not in DECISIONS:
        raise Http404
    change = visible_or_403(changes_waiting(request.user), pk=pk)
    service, done = DECISIONS[decision]
    act(request, done.format(change.limit), service, change=change)
    return redirect("limit-list")


def _allotment_form(request: HttpRequest) -> AllotmentForm:
    bound = request.POST if request.method == "POST" and "node" in request.POST else None
    return AllotmentForm(bound, limits=limits_visible_to(request.user), nodes=nodes_visible_to(request.user))


def _page(request: HttpRequest, form: LimitForm, allotment_form: AllotmentForm) -> HttpResponse:
    user: Any = request.user
    limits = list(limits_visible_to(user))
    context = {
        "limits": [(limit, sum(one.held_position_qty for one in limit.allotments.all())) for limit in limits],
        "changes": changes_waiting(user),
        "allotments": allotments_visible_to(user),
        "form": form,
        "allotment_form": allotment_form,
        "may_ask": allowed(user, "limits.ask_limitchange"),
        "may_agree": allowed(user, "limits.agree_limitchange"),
        "may_allot": allowed(user, "limits.set_allotment") and bool(limits),
    }
    return render(request, "web/limit_list.html", context, status=422 if form.errors or allotment_form.errors else 200)
