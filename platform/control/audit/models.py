"""The trail: one row for each write, in the write's own transaction.

Rows are written unchained, so that writers never wait for each other. The sealer gives committed rows
their place in the chain: a gapless ``sequence``, the hash before, and their own hash.
"""

import pgtrigger
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils import timezone

# Sealing fills the three empty columns, once. Nothing else about a row ever changes.
_REFUSE_CHANGE = """
IF OLD.hash IS NULL AND NEW.hash IS NOT NULL AND NEW.sequence IS NOT NULL AND NEW.previous_hash IS NOT NULL
   AND (to_jsonb(NEW) - 'hash' - 'sequence' - 'previous_hash')
     = (to_jsonb(OLD) - 'hash' - 'sequence' - 'previous_hash')
THEN
    RETURN NEW;
END IF;
RAISE EXCEPTION 'audit rows are append-only: row % cannot be changed', OLD.id;
"""

# Tests empty their scratch database (its name begins with test_) between cases; nowhere else is it allowed.
_REFUSE_TRUNCATE = """
IF current_database() LIKE 'test\\_%' THEN
    RETURN NULL;
END IF;
RAISE EXCEPTION 'audit rows are append-only: the table cannot be emptied';
"""


class AuditRow(models.Model):
    """Who did what to which object, when. ``detail`` holds what changed."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=160)
    action = models.CharField(max_length=80)
    object_type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=64)
    desk = models.ForeignKey("desks.Desk", on_delete=models.PROTECT, null=True, related_name="+")
    detail = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    sequence = models.PositiveBigIntegerField(null=True, unique=True)
    previous_hash = models.CharField(max_length=64, null=True)  # noqa: DJ001 - unset is not empty
    hash = models.CharField(max_length=64, null=True)  # noqa: DJ001 - unset is not empty

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["object_type", "object_id"]),
            models.Index(fields=["id"], condition=Q(sequence__isnull=True), name="audit_unsealed"),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="append_only_update", when=pgtrigger.Before, operation=pgtrigger.Update, func=_REFUSE_CHANGE
            ),
            pgtrigger.Protect(name="append_only_delete", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="append_only_truncate",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func=_REFUSE_TRUNCATE,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.object_type} {self.object_id}"


class ChainHead(models.Model):
    """The newest link, one row. It serialises sealers, and shows when rows at the end are missing."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    sequence = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64)  # noqa: DJ001 - unset is not empty

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="chain_has_one_head")]

    def __str__(self) -> str:
        return f"{self.sequence}: {self.hash}"
