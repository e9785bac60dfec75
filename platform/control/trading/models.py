"""What engines report: the batches that arrived, and the rows that are folded out of them.

Prices and money are decimals of the currency with four places, quantities whole shares. ``ts`` is the
engine's clock (the session clock in simulations) in UTC, cut to microseconds.
"""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q

from control.money import PLACES

SIDES = [("buy", "Buy"), ("sell", "Sell")]
WORKING = ("sent", "accepted", "suspended", "partially_filled")  # states of an order that may still be filled


class Price(models.DecimalField):
    """A price: what one share costs."""

    def __init__(self, **options: object) -> None:
        super().__init__(**({"max_digits": 18, "decimal_places": PLACES} | options))


class Money(models.DecimalField):
    """An amount of the currency, signed."""

    def __init__(self, **options: object) -> None:
        super().__init__(**({"max_digits": 20, "decimal_places": PLACES} | options))


class Journal(models.Model):
    """One journal of one node, and how far it is in the database. Its row lock orders the commits."""

    node = models.ForeignKey("deployments.Node", on_delete=models.PROTECT, related_name="journals")
    journal = models.CharField(max_length=64)
    venue = models.CharField(max_length=16)
    build = models.CharField(max_length=64)
    committed = models.BigIntegerField(default=0)
    opened_at = models.DateTimeField(auto_now_add=True)
    linked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "journal"], name="journal_once"),
            models.CheckConstraint(condition=Q(committed__gte=0), name="journal_committed_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.node_id}/{self.journal} up to {self.committed}"


class ReportBatch(models.Model):
    """A committed batch: journal records after ``first`` up to and including ``last``."""

    node = models.ForeignKey("deployments.Node", on_delete=models.PROTECT, related_name="batches")
    journal = models.CharField(max_length=64)
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    payload_hash = models.CharField(max_length=64)
    reports = models.PositiveIntegerField()
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "report batches"
        constraints = [
            models.UniqueConstraint(fields=["node", "journal", "last"], name="batch_once"),
            models.CheckConstraint(condition=Q(last__gt=F("first")), name="batch_goes_forward"),
        ]

    def __str__(self) -> str:
        return f"{self.journal} ({self.first}, {self.last}]"


class Order(models.Model):
    """A child order, in the state last reported."""

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.PROTECT, related_name="orders")
    order_id = models.BigIntegerField()
    parent_id = models.BigIntegerField()
    symbol = models.CharField(max_length=16)
    side = models.CharField(max_length=4, choices=SIDES)
    state = models.CharField(max_length=20)
    price = Price()
    qty = models.BigIntegerField()
    filled = models.BigIntegerField()
    reason = models.CharField(max_length=200, blank=True)
    venue = models.CharField(max_length=16, blank=True, help_text="where it stands; empty at a node of one venue")
    route = models.CharField(max_length=20, blank=True, help_text="why the router sent it there")
    sent_at = models.DateTimeField()
    ts = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["deployment", "order_id"], name="order_once"),
            models.CheckConstraint(condition=Q(side__in=["buy", "sell"]), name="order_side"),
        ]
        indexes = [models.Index(fields=["deployment", "-ts"], name="order_newest")]

    def __str__(self) -> str:
        return f"{self.order_id} {self.side} {self.qty} {self.symbol}: {self.state}"


class Fill(models.Model):
    """An execution of an order of ours. Written once, never changed.

    A venue's match number names the execution; where two orders of ours meet, both sides carry the same
    number, so the side belongs to the key. What the venue corrects is busted and comes again with the next
    ``revision``; the first is 1.
    """

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.PROTECT, related_name="fills")
    venue = models.CharField(max_length=16)
    trade_date = models.DateField()
    execution_id = models.BigIntegerField()
    order_id = models.BigIntegerField()
    symbol = models.CharField(max_length=16)
    side = models.CharField(max_length=4, choices=SIDES)
    revision = models.PositiveSmallIntegerField(default=1)
    price = Price()
    qty = models.BigIntegerField()
    ts = models.DateTimeField()
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["venue", "trade_date", "execution_id", "side", "revision"], name="fill_once"
            ),
            models.CheckConstraint(condition=Q(side__in=["buy", "sell"]), name="fill_side"),
            models.CheckConstraint(condition=Q(qty__gt=0) & Q(price__gt=0), name="fill_positive"),
            models.CheckConstraint(condition=Q(revision__gt=0), name="fill_revision_positive"),
        ]
        indexes = [models.Index(fields=["deployment", "-ts"], name="fill_newest")]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.execution_id} {self.side} {self.qty} {self.symbol} @ {self.price}"

    @property
    def busted(self) -> bool:
        """Whether the venue has undone it. Ask rows that were selected with their ``bust``."""
        return hasattr(self, "bust")


class FillBust(models.Model):
    """The venue has undone a fill: that execution never was. Written once, never changed."""

    fill = models.OneToOneField(Fill, on_delete=models.PROTECT, related_name="bust")
    ts = models.DateTimeField()
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"bust of {self.fill}"


class BustsTold(models.Model):
    """How often one journal has told of a bust of one execution.

    A fill after that is the execution's next revision; the same story from another journal begins at the first one
    again, and is known by it.
    """

    journal = models.ForeignKey(Journal, on_delete=models.PROTECT, related_name="busts_told")
    venue = models.CharField(max_length=16, blank=True)
    trade_date = models.DateField()
    execution_id = models.BigIntegerField()
    side = models.CharField(max_length=4, choices=SIDES)
    count = models.PositiveSmallIntegerField()

    class Meta:
        verbose_name_plural = "busts told"
        constraints = [
            models.UniqueConstraint(
                fields=["journal", "venue", "trade_date", "execution_id", "side"], name="busts_told_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.execution_id} {self.side} of {self.trade_date}: {self.count}"


class Position(models.Model):
    """What a deployment holds of a symbol, as last reported."""

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.PROTECT, related_name="positions")
    symbol = models.CharField(max_length=16)
    qty = models.BigIntegerField()
    average_cost = Price()
    realised = Money()
    fees = Money()
    ts = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["deployment", "symbol"], name="position_once")]

    def __str__(self) -> str:
        return f"{self.qty} {self.symbol}"


class ScheduledParent(models.Model):
    """The newest parent of a symbol that a deployment works by its plan, and how far it has come, in shares."""

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.PROTECT, related_name="scheduled_parents")
    symbol = models.CharField(max_length=16)
    parent_id = models.BigIntegerField()
    side = models.CharField(max_length=4, choices=SIDES)
    qty = models.BigIntegerField()
    planned = models.BigIntegerField()
    due = models.BigIntegerField()
    done = models.BigIntegerField()
    ts = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["deployment", "symbol"], name="scheduled_parent_once")]

    def __str__(self) -> str:
        return f"{self.side} {self.done} of {self.qty} {self.symbol}"


class EquityPoint(models.Model):
    """Equity at a session's close."""

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.PROTECT, related_name="equity_points")
    ts = models.DateTimeField()
    equity = Money()
    unrealised = Money()
    realised = Money()
    gross = Money()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["deployment", "ts"], name="equity_point_once")]

    def __str__(self) -> str:
        return f"{self.ts:%Y-%m-%d} {self.equity}"


class SignalPoint(models.Model):
    """What a pair looked like when the strategy decided. ``z`` is null where it is not defined yet."""

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.PROTECT, related_name="signal_points")
    ts = models.DateTimeField()
    pair = models.CharField(max_length=33)
    z = models.FloatField(null=True)
    spread = models.FloatField()
    hedge_ratio = models.FloatField()
    stance = models.SmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["deployment", "pair", "ts"], name="signal_point_once"),
            models.CheckConstraint(condition=Q(stance__in=[-1, 0, 1]), name="signal_stance"),
        ]
        indexes = [models.Index(fields=["deployment", "-ts"], name="signal_newest")]

    def __str__(self) -> str:
        return f"{self.pair} z {self.z} stance {self.stance:+d}"


class Reject(models.Model):
    """An order that a pre-trade limit refused: the limit's value and what the order would have made it."""

    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.PROTECT, related_name="rejects")
    ts = models.DateTimeField()
    symbol = models.CharField(max_length=16)
    limit = models.CharField(max_length=40)
    level = models.CharField(max_length=40)
    value = models.BigIntegerField()
    order_value = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["deployment", "-ts"], name="reject_newest")]

    def __str__(self) -> str:
        return f"{self.symbol}: {self.limit} of {self.level}"


class Incident(models.Model):
    """Something that should not have happened. The same thing again counts up instead of piling up.

    ``subject`` tells apart what may happen to several things (a journal and record, an address). ``open`` are those
    that hold something up until somebody has dealt with them; the same thing again opens them again.
    """

    code = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    node = models.ForeignKey("deployments.Node", null=True, on_delete=models.PROTECT, related_name="incidents")
    deployment = models.ForeignKey(
        "deployments.Deployment", null=True, on_delete=models.PROTECT, related_name="incidents"
    )
    message = models.CharField(max_length=400)
    detail = models.JSONField(default=dict)
    occurrences = models.PositiveBigIntegerField(default=1)
    open = models.BooleanField(default=False)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code", "subject", "node"], name="incident_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=Q(open=False) | Q(closed_at__isnull=True), name="incident_open_not_closed"
            ),
        ]
        indexes = [
            models.Index(fields=["-last_at"], name="incident_newest"),
            models.Index(fields=["node"], condition=Q(open=True), name="incident_open"),
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class BreakResolution(models.Model):
    """Somebody has looked at a break: the engine is to let its symbol trade again.

    ``value`` is the match number or order id of the break as that person saw it: a newer one is not resolved by it.
    ``revision`` is the node's desired state that first told of it.
    """

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="resolutions")
    value = models.BigIntegerField()
    comment = models.TextField()
    revision = models.PositiveBigIntegerField()
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["incident"], condition=Q(done_at__isnull=True), name="break_resolution_one_open"
            ),
            models.CheckConstraint(condition=~Q(comment=""), name="break_resolution_says_why"),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="request_is_immutable",
                fields=["incident", "value", "comment", "revision", "requested_by", "requested_at"],
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.incident}: {'done' if self.done_at else 'asked for'}"
