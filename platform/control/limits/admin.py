"""Limits, their changes, what nodes have of them and the bundles, in the admin: to read."""

from django.contrib import admin

from control.administration import ReadOnlyAdmin
from control.limits import selectors
from control.limits.models import MEASURES, Allotment, Limit, LimitChange


@admin.register(Limit)
class LimitAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(selectors.limits_visible_to)
    list_display = ["__str__", *MEASURES]


@admin.register(LimitChange)
class LimitChangeAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(selectors.changes_visible_to)
    list_display = ["limit", *MEASURES, "asked_by", "asked_at", "decided_by", "agreed"]
    ordering = ["-asked_at"]


@admin.register(Allotment)
class AllotmentAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(selectors.allotments_visible_to)
    list_display = ["node", "limit", "position_qty", "held_position_qty", "gross_notional", "held_gross_notional"]
