"""Strategies and their versions. A version never changes: any change is a new version.

The content hash covers the engine's sources, the parameters, the limit envelope and the data contract
(``engine.content.content_hash``). Triggers hold in the database what the services promise.
"""

import uuid

import pgtrigger
from django.conf import settings
from django.db import models
from django_fsm import FSMField, transition

CONTENT_COLUMNS = [
    "id",
    "strategy",
    "number",
    "parameters",
    "envelope",
    "dataset",
    "data_hash",
    "capital",
    "content_hash",
    "created_by",
    "created_at",
]


# A version becomes approved only beside a decision of somebody else about this very content.
_NEEDS_APPROVAL = """
IF NEW.state = 'approved' AND OLD.state <> 'approved' AND NOT EXISTS (
    SELECT 1 FROM approvals_approval a
    WHERE a.version_id = NEW.id AND a.decision = 'approved' AND a.content_hash = NEW.content_hash
      AND a.reviewer_id NOT IN (NEW.created_by_id, NEW.submitted_by_id)
) THEN
    RAISE EXCEPTION 'version % has no approval by a second person', NEW.id USING ERRCODE = 'check_violation';
END IF;
RETURN NEW;
"""


class Strategy(models.Model):
    """A named line of versions on one desk, all of one compiled kernel."""

    desk = models.ForeignKey("desks.Desk", on_delete=models.PROTECT, related_name="strategies")
    name = models.CharField(max_length=80)
    kernel = models.CharField(max_length=40)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["desk", "name"]
        verbose_name_plural = "strategies"
        constraints = [models.UniqueConstraint(fields=["desk", "name"], name="strategy_name_once_a_desk")]

    def __str__(self) -> str:
        return self.name


class VersionState(models.TextChoices):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    RETIRED = "retired"


class StrategyVersion(models.Model):
    """One immutable set of parameters, limits and data, known by its content hash."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    strategy = models.ForeignKey(Strategy, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    parameters = models.JSONField()
    envelope = models.JSONField(help_text="engine.messages.LimitEnvelope; money in 1/10,000 of the currency")
    dataset = models.CharField(max_length=80)
    data_hash = models.CharField(max_length=64)
    capital = models.DecimalField(max_digits=18, decimal_places=4)
    content_hash = models.CharField(max_length=64, db_index=True)
    state = FSMField(default=VersionState.DRAFT, choices=VersionState.choices, protected=True)
    note = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    submitted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    submitted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["strategy", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["strategy", "number"], name="version_number_once_a_strategy"),
            models.CheckConstraint(condition=models.Q(capital__gt=0), name="version_capital_positive"),
            models.CheckConstraint(condition=models.Q(state__in=VersionState.values), name="version_state_known"),
            models.CheckConstraint(
                condition=models.Q(state=VersionState.DRAFT)
                | models.Q(submitted_by__isnull=False, submitted_at__isnull=False),
                name="version_submitted_by_someone",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="content_is_immutable", fields=CONTENT_COLUMNS),
            pgtrigger.FSM(
                name="only_legal_moves",
                field="state",
                transitions=[
                    ("draft", "submitted"),
                    ("submitted", "approved"),
                    ("submitted", "rejected"),
                    ("submitted", "withdrawn"),
                    ("approved", "retired"),
                ],
            ),
            pgtrigger.Protect(
                name="begins_as_a_draft",
                operation=pgtrigger.Insert,
                condition=pgtrigger.Q(new__state__df=VersionState.DRAFT),  # type: ignore[call-arg]
            ),
            pgtrigger.Trigger(
                name="needs_a_second_person",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func=_NEEDS_APPROVAL,
            ),
            pgtrigger.Protect(
                name="no_delete_after_submit",
                operation=pgtrigger.Delete,
                condition=pgtrigger.Q(old__state__df=VersionState.DRAFT),  # type: ignore[call-arg]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.strategy} v{self.number}"

    @transition(field=state, source=VersionState.DRAFT, target=VersionState.SUBMITTED)
    def submit(self) -> None:
        """Content is now up for approval."""

    @transition(field=state, source=VersionState.SUBMITTED, target=VersionState.APPROVED)
    def approve(self) -> None:
        """A second person approved the content hash."""

    @transition(field=state, source=VersionState.SUBMITTED, target=VersionState.REJECTED)
    def reject(self) -> None:
        """A second person rejected it; a new version is needed."""

    @transition(field=state, source=VersionState.SUBMITTED, target=VersionState.WITHDRAWN)
    def withdraw(self) -> None:
        """The quant took it back."""

    @transition(field=state, source=VersionState.APPROVED, target=VersionState.RETIRED)
    def retire(self) -> None:
        """No new deployments of it."""
