"""What every page of the Django admin shares: reading by the permission matrix, writing through services.

Nothing is saved by the admin itself. A page that writes calls a service with the signed-in user as the
actor, so the admin, the web and REST have one set of rules and one audit trail.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin

from control.accounts.permissions import allowed
from control.errors import ServiceError

REFUSALS = (ServiceError, PermissionDenied)


class ReadOnlyAdmin(ModelAdmin):
    """Lists and shows, never changes. ``visible_to`` is the app's own selector."""

    visible_to: Any = None  # staticmethod(selector): user -> rows
    actions_selection_counter = True
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        if self.visible_to is None:
            return super().get_queryset(request)
        rows = self.visible_to(request.user)
        ordering = self.get_ordering(request)
        return rows.order_by(*ordering) if ordering else rows

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request, f"view_{self.opts.model_name}")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def allows(self, request: HttpRequest, codename: str) -> bool:
        """Whether the role has the app's permission; the desk is checked by the service."""
        return allowed(request.user, f"{self.opts.app_label}.{codename}")

    def named(self, row: Any) -> str:
        """The row in a sentence about it."""
        return str(row)

    def call_for_each(self, request: HttpRequest, rows: QuerySet, call: Callable[[Any], object], done: str) -> None:
        """Call a service for each row; say what was done (``done``) and what was refused, and why."""
        for row in rows:
            name = self.named(row)
            try:
                call(row)
            except REFUSALS as refusal:
                self.message_user(request, refusal_text(refusal, name), messages.ERROR)
            else:
                self.message_user(request, f"{name}: {done}.", messages.SUCCESS)


class ServiceAdmin(ReadOnlyAdmin):
    """Adds and changes, through ``save_model`` of the subclass, which calls services."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A service's refusal is a message on the same page; Django's transaction is rolled back by then."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except ServiceError as refusal:
            self.message_user(request, refusal_text(refusal), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())


def refusal_text(refusal: Exception, name: str = "") -> str:
    """Every problem of a refusal as one line."""
    if isinstance(refusal, ServiceError):
        text = " ".join(f"{p.field}: {p.message}" if p.field else p.message for p in refusal.problems)
    else:
        text = str(refusal)
    return f"{name}: {text}" if name else text
