"""What the strategies on pairs share: which pairs, from which history."""

from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.core.events import PRICE_SCALE
from engine.errors import BadInput
from engine.research.cointegration import FormationCache, Pair, form_pairs
from engine.strategies.base import Closes


class FormationParameters(BaseModel):
    """How pairs are chosen. Days are trading days."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbols: list[str] = Field([], title="Symbols", description="Universe to choose from; empty for all of the dataset")
    formation_days: int = Field(504, ge=126, le=2520, title="Formation window", description="Trading days")
    max_pairs: int = Field(12, ge=1, le=64, title="Pairs", description="At most this many pairs a year")
    p_value: float = Field(0.05, gt=0, le=0.5, title="p-value", description="Of the cointegration test, at most")
    min_half_life: float = Field(2.0, gt=0, le=252, title="Shortest half-life", description="Trading days")
    max_half_life: float = Field(60.0, gt=0, le=504, title="Longest half-life", description="Trading days")

    @model_validator(mode="after")
    def _formable(self) -> Self:
        if not self.min_half_life < self.max_half_life:
            raise ValueError(
                f"min_half_life < max_half_life is needed, got {self.min_half_life} and {self.max_half_life}"
            )
        if len(set(self.symbols)) != len(self.symbols) or len(self.symbols) == 1:
            raise ValueError("symbols must be empty or at least two different ones")
        return self


def form(
    closes: Closes, parameters: FormationParameters, as_of: int, instruments: list[str], cache: FormationCache | None
) -> tuple[list[Pair], list[str], np.ndarray]:
    """(pairs formed from the closes before ``as_of``, the universe, its prices: float (days, symbols), 0 for none).

    Raises BadInput for a symbol that the dataset or the engine's instruments do not have, and where there are fewer
    closes than the formation needs.
    """
    universe = parameters.symbols or [symbol for symbol in closes.symbols if symbol in set(instruments)]
    for symbol in universe:
        if symbol not in closes.symbols or symbol not in instruments:
            raise BadInput("unknown_symbol", "symbols", symbol, "a symbol of the dataset and of the engine")
    before = int(np.searchsorted(closes.dates, as_of))
    if before < parameters.formation_days:
        expected = f"{parameters.formation_days} days before {as_of}"
        raise BadInput("too_little_history", "formation_days", before, expected)
    prices = closes.prices[:, [closes.symbols.index(symbol) for symbol in universe]] / PRICE_SCALE
    formation: dict[str, Any] = {
        "as_of": as_of,
        "formation_days": parameters.formation_days,
        "max_pairs": parameters.max_pairs,
        "p_value": parameters.p_value,
        "min_half_life": parameters.min_half_life,
        "max_half_life": parameters.max_half_life,
    }
    if cache is None:
        return form_pairs(prices, closes.dates, universe, **formation), universe, prices
    return cache.form(closes.data_hash, prices, closes.dates, universe, **formation), universe, prices
