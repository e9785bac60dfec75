"""Users and what roles allow."""

from types import SimpleNamespace

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from control.accounts.models import Role, User
from control.accounts.permissions import allowed
from control.accounts.roles import MATRIX, STAFF_ROLES
from control.accounts.selectors import users_visible_to
from control.accounts.services import (
    user_create,
    user_set_active,
    user_set_desks,
    user_set_password,
    user_set_role,
)
from control.audit.models import AuditRow
from control.errors import Conflict, InvalidInput

pytestmark = pytest.mark.django_db


def test_the_first_admin_is_made_by_setup_and_a_second_is_not(admin_user: User) -> None:
    assert admin_user.is_staff
    assert not admin_user.is_superuser
    with pytest.raises(PermissionDenied):
        user_create(actor="setup", username="eve", role="admin", desks=[], password="correct horse battery")


def test_setup_makes_no_other_role_than_an_admin(db: None) -> None:
    with pytest.raises(PermissionDenied):
        user_create(actor="setup", username="eve", role="risk_officer", desks=[], password="correct horse battery")
    assert not User.objects.exists()


@pytest.mark.parametrize("role", ["quant", "trader", "risk_officer", "viewer"])
def test_only_an_admin_creates_users_and_a_refusal_changes_nothing(people: SimpleNamespace, role: str) -> None:
    rows, users = AuditRow.objects.count(), User.objects.count()
    with pytest.raises(PermissionDenied):
        user_create(
            actor=getattr(people, role), username="eve", role="viewer", desks=[], password="correct horse battery"
        )
    assert (AuditRow.objects.count(), User.objects.count()) == (rows, users)


def test_a_user_is_created_with_group_desks_and_audit_row(people: SimpleNamespace, desk) -> None:
    assert list(people.trader.groups.values_list("name", flat=True)) == ["trader"]
    assert list(people.trader.desks.all()) == [desk]
    row = AuditRow.objects.get(action="user.create", object_id=str(people.trader.pk))
    assert row.actor == people.admin
    assert row.detail == {"username": "tess", "role": "trader", "desks": ["Statistical arbitrage"]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"role": "king"}, "role"),
        ({"password": "short"}, "password"),
        ({"password": "123456789012345"}, "password"),
        ({"username": "no spaces!"}, "username"),
    ],
)
def test_wrong_input_names_its_field_and_changes_nothing(admin_user: User, change: dict, field: str) -> None:
    wanted = {"username": "eve", "role": "viewer", "desks": [], "password": "correct horse battery"} | change
    rows = AuditRow.objects.count()
    with pytest.raises(InvalidInput) as refused:
        user_create(actor=admin_user, **wanted)
    assert refused.value.field == field
    assert AuditRow.objects.count() == rows
    assert User.objects.count() == 1


def test_a_username_is_taken_whatever_its_case(people: SimpleNamespace) -> None:
    with pytest.raises(Conflict, match="QUINN"):
        user_create(actor=people.admin, username="QUINN", role="viewer", desks=[], password="correct horse battery")


def test_a_new_role_changes_group_and_staff(people: SimpleNamespace) -> None:
    user = user_set_role(actor=people.admin, user=people.viewer, role="risk_officer")
    assert user.is_staff
    assert list(user.groups.values_list("name", flat=True)) == ["risk_officer"]


def test_admins_do_not_change_their_own_role_or_activity(people: SimpleNamespace) -> None:
    with pytest.raises(Conflict):
        user_set_role(actor=people.admin, user=people.admin, role="trader")
    with pytest.raises(Conflict):
        user_set_active(actor=people.admin, user=people.admin, active=False)
    people.admin.refresh_from_db()
    assert people.admin.role == "admin"
    assert people.admin.is_active


def test_who_is_inactive_may_do_nothing(people: SimpleNamespace, desk) -> None:
    assert allowed(people.quant, "strategies.create_strategy", desk)
    user = user_set_active(actor=people.admin, user=people.quant, active=False)
    assert not allowed(user, "strategies.create_strategy", desk)


def test_who_leaves_a_desk_may_no_longer_act_on_it(people: SimpleNamespace, desk) -> None:
    user_set_desks(actor=people.admin, user=people.quant, desks=[])
    assert not allowed(people.quant, "strategies.create_strategy", desk)


def test_the_role_decides_and_not_the_superuser_flag(people: SimpleNamespace, desk) -> None:
    people.viewer.is_superuser = True
    people.viewer.save()
    assert not allowed(people.viewer, "approvals.decide_approval", desk)


def test_admins_neither_approve_nor_deploy() -> None:
    trading = ["approvals.decide_approval", "deployments.run_deployment", "strategies.submit_strategyversion"]
    assert all(Role.ADMIN not in MATRIX[permission] for permission in trading)
    assert {Role.ADMIN, Role.RISK_OFFICER} == STAFF_ROLES


def test_nobody_both_writes_and_approves_or_approves_and_deploys() -> None:
    assert not MATRIX["strategies.submit_strategyversion"] & MATRIX["approvals.decide_approval"]
    assert not MATRIX["approvals.decide_approval"] & MATRIX["deployments.run_deployment"]


def test_groups_hold_what_the_matrix_says(people: SimpleNamespace) -> None:
    for permission in ["approvals.decide_approval", "deployments.run_deployment", "audit.view_auditrow"]:
        for role in Role.values:
            assert getattr(people, role).has_perm(permission) == (role in MATRIX[permission]), (permission, role)


def test_an_unknown_role_is_refused_by_the_database(people: SimpleNamespace) -> None:
    with pytest.raises(IntegrityError, match="user_role_known"), transaction.atomic():
        User.objects.filter(pk=people.viewer.pk).update(role="king")


def test_own_password_is_changed_by_oneself_and_others_only_by_an_admin(people: SimpleNamespace) -> None:
    user_set_password(actor=people.viewer, user=people.viewer, password="another fine horse")
    assert User.objects.get(pk=people.viewer.pk).check_password("another fine horse")
    with pytest.raises(PermissionDenied):
        user_set_password(actor=people.viewer, user=people.quant, password="another fine horse")


def test_an_admin_sees_all_users_and_others_themselves(people: SimpleNamespace) -> None:
    assert users_visible_to(people.admin).count() == 5
    assert list(users_visible_to(people.trader)) == [people.trader]
