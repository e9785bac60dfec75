"""Incidents: what should not have happened, counted. The same code and subject again counts up."""

from typing import Any

from django.db.models import F
from django.utils import timezone

from control.deployments.models import Node
from control.trading.models import Incident


def record(
    *,
    code: str,
    subject: str,
    message: str,
    node: Node | None = None,
    deployment: str | None = None,
    detail: dict[str, Any] | None = None,
    occurrences: int = 1,
) -> tuple[Incident, bool]:
    """Count an incident; with it, whether it is the first of its kind. Runs in the caller's transaction."""
    now = timezone.now()
    incident, created = Incident.objects.get_or_create(
        code=code,
        subject=subject[:200],
        node=node,
        defaults={
            "deployment_id": deployment,
            "message": message[:400],
            "detail": detail or {},
            "occurrences": occurrences,
            "first_at": now,
            "last_at": now,
        },
    )
    if not created:
        Incident.objects.filter(pk=incident.pk).update(
            occurrences=F("occurrences") + occurrences, last_at=now, detail=detail or {}, message=message[:400]
        )
    return incident, created
