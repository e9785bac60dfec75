"""A backtest run: its row is the truth, whatever the queue delivers or loses.

queued > running > succeeded or failed; running > cancelling > cancelled; queued > cancelled. A worker
holds a run by a lease that it renews; a run whose lease has expired goes back to queued.
"""

import uuid
from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q


class State(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


ENDED = (State.CANCELLED, State.FAILED, State.SUCCEEDED)
HELD = (State.RUNNING, State.CANCELLING)


class BacktestRun(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey("strategies.StrategyVersion", on_delete=models.PROTECT, related_name="backtests")
    content_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    progress = models.FloatField(default=0.0)
    progress_note = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="backtests")
    requested_at = models.DateTimeField(auto_now_add=True)
    dispatched_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True)
    manifest_hash = models.CharField(max_length=64, blank=True)
    result_sha256 = models.CharField(max_length=64, blank=True)
    statistics = models.JSONField(default=dict)
    result_dir = models.CharField(max_length=80, blank=True, help_text="under HELIOGRAPH_VAR/backtests")

    class Meta:
        ordering = ["-requested_at"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="backtest_state"),
            models.CheckConstraint(condition=Q(progress__gte=0) & Q(progress__lte=1), name="backtest_progress"),
            models.CheckConstraint(
                condition=~Q(state__in=HELD) | (Q(lease_until__isnull=False) & ~Q(worker="")),
                name="backtest_held_by_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state=State.SUCCEEDED) | (~Q(result_sha256="") & ~Q(result_dir="")),
                name="backtest_success_has_result",
            ),
            models.CheckConstraint(condition=~Q(state=State.FAILED) | ~Q(error=""), name="backtest_failure_has_reason"),
        ]
        indexes = [models.Index(fields=["state", "lease_until"], name="backtest_leases")]

    def __str__(self) -> str:
        return f"backtest {self.id}: {self.state}"

    @property
    def folder(self) -> Path:
        """Where the result's files are, once it has succeeded."""
        return settings.BACKTEST_ROOT / self.result_dir

    @property
    def ended(self) -> bool:
        return self.state in ENDED
