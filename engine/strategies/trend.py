"""Trend following on daily closes, as a Python class: the example of a strategy that is not compiled.

Long while the fast exponential average of an instrument's closes is above the slow one, short (or flat) while it is
below. Decided at each session's close, traded at the next open. The rules are those of Brock, Lakonishok and LeBaron
(1992), "Simple technical trading rules and the stochastic properties of stock returns".
"""

from typing import Any, Self, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.core.events import PRICE_SCALE
from engine.core.state import ARTIFACT_BYTES, INSTRUMENTS
from engine.errors import BadInput
from engine.strategies.base import Closes
from engine.strategies.python import Bar, PythonStrategy, python_strategy


class TrendParameters(BaseModel):
    """What a quant may set. Days are trading days."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbols: list[str] = Field([], title="Symbols", description="What is traded; empty for all of the dataset")
    fast: int = Field(20, ge=2, le=250, title="Fast average", description="Span in trading days")
    slow: int = Field(100, ge=3, le=500, title="Slow average", description="Span in trading days")
    band_bps: float = Field(
        50, ge=0, le=1000, title="Band", description="How far beyond the slow average the fast one must be, in bps"
    )
    notional: int = Field(25_000, ge=100, le=10_000_000, title="Notional", description="USD an instrument")
    short: bool = Field(True, title="Go short", description="Flat below the slow average otherwise")
    formation_days: int = Field(252, ge=20, le=2520, title="Warm-up", description="Trading days before the first trade")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.fast < self.slow <= self.formation_days:
            shown = f"{self.fast}, {self.slow}, {self.formation_days}"
            raise ValueError(f"fast < slow, and no more than formation_days, is needed; got {shown}")
        return self


# What is known of the instruments that are traded; an average of 0 is none yet.
AVERAGES = np.dtype([("traded", "<i8"), ("fast", "<f8"), ("slow", "<f8")])
ARTIFACT = np.dtype((AVERAGES, (INSTRUMENTS,)))
assert ARTIFACT.itemsize <= ARTIFACT_BYTES


class Trend(PythonStrategy):
    """Follows two averages of each instrument from where ``prepare`` left them."""

    parameters: TrendParameters

    def __init__(self, parameters: TrendParameters, instruments: list[str], capital: int) -> None:
        super().__init__(parameters, instruments, capital)
        self._fast = np.zeros(INSTRUMENTS)
        self._slow = np.zeros(INSTRUMENTS)
        self._traded = np.zeros(INSTRUMENTS, bool)

    def on_artifact(self, artifact: bytes) -> None:
        averages = np.frombuffer(artifact[: ARTIFACT.itemsize], AVERAGES)
        self._traded, self._fast, self._slow = averages["traded"] > 0, averages["fast"].copy(), averages["slow"].copy()

    def on_bar(self, bar: Bar) -> None:
        if not self._traded[bar.instrument]:
            return
        fast = self._follow(self._fast, bar, self.parameters.fast)
        slow = self._follow(self._slow, bar, self.parameters.slow)
        away = 10_000 * (fast / slow - 1)
        stance = 1 if away > 0 else -1 if self.parameters.short else 0
        held = (self.wanted(bar.instrument) > 0) - (self.wanted(bar.instrument) < 0)
        if abs(away) > self.parameters.band_bps and stance != held:
            self.target(bar.instrument, stance * (self.parameters.notional * PRICE_SCALE // bar.close))

    def _follow(self, averages: np.ndarray, bar: Bar, span: int) -> float:
        before = averages[bar.instrument] or bar.close
        averages[bar.instrument] = before + 2 / (span + 1) * (bar.close - before)
        return float(averages[bar.instrument])


def prepare(
    closes: Closes, parameters: BaseModel, *, as_of: int, warm_to: int, instruments: list[str], cache: Any
) -> bytes:
    """The averages over all closes before ``warm_to``. Raises BadInput for a symbol that is not there."""
    chosen = cast(TrendParameters, parameters)
    averages = np.zeros(INSTRUMENTS, AVERAGES)
    seen = int(np.searchsorted(closes.dates, warm_to))
    for symbol in chosen.symbols or [each for each in closes.symbols if each in set(instruments)]:
        if symbol not in closes.symbols or symbol not in instruments:
            raise BadInput("unknown_symbol", "symbols", symbol, "a symbol of the dataset and of the engine")
        prices = closes.prices[:seen, closes.symbols.index(symbol)]
        row = averages[instruments.index(symbol)]
        row["traded"] = 1
        for name, span in (("fast", chosen.fast), ("slow", chosen.slow)):
            row[name] = _average(prices[prices > 0], span)
    return averages.tobytes()


def _average(prices: np.ndarray, span: int) -> float:
    """The exponential average of ``span``, begun with the first price; 0 without any."""
    average = float(prices[0]) if len(prices) else 0.0
    for price in prices.tolist():
        average += 2 / (span + 1) * (price - average)
    return average


STRATEGY = python_strategy(
    Trend,
    name="trend",
    title="Moving-average trend",
    description="Holds what rises and sells what falls, by two averages of daily closes. Runs as ordinary Python.",
    parameters_model=TrendParameters,
    prepare=prepare,
)
