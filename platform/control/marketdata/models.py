"""What history there is, and how it came in. The bars themselves lie in the history store (``engine.history``)."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q


class Instrument(models.Model):
    """Something that can be traded. Prices are integers of ``10 ** price_exponent`` of the currency."""

    symbol = models.CharField(max_length=8, unique=True)
    currency = models.CharField(max_length=3, default="USD")
    price_exponent = models.SmallIntegerField(default=-4)
    lot_size = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["symbol"]
        constraints = [models.CheckConstraint(condition=Q(lot_size__gte=1), name="instrument_lot_positive")]

    def __str__(self) -> str:
        return self.symbol


class Dataset(models.Model):
    """A named set of daily bars in the history store, as the newest import left it."""

    name = models.CharField(max_length=63, unique=True)
    source = models.CharField(max_length=200, blank=True)
    adjusted = models.BooleanField(help_text="Prices are adjusted for splits and dividends.")
    survivors_only = models.BooleanField(help_text="Holds only what was still listed at the end.")
    opens_known = models.BooleanField(help_text="The dataset has opening prices, not closes alone.")
    first = models.DateField()
    last = models.DateField()
    symbols = models.JSONField(default=list)
    rows = models.PositiveBigIntegerField()
    data_hash = models.CharField(max_length=64)
    notes = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=Q(first__lte=models.F("last")), name="dataset_days_ordered")]

    def __str__(self) -> str:
        return self.name

    @property
    def symbol_count(self) -> int:
        return len(self.symbols)


class ImportState(models.TextChoices):
    IMPORTED = "imported", "Imported"
    UNCHANGED = "unchanged", "Nothing new"
    REFUSED = "refused", "Refused"


class ImportRun(models.Model):
    """One try to import a file. ``errors`` are ``{row, column, reason}``, ``quality`` ``{kind, symbol, date, detail}``.

    Of a refused file nothing was taken. ``added``, ``replaced`` and ``unchanged`` split the accepted bars or rows.
    Of ticks, ``tables`` counts the rows by table, and there is no ``dataset``: strategies are prepared from daily bars.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, null=True, related_name="import_runs")
    dataset_name = models.CharField(max_length=63)
    file_name = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=16, choices=ImportState.choices)
    accepted = models.PositiveBigIntegerField(default=0)
    rejected = models.PositiveBigIntegerField(default=0)
    added = models.PositiveBigIntegerField(default=0)
    replaced = models.PositiveBigIntegerField(default=0)
    unchanged = models.PositiveBigIntegerField(default=0)
    errors = models.JSONField(default=list, encoder=DjangoJSONEncoder)
    quality = models.JSONField(default=list, encoder=DjangoJSONEncoder)
    tables = models.JSONField(default=dict, blank=True)
    reason = models.TextField(blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=160)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ImportState.values), name="import_state_known"),
            models.CheckConstraint(
                condition=~Q(state=ImportState.REFUSED) | Q(accepted=0), name="import_refused_takes_nothing"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.file_name} into {self.dataset_name}: {self.state}"
