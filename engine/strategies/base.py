"""What every strategy is: validated parameters, a preparation from history, a compiled kernel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel, ValidationError

from engine.core.events import Kind
from engine.dates import new_years_day
from engine.errors import BadInput


@dataclass(frozen=True)
class Closes:
    """Daily closes that a preparation may look at.

    ``dates`` int64 yyyymmdd, shape (days,), ascending; ``prices`` int64 in 1/10,000, shape
    (days, symbols), 0 where there is none; ``data_hash`` names the dataset they were read from.
    """

    dates: np.ndarray
    symbols: list[str]
    prices: np.ndarray
    data_hash: str


class Prepare(Protocol):
    """Forms the strategy from history.

    Chooses with what lies before ``as_of`` (yyyymmdd) and fills its windows with what lies before
    ``warm_to``; instruments in the artifact are indexes into ``instruments``, the engine's table.
    Returns the artifact's bytes.
    """

    def __call__(
        self, closes: Closes, parameters: BaseModel, *, as_of: int, warm_to: int, instruments: list[str], cache: Any
    ) -> bytes: ...


@dataclass(frozen=True)
class Strategy:
    """One entry of the registry."""

    name: str
    title: str
    description: str
    parameters_model: type[BaseModel]
    parameter_record: Callable[[BaseModel], bytes]
    prepare: Prepare
    pair_names: Callable[[bytes, list[str]], list[str]]
    kernel: Callable[[], int]
    interests: frozenset[Kind]
    implementation: type[Any] | None = None  # of a strategy that runs outside the engine: its Python class

    def parameters(self, values: dict[str, Any]) -> BaseModel:
        """Validates ``values``; raises BadInput naming the first field that is wrong."""
        try:
            return self.parameters_model.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "parameters"
            raise BadInput("parameter", field, first["input"], first["msg"]) from error


def formation_date(dates: np.ndarray, day: int) -> int:
    """The first trading day (yyyymmdd) of ``day``'s year: what a walk-forward formation is made as of."""
    index = int(np.searchsorted(dates, new_years_day(day)))
    return int(dates[index]) if index < len(dates) else new_years_day(day)
