"""Backtest runs, studies and the trial ledger in the admin: to read."""

from django.contrib import admin

from control.administration import ReadOnlyAdmin
from control.backtests.models import BacktestRun, Study, Trial
from control.backtests.selectors import runs_visible_to, studies_visible_to, trials_visible_to


@admin.register(BacktestRun)
class BacktestRunAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(runs_visible_to)
    list_display = ["id", "version", "state", "progress", "requested_by", "requested_at", "finished_at", "error"]
    list_filter = ["state", "priority"]
    search_fields = ["version__strategy__name", "content_hash", "result_sha256"]
    ordering = ["-requested_at"]


@admin.register(Study)
class StudyAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(studies_visible_to)
    list_display = ["id", "version", "kind", "requested_by", "requested_at", "finished_at"]
    list_filter = ["kind"]
    ordering = ["-requested_at"]


@admin.register(Trial)
class TrialAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(trials_visible_to)
    list_display = ["id", "strategy", "dataset", "manifest_hash", "days", "daily_sharpe", "at"]
    list_filter = ["dataset"]
    search_fields = ["strategy__name", "manifest_hash"]
    ordering = ["-id"]
