"""Reading approvals, restricted to the desks of who asks."""

from django.db.models import QuerySet

from control.accounts.models import User
from control.accounts.permissions import allowed
from control.approvals.models import Approval
from control.desks.selectors import desks_visible_to
from control.strategies.models import StrategyVersion, VersionState


def approvals_visible_to(user: User) -> QuerySet[Approval]:
    return Approval.objects.filter(version__strategy__desk__in=desks_visible_to(user)).select_related(
        "version__strategy__desk", "version__created_by", "submitter", "reviewer"
    )


def requests_waiting(user: User) -> list[tuple[Approval, bool]]:
    """Requests that wait for a decision, and whether ``user`` may take it."""
    waiting = approvals_visible_to(user).filter(decision__isnull=True)
    return [(approval, may_decide(user, approval.version)) for approval in waiting]


def decisions_waiting(user: User) -> int:
    """How many requests wait for a decision that ``user`` may take; for every page, hence counted in the database."""
    if not allowed(user, "approvals.decide_approval"):
        return 0
    waiting = approvals_visible_to(user).filter(decision__isnull=True)
    return waiting.exclude(submitter=user).exclude(version__created_by=user).count()


def may_decide(user: User, version: StrategyVersion) -> bool:
    """Whether the pages offer ``user`` to approve or reject ``version`` now."""
    return (
        version.state == VersionState.SUBMITTED
        and user.pk not in {version.submitted_by_id, version.created_by_id}
        and allowed(user, "approvals.decide_approval", version.strategy.desk)
    )
