"""Celery's side of backtests. The row in PostgreSQL is the truth: a message only says that there is work."""

from celery import shared_task

from control.backtests import leases


@shared_task
def execute(run_id: str) -> None:
    """Run the most urgent backtest; ``run_id`` is the one that was asked for when the message was sent."""
    # Imported here: it loads the engine's machine code, which only workers need.
    from control.backtests.execution import execute_next
    from engine.backtest import run_backtest

    execute_next(run_backtest)


@shared_task
def requeue() -> int:
    """The tick that takes runs back from lost workers."""
    return leases.backtests_requeue()


@shared_task
def advance_studies() -> int:
    """The tick that starts what a walk-forward has chosen, and ends studies whose runs are over."""
    from control.backtests.studies import studies_advance

    return studies_advance()
