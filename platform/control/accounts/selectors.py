"""Reading users."""

from django.db.models import QuerySet

from control.accounts.models import User
from control.accounts.permissions import allowed


def users_visible_to(user: User) -> QuerySet[User]:
    """All for an admin, oneself for everybody else."""
    if allowed(user, "accounts.view_user"):
        return User.objects.prefetch_related("desks").order_by("username")
    return User.objects.filter(pk=getattr(user, "pk", None))
