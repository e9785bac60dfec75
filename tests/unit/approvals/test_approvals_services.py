"""Four eyes."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from control.accounts.services import user_set_role
from control.approvals.models import Approval
from control.approvals.selectors import approvals_visible_to, may_decide
from control.approvals.services import version_approve, version_reject
from control.audit.models import AuditRow
from control.errors import Conflict, InvalidInput
from control.strategies.models import StrategyVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def ready(submitted: StrategyVersion, backtest_success: Callable) -> StrategyVersion:
    """A submitted version with a succeeded backtest."""
    backtest_success(submitted)
    return submitted


def unchanged(version: StrategyVersion) -> bool:
    """Whether the request is still open, the version still submitted and the trail without a decision."""
    return (
        StrategyVersion.objects.get(pk=version.pk).state == "submitted"
        and version.approvals.get().decision is None
        and not AuditRow.objects.filter(action__in=["version.approve", "version.reject"]).exists()
    )


def test_a_risk_officer_approves_what_another_submitted(people: SimpleNamespace, ready: StrategyVersion) -> None:
    approval = version_approve(
        actor=people.risk_officer, version=ready, comment="looks right", content_hash=ready.content_hash
    )
    assert (approval.decision, approval.reviewer, approval.comment) == ("approved", people.risk_officer, "looks right")
    assert StrategyVersion.objects.get(pk=ready.pk).state == "approved"
    row = AuditRow.objects.get(action="version.approve")
    assert row.actor == people.risk_officer
    assert row.detail["content_hash"] == ready.content_hash


def test_a_rejection_needs_a_reason(people: SimpleNamespace, ready: StrategyVersion) -> None:
    with pytest.raises(InvalidInput) as refused:
        version_reject(actor=people.risk_officer, version=ready, comment="  ", content_hash=ready.content_hash)
    assert refused.value.field == "comment"
    assert unchanged(ready)
    version_reject(actor=people.risk_officer, version=ready, comment="too large", content_hash=ready.content_hash)
    assert StrategyVersion.objects.get(pk=ready.pk).state == "rejected"


@pytest.mark.parametrize("role", ["admin", "trader", "viewer"])
@pytest.mark.parametrize("decide", [version_approve, version_reject])
def test_other_roles_decide_nothing(
    people: SimpleNamespace, ready: StrategyVersion, role: str, decide: Callable
) -> None:
    with pytest.raises(PermissionDenied):
        decide(actor=getattr(people, role), version=ready, comment="no", content_hash=ready.content_hash)
    assert unchanged(ready)


def test_a_risk_officer_of_another_desk_decides_and_sees_nothing(outsider: Callable, ready: StrategyVersion) -> None:
    other = outsider("risk_officer")
    with pytest.raises(PermissionDenied):
        version_approve(actor=other, version=ready, content_hash=ready.content_hash)
    assert unchanged(ready)
    assert not approvals_visible_to(other).exists()


def test_nobody_approves_their_own_even_after_becoming_a_risk_officer(
    people: SimpleNamespace, ready: StrategyVersion
) -> None:
    turned = user_set_role(actor=people.admin, user=people.quant, role="risk_officer")
    with pytest.raises(Conflict, match="your own") as refused:
        version_approve(actor=turned, version=ready, content_hash=ready.content_hash)
    assert refused.value.code == "own_version"
    assert unchanged(ready)
    assert not may_decide(turned, ready)
    assert may_decide(people.risk_officer, ready)


def test_an_approval_names_exactly_what_was_seen(people: SimpleNamespace, ready: StrategyVersion) -> None:
    with pytest.raises(Conflict, match="Look at it again") as refused:
        version_approve(actor=people.risk_officer, version=ready, content_hash="0" * 64)
    assert refused.value.field == "content_hash"
    assert unchanged(ready)


def test_nothing_is_approved_without_a_succeeded_backtest(people: SimpleNamespace, submitted: StrategyVersion) -> None:
    with pytest.raises(Conflict, match="backtest") as refused:
        version_approve(actor=people.risk_officer, version=submitted, content_hash=submitted.content_hash)
    assert refused.value.code == "no_backtest"
    assert unchanged(submitted)


def test_a_version_that_this_engine_hashes_otherwise_is_not_approved(
    people: SimpleNamespace, ready: StrategyVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.content.engine_build", lambda: "another build")
    with pytest.raises(Conflict) as refused:
        version_approve(actor=people.risk_officer, version=ready, content_hash=ready.content_hash)
    assert refused.value.code == "content_changed"
    assert unchanged(ready)


def test_a_decision_is_taken_once(people: SimpleNamespace, approved: StrategyVersion) -> None:
    with pytest.raises(Conflict, match="approved"):
        version_reject(actor=people.risk_officer, version=approved, comment="late", content_hash=approved.content_hash)
    assert approved.approvals.get().decision == "approved"


def test_a_draft_is_not_decided(people: SimpleNamespace, draft: StrategyVersion) -> None:
    with pytest.raises(Conflict, match="draft"):
        version_approve(actor=people.risk_officer, version=draft, content_hash=draft.content_hash)


def test_the_database_refuses_a_reviewer_who_submitted(people: SimpleNamespace, submitted: StrategyVersion) -> None:
    with pytest.raises(IntegrityError, match="approval_needs_a_second_person"), transaction.atomic():
        Approval.objects.filter(version=submitted).update(
            reviewer=people.quant, decision="approved", decided_at=timezone.now()
        )


def test_the_database_refuses_a_decision_by_nobody(submitted: StrategyVersion) -> None:
    with pytest.raises(IntegrityError, match="approval_decided_by_someone"), transaction.atomic():
        Approval.objects.filter(version=submitted).update(decision="approved", decided_at=timezone.now())


def test_the_database_refuses_to_change_a_decision(approved: StrategyVersion) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        Approval.objects.filter(version=approved).update(comment="never mind")
    with pytest.raises(DatabaseError), transaction.atomic():
        Approval.objects.filter(version=approved)._raw_delete("default")


def test_the_database_refuses_a_second_open_request(people: SimpleNamespace, submitted: StrategyVersion) -> None:
    with pytest.raises(IntegrityError, match="approval_one_open_a_version"), transaction.atomic():
        Approval.objects.create(version=submitted, content_hash=submitted.content_hash, submitter=people.trader)
