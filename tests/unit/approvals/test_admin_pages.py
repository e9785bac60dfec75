"""The Django admin: the same services, the same refusals."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from control.accounts.models import User
from control.accounts.services import user_set_role
from control.audit.models import AuditRow
from control.deployments.models import Deployment, Node
from control.deployments.selectors import node_by_token
from control.deployments.services import deployment_create
from control.desks.models import Desk
from control.strategies.models import StrategyVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed_in(client: Client) -> Callable[[User], Client]:
    def sign_in(user: User) -> Client:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def run_action(client: Client, page: str, action: str, pk: object, **more: str) -> Any:
    return client.post(reverse(f"admin:{page}_changelist"), {"action": action, "_selected_action": str(pk)} | more)


LISTS = [
    "accounts_user",
    "desks_desk",
    "strategies_strategy",
    "strategies_strategyversion",
    "approvals_approval",
    "deployments_node",
    "deployments_deployment",
    "audit_auditrow",
]


@pytest.mark.parametrize("page", LISTS)
def test_an_admin_sees_every_list(
    signed_in: Callable, people: SimpleNamespace, approved: StrategyVersion, node: Node, page: str
) -> None:
    assert signed_in(people.admin).get(reverse(f"admin:{page}_changelist")).status_code == 200


@pytest.mark.parametrize("role", ["quant", "trader", "viewer"])
def test_who_is_not_staff_stays_outside(signed_in: Callable, people: SimpleNamespace, role: str) -> None:
    answer = signed_in(getattr(people, role)).get(reverse("admin:index"))
    assert answer.status_code == 302
    assert "login" in answer.url


def test_a_risk_officer_approves_with_a_comment(
    signed_in: Callable, people: SimpleNamespace, submitted: StrategyVersion, backtest_success: Callable
) -> None:
    backtest_success(submitted)
    approval = submitted.approvals.get()
    answer = run_action(
        signed_in(people.risk_officer), "approvals_approval", "approve", approval.pk, comment="seen the report"
    )
    assert said(answer) == f"{submitted}: approved."
    approval.refresh_from_db()
    assert (approval.decision, approval.comment, approval.reviewer) == (
        "approved",
        "seen the report",
        people.risk_officer,
    )


def test_a_refusal_is_a_message_and_changes_nothing(
    signed_in: Callable, people: SimpleNamespace, submitted: StrategyVersion
) -> None:
    approval = submitted.approvals.get()
    client = signed_in(people.risk_officer)
    assert "no succeeded backtest" in said(run_action(client, "approvals_approval", "approve", approval.pk))
    assert "needs a comment" in said(run_action(client, "approvals_approval", "reject", approval.pk))
    approval.refresh_from_db()
    assert approval.decision is None


def test_ones_own_version_is_refused_in_the_admin_too(
    signed_in: Callable, people: SimpleNamespace, submitted: StrategyVersion, backtest_success: Callable
) -> None:
    backtest_success(submitted)
    turned = user_set_role(actor=people.admin, user=people.quant, role="risk_officer")
    approval = submitted.approvals.get()
    answer = run_action(signed_in(turned), "approvals_approval", "approve", approval.pk)
    assert "your own" in said(answer)
    approval.refresh_from_db()
    assert approval.decision is None


def test_an_admin_is_not_offered_a_decision(
    signed_in: Callable, people: SimpleNamespace, submitted: StrategyVersion, backtest_success: Callable
) -> None:
    backtest_success(submitted)
    run_action(signed_in(people.admin), "approvals_approval", "approve", submitted.approvals.get().pk)
    assert submitted.approvals.get().decision is None


def test_an_admin_creates_a_user_through_the_service(signed_in: Callable, people: SimpleNamespace, desk: Desk) -> None:
    wanted = {"username": "quentin", "role": "quant", "desks": [desk.pk], "new_password": "a fine long password"}
    answer = signed_in(people.admin).post(reverse("admin:accounts_user_add"), wanted)
    assert answer.status_code == 302, answer.context and answer.context["adminform"].form.errors
    user = User.objects.get(username="quentin")
    assert user.check_password("a fine long password")
    assert list(user.desks.all()) == [desk]
    assert AuditRow.objects.get(action="user.create", object_id=str(user.pk)).actor == people.admin


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"new_password": "short"}, "new_password"),
        ({"new_password": ""}, "new_password"),
        ({"username": "QUINN"}, "username"),
    ],
)
def test_a_wrong_user_form_names_its_field(
    signed_in: Callable, people: SimpleNamespace, change: dict[str, str], field: str
) -> None:
    wanted = {"username": "quentin", "role": "quant", "new_password": "a fine long password"} | change
    answer = signed_in(people.admin).post(reverse("admin:accounts_user_add"), wanted)
    assert field in answer.context["adminform"].form.errors
    assert User.objects.count() == 5


def test_an_admin_changes_role_and_keeps_the_password(
    signed_in: Callable, people: SimpleNamespace, desk: Desk, password: str
) -> None:
    page = reverse("admin:accounts_user_change", args=[people.viewer.pk])
    client = signed_in(people.admin)
    assert client.get(page).status_code == 200
    assert client.post(page, {"role": "trader", "desks": [], "new_password": ""}).status_code == 302
    user = User.objects.get(pk=people.viewer.pk)
    assert user.role == "trader"
    assert user.check_password(password)
    assert not user.desks.exists()
    actions = AuditRow.objects.filter(object_id=str(user.pk), object_type="accounts.user").values_list(
        "action", flat=True
    )
    assert set(actions) == {"user.create", "user.set_role", "user.set_desks"}


def test_an_admin_does_not_change_the_own_role(signed_in: Callable, people: SimpleNamespace) -> None:
    page = reverse("admin:accounts_user_change", args=[people.admin.pk])
    answer = signed_in(people.admin).post(page, {"role": "trader", "desks": [], "new_password": ""})
    assert "Another admin" in said(answer)
    assert User.objects.get(pk=people.admin.pk).role == "admin"


def test_a_risk_officer_neither_sees_nor_changes_users(signed_in: Callable, people: SimpleNamespace) -> None:
    client = signed_in(people.risk_officer)
    assert client.get(reverse("admin:accounts_user_changelist")).status_code == 403
    page = reverse("admin:accounts_user_change", args=[people.viewer.pk])
    assert client.post(page, {"role": "admin", "desks": [], "new_password": ""}).status_code == 403
    assert User.objects.get(pk=people.viewer.pk).role == "viewer"


def test_a_nodes_token_is_shown_once(signed_in: Callable, people: SimpleNamespace) -> None:
    answer = signed_in(people.admin).post(reverse("admin:deployments_node_add"), {"name": "sim-9"})
    assert answer.status_code == 302
    token = next(word for word in said(answer).split() if node_by_token(word.strip(".")))
    assert node_by_token(token).name == "sim-9"


def test_a_desk_is_created_through_the_service(signed_in: Callable, people: SimpleNamespace) -> None:
    answer = signed_in(people.admin).post(reverse("admin:desks_desk_add"), {"name": "Macro"})
    assert answer.status_code == 302
    desk = Desk.objects.get(name="Macro")
    assert desk.slug == "macro"
    assert AuditRow.objects.filter(action="desk.create", object_id=str(desk.pk)).exists()


def test_a_risk_officer_stops_a_deployment(
    signed_in: Callable, people: SimpleNamespace, approved: StrategyVersion, node: Node
) -> None:
    deployment = deployment_create(actor=people.trader, version=approved, node=node, capital=1000)
    answer = run_action(signed_in(people.risk_officer), "deployments_deployment", "stop", deployment.pk)
    assert "stopping" in said(answer)
    assert Deployment.objects.get().desired == "stopped"


@pytest.mark.parametrize("page", ["strategies_strategyversion", "approvals_approval", "audit_auditrow"])
def test_nothing_is_added_or_deleted_by_hand(signed_in: Callable, people: SimpleNamespace, page: str) -> None:
    assert signed_in(people.admin).get(reverse(f"admin:{page}_add")).status_code == 403
