"""Four eyes: who asked, who decided, about which content hash."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "control.approvals"
    label = "approvals"
    verbose_name = "Approvals"
    default_auto_field = "django.db.models.BigAutoField"
