"""Reading the trail."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Max, QuerySet

from control.accounts.models import Role, User
from control.accounts.permissions import allowed
from control.audit.chain import GENESIS, Break, Verdict, verify
from control.audit.models import AuditRow, ChainHead
from control.audit.services import row_as_dict
from control.desks.selectors import desks_visible_to


def rows_visible_to(user: User) -> QuerySet[AuditRow]:
    """Everything for an admin, the rows of one's own desks for a risk officer, nothing for others."""
    rows = AuditRow.objects.select_related("desk")
    if not allowed(user, "audit.view_auditrow"):
        return rows.none()
    if user.role == Role.ADMIN:
        return rows
    return rows.filter(desk__in=desks_visible_to(user))


def sealed_rows(up_to: int | None = None) -> Iterator[dict[str, Any]]:
    """Chained rows in the chain's order (up to a link), as they are hashed and exported; streamed."""
    rows = AuditRow.objects.filter(sequence__isnull=False).order_by("sequence")
    if up_to is not None:
        rows = rows.filter(sequence__lte=up_to)
    for row in rows.iterator(chunk_size=2_000):
        yield row_as_dict(row)


def verify_table() -> tuple[Verdict, int]:
    """Verify the chain in the database; also how many rows wait for the sealer.

    Rows cut off at the end leave every other link whole, so the chain is compared with its head. The head
    is read first and verified up to: the sealer may go on meanwhile.
    """
    head = _head()
    verdict = verify(sealed_rows(head.sequence))
    if verdict.broken is None and (verdict.rows, verdict.head) != (head.sequence, head.hash):
        reason = f"the chain ends at link {verdict.rows}, its head is link {head.sequence}"
        verdict = verdict._replace(broken=Break(verdict.rows + 1, None, reason))
    newest = AuditRow.objects.aggregate(newest=Max("sequence"))["newest"] or 0
    now = _head().sequence
    if verdict.broken is None and newest > now:
        verdict = verdict._replace(broken=Break(now + 1, None, f"link {newest} stands beyond the chain's head, {now}"))
    return verdict, AuditRow.objects.filter(sequence__isnull=True).count()


def _head() -> ChainHead:
    return ChainHead.objects.filter(id=1).first() or ChainHead(id=1, sequence=0, hash=GENESIS)
