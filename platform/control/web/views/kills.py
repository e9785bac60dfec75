"""The kill page: what is killed, killing, and the two steps of re-arming."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from control.accounts.permissions import allowed
from control.deployments.kills import kill_ask_rearm, kill_give, kill_rearm
from control.deployments.models import KillLevel
from control.deployments.selectors import deployments_visible_to, kills_visible_to
from control.desks.selectors import desks_visible_to
from control.monitoring.selectors import nodes_with_health, statuses_visible_to
from control.web.forms import KillForm
from control.web.views.access import page
from control.web.views.acting import act, act_on_form
from control.web.words import scope_words

NEWEST = 100
STEPS = {
    "ask": (kill_ask_rearm, "You asked to re-arm {}. Somebody else, who did not kill it either, has to agree."),
    "rearm": (kill_rearm, "Re-armed: {}."),
}


@page("deployments.view_kill", methods=("GET", "HEAD", "POST"))
def kill_list(request: HttpRequest) -> HttpResponse:
    """POST kills; the service asks for the permission."""
    user = request.user
    form = KillForm(request.POST or None, initial={"scope": request.GET.get("scope", "firm")}, scopes=_scopes(user))
    if request.method == "POST" and form.is_valid():
        scope, level = form.cleaned_data["killed"], form.cleaned_data["level"]
        reason = form.cleaned_data["reason"]
        done = f"Killed: {scope_words(scope)} ({KillLevel(level).label.lower()}). It was sent to every node at once."
        if act_on_form(request, form, done, kill_give, scope=scope, level=level, reason=reason):
            return redirect("kill-list")
    kills = kills_visible_to(user)
    context = {
        "form": form,
        "in_force": kills.filter(rearmed_at__isnull=True),
        "past": kills.filter(rearmed_at__isnull=False)[:NEWEST],
        "nodes": nodes_with_health(user),
        "may_kill": allowed(user, "deployments.give_kill"),
        "may_rearm": allowed(user, "deployments.rearm_kill"),
    }
    return render(request, "web/kill_list.html", context, status=422 if form.errors else 200)


@page("deployments.rearm_kill", methods=("POST",))
def kill_rearm_step(request: HttpRequest, step: str) -> HttpResponse:
    """The first person asks, the second re-arms."""
    if step not in STEPS:
        raise Http404
    service, done = STEPS[step]
    scope = request.POST.get("scope", "")
    act(request, done.format(scope_words(scope)), service, scope=scope)
    return redirect("kill-list")


def _scopes(user: Any) -> list[tuple[str, str]]:
    """What there is to kill for this user, but for symbols."""
    desks = desks_visible_to(user).order_by("name").values_list("name", flat=True)
    strategies = deployments_visible_to(user).filter(stopped_at__isnull=True).values_list("strategy__name", flat=True)
    venues = [name for status in statuses_visible_to(user) for name in status.venue_names]
    named = [(f"desk:{name}", f"Desk {name}") for name in desks]
    named += [(f"strategy:{name}", f"Strategy {name}") for name in sorted(set(strategies))]
    named += [(f"venue:{name}", f"Venue {name}") for name in sorted(set(venues))]
    return [("firm", "The firm"), *named, ("symbol", "A symbol")]
