"""Reading limits."""

from django.db.models import Exists, OuterRef, QuerySet

from control.accounts.models import User
from control.accounts.permissions import allowed
from control.deployments.models import Node
from control.limits.models import Allotment, Bundle, Limit, LimitChange


def limits_set() -> QuerySet[Limit]:
    """Those that bind somebody: a change of them has been in force. Others were only asked for."""
    return Limit.objects.filter(Exists(LimitChange.objects.filter(limit=OuterRef("pk"), agreed=True)))


def limits_visible_to(user: User) -> QuerySet[Limit]:
    """Everybody who may see limits sees all of them: what the firm may do concerns every desk."""
    rows = limits_set().select_related("desk").prefetch_related("allotments__node")
    return rows if allowed(user, "limits.view_limit") else rows.none()


def changes_visible_to(user: User) -> QuerySet[LimitChange]:
    rows = LimitChange.objects.select_related("limit__desk", "asked_by", "decided_by")
    return rows if allowed(user, "limits.view_limitchange") else rows.none()


def changes_waiting(user: User) -> QuerySet[LimitChange]:
    return changes_visible_to(user).filter(agreed__isnull=True)


def allotments_visible_to(user: User) -> QuerySet[Allotment]:
    rows = Allotment.objects.select_related("limit__desk", "node__status")
    return rows if allowed(user, "limits.view_allotment") else rows.none()


def newest_bundle(node: Node) -> Bundle | None:
    return Bundle.objects.filter(node=node).order_by("-number").first()
