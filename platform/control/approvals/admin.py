"""Approving in the admin, through the same services as the web."""

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from control.administration import ReadOnlyAdmin
from control.approvals import services
from control.approvals.models import Approval
from control.approvals.selectors import approvals_visible_to


class DecisionForm(ActionForm):
    """The action with the reviewer's comment."""

    comment = forms.CharField(
        required=False, label="", widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Comment"})
    )


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(approvals_visible_to)
    action_form = DecisionForm
    list_display = ["version", "content_hash", "submitter", "requested_at", "decision", "reviewer", "decided_at"]
    list_filter = ["decision"]
    search_fields = ["version__strategy__name", "content_hash"]
    ordering = ["-requested_at"]
    actions = ["approve", "reject"]

    def named(self, row: Approval) -> str:
        return str(row.version)  # str(row) says how it stood before

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "decide_approval")

    @admin.action(description="Approve the selected versions", permissions=["decide"])
    def approve(self, request: HttpRequest, rows: QuerySet[Approval]) -> None:
        self._decide(request, rows, services.version_approve, "approved")

    @admin.action(description="Reject the selected versions", permissions=["decide"])
    def reject(self, request: HttpRequest, rows: QuerySet[Approval]) -> None:
        self._decide(request, rows, services.version_reject, "rejected")

    def _decide(self, request: HttpRequest, rows: QuerySet[Approval], service: services.Decide, done: str) -> None:
        comment = request.POST.get("comment", "")

        def call(approval: Approval) -> object:
            return service(
                actor=request.user, version=approval.version, comment=comment, content_hash=approval.content_hash
            )

        self.call_for_each(request, rows, call, done)
