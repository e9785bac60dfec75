"""What engines report: orders, fills, positions."""

from django.apps import AppConfig


class TradingConfig(AppConfig):
    name = "control.trading"
    label = "trading"
    verbose_name = "Trading"
    default_auto_field = "django.db.models.BigAutoField"
