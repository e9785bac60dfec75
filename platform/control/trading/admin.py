"""What engines reported, in the admin: to read."""

from django.contrib import admin

from control.administration import ReadOnlyAdmin
from control.trading import models, selectors


class DeploymentRowsAdmin(ReadOnlyAdmin):
    list_select_related = ["deployment__version__strategy", "deployment__node"]


@admin.register(models.Order)
class OrderAdmin(DeploymentRowsAdmin):
    visible_to = staticmethod(selectors.orders_visible_to)
    list_display = [
        "order_id",
        "deployment",
        "symbol",
        "side",
        "state",
        "price",
        "qty",
        "filled",
        "ts",
        "venue",
        "route",
        "reason",
    ]
    list_filter = ["state", "side"]
    search_fields = ["symbol", "=order_id"]
    ordering = ["-ts", "-order_id"]


@admin.register(models.Fill)
class FillAdmin(DeploymentRowsAdmin):
    visible_to = staticmethod(selectors.fills_visible_to)
    list_display = ["execution_id", "revision", "trade_date", "deployment", "symbol", "side", "price", "qty"] + [
        "order_id",
        "ts",
        "busted",
    ]
    list_filter = ["side", "venue"]
    search_fields = ["symbol", "=execution_id", "=order_id"]
    ordering = ["-ts", "-pk"]


@admin.register(models.Position)
class PositionAdmin(DeploymentRowsAdmin):
    visible_to = staticmethod(selectors.positions_visible_to)
    list_display = ["symbol", "deployment", "qty", "average_cost", "realised", "fees", "ts"]
    search_fields = ["symbol"]
    ordering = ["symbol"]


@admin.register(models.EquityPoint)
class EquityPointAdmin(DeploymentRowsAdmin):
    visible_to = staticmethod(selectors.equity_visible_to)
    list_display = ["ts", "deployment", "equity", "unrealised", "realised", "gross"]
    ordering = ["-ts"]


@admin.register(models.SignalPoint)
class SignalPointAdmin(DeploymentRowsAdmin):
    visible_to = staticmethod(selectors.signals_visible_to)
    list_display = ["ts", "deployment", "pair", "z", "spread", "hedge_ratio", "stance"]
    search_fields = ["pair"]
    ordering = ["-ts", "pair"]


@admin.register(models.Reject)
class RejectAdmin(DeploymentRowsAdmin):
    visible_to = staticmethod(selectors.rejects_visible_to)
    list_display = ["ts", "deployment", "symbol", "limit", "level", "value", "order_value"]
    list_filter = ["limit", "level"]
    ordering = ["-ts", "-pk"]


@admin.register(models.Incident)
class IncidentAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(selectors.incidents_visible_to)
    list_display = ["last_at", "code", "message", "node", "deployment", "occurrences", "open", "first_at"]
    list_filter = ["open", "code", "node"]
    ordering = ["-last_at"]


@admin.register(models.ReportBatch)
class ReportBatchAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(selectors.batches_visible_to)
    list_display = ["journal", "node", "first", "last", "reports", "received_at"]
    list_filter = ["node"]
    ordering = ["-pk"]
