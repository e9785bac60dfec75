"""Resolving a break; where it is shown, the pages that show it say."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme

from control.trading.breaks import break_resolve
from control.trading.selectors import breaks_visible_to
from control.web.views.access import page, visible_or_403
from control.web.views.acting import act


@page("trading.view_incident", methods=("POST",))
def break_resolve_command(request: HttpRequest, pk: Any) -> HttpResponse:
    """The service asks for the permission."""
    incident = visible_or_403(breaks_visible_to(request.user), pk=pk)
    done = f"The engine is asked to let {incident.subject} trade again."
    act(request, done, break_resolve, incident=incident, comment=request.POST.get("comment", ""))
    back = request.POST.get("next", "")
    return redirect(back if url_has_allowed_host_and_scheme(back, {request.get_host()}) else "home")
