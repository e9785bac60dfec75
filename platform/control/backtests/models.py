"""A backtest run: its row is the truth, whatever the queue delivers or loses.

queued > running > succeeded or failed; running > cancelling > cancelled; queued > cancelled. A worker
holds a run by a lease that it renews; a run whose lease has expired goes back to queued.
"""

import uuid
from pathlib import Path
from typing import Any

import pgtrigger
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


class Priority(models.IntegerChoices):
    LOW = 1
    NORMAL = 5
    HIGH = 9


class StudyKind(models.TextChoices):
    GRID = "grid", "Grid"
    RANDOM = "random", "Random search"
    WALK_FORWARD = "walk_forward", "Walk-forward"


class Study(models.Model):
    """Many runs of one version with other parameters. ``space`` maps a parameter to the values that it may take.

    A grid runs all combinations, a random search ``samples`` of them (by ``seed``). A walk-forward runs all of them on
    each in-sample window (``in_sample_years`` long) and the best again on the year after it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey("strategies.StrategyVersion", on_delete=models.PROTECT, related_name="studies")
    kind = models.CharField(max_length=12, choices=StudyKind.choices)
    space = models.JSONField()
    samples = models.PositiveIntegerField(null=True)
    seed = models.PositiveIntegerField(default=0)
    in_sample_years = models.PositiveSmallIntegerField(null=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="studies")
    requested_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    overfitting = models.JSONField(null=True, help_text="probability and loss_probability of CSCV, once it is over")

    class Meta:
        verbose_name_plural = "studies"
        ordering = ["-requested_at"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=StudyKind.values), name="study_kind"),
            models.CheckConstraint(
                condition=~Q(kind=StudyKind.RANDOM) | Q(samples__isnull=False), name="study_random_has_samples"
            ),
            models.CheckConstraint(
                condition=~Q(kind=StudyKind.WALK_FORWARD) | Q(in_sample_years__isnull=False),
                name="study_walk_forward_has_windows",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.version}"


class BacktestRun(models.Model):
    """``parameters`` are what differs from the version's; ``first`` and ``last`` bound the days, null: all of them.

    ``fold`` numbers the windows of a walk-forward from 0; ``out_of_sample`` is the run after its choice.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey("strategies.StrategyVersion", on_delete=models.PROTECT, related_name="backtests")
    content_hash = models.CharField(max_length=64)
    study = models.ForeignKey(Study, on_delete=models.PROTECT, null=True, related_name="runs")
    parameters = models.JSONField(default=dict)
    first = models.DateField(null=True)
    last = models.DateField(null=True)
    fold = models.PositiveSmallIntegerField(null=True)
    out_of_sample = models.BooleanField(default=False)
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    notes = models.TextField(blank=True)
    tags = models.JSONField(default=list)
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
        indexes = [
            models.Index(fields=["state", "lease_until"], name="backtest_leases"),
            models.Index(fields=["state", "-priority", "requested_at"], name="backtest_queue"),
        ]

    def __str__(self) -> str:
        return f"backtest {self.id}: {self.state}"

    def tried(self) -> tuple[int, float]:
        """How many different runs there were (this at least) of this strategy on this dataset, and the variance between
        their Sharpe ratios of one day: what a deflated Sharpe ratio needs.
        """
        return Trial.tried(self.version)

    @property
    def folder(self) -> Path:
        """Where the result's files are, once it has succeeded."""
        return settings.BACKTEST_ROOT / self.result_dir

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class Trial(models.Model):
    """The trial ledger: a row a result, whoever asked for it and whatever came of it. Rows are never changed.

    ``daily_sharpe`` is null where nothing moved.
    """

    run = models.OneToOneField(BacktestRun, on_delete=models.PROTECT, related_name="trial")
    strategy = models.ForeignKey("strategies.Strategy", on_delete=models.PROTECT, related_name="trials")
    dataset = models.CharField(max_length=63)
    manifest_hash = models.CharField(max_length=64)
    days = models.PositiveIntegerField()
    daily_sharpe = models.FloatField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["strategy", "dataset"], name="trial_of_strategy")]
        triggers = [
            pgtrigger.Protect(name="trials_are_append_only", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"trial {self.pk} of {self.strategy}"

    @classmethod
    def tried(cls, version: Any) -> tuple[int, float]:
        """Different manifests of the version's strategy on its dataset, and the variance of their daily ratios."""
        of_manifest = cls.objects.filter(strategy=version.strategy, dataset=version.dataset)
        ratios = dict(of_manifest.order_by("id").values_list("manifest_hash", "daily_sharpe"))
        known = [ratio for ratio in ratios.values() if ratio is not None]
        mean = sum(known) / len(known) if known else 0.0
        variance = sum((ratio - mean) ** 2 for ratio in known) / (len(known) - 1) if len(known) > 1 else 0.0
        return max(len(ratios), 1), variance
