"""Strategies and versions in the admin: to read."""

from django.contrib import admin

from control.administration import ReadOnlyAdmin
from control.strategies.models import Strategy, StrategyVersion
from control.strategies.selectors import strategies_visible_to, versions_visible_to


@admin.register(Strategy)
class StrategyAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(strategies_visible_to)
    list_display = ["name", "desk", "kernel", "created_by", "created_at"]
    list_filter = ["desk", "kernel"]
    search_fields = ["name"]
    ordering = ["desk", "name"]


@admin.register(StrategyVersion)
class StrategyVersionAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(versions_visible_to)
    list_display = ["__str__", "state", "dataset", "capital", "short_hash", "created_by", "submitted_at"]
    list_filter = ["state", "strategy"]
    search_fields = ["strategy__name", "content_hash"]
    ordering = ["strategy", "-number"]

    @admin.display(description="content hash")
    def short_hash(self, version: StrategyVersion) -> str:
        return version.content_hash[:12]
