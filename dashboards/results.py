"""A backtest's result files as the page needs them: equity, drawdown, monthly returns, trades, round trips.

Read once a result (its SHA-256 is the key) and kept for the few that are being looked at.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dashboards import formats
from engine.messages import PRICE_SCALE

KEPT_RESULTS = 8


class MissingResult(RuntimeError):
    """A result file that the run's row promises is not there (or cannot be read)."""


@dataclass(frozen=True)
class Result:
    """``dates`` are ISO days; ``equity`` and ``gross`` float64 USD at the closes; ``drawdown`` a fraction, 0 or below.

    ``monthly`` maps (year, month) to the month's return as a fraction; the first month starts at the capital.
    """

    described: dict[str, Any]
    capital: float
    dates: list[str]
    equity: np.ndarray
    gross: np.ndarray
    drawdown: np.ndarray
    monthly: dict[tuple[int, int], float]
    trades: pa.Table
    round_trips: pa.Table


@lru_cache(maxsize=KEPT_RESULTS)
def read_result(folder: Path, result_sha256: str) -> Result:
    """Raises ``MissingResult``. ``result_sha256`` is part of the key: another result is another reading."""
    try:
        described = json.loads((folder / "result.json").read_bytes())
        equity = pq.read_table(folder / "equity.parquet")
        trades = pq.read_table(folder / "trades.parquet")
        round_trips = pq.read_table(folder / "round_trips.parquet")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise MissingResult(f"{folder.name}: {error}") from error
    capital = described["manifest"]["capital"] / PRICE_SCALE
    days = equity["date"].to_numpy()
    curve = equity["equity"].cast(pa.float64()).to_numpy()
    return Result(
        described=described,
        capital=capital,
        dates=[formats.day(day) for day in days.tolist()],
        equity=curve,
        gross=equity["gross"].cast(pa.float64()).to_numpy(),
        drawdown=drawdown(capital, curve),
        monthly=monthly_returns(capital, days, curve),
        trades=trades,
        round_trips=round_trips,
    )


def drawdown(capital: float, equity: np.ndarray) -> np.ndarray:
    """Fraction below the highest value so far (the capital included), same shape as ``equity``."""
    return equity / np.maximum(np.maximum.accumulate(equity), capital) - 1


def monthly_returns(capital: float, days: np.ndarray, equity: np.ndarray) -> dict[tuple[int, int], float]:
    """The return of each calendar month from the last close before it; ``days`` int64 yyyymmdd, ascending."""
    returns = {}
    before = capital
    months = days // 100
    lasts = np.flatnonzero(np.append(months[1:] != months[:-1], True))
    for last in lasts.tolist():
        month = int(months[last])
        returns[month // 100, month % 100] = float(equity[last] / before - 1)
        before = float(equity[last])
    return returns


def yearly_return(monthly: dict[tuple[int, int], float], year: int) -> float:
    """The months of ``year`` compounded."""
    growth = 1.0
    for (of_year, _month), value in monthly.items():
        growth *= 1 + value if of_year == year else 1
    return growth - 1
