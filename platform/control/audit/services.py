"""Writing the trail. ``record`` belongs inside the transaction it describes; ``seal`` chains what is committed."""

from typing import Any

from django.db import models, transaction

from control.accounts.models import User
from control.audit.chain import GENESIS, link_hash
from control.audit.models import AuditRow, ChainHead
from control.desks.models import Desk

SEAL_BATCH = 2_000


def record(
    *, actor: User | str, action: str, target: models.Model, detail: dict[str, Any], desk: Desk | None = None
) -> AuditRow:
    """Add one row. ``actor`` is a user, or the name of a machine ("node:sim-1", "worker:...").

    Raises ``RuntimeError`` outside a transaction: a row must live and die with the write it describes.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("an audit row is written inside the transaction that it describes")
    user = actor if isinstance(actor, User) else None
    return AuditRow.objects.create(
        actor=user,
        actor_name=user.username if user else str(actor),
        action=action,
        object_type=target._meta.label_lower,
        object_id=str(target.pk),
        desk=desk,
        detail=detail,
    )


@transaction.atomic
def seal() -> int:
    """Chain the committed rows that are not chained yet, oldest first; returns how many.

    The head's row lock lets one sealer work at a time. A row whose transaction commits late is sealed
    later: the chain's order is that of sealing, and its sequence has no gaps.
    """
    head, _created = ChainHead.objects.select_for_update().get_or_create(id=1, defaults={"hash": GENESIS})
    rows = list(AuditRow.objects.filter(sequence__isnull=True).order_by("id")[:SEAL_BATCH])
    for row in rows:
        row.sequence, row.previous_hash = head.sequence + 1, head.hash
        row.hash = link_hash(row_as_dict(row))
        head.sequence, head.hash = row.sequence, row.hash
    if rows:
        AuditRow.objects.bulk_update(rows, ["sequence", "previous_hash", "hash"], batch_size=500)
        head.save(update_fields=["sequence", "hash"])
    return len(rows)


def row_as_dict(row: AuditRow) -> dict[str, Any]:
    """The row as it is hashed and exported: plain JSON values, time as ISO 8601 in UTC."""
    return {
        "sequence": row.sequence,
        "previous_hash": row.previous_hash,
        "id": row.pk,
        "at": row.at.isoformat(timespec="microseconds"),
        "actor_id": row.actor_id,
        "actor": row.actor_name,
        "action": row.action,
        "object_type": row.object_type,
        "object_id": row.object_id,
        "desk_id": row.desk_id,
        "detail": row.detail,
        "hash": row.hash,
    }
