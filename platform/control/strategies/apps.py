"""Strategies and their immutable versions."""

from django.apps import AppConfig


class StrategiesConfig(AppConfig):
    name = "control.strategies"
    label = "strategies"
    verbose_name = "Strategies"
    default_auto_field = "django.db.models.BigAutoField"
