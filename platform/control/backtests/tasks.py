"""Celery's side of backtests. The row in PostgreSQL is the truth: a message only says where to look."""

from celery import shared_task

from control.backtests import leases


@shared_task
def execute(run_id: str) -> None:
    """Run one backtest, if it is still to be run."""
    # Imported here: it loads the engine's machine code, which only workers need.
    from control.backtests.execution import execute as see_through
    from engine.backtest import run_backtest

    see_through(run_id, run_backtest)


@shared_task
def requeue() -> int:
    """The tick that takes runs back from lost workers."""
    return leases.backtests_requeue()
