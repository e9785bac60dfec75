"""Backtests: history through the same step, strategies and limits as live."""

from engine.backtest.costs import Costs
from engine.backtest.days import Fill
from engine.backtest.runner import BacktestCancelled, BacktestResult, run_backtest

__all__ = ["BacktestCancelled", "BacktestResult", "Costs", "Fill", "run_backtest"]
