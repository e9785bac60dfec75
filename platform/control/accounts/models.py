"""People who sign in. Programs that report (engine nodes) are not users; they have tokens."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class Role(models.TextChoices):
    ADMIN = "admin", "Admin"
    QUANT = "quant", "Quant"
    TRADER = "trader", "Trader"
    RISK_OFFICER = "risk_officer", "Risk officer"
    VIEWER = "viewer", "Viewer"


class User(AbstractUser):
    """A person with one role. What a role may do stands in ``accounts/roles.py``, by desk."""

    role = models.CharField(max_length=16, choices=Role.choices, default=Role.VIEWER)

    class Meta(AbstractUser.Meta):
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_known"),
        ]

    def __str__(self) -> str:
        return self.username
