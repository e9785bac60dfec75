"""The one question that services and pages ask: may this person do this, on this desk?"""

from typing import Any

from django.core.exceptions import PermissionDenied

from control.accounts.models import Role, User
from control.accounts.roles import DESCRIPTION, role_allows
from control.desks.models import Desk, Membership


def allowed(actor: Any, permission: str, desk: Desk | None = None) -> bool:
    """Whether ``actor`` is active, has the role for ``permission``, and sits on ``desk`` (admins need not).

    The role decides, not ``is_superuser``: nobody is above four eyes.
    """
    if not isinstance(actor, User) or not actor.is_active or not role_allows(actor.role, permission):
        return False
    if desk is None or actor.role == Role.ADMIN:
        return True
    return Membership.objects.filter(desk=desk, user=actor).exists()


def require(actor: Any, permission: str, desk: Desk | None = None) -> None:
    """Raise ``PermissionDenied``, saying what was refused, unless ``allowed``."""
    if not allowed(actor, permission, desk):
        where = f" on desk {desk}" if desk is not None else ""
        raise PermissionDenied(f"{actor} may not {DESCRIPTION[permission]}{where}.")
