"""Backtest runs in the admin: to read."""

from django.contrib import admin

from control.administration import ReadOnlyAdmin
from control.backtests.models import BacktestRun
from control.backtests.selectors import runs_visible_to


@admin.register(BacktestRun)
class BacktestRunAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(runs_visible_to)
    list_display = ["id", "version", "state", "progress", "requested_by", "requested_at", "finished_at", "error"]
    list_filter = ["state"]
    search_fields = ["version__strategy__name", "content_hash", "result_sha256"]
    ordering = ["-requested_at"]
