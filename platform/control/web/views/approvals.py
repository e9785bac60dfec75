"""What waits for a second pair of eyes, and what was decided."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from control.approvals.selectors import approvals_visible_to, requests_waiting
from control.web.views.access import page

NEWEST = 200


@page("approvals.view_approval")
def approval_list(request: HttpRequest) -> HttpResponse:
    decided = approvals_visible_to(request.user).filter(decision__isnull=False)
    context = {
        "waiting": requests_waiting(request.user),
        "decided": decided.order_by("-decided_at")[:NEWEST],
    }
    return render(request, "web/approval_list.html", context)
