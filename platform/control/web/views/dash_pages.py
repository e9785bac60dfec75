"""The way into the Dash pages: login, permission on the object, then the bridge.

``/dash/<name>/<uuid>/`` is the page itself in the frame; below it are the page's own calls (layout,
callbacks), each checked for the same object; ``/dash/_dash-component-suites/`` holds the scripts of all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from control.backtests.selectors import runs_visible_to
from control.deployments.selectors import deployments_visible_to
from control.web.views.access import page, visible_or_403
from dashboards import bridge


@dataclass(frozen=True)
class DashPage:
    permission: str
    visible_to: Callable[[Any], QuerySet]
    url_name: str  # the page in the frame


PAGES = {
    "live": DashPage("deployments.view_deployment", deployments_visible_to, "deployment-detail"),
    "backtest": DashPage("backtests.view_backtestrun", runs_visible_to, "backtest-detail"),
}


@cache
def dash_app(name: str) -> Any:
    """The app of a page, made at its first visit. Raises ``Http404`` for no such page."""
    if name not in PAGES:
        raise Http404
    if name == "live":
        from dashboards import live

        return bridge.make_app(name, live.layout)
    from dashboards import backtest

    return backtest.make_app()


def render_dash(request: HttpRequest, name: str, subject: Any, template: str, context: dict[str, Any]) -> HttpResponse:
    """The Dash page ``name`` about ``subject`` (already checked) inside a template of ours."""
    visited = bridge.Visit(request.user, subject, _prefix(name, subject))
    return render(request, template, context | {"dash": bridge.index_parts(dash_app(name), visited)})


@page(methods=("GET", "HEAD"))
def dash_page(request: HttpRequest, name: str, pk: Any) -> HttpResponse:
    known = _known(name)
    subject = visible_or_403(known.visible_to(request.user), pk=pk)
    return redirect(known.url_name, pk=subject.pk)


@page(methods=("GET", "HEAD", "POST"))
def dash_call(request: HttpRequest, name: str, pk: Any, rest: str) -> HttpResponse:
    subject = visible_or_403(_known(name).visible_to(request.user), pk=pk)
    visited = bridge.Visit(request.user, subject, _prefix(name, subject))
    response = bridge.answer(dash_app(name), request, visited, rest)
    response.setdefault("Cache-Control", "no-store")
    return response


@page(methods=("GET", "HEAD"))
def dash_suite(request: HttpRequest, rest: str) -> HttpResponse:
    """A script of Dash or of its components: the same for every page, so any app can serve it."""
    return bridge.answer(dash_app("live"), request, bridge.Visit(request.user, None, bridge.ROOT), bridge.SUITES + rest)


def _known(name: str) -> DashPage:
    if name not in PAGES:
        raise Http404
    return PAGES[name]


def _prefix(name: str, subject: Any) -> str:
    return reverse("dash-page", kwargs={"name": name, "pk": subject.pk})
