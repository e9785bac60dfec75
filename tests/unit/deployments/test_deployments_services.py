"""Nodes, deployments, and the desired state that engines are sent."""

from collections.abc import Callable
from hashlib import sha256
from types import SimpleNamespace

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, transaction

from control.audit.models import AuditRow
from control.deployments import services
from control.deployments.models import Deployment, Node
from control.deployments.selectors import deployments_visible_to, desired_for, node_by_token
from control.errors import Conflict, InvalidInput
from control.strategies.models import StrategyVersion
from control.strategies.services import version_create, version_retire, version_submit
from engine.content import plan_hash
from engine.messages import Applied

pytestmark = pytest.mark.django_db


@pytest.fixture
def deployment(people: SimpleNamespace, approved: StrategyVersion, node: Node) -> Deployment:
    return services.deployment_create(actor=people.trader, version=approved, node=node, capital="500000.25")


def revision(node: Node) -> int:
    return Node.objects.get(pk=node.pk).revision


def reported(deployment: Deployment, state: str, reason: str = "") -> Deployment:
    services.deployments_reported(node=deployment.node, applied=[Applied(str(deployment.pk), state, reason)])
    return Deployment.objects.get(pk=deployment.pk)


# ---- nodes -----------------------------------------------------------------------------------------


def test_only_the_hash_of_a_token_is_kept(people: SimpleNamespace) -> None:
    token = services.node_register(actor=people.admin, name="sim-2")
    node = Node.objects.get(name="sim-2")
    assert node.token_hash == sha256(token.encode()).hexdigest()
    assert node_by_token(token) == node
    assert node_by_token(token + "x") is None
    assert token not in str(AuditRow.objects.filter(action="node.register").values())


def test_a_renewed_token_replaces_the_old_one(people: SimpleNamespace) -> None:
    old = services.node_register(actor=people.admin, name="sim-2")
    new = services.node_renew_token(actor=people.admin, node=Node.objects.get(name="sim-2"))
    assert node_by_token(old) is None
    assert node_by_token(new) is not None


@pytest.mark.parametrize("role", ["quant", "trader", "risk_officer", "viewer"])
def test_only_an_admin_registers_nodes(people: SimpleNamespace, role: str) -> None:
    rows = AuditRow.objects.count()
    with pytest.raises(PermissionDenied):
        services.node_register(actor=getattr(people, role), name="mine")
    assert not Node.objects.exists()
    assert AuditRow.objects.count() == rows


@pytest.mark.parametrize("name", ["", "a b", "x" * 41, "né"])
def test_a_node_name_is_a_slug(people: SimpleNamespace, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        services.node_register(actor=people.admin, name=name)
    assert refused.value.field == "name"


def test_a_node_name_is_taken_once(people: SimpleNamespace, node: Node) -> None:
    with pytest.raises(Conflict, match="sim-1"):
        services.node_register(actor=people.admin, name="sim-1")


def test_each_core_that_attaches_gets_a_higher_epoch(node: Node) -> None:
    first = services.node_attach(node=node, journal="j1", build="b")
    second = services.node_attach(node=node, journal="j2", build="b")
    assert second > first
    with pytest.raises(DatabaseError), transaction.atomic():
        Node.objects.filter(pk=node.pk).update(epoch=first)


# ---- deploying -------------------------------------------------------------------------------------


def test_the_manifest_carries_what_was_approved_in_integers(deployment: Deployment, node: Node) -> None:
    desired = desired_for(node)
    assert desired.revision == revision(node) == 1
    (deployed,) = desired.deployments
    manifest = deployed.manifest
    assert deployed.desired == "running"
    assert manifest.deployment == str(deployment.pk)
    assert manifest.content_hash == deployment.version.content_hash
    assert manifest.capital == 5_000_002_500
    assert manifest.envelope.max_order_notional == 1_000_000_000
    assert manifest.data.dataset == "unit_panel"
    assert manifest.parameters == deployment.version.parameters


@pytest.mark.parametrize("role", ["admin", "quant", "risk_officer", "viewer"])
def test_only_a_trader_deploys_and_a_refusal_changes_nothing(
    people: SimpleNamespace, approved: StrategyVersion, node: Node, role: str
) -> None:
    rows = AuditRow.objects.count()
    with pytest.raises(PermissionDenied):
        services.deployment_create(actor=getattr(people, role), version=approved, node=node, capital=1)
    assert not Deployment.objects.exists()
    assert AuditRow.objects.count() == rows
    assert revision(node) == 0


def test_a_trader_of_another_desk_neither_deploys_nor_sees(
    outsider: Callable, deployment: Deployment, approved: StrategyVersion, node: Node
) -> None:
    other = outsider("trader")
    with pytest.raises(PermissionDenied):
        services.deployment_create(actor=other, version=approved, node=node, capital=1)
    with pytest.raises(PermissionDenied):
        services.deployment_stop(actor=other, deployment=deployment)
    assert not deployments_visible_to(other).exists()
    assert Deployment.objects.get().desired == "running"


def test_only_an_approved_version_is_deployed(people: SimpleNamespace, submitted: StrategyVersion, node: Node) -> None:
    with pytest.raises(Conflict, match="only an approved") as refused:
        services.deployment_create(actor=people.trader, version=submitted, node=node, capital=1)
    assert refused.value.code == "not_approved"
    assert not Deployment.objects.exists()


def test_the_database_refuses_a_deployment_of_what_is_not_approved(
    people: SimpleNamespace, submitted: StrategyVersion, node: Node
) -> None:
    with pytest.raises(IntegrityError, match="only an approved version"), transaction.atomic():
        Deployment.objects.create(
            version=submitted, strategy=submitted.strategy, node=node, capital=1, created_by=people.trader
        )


@pytest.mark.parametrize("capital", ["0", "-1", "1000000.0001", "soon"])
def test_capital_stays_within_what_was_approved(
    people: SimpleNamespace, approved: StrategyVersion, node: Node, capital: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        services.deployment_create(actor=people.trader, version=approved, node=node, capital=capital)
    assert refused.value.field == "capital"
    assert not Deployment.objects.exists()


def test_a_second_deployment_on_the_same_node_is_refused(
    people: SimpleNamespace, deployment: Deployment, approved: StrategyVersion, node: Node
) -> None:
    rows = AuditRow.objects.count()
    with pytest.raises(Conflict, match="Pairs US v1 is deployed on sim-1 already") as refused:
        services.deployment_create(actor=people.trader, version=approved, node=node, capital=1)
    assert refused.value.code == "already_deployed"
    assert Deployment.objects.count() == 1
    assert (AuditRow.objects.count(), revision(node)) == (rows, 1)


def test_the_database_refuses_a_second_live_deployment(people: SimpleNamespace, deployment: Deployment) -> None:
    with pytest.raises(IntegrityError, match="deployment_one_live"), transaction.atomic():
        Deployment.objects.create(
            version=deployment.version,
            strategy=deployment.strategy,
            node=deployment.node,
            capital=1,
            created_by=people.trader,
        )


def test_what_runs_cannot_be_changed_in_the_database(deployment: Deployment) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        Deployment.objects.filter(pk=deployment.pk).update(capital=1)
    with pytest.raises(DatabaseError), transaction.atomic():
        Deployment.objects.filter(pk=deployment.pk)._raw_delete("default")


# ---- steering --------------------------------------------------------------------------------------


def test_each_change_is_a_new_revision_and_an_audit_row(
    people: SimpleNamespace, deployment: Deployment, node: Node
) -> None:
    services.deployment_pause(actor=people.risk_officer, deployment=deployment)
    services.deployment_resume(actor=people.trader, deployment=deployment)
    services.deployment_flatten(actor=people.trader, deployment=deployment)
    assert desired_for(node).deployments[0].desired == "flat"
    assert revision(node) == 4
    actions = AuditRow.objects.filter(object_id=str(deployment.pk)).order_by("id").values_list("action", flat=True)
    assert list(actions) == ["deployment.create", "deployment.pause", "deployment.resume", "deployment.flatten"]


def test_a_risk_officer_halts_but_does_not_resume(people: SimpleNamespace, deployment: Deployment) -> None:
    services.deployment_pause(actor=people.risk_officer, deployment=deployment)
    with pytest.raises(PermissionDenied):
        services.deployment_resume(actor=people.risk_officer, deployment=deployment)
    assert Deployment.objects.get().desired == "paused"


@pytest.mark.parametrize("role", ["admin", "quant", "viewer"])
@pytest.mark.parametrize("steer", [services.deployment_pause, services.deployment_stop, services.deployment_flatten])
def test_other_roles_halt_nothing(
    people: SimpleNamespace, deployment: Deployment, node: Node, role: str, steer: Callable
) -> None:
    rows = AuditRow.objects.count()
    with pytest.raises(PermissionDenied):
        steer(actor=getattr(people, role), deployment=deployment)
    assert Deployment.objects.get().desired == "running"
    assert (AuditRow.objects.count(), revision(node)) == (rows, 1)


def test_what_goes_flat_is_not_resumed(people: SimpleNamespace, deployment: Deployment) -> None:
    services.deployment_flatten(actor=people.trader, deployment=deployment)
    with pytest.raises(Conflict, match="flat"):
        services.deployment_resume(actor=people.trader, deployment=deployment)


def test_a_stop_ends_when_the_engine_says_so(
    people: SimpleNamespace, deployment: Deployment, approved: StrategyVersion, node: Node
) -> None:
    reported(deployment, "running")
    services.deployment_stop(actor=people.trader, deployment=deployment)
    assert reported(deployment, "running").live, "the engine has not answered yet"
    ended = reported(deployment, "stopped")
    assert not ended.live
    assert desired_for(node).deployments == []
    again = services.deployment_create(actor=people.trader, version=approved, node=node, capital=1)
    assert again.live


@pytest.mark.parametrize(
    ("steer", "state", "live"),
    [
        (services.deployment_stop, "refused", False),
        (services.deployment_stop, "faulted", False),
        (services.deployment_flatten, "flattening", True),
        (services.deployment_flatten, "faulted", True),
        (services.deployment_flatten, "refused", True),
        (services.deployment_flatten, "stopped", False),
    ],
)
def test_what_ends_a_deployment(
    people: SimpleNamespace, deployment: Deployment, steer: Callable, state: str, live: bool
) -> None:
    steer(actor=people.trader, deployment=deployment)
    assert reported(deployment, state).live is live


def test_a_refused_manifest_shows_its_reason_until_it_is_stopped(deployment: Deployment) -> None:
    refused = reported(deployment, "refused", "content hash differs")
    assert (refused.state, refused.reason, refused.live) == ("refused", "content hash differs", True)


def test_a_report_that_says_nothing_new_writes_nothing(deployment: Deployment) -> None:
    reported(deployment, "running")
    rows = AuditRow.objects.count()
    assert services.deployments_reported(node=deployment.node, applied=[Applied(str(deployment.pk), "running")]) == []
    assert AuditRow.objects.count() == rows


def test_a_node_does_not_report_about_another_nodes_deployments(
    people: SimpleNamespace, deployment: Deployment
) -> None:
    services.node_register(actor=people.admin, name="sim-2")
    other = Node.objects.get(name="sim-2")
    assert services.deployments_reported(node=other, applied=[Applied(str(deployment.pk), "running")]) == []
    assert Deployment.objects.get().state == "pending"


def test_a_deployed_version_is_not_retired(people: SimpleNamespace, deployment: Deployment) -> None:
    with pytest.raises(Conflict, match="deployed"):
        version_retire(actor=people.risk_officer, version=deployment.version)


def test_a_new_version_waits_until_the_old_one_is_stopped(
    people: SimpleNamespace, deployment: Deployment, node: Node, backtest_success: Callable
) -> None:
    from control.approvals.services import version_approve

    second = version_create(
        actor=people.quant,
        strategy=deployment.strategy,
        parameters={"entry": 2.0},
        envelope=deployment.version.envelope,
        dataset="unit_panel",
        capital=1000,
    )
    version_submit(actor=people.quant, version=second)
    backtest_success(second)
    version_approve(actor=people.risk_officer, version=second, content_hash=second.content_hash)
    with pytest.raises(Conflict, match="Pairs US v1"):
        services.deployment_create(actor=people.trader, version=second, node=node, capital=1000)


def test_a_change_is_announced_to_the_nodes_link_after_the_commit(
    people: SimpleNamespace,
    deployment: Deployment,
    django_capture_on_commit_callbacks: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[tuple[str, int]] = []
    monkeypatch.setattr(services, "_announce", lambda name, number: sent.append((name, number)))
    with django_capture_on_commit_callbacks(execute=True):
        services.deployment_pause(actor=people.trader, deployment=deployment)
        assert sent == []
    assert sent == [("sim-1", 2)]


# ---- plans -----------------------------------------------------------------------------------------

TWAP = {"kind": "twap", "minutes": 30, "min_slice": 100, "max_slice": 500}


def test_a_plan_is_sent_with_a_hash_that_names_it_and_the_version(
    people: SimpleNamespace, approved: StrategyVersion, node: Node
) -> None:
    services.deployment_create(actor=people.trader, version=approved, node=node, capital=1, plan=TWAP)
    (deployed,) = desired_for(node).deployments
    manifest = deployed.manifest
    assert manifest.plan is not None
    assert (manifest.plan.kind, manifest.plan.max_slice) == ("twap", 500)
    assert manifest.plan_hash == plan_hash(approved.content_hash, manifest.plan)
    assert manifest.plan_hash != plan_hash("0" * 64, manifest.plan)
    audited = AuditRow.objects.get(action="deployment.create")
    assert audited.detail["plan_hash"] == manifest.plan_hash


def test_without_a_plan_there_is_none_and_no_hash(deployment: Deployment) -> None:
    (deployed,) = desired_for(deployment.node).deployments
    assert (deployed.manifest.plan, deployed.manifest.plan_hash) == (None, "")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"minutes": 0}, "plan.minutes"),
        ({"min_slice": 600}, "plan.min_slice"),
        ({"kind": "pov", "rate": 2}, "plan.rate"),
        ({"kind": "vwap"}, "plan.curve"),
        ({"kind": "magic"}, "plan"),
        ({"minutes": "soon"}, "plan"),
    ],
)
def test_a_plan_that_no_engine_would_work_by_is_refused_at_its_field(
    people: SimpleNamespace, approved: StrategyVersion, node: Node, changed: dict, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        services.deployment_create(
            actor=people.trader, version=approved, node=node, capital=1, plan={**TWAP, **changed}
        )
    assert refused.value.field == field
    assert not Deployment.objects.exists()


def test_the_plan_of_a_deployment_does_not_change(
    people: SimpleNamespace, approved: StrategyVersion, node: Node
) -> None:
    made = services.deployment_create(actor=people.trader, version=approved, node=node, capital=1, plan=TWAP)
    with pytest.raises(DatabaseError), transaction.atomic():
        Deployment.objects.filter(pk=made.pk).update(plan={**TWAP, "max_slice": 9})
