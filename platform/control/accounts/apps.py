"""Users and their roles."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "control.accounts"
    label = "accounts"
    verbose_name = "Accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from control.accounts.roles import install_permissions

        # Without a sender: each app's permissions are put in place once its own tables are there.
        post_migrate.connect(install_permissions, dispatch_uid="control.accounts.roles")
