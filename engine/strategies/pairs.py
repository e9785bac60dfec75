"""Pairs mean reversion on daily closes.

Pairs are chosen by cointegration (Engle and Granger, 1987) and half-life on a formation window, and
formed again each year from what lay before it. At each session's close the spread of every pair,
``log(a) - hedge_ratio * log(b) - intercept``, is set against its own last ``lookback`` closes; the pair
is entered when the z-score passes ``entry``, left when it is back within ``exit``, and stopped when it
passes ``stop``. Orders go out at the next session's open. After Gatev, Goetzmann and Rouwenhorst (2006),
"Pairs trading: performance of a relative-value arbitrage rule".
"""

import math
from functools import lru_cache
from typing import Self, cast

import numpy as np
from numba import carray, cfunc
from pydantic import BaseModel, Field, model_validator

from engine.core.compiled import njit
from engine.core.events import EVENT, PRICE_SCALE, Kind, Session
from engine.core.kernels import SIGNATURE
from engine.core.signals.moments import LEAST_VARIANCE, rolling_add, rolling_dtype, rolling_start, rolling_variance
from engine.core.signals.pairs import next_stance
from engine.core.state import ARTIFACT_BYTES, INSTRUMENTS, KERNEL_RECORDS, MARKET, MEMORY_BYTES
from engine.research.cointegration import FormationCache, Pair
from engine.strategies.base import Closes, Strategy
from engine.strategies.formation import FormationParameters, form

MAX_PAIRS = 64
MAX_LOOKBACK = 128
BLOB = int(Kind.BLOB)
TARGET = int(Kind.TARGET)
SIGNAL = int(Kind.SIGNAL)
LEG = int(Kind.LEG)
SESSION_CLOSE = int(Session.CLOSE)


class PairsParameters(FormationParameters):
    """What a quant may set. Days are trading days, z-scores are in standard deviations."""

    lookback: int = Field(30, ge=5, le=MAX_LOOKBACK, title="Lookback", description="Closes behind mean and deviation")
    entry: float = Field(1.5, gt=0, le=10, title="Entry", description="Enter beyond this z-score")
    exit: float = Field(0.25, ge=0, le=10, title="Exit", description="Leave within this z-score")
    stop: float = Field(4.0, gt=0, le=20, title="Stop", description="Give the pair up beyond this z-score")
    max_holding_days: int = Field(40, ge=1, le=504, title="Longest holding", description="Trading days")
    leg_notional: int = Field(
        25_000, ge=100, le=10_000_000, title="Leg notional", description="USD, first leg of a pair"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.exit < self.entry < self.stop:
            raise ValueError(f"exit < entry < stop is needed, got {self.exit}, {self.entry}, {self.stop}")
        return self


PARAMETERS = np.dtype(
    [
        ("lookback", "<i8"),
        ("max_holding_days", "<i8"),
        ("leg_notional", "<i8"),  # money, 1/10,000
        ("entry", "<f8"),
        ("exit", "<f8"),
        ("stop", "<f8"),
    ]
)

# One pair as ``prepare`` formed it; ``window`` holds the last ``count`` spreads, oldest first.
FORMED = np.dtype(
    [
        ("a", "<i4"),
        ("b", "<i4"),
        ("hedge_ratio", "<f8"),
        ("intercept", "<f8"),
        ("count", "<i8"),
        ("window", "<f8", (MAX_LOOKBACK,)),
    ]
)
ARTIFACT = np.dtype([("formed", "<i8"), ("pairs", "<i8"), ("pair", FORMED, (MAX_PAIRS,))])

# One pair as the kernel follows it. ``stance`` is +1 long the spread, -1 short, 0 flat; ``stopped`` keeps
# it out until the spread has come back.
FOLLOWED = np.dtype(
    [
        ("a", "<i4"),
        ("b", "<i4"),
        ("hedge_ratio", "<f8"),
        ("intercept", "<f8"),
        ("spreads", rolling_dtype(MAX_LOOKBACK)),
        ("stance", "<i8"),
        ("stopped", "<i8"),
        ("days", "<i8"),
        ("qty_a", "<i8"),
        ("qty_b", "<i8"),
    ]
)
MEMORY = np.dtype([("pairs", "<i8"), ("pair", FOLLOWED, (MAX_PAIRS,)), ("targets", "<i8", (INSTRUMENTS,))])

if ARTIFACT.itemsize > ARTIFACT_BYTES or MEMORY.itemsize > MEMORY_BYTES or 3 * MAX_PAIRS + INSTRUMENTS > KERNEL_RECORDS:
    raise MemoryError("the pairs kernel's records do not fit their place in the engine's state")


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
    """Records written: a signal for each pair and what changed in legs and targets."""
    if event.kind == BLOB:
        _take_formation(artifact, memory, parameters.lookback)
        return 0
    if event.code != SESSION_CLOSE:
        return 0
    written = 0
    for index in range(memory.pairs):
        pair = memory.pair[index]
        if market[pair.a].bar_date == event.date and market[pair.b].bar_date == event.date:
            written = _follow(index, pair, market, parameters, out, written)
    return _emit_targets(memory, len(market), out, written)


@njit(cache=True, allocates=True)
def _take_formation(artifact, memory, lookback):
    """Follows the new pairs. A pair that is formed again keeps its stance; of the others the legs close."""
    before = memory.pair.copy()
    held = memory.pairs
    memory.pairs = artifact.pairs
    for index in range(artifact.pairs):
        formed = artifact.pair[index]
        pair = memory.pair[index]
        pair.a, pair.b = formed.a, formed.b
        pair.hedge_ratio, pair.intercept = formed.hedge_ratio, formed.intercept
        rolling_start(pair.spreads, lookback)
        for position in range(max(formed.count - lookback, 0), formed.count):
            rolling_add(pair.spreads, formed.window[position])
        pair.stance, pair.stopped, pair.days, pair.qty_a, pair.qty_b = 0, 0, 0, 0, 0
        for earlier in range(held):
            old = before[earlier]
            if old.a == pair.a and old.b == pair.b:
                pair.stance, pair.stopped, pair.days = old.stance, old.stopped, old.days
                pair.qty_a, pair.qty_b = old.qty_a, old.qty_b


@njit(cache=True)
def _follow(index, pair, market, parameters, out, written):
    """One pair at the close: z-score, stance, signal."""
    price_a, price_b = market[pair.a].close / PRICE_SCALE, market[pair.b].close / PRICE_SCALE
    spread = math.log(price_a) - pair.hedge_ratio * math.log(price_b) - pair.intercept
    away, variance = spread - pair.spreads.mean, rolling_variance(pair.spreads)
    rolling_add(pair.spreads, spread)
    if variance <= LEAST_VARIANCE:
        return written
    stance = _stance(pair, away, variance, parameters)
    if stance != pair.stance:
        pair.stance = stance
        pair.days = 0
        notional = parameters.leg_notional / PRICE_SCALE
        pair.qty_a = stance * int(notional / price_a)
        pair.qty_b = -stance * int(notional * pair.hedge_ratio / price_b)
        written = emit_leg(out, written, index, pair.a, pair.qty_a)
        written = emit_leg(out, written, index, pair.b, pair.qty_b)
    record = out[written]
    record.kind = SIGNAL
    record.instrument = pair.a
    record.side = stance
    record.pair = index
    record.z_micro = int(away / math.sqrt(variance) * 1e6)
    record.spread_micro = int(spread * 1e6)
    record.hedge_micro = int(pair.hedge_ratio * 1e6)
    return written + 1


@njit(cache=True)
def _stance(pair, away, variance, parameters):
    """As the z-score has it, but no longer than ``max_holding_days``."""
    stance, pair.stopped = next_stance(pair.stance, pair.stopped, away, variance, parameters)
    if pair.stance != 0:
        pair.days += 1
        if pair.days >= parameters.max_holding_days:
            return 0
    return stance


@njit(cache=True)
def emit_leg(out, written, index, instrument, qty):
    record = out[written]
    record.kind = LEG
    record.instrument = instrument
    record.side = 0
    record.pair = index
    record.target = qty
    record.qty = 0
    record.ref = 0
    return written + 1


@njit(cache=True)
def _emit_targets(memory, instruments, out, written):
    """A target for each instrument whose legs, summed over all pairs, have changed."""
    for instrument in range(instruments):
        wanted = 0
        for index in range(memory.pairs):
            pair = memory.pair[index]
            if pair.a == instrument:
                wanted += pair.qty_a
            if pair.b == instrument:
                wanted += pair.qty_b
        if wanted != memory.targets[instrument]:
            memory.targets[instrument] = wanted
            record = out[written]
            record.kind = TARGET
            record.instrument = instrument
            record.side = 0
            record.parent_id = 0
            record.target = wanted
            record.qty = 0
            record.ref = 0
            written += 1
    return written


def parameter_record(parameters: BaseModel) -> bytes:
    """The kernel's parameter record."""
    chosen = cast(PairsParameters, parameters)
    record = np.zeros(1, PARAMETERS)
    for name in ("lookback", "max_holding_days", "entry", "exit", "stop"):
        record[name] = getattr(chosen, name)
    record["leg_notional"] = chosen.leg_notional * PRICE_SCALE
    return record.tobytes()


def prepare(
    closes: Closes,
    parameters: BaseModel,
    *,
    as_of: int,
    warm_to: int,
    instruments: list[str],
    cache: FormationCache | None,
) -> bytes:
    """Pairs formed from the closes before ``as_of``, their windows filled from those before ``warm_to``."""
    formed, universe, prices = form(closes, cast(PairsParameters, parameters), as_of, instruments, cache)
    warm_end = int(np.searchsorted(closes.dates, warm_to))
    return _artifact(formed, prices[:warm_end], universe, instruments, as_of)


def _artifact(formed: list[Pair], prices: np.ndarray, universe: list[str], instruments: list[str], as_of: int) -> bytes:
    artifact = np.zeros(1, ARTIFACT)
    artifact["formed"] = as_of
    artifact["pairs"] = len(formed)
    for index, pair in enumerate(formed):
        price_a, price_b = prices[:, universe.index(pair.a)], prices[:, universe.index(pair.b)]
        traded = (price_a > 0) & (price_b > 0)
        recent = np.flatnonzero(traded)[-MAX_LOOKBACK:]
        spreads = np.log(price_a[recent]) - pair.hedge_ratio * np.log(price_b[recent]) - pair.intercept
        row = artifact["pair"][0, index]
        row["a"], row["b"] = instruments.index(pair.a), instruments.index(pair.b)
        row["hedge_ratio"], row["intercept"] = pair.hedge_ratio, pair.intercept
        row["count"] = len(spreads)
        row["window"][: len(spreads)] = spreads
    return artifact.tobytes()


def pair_names(artifact: bytes, instruments: list[str]) -> list[str]:
    """ "A/B" for each pair of an artifact, in the order of SIGNAL's and LEG's ``pair``."""
    record = np.frombuffer(artifact, ARTIFACT)[0]
    return [f"{instruments[row['a']]}/{instruments[row['b']]}" for row in record["pair"][: int(record["pairs"])]]


STRATEGY = Strategy(
    name="pairs",
    title="Pairs mean reversion",
    description="Buys the cheap and sells the dear leg of cointegrated pairs at the open after the close that says so.",
    parameters_model=PairsParameters,
    parameter_record=parameter_record,
    prepare=prepare,
    pair_names=pair_names,
    kernel=kernel,
    interests=frozenset({Kind.SESSION, Kind.BLOB}),
)
