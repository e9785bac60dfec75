"""What trades: the list, the live page (Dash in the same frame), and the buttons that stop it."""

from typing import Any

from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from control.deployments import services
from control.deployments.models import Deployment
from control.deployments.plans import plan_stored, plan_words
from control.deployments.selectors import deployments_visible_to
from control.trading.models import WORKING
from control.trading.selectors import (
    breaks_visible_to,
    orders_visible_to,
    positions_visible_to,
    with_newest_equity,
)
from control.web.views.access import page, visible_or_403
from control.web.views.acting import act
from control.web.views.dash_pages import render_dash

# command -> (service, what it says when done)
COMMANDS = {
    "pause": (services.deployment_pause, "{} is being paused: no new orders, working ones are cancelled."),
    "resume": (services.deployment_resume, "{} trades on."),
    "flatten": (services.deployment_flatten, "{} is being flattened: it closes its positions, then stops."),
    "stop": (services.deployment_stop, "{} is being stopped: working orders are cancelled, positions stay."),
}


@page("deployments.view_deployment")
def deployment_list(request: HttpRequest) -> HttpResponse:
    deployments = with_newest_equity(deployments_visible_to(request.user)).annotate(
        fill_count=Count("fills", filter=Q(fills__bust__isnull=True))
    )
    context = {
        "live": [one for one in deployments if one.live],
        "ended": [one for one in deployments if not one.live],
    }
    return render(request, "web/deployment_list.html", context)


@page("deployments.view_deployment")
def deployment_detail(request: HttpRequest, pk: Any) -> HttpResponse:
    deployment = visible_or_403(deployments_visible_to(request.user), pk=pk)
    return render_live(request, deployment)


def render_live(request: HttpRequest, deployment: Deployment) -> HttpResponse:
    working = orders_visible_to(request.user).filter(deployment=deployment, state__in=WORKING).count()
    held = positions_visible_to(request.user).filter(deployment=deployment).exclude(qty=0).count()
    context = {
        "deployment": deployment,
        "version": deployment.version,
        "strategy": deployment.strategy,
        "plan": plan_words(plan) if (plan := plan_stored(deployment.plan)) else "",
        "commands": _commands(deployment, working, held),
        "breaks": breaks_visible_to(request.user).filter(node=deployment.node_id) if deployment.live else [],
    }
    return render_dash(request, "live", deployment, "web/deployment_detail.html", context)


def _commands(deployment: Deployment, working: int, held: int) -> list[dict[str, Any]]:
    """What each button asks before it acts: the thing's name and the consequence."""
    name = str(deployment)
    # live.js keeps the two counts true while the page is open.
    orders = _counted("orders", working, "working order")
    positions = _counted("positions", held, "position")
    said: dict[str, SafeString | str] = {
        "pause": format_html("{} cancelled, no new ones; {} kept.", orders, positions),
        "resume": "It sends orders again from the next decision on.",
        "flatten": format_html(
            "{} cancelled, {} closed at the market. It then stops and cannot be resumed.", orders, positions
        ),
        "stop": format_html(
            "{} cancelled, {} kept open and no longer managed. It cannot be resumed.", orders, positions
        ),
    }
    return [
        {
            "name": command,
            "url": reverse("deployment-command", kwargs={"pk": deployment.pk, "command": command}),
            "title": f"{command.capitalize()} {name}",
            "consequence": consequence,
            "calm": command == "resume",
        }
        for command, consequence in said.items()
    ]


def _counted(kind: str, count: int, noun: str) -> SafeString:
    return format_html('<span data-count="{}">{} {}{}</span>', kind, count, noun, "" if count == 1 else "s")


@page("deployments.view_deployment", methods=("POST",))
def deployment_command(request: HttpRequest, pk: Any, command: str) -> HttpResponse:
    """Pause, resume, flatten or stop; the service asks for the permission of each."""
    if command not in COMMANDS:
        raise Http404
    deployment = visible_or_403(deployments_visible_to(request.user), pk=pk)
    service, done = COMMANDS[command]
    act(request, done.format(deployment), service, deployment=deployment)
    return redirect("deployment-detail", pk=deployment.pk)
