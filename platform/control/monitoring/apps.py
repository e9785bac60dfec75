"""Engine nodes and their health."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "control.monitoring"
    label = "monitoring"
    verbose_name = "Monitoring"
    default_auto_field = "django.db.models.BigAutoField"
