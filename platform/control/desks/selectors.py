"""Reading desks. Everything that belongs to a desk is restricted through ``desks_visible_to``."""

from django.db.models import QuerySet

from control.accounts.models import Role, User
from control.desks.models import Desk


def desks_visible_to(user: User) -> QuerySet[Desk]:
    """All desks for an admin, one's own for everybody else, none for who is not signed in or not active."""
    if not isinstance(user, User) or not user.is_active:
        return Desk.objects.none()
    if user.role == Role.ADMIN:
        return Desk.objects.all()
    # Through a subquery, so that callers may filter and join further without duplicates.
    return Desk.objects.filter(pk__in=user.memberships.values("desk"))
