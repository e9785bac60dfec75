"""Backtests: history through the same step, strategies and limits as live."""

from engine.backtest.runner import BacktestCancelled, BacktestResult, Costs, run_backtest

__all__ = ["BacktestCancelled", "BacktestResult", "Costs", "run_backtest"]
