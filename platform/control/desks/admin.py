"""Administration of desks."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from control.administration import ServiceAdmin
from control.desks import services
from control.desks.models import Desk
from control.desks.selectors import desks_visible_to


@admin.register(Desk)
class DeskAdmin(ServiceAdmin):
    visible_to = staticmethod(desks_visible_to)
    list_display = ["name", "slug", "sitting"]
    search_fields = ["name"]
    ordering = ["name"]
    fields = ["name"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "manage_desk")

    @admin.display(description="members")
    def sitting(self, desk: Desk) -> str:
        return ", ".join(desk.members.order_by("username").values_list("username", flat=True))

    def save_model(self, request: HttpRequest, obj: Desk, form: forms.ModelForm, change: bool) -> None:
        obj.pk = services.desk_create(actor=request.user, name=form.cleaned_data["name"]).pk
        obj.refresh_from_db()

    def save_related(self, request: HttpRequest, form: forms.ModelForm, formsets: list[Any], change: bool) -> None:
        """Members are set with the user."""
