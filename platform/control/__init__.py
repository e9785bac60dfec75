"""The control plane: users, strategies, approvals, deployments, and what engines report."""

from control.celery import app as celery_app

__all__ = ["celery_app"]
