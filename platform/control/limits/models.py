"""The firm's and the desks' limits, the parts of them that nodes have, and the signed bundles that say so.

An engine sees only its part of the firm and checks by that. What nodes may be using never adds up to more than the
limit: the database refuses it. Shares are whole, money is in the currency with four places.
"""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q

from control.trading.models import Money

MEASURES = ("max_order_qty", "max_order_notional", "max_position_qty", "max_gross_notional")

_WITHIN = """
    SELECT max_position_qty, max_gross_notional INTO room FROM limits_limit WHERE id = {limit} FOR UPDATE;
    SELECT COALESCE(SUM(held_position_qty), 0) AS qty, COALESCE(SUM(held_gross_notional), 0) AS notional INTO held
        FROM limits_allotment WHERE limit_id = {limit};
    IF held.qty > room.max_position_qty OR held.notional > room.max_gross_notional THEN
        RAISE EXCEPTION 'nodes may hold % shares and %, the limit is % and %', held.qty, held.notional,
            room.max_position_qty, room.max_gross_notional USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
"""
_ROWS = [("room", "RECORD"), ("held", "RECORD")]


class Limit(models.Model):
    """What the firm (no ``desk``), or a desk, may do at most over all nodes."""

    desk = models.ForeignKey("desks.Desk", on_delete=models.PROTECT, null=True, related_name="limits")
    max_order_qty = models.BigIntegerField(default=0)
    max_order_notional = Money(default=0)
    max_position_qty = models.BigIntegerField(default=0)  # of one symbol, long or short, working orders included
    max_gross_notional = Money(default=0)

    class Meta:
        ordering = [F("desk__name").asc(nulls_first=True)]
        constraints = [
            models.UniqueConstraint(fields=["desk"], name="limit_firm_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=Q(
                    max_order_qty__gte=0, max_order_notional__gte=0, max_position_qty__gte=0, max_gross_notional__gte=0
                ),
                name="limit_not_negative",
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="allotments_stay_within",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                declare=_ROWS,
                func=_WITHIN.format(limit="NEW.id"),
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"desk {self.desk}" if self.desk_id else "the firm"


class LimitChange(models.Model):
    """New values for a limit. One that only tightens is in force at once; any other needs a second person."""

    limit = models.ForeignKey(Limit, on_delete=models.PROTECT, related_name="changes")
    max_order_qty = models.BigIntegerField()
    max_order_notional = Money()
    max_position_qty = models.BigIntegerField()
    max_gross_notional = Money()
    reason = models.CharField(max_length=400, blank=True)
    tightens = models.BooleanField()
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    agreed = models.BooleanField(null=True)

    class Meta:
        ordering = ["-asked_at"]
        constraints = [
            models.UniqueConstraint(fields=["limit"], condition=Q(agreed__isnull=True), name="limit_change_one_open"),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True)
                | ~Q(decided_by=F("asked_by"))
                | Q(agreed=False)
                | Q(tightens=True),
                name="limit_change_by_two_persons",
            ),
            models.CheckConstraint(
                condition=Q(agreed__isnull=True, decided_by__isnull=True, decided_at__isnull=True)
                | Q(agreed__isnull=False, decided_by__isnull=False, decided_at__isnull=False),
                name="limit_change_decided_as_a_whole",
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="decided_is_final",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__agreed__isnull=False),  # type: ignore[call-arg]
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"change of {self.limit}"


class Allotment(models.Model):
    """A node's part of a limit: what it is told, and what it may still be using.

    The two differ from when it is told less until it has said that it goes by that, and uses no more (``held``). Only
    what is held counts against the limit, so a node that is cut off keeps what it had.
    """

    limit = models.ForeignKey(Limit, on_delete=models.PROTECT, related_name="allotments")
    node = models.ForeignKey("deployments.Node", on_delete=models.PROTECT, related_name="allotments")
    position_qty = models.BigIntegerField()
    gross_notional = Money()
    held_position_qty = models.BigIntegerField()
    held_gross_notional = Money()
    told_in = models.PositiveBigIntegerField(default=0)  # number of the first bundle that says so, 0 for none yet

    class Meta:
        ordering = ["limit", "node__name"]
        constraints = [
            models.UniqueConstraint(fields=["limit", "node"], name="allotment_once"),
            models.CheckConstraint(
                condition=Q(position_qty__gte=0, gross_notional__gte=0)
                & Q(held_position_qty__gte=F("position_qty"), held_gross_notional__gte=F("gross_notional")),
                name="allotment_holds_what_it_is_told",
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="stays_within_the_limit",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update,
                declare=_ROWS,
                func=_WITHIN.format(limit="NEW.limit_id"),
            ),
            pgtrigger.ReadOnly(name="whose_is_immutable", fields=["limit", "node"]),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.limit} on {self.node}"

    @property
    def in_doubt(self) -> bool:
        return (self.held_position_qty, self.held_gross_notional) != (self.position_qty, self.gross_notional)


class Bundle(models.Model):
    """A signed document of all limits of a node. Written once; ``number`` only grows."""

    node = models.ForeignKey("deployments.Node", on_delete=models.PROTECT, related_name="bundles")
    number = models.PositiveBigIntegerField()
    valid_until = models.BigIntegerField()  # ns on the engine's clock
    document = models.TextField()
    issued_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["node", "-number"]
        constraints = [models.UniqueConstraint(fields=["node", "number"], name="bundle_once")]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.node_id} number {self.number}"
