"""Market data in the admin, to look at: history comes in by ``import_history`` alone, so that a trail of it exists."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from control.administration import ReadOnlyAdmin
from control.marketdata.models import Dataset, ImportRun, Instrument
from control.marketdata.selectors import datasets_visible_to, import_runs_visible_to, instruments_visible_to


class MarketDataAdmin(ReadOnlyAdmin):
    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Imports and instruments are seen by whoever sees datasets."""
        return self.allows(request, "view_dataset")


@admin.register(Dataset)
class DatasetAdmin(MarketDataAdmin):
    visible_to = staticmethod(datasets_visible_to)
    list_display = ["name", "source", "first", "last", "symbol_count", "rows", "adjusted", "survivors_only"]
    list_filter = ["adjusted", "survivors_only", "opens_known"]
    search_fields = ["name", "source"]


@admin.register(ImportRun)
class ImportRunAdmin(MarketDataAdmin):
    visible_to = staticmethod(import_runs_visible_to)
    list_display = ["at", "file_name", "dataset_name", "state", "accepted", "rejected", "actor_name"]
    list_filter = ["state"]
    search_fields = ["file_name", "dataset_name", "sha256"]


@admin.register(Instrument)
class InstrumentAdmin(MarketDataAdmin):
    visible_to = staticmethod(instruments_visible_to)
    list_display = ["symbol", "currency", "price_exponent", "lot_size"]
    search_fields = ["symbol"]
