"""Every write about users: create, role, desks, password, activity, and the rows of sign-ins.

Nobody changes their own role or takes away their own access: the last admin cannot lock the house.
"""

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from control.accounts.models import Role, User
from control.accounts.permissions import require
from control.accounts.roles import STAFF_ROLES
from control.audit.services import record
from control.desks.models import Desk, Membership
from control.errors import Conflict, InvalidInput, Problem, invalid


@transaction.atomic
def user_create(*, actor: User | str, username: str, role: str, desks: Iterable[Desk], password: str) -> User:
    """A new user with a role and desks.

    ``actor`` may be the string "setup" while there is no admin yet (the first user of an installation,
    who must be an admin). Raises ``PermissionDenied``, ``InvalidInput`` (role, username, password).
    """
    if not (actor == "setup" and role == Role.ADMIN and not User.objects.filter(role=Role.ADMIN).exists()):
        require(actor, "accounts.manage_user")
    _check_role(role)
    if User.objects.filter(username__iexact=username).exists():
        raise Conflict("username_taken", "username", f"There is already a user {username}.")
    user = User(username=username, role=role, is_staff=role in STAFF_ROLES)
    _check_password(user, password)
    user.set_password(password)
    _check_model(user)
    user.save()
    user.groups.set([_group(role)])
    chosen = _set_desks(user, desks)
    record(actor=actor, action="user.create", target=user, detail={"username": username, "role": role, "desks": chosen})
    return user


@transaction.atomic
def user_set_role(*, actor: User, user: User, role: str) -> User:
    """Give ``user`` another role. Raises ``Conflict`` for one's own."""
    require(actor, "accounts.manage_user")
    _check_role(role)
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    _not_oneself(actor, user, "role")
    before, user.role = user.role, role
    user.is_staff = role in STAFF_ROLES
    user.save(update_fields=["role", "is_staff"])
    user.groups.set([_group(role)])
    record(actor=actor, action="user.set_role", target=user, detail={"before": before, "after": role})
    return user


@transaction.atomic
def user_set_desks(*, actor: User, user: User, desks: Iterable[Desk]) -> User:
    """Seat ``user`` on exactly these desks."""
    require(actor, "accounts.manage_user")
    before = sorted(user.desks.values_list("name", flat=True))
    after = _set_desks(user, desks)
    record(actor=actor, action="user.set_desks", target=user, detail={"before": before, "after": after})
    return user


@transaction.atomic
def user_set_active(*, actor: User, user: User, active: bool) -> User:
    """Let ``user`` sign in, or no longer. Users are never deleted: the trail names them."""
    require(actor, "accounts.manage_user")
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    _not_oneself(actor, user, "is_active")
    user.is_active = active
    user.save(update_fields=["is_active"])
    record(actor=actor, action="user.set_active", target=user, detail={"active": active})
    return user


@transaction.atomic
def user_set_password(*, actor: User, user: User, password: str) -> User:
    """A new password for ``user``; their sessions end with the old one."""
    if actor != user:
        require(actor, "accounts.manage_user")
    _check_password(user, password)
    user.set_password(password)
    user.save(update_fields=["password"])
    record(actor=actor, action="user.set_password", target=user, detail={})
    return user


@transaction.atomic
def session_open(*, actor: User) -> None:
    """The trail's row of a sign-in."""
    record(actor=actor, action="session.open", target=actor, detail={})


@transaction.atomic
def session_close(*, actor: User) -> None:
    """The trail's row of a sign-out."""
    record(actor=actor, action="session.close", target=actor, detail={})


def _check_role(role: str) -> None:
    if role not in Role.values:
        raise InvalidInput("role_unknown", "role", f"{role} is no role; expected one of {', '.join(Role.values)}.")


def _check_password(user: User, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise invalid([Problem("password", message) for message in error.messages], "password_weak") from error


def _check_model(user: User) -> None:
    try:
        user.full_clean()
    except ValidationError as error:
        problems = [Problem(field, text) for field, texts in error.message_dict.items() for text in texts]
        raise invalid(problems, "user_invalid") from error


def _not_oneself(actor: User, user: User, field: str) -> None:
    if actor.pk == user.pk:
        raise Conflict("own_account", field, "Another admin has to change this about your own account.")


def _group(role: str) -> Group:
    return Group.objects.get(name=role)


def _set_desks(user: User, desks: Iterable[Desk]) -> list[str]:
    chosen = list(desks)
    Membership.objects.filter(user=user).exclude(desk__in=chosen).delete()
    for desk in chosen:
        Membership.objects.get_or_create(user=user, desk=desk)
    return sorted(desk.name for desk in chosen)
