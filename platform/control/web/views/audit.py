"""The audit trail, newest first, with the state of its chain."""

from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from control.audit.selectors import rows_visible_to
from control.web.views.access import page

ROWS = 100


@page("audit.view_auditrow")
def audit_list(request: HttpRequest) -> HttpResponse:
    rows = rows_visible_to(request.user)
    wanted = {name: request.GET.get(name, "").replace("\0", "").strip() for name in ("actor", "action", "object")}
    if wanted["actor"]:
        rows = rows.filter(actor_name__icontains=wanted["actor"])
    if wanted["action"]:
        rows = rows.filter(action__icontains=wanted["action"])
    if wanted["object"]:
        rows = rows.filter(object_id__icontains=wanted["object"])
    found = Paginator(rows, ROWS).get_page(request.GET.get("page"))
    return render(request, "web/audit_list.html", {"found": found, "wanted": wanted, "query": urlencode(wanted)})
