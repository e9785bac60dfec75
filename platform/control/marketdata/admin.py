"""Market data in the admin, to look at: history comes in by ``import_history`` alone, so that a trail of it exists."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from control.accounts.permissions import allowed
from control.marketdata.models import Dataset, ImportRun, Instrument


class ReadOnlyAdmin(ModelAdmin):
    def has_module_permission(self, request: HttpRequest) -> bool:
        return allowed(request.user, "marketdata.view_dataset")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allowed(request.user, "marketdata.view_dataset")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ["name", "source", "first", "last", "symbol_count", "rows", "adjusted", "survivors_only"]
    list_filter = ["adjusted", "survivors_only", "opens_known"]
    search_fields = ["name", "source"]


@admin.register(ImportRun)
class ImportRunAdmin(ReadOnlyAdmin):
    list_display = ["at", "file_name", "dataset_name", "state", "accepted", "rejected", "actor_name"]
    list_filter = ["state"]
    search_fields = ["file_name", "dataset_name", "sha256"]


@admin.register(Instrument)
class InstrumentAdmin(ReadOnlyAdmin):
    list_display = ["symbol", "currency", "price_exponent", "lot_size"]
    search_fields = ["symbol"]
