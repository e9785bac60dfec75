"""Four eyes: who asked, who decided, about exactly which content hash."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q


class Decision(models.TextChoices):
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Approval(models.Model):
    """A request for approval, open until it is decided. ``reviewer`` is never ``submitter``."""

    version = models.ForeignKey("strategies.StrategyVersion", on_delete=models.PROTECT, related_name="approvals")
    content_hash = models.CharField(max_length=64)
    submitter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    decision = models.CharField(max_length=10, choices=Decision.choices, null=True)  # noqa: DJ001 - unset is not empty
    comment = models.TextField(blank=True)
    requested_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-requested_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(reviewer__isnull=True) | ~Q(reviewer=F("submitter")), name="approval_needs_a_second_person"
            ),
            models.UniqueConstraint(
                fields=["version"], condition=Q(decision__isnull=True), name="approval_one_open_a_version"
            ),
            models.CheckConstraint(
                condition=Q(decision__isnull=True, reviewer__isnull=True, decided_at__isnull=True)
                | Q(decision="withdrawn", reviewer__isnull=True, decided_at__isnull=False)
                | Q(decision__in=["approved", "rejected"], reviewer__isnull=False, decided_at__isnull=False),
                name="approval_decided_by_someone",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="request_is_immutable",
                fields=["version", "content_hash", "submitter", "requested_at"],
            ),
            pgtrigger.Protect(
                name="decision_is_final",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__decision__isnull=False),  # type: ignore[call-arg]
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.version}: {self.decision or 'open'}"
