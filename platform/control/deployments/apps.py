"""Which approved version runs on which engine node."""

from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    name = "control.deployments"
    label = "deployments"
    verbose_name = "Deployments"
    default_auto_field = "django.db.models.BigAutoField"
