"""A backtest's result files as page and report need them: equity, drawdown, monthly returns, trades, round trips.

Read once a result (its SHA-256 is the key) and kept for the few that are being looked at.
"""

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dashboards import formats
from engine.messages import PRICE_SCALE
from engine.statistics.curve import drawdown, monthly_returns, returns_of, with_capital
from engine.statistics.monte_carlo import Resampled, resample

KEPT_RESULTS = 8


class MissingResult(RuntimeError):
    """A result file that the run's row promises is not there (or cannot be read)."""


@dataclass(frozen=True)
class Result:
    """``dates`` are ISO days; ``equity`` and ``gross`` float64 USD at the closes; ``drawdown`` a fraction, 0 or below.

    ``benchmark`` is the same capital in equal weights of all symbols, bought on the first day and held.
    ``monthly`` maps (year, month) to the month's return as a fraction; the first month starts at the capital.
    """

    described: dict[str, Any]
    capital: float
    dates: list[str]
    equity: np.ndarray
    gross: np.ndarray
    benchmark: np.ndarray
    drawdown: np.ndarray
    monthly: dict[tuple[int, int], float]
    trades: pa.Table
    round_trips: pa.Table
    symbols: pa.Table

    @property
    def returns(self) -> np.ndarray:
        """Of each day, float64 [days]."""
        return returns_of(with_capital(self.capital, self.equity))

    @cached_property
    def resampled(self) -> Resampled:
        """What else the days could have come to; some hundred milliseconds of work, done once."""
        return resample(self.returns)

    @property
    def statistics(self) -> dict[str, Any]:
        return self.described["statistics"]


@lru_cache(maxsize=KEPT_RESULTS)
def read_result(folder: Path, result_sha256: str) -> Result:
    """Raises ``MissingResult``. ``result_sha256`` is part of the key: another result is another reading."""
    try:
        described = json.loads((folder / "result.json").read_bytes())
        equity = pq.read_table(folder / "equity.parquet")
        trades = pq.read_table(folder / "trades.parquet")
        round_trips = pq.read_table(folder / "round_trips.parquet")
        symbols = pq.read_table(folder / "symbols.parquet")
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
        benchmark=equity["benchmark"].cast(pa.float64()).to_numpy(),
        drawdown=drawdown(with_capital(capital, curve))[1:],
        monthly=monthly_returns(capital, days, curve),
        trades=trades,
        round_trips=round_trips,
        symbols=symbols,
    )
