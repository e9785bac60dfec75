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
    opens: bool = False,
) -> tuple[Incident, bool]:
    """Count an incident; with it, whether it is the first of its kind. Runs in the caller's transaction.

    ``opens``: it holds something up until ``close`` says that somebody has dealt with it.
    """
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
            "open": opens,
            "first_at": now,
            "last_at": now,
        },
    )
    if not created:
        reopened = {"open": True, "closed_at": None} if opens else {}
        Incident.objects.filter(pk=incident.pk).update(
            occurrences=F("occurrences") + occurrences,
            last_at=now,
            detail=detail or {},
            message=message[:400],
            **reopened,
        )
    return incident, created


def close(incident: Incident) -> None:
    """What it held up goes on. Runs in the caller's transaction."""
    Incident.objects.filter(pk=incident.pk).update(open=False, closed_at=timezone.now())
