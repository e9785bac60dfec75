"""A crossing of moving averages on daily closes: the plainest trend rule, and the case that other backtesters run too.

At each session's close, for every symbol by itself: long ``shares`` while the mean of the last ``fast`` closes is
above that of the last ``slow``, flat otherwise. Means are compared as whole numbers (sum of the fast times ``slow``
against sum of the slow times ``fast``), so no rounding decides a trade. After Brock, Lakonishok and LeBaron (1992),
"Simple technical trading rules and the stochastic properties of stock returns", the variable-length moving average
without a band.
"""

from functools import lru_cache
from typing import Any, ClassVar, Self, cast

import numpy as np
from numba import carray, cfunc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.core.compiled import njit
from engine.core.events import EVENT, Kind, Session
from engine.core.kernels import SIGNATURE
from engine.core.state import ARTIFACT_BYTES, KERNEL_RECORDS, MARKET, MEMORY_BYTES
from engine.errors import BadInput
from engine.strategies.base import Closes, Strategy

MAX_SYMBOLS = 64
MAX_WINDOW = 252
BLOB, TARGET = int(Kind.BLOB), int(Kind.TARGET)
SESSION_CLOSE = int(Session.CLOSE)


class SmaParameters(BaseModel):
    """What a quant may set. Windows are in trading days."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    formation_days: ClassVar[int] = 0  # nothing is formed: a window that is not full yet is flat

    symbols: list[str] = Field([], title="Symbols", description="To trade; empty for all of the dataset, at most 64")
    fast: int = Field(20, ge=1, le=MAX_WINDOW, title="Fast window", description="Trading days")
    slow: int = Field(50, ge=2, le=MAX_WINDOW, title="Slow window", description="Trading days")
    shares: int = Field(100, ge=1, le=1_000_000, title="Shares", description="Held of each symbol while long")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.fast < self.slow:
            raise ValueError(f"fast < slow is needed, got {self.fast} and {self.slow}")
        return self


PARAMETERS = np.dtype([("fast", "<i8"), ("slow", "<i8"), ("shares", "<i8")])
# ``closes`` are a symbol's last ``count``, in 1/10,000, oldest first.
WARMED = np.dtype([("instrument", "<i4"), ("count", "<i4"), ("closes", "<i8", (MAX_WINDOW,))])
ARTIFACT = np.dtype([("symbols", "<i8"), ("symbol", WARMED, (MAX_SYMBOLS,))])
# ``closes`` is a ring that ``next`` walks; the sums are of its newest ``fast`` and ``slow``.
FOLLOWED = np.dtype(
    [
        ("instrument", "<i4"),
        ("next", "<i4"),
        ("count", "<i8"),
        ("fast_sum", "<i8"),
        ("slow_sum", "<i8"),
        ("target", "<i8"),
        ("closes", "<i8", (MAX_WINDOW,)),
    ]
)
MEMORY = np.dtype([("symbols", "<i8"), ("symbol", FOLLOWED, (MAX_SYMBOLS,))])

if ARTIFACT.itemsize > ARTIFACT_BYTES or MEMORY.itemsize > MEMORY_BYTES or MAX_SYMBOLS > KERNEL_RECORDS:
    raise MemoryError("the sma kernel's records do not fit their place in the engine's state")


@lru_cache(maxsize=1)
def kernel() -> int:
    """The compiled kernel's address. Compiled (or loaded from the cache) when it is first asked for."""
    compiled = cfunc(SIGNATURE, cache=True, error_model="numpy")(_kernel)
    return cast(int, compiled.address)


def _kernel(event, market, instruments, parameters, artifact, memory, out):  # type: ignore[no-untyped-def]
    return 1 + _decide(
        carray(event, 1, EVENT)[0],
        carray(market, instruments, MARKET),
        carray(parameters, 1, PARAMETERS)[0],
        carray(artifact, 1, ARTIFACT)[0],
        carray(memory, 1, MEMORY)[0],
        carray(out, KERNEL_RECORDS, EVENT),
    )


@njit(cache=True)
def _decide(event, market, parameters, artifact, memory, out):
    """Records written: a target for each symbol that has crossed."""
    if event.kind == BLOB:
        _warm(artifact, memory, parameters)
        return 0
    if event.code != SESSION_CLOSE:
        return 0
    written = 0
    for index in range(memory.symbols):
        symbol = memory.symbol[index]
        if market[symbol.instrument].bar_date != event.date:
            continue
        _take(symbol, market[symbol.instrument].close, parameters)
        wanted = parameters.shares if _is_above(symbol, parameters) else 0
        if wanted != symbol.target:
            symbol.target = wanted
            _emit_target(out[written], symbol)
            written += 1
    return written


@njit(cache=True)
def _warm(artifact, memory, parameters):
    """Windows begin with the artifact's closes; a symbol that is followed already keeps its target."""
    for index in range(artifact.symbols):
        warmed, symbol = artifact.symbol[index], memory.symbol[index]
        if index >= memory.symbols or symbol.instrument != warmed.instrument:
            symbol.target = 0
        symbol.instrument = warmed.instrument
        symbol.next, symbol.count, symbol.fast_sum, symbol.slow_sum = 0, 0, 0, 0
        for position in range(warmed.count):
            _take(symbol, warmed.closes[position], parameters)
    memory.symbols = artifact.symbols


@njit(cache=True)
def _take(symbol, close, parameters):
    """Takes a close into both sums, and what has left their windows out."""
    if symbol.count >= parameters.fast:
        symbol.fast_sum -= symbol.closes[(symbol.next - parameters.fast) % MAX_WINDOW]
    if symbol.count >= parameters.slow:
        symbol.slow_sum -= symbol.closes[(symbol.next - parameters.slow) % MAX_WINDOW]
    symbol.fast_sum += close
    symbol.slow_sum += close
    symbol.closes[symbol.next] = close
    symbol.next = (symbol.next + 1) % MAX_WINDOW
    symbol.count += 1


@njit(cache=True)
def _is_above(symbol, parameters):
    return symbol.count >= parameters.slow and symbol.fast_sum * parameters.slow > symbol.slow_sum * parameters.fast


@njit(cache=True)
def _emit_target(record, symbol):
    record.kind = TARGET
    record.instrument = symbol.instrument
    record.side = 0
    record.parent_id = 0
    record.target = symbol.target
    record.qty = 0
    record.ref = 0


def parameter_record(parameters: BaseModel) -> bytes:
    """The kernel's parameter record."""
    chosen = cast(SmaParameters, parameters)
    return np.array((chosen.fast, chosen.slow, chosen.shares), PARAMETERS).tobytes()


def prepare(
    closes: Closes, parameters: BaseModel, *, as_of: int, warm_to: int, instruments: list[str], cache: Any
) -> bytes:
    """The windows, filled from the closes before ``warm_to``. Nothing is chosen, so ``as_of`` does not matter.

    Raises BadInput for a symbol that the dataset or the engine does not have, and for more symbols than there is room.
    """
    chosen = cast(SmaParameters, parameters)
    symbols = chosen.symbols or [symbol for symbol in closes.symbols if symbol in set(instruments)]
    if len(symbols) > MAX_SYMBOLS:
        raise BadInput("too_many_symbols", "symbols", len(symbols), f"at most {MAX_SYMBOLS}")
    artifact = np.zeros(1, ARTIFACT)
    artifact["symbols"] = len(symbols)
    before = int(np.searchsorted(closes.dates, warm_to))
    for row, symbol in zip(artifact["symbol"][0], symbols, strict=False):
        if symbol not in closes.symbols or symbol not in instruments:
            raise BadInput("unknown_symbol", "symbols", symbol, "a symbol of the dataset and of the engine")
        prices = closes.prices[:before, closes.symbols.index(symbol)]
        recent = prices[prices > 0][-chosen.slow :]
        row["instrument"], row["count"] = instruments.index(symbol), len(recent)
        row["closes"][: len(recent)] = recent
    return artifact.tobytes()


def no_pairs(artifact: bytes, instruments: list[str]) -> list[str]:
    """Each symbol stands for itself."""
    return []


STRATEGY = Strategy(
    name="sma",
    title="Moving-average cross",
    description="Holds a symbol while the mean of its last closes is above that of more of them.",
    parameters_model=SmaParameters,
    parameter_record=parameter_record,
    prepare=prepare,
    pair_names=no_pairs,
    kernel=kernel,
    interests=frozenset({Kind.SESSION, Kind.BLOB}),
)
