"""The sealer's tick."""

from celery import shared_task

from control.audit import services


@shared_task
def seal() -> int:
    """Chain what has been committed since the last tick."""
    return services.seal()
