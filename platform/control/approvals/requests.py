"""Opening and withdrawing a request for approval, as part of the submitter's own transaction.

``strategies.services`` calls these when a version is submitted or withdrawn, and writes the audit row.
"""

from django.utils import timezone

from control.accounts.models import User
from control.approvals.models import Approval, Decision
from control.strategies.models import StrategyVersion


def request_open(*, version: StrategyVersion, submitter: User) -> Approval:
    return Approval.objects.create(version=version, content_hash=version.content_hash, submitter=submitter)


def request_withdraw(*, version: StrategyVersion) -> None:
    Approval.objects.filter(version=version, decision__isnull=True).update(
        decision=Decision.WITHDRAWN, decided_at=timezone.now()
    )
