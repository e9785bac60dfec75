"""Backtest runs and their results."""

from django.apps import AppConfig


class BacktestsConfig(AppConfig):
    name = "control.backtests"
    label = "backtests"
    verbose_name = "Backtests"
    default_auto_field = "django.db.models.BigAutoField"
