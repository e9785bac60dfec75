"""Approving and rejecting: by a second person, of exactly the content that person saw."""

from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from control.accounts.models import User
from control.accounts.permissions import require
from control.approvals.models import Approval, Decision
from control.audit.services import record
from control.backtests.selectors import backtest_succeeded
from control.errors import Conflict, InvalidInput
from control.strategies.models import StrategyVersion, VersionState
from control.strategies.services import refuse_stale, version_locked

Decide = Callable[..., Approval]


@transaction.atomic
def version_approve(*, actor: User, version: StrategyVersion, comment: str = "", content_hash: str) -> Approval:
    """Approve the submitted version whose content hash is ``content_hash`` (what the reviewer was shown).

    Raises ``PermissionDenied`` for who may not review, ``Conflict`` for one's own version, one that is not
    submitted, has another hash, is stale, or has no succeeded backtest of this hash.
    """
    version, approval = _request_locked(actor, version, content_hash)
    refuse_stale(version)
    _must_be_backtested(version)
    _decide(approval, actor, Decision.APPROVED, comment)
    version.approve()
    version.save(update_fields=["state"])
    _record(actor, "version.approve", version, comment)
    return approval


@transaction.atomic
def version_reject(*, actor: User, version: StrategyVersion, comment: str, content_hash: str) -> Approval:
    """Reject it, saying why. Raises as ``version_approve`` does, and ``InvalidInput`` without a comment."""
    version, approval = _request_locked(actor, version, content_hash)
    if not comment.strip():
        raise InvalidInput("comment_missing", "comment", "Say why: a rejection needs a comment.")
    _decide(approval, actor, Decision.REJECTED, comment)
    version.reject()
    version.save(update_fields=["state"])
    _record(actor, "version.reject", version, comment)
    return approval


def _request_locked(actor: User, version: StrategyVersion, content_hash: str) -> tuple[StrategyVersion, Approval]:
    """The version and its open request, locked in this order; every reason to refuse either decision."""
    version = version_locked(version)
    if actor.pk in {version.submitted_by_id, version.created_by_id}:
        raise Conflict("own_version", "reviewer", f"{version} is your own; somebody else has to decide it.")
    require(actor, "approvals.decide_approval", version.strategy.desk)
    approval = Approval.objects.select_for_update(no_key=True).filter(version=version, decision__isnull=True).first()
    if approval is None or version.state != VersionState.SUBMITTED:
        raise Conflict("state", "state", f"{version} is {version.state}; only a submitted version is decided.")
    if content_hash != version.content_hash or approval.content_hash != version.content_hash:
        raise Conflict(
            "content_hash",
            "content_hash",
            f"The content hash {content_hash} is not that of {version}, {version.content_hash}. Look at it again.",
        )
    return version, approval


def _must_be_backtested(version: StrategyVersion) -> None:
    if not backtest_succeeded(version):
        raise Conflict("no_backtest", "backtest", f"{version} has no succeeded backtest; run one first.")


def _decide(approval: Approval, actor: User, decision: str, comment: str) -> None:
    approval.reviewer, approval.decision, approval.comment = actor, decision, comment.strip()
    approval.decided_at = timezone.now()
    approval.save(update_fields=["reviewer", "decision", "comment", "decided_at"])


def _record(actor: User, action: str, version: StrategyVersion, comment: str) -> None:
    detail = {"number": version.number, "content_hash": version.content_hash, "comment": comment.strip()}
    record(actor=actor, action=action, target=version, detail=detail, desk=version.strategy.desk)
