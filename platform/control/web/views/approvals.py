"""What waits for a second pair of eyes, and what was decided."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from control.approvals.selectors import approvals_visible_to, may_decide
from control.web.views.access import page

NEWEST = 200


@page("approvals.view_approval")
def approval_list(request: HttpRequest) -> HttpResponse:
    approvals = approvals_visible_to(request.user)
    waiting = list(approvals.filter(decision__isnull=True))
    context = {
        "waiting": [(approval, may_decide(request.user, approval.version)) for approval in waiting],
        "decided": approvals.filter(decision__isnull=False).order_by("-decided_at")[:NEWEST],
    }
    return render(request, "web/approval_list.html", context)
