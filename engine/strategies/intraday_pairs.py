"""Pairs mean reversion within the day, on every move of a price.

The pairs are those of ``pairs``: cointegrated on daily closes, formed again each year. What is traded is the
short-lived deviation: ``engine.core.signals.pairs`` follows the spread of every pair of an instrument whose price
moves, with a static or a Kalman hedge ratio, against its own last samples. A pair is entered beyond ``entry``
deviations - or, with a ``turn``, only once the z-score has come back by that much in time and was never beyond
``stop`` in between - left within ``exit``, and given up beyond ``stop``. Nothing is entered whose deviations live
longer than ``longest_half_life``.
"""

import math
from functools import lru_cache
from typing import Literal, Self, cast

import numpy as np
from numba import carray, cfunc
from pydantic import BaseModel, Field, model_validator

from engine.core.compiled import njit
from engine.core.events import EVENT, Kind, Session
from engine.core.kernels import SIGNATURE
from engine.core.signals.instruments import touch_price
from engine.core.signals.moments import half_life, rolling_start
from engine.core.signals.pairs import (
    PAIR_SETTINGS,
    WINDOW,
    Hedge,
    Statistics,
    index_pairs,
    on_price,
    pairs_dtype,
    z_score,
)
from engine.core.signals.patterns import COLUMNS, PROGRAM, SUBJECT, Sequence, column, compile_patterns, forget, observe
from engine.core.state import ARTIFACT_BYTES, INSTRUMENTS, KERNEL_RECORDS, MARKET, MEMORY_BYTES, PARAMETER_BYTES
from engine.research.cointegration import FormationCache
from engine.strategies.base import Closes, Strategy
from engine.strategies.formation import FormationParameters, form
from engine.strategies.pairs import emit_leg

MAX_PAIRS = 400
SECOND = 1_000_000_000
TURN_COLUMNS = ("z",)
SIGNALS_A_TIMER = 16  # pairs that one TIMER reports, in turn
HEDGE_VARIANCE = 1e-4  # what a formation's hedge ratio is believed to be off by, squared
BLOB, SESSION, TIMER = int(Kind.BLOB), int(Kind.SESSION), int(Kind.TIMER)
TARGET, SIGNAL = int(Kind.TARGET), int(Kind.SIGNAL)
OPEN, CLOSE = int(Session.OPEN), int(Session.CLOSE)
KALMAN = int(Hedge.KALMAN)


class IntradayPairsParameters(FormationParameters):
    """What a quant may set. Times in seconds of the session clock, z-scores in standard deviations."""

    max_pairs: int = Field(100, ge=1, le=MAX_PAIRS, title="Pairs", description="At most this many pairs a year")
    price: Literal["mid", "microprice"] = Field("mid", title="Price", description="Of an instrument, from its touch")
    hedge: Literal["static", "kalman"] = Field(
        "static", title="Hedge ratio", description="Of the formation, or followed"
    )
    hedge_drift: float = Field(
        1e-4, gt=0, le=0.1, title="Hedge drift", description="Deviation that a Kalman hedge ratio gains a sample"
    )
    spread_noise: float = Field(
        1e-3, gt=0, le=1, title="Spread noise", description="Deviation of a spread around its Kalman filter"
    )
    statistics: Literal["rolling", "exponential"] = Field(
        "rolling", title="Mean and deviation", description="Over the last samples, or with falling weights"
    )
    lookback: int = Field(60, ge=10, le=WINDOW, title="Lookback", description="Samples behind mean and deviation")
    sample_seconds: float = Field(10.0, ge=0, le=3600, title="Sample", description="Seconds; 0: each move of a price")
    entry: float = Field(2.0, gt=0, le=10, title="Entry", description="Enter beyond this z-score")
    exit: float = Field(0.5, ge=0, le=10, title="Exit", description="Leave within this z-score")
    stop: float = Field(5.0, gt=0, le=100, title="Stop", description="Give the pair up beyond this z-score")
    turn: float = Field(
        0.0, ge=0, le=5, title="Turn", description="Enter only when the z-score has come back by this; 0: at once"
    )
    turn_seconds: float = Field(120.0, gt=0, le=23_400, title="Turn within", description="Seconds")
    longest_half_life: float = Field(
        0.0, ge=0, le=1e6, title="Longest half-life", description="Samples that half a deviation may live; 0: any"
    )
    leg_notional: int = Field(
        10_000, ge=100, le=10_000_000, title="Leg notional", description="USD, first leg of a pair"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.exit < self.entry < self.stop:
            raise ValueError(f"exit < entry < stop is needed, got {self.exit}, {self.entry}, {self.stop}")
        if self.turn and not self.exit < self.entry - self.turn:
            raise ValueError(f"turn must leave the z-score beyond exit, got {self.turn}: {self.entry} to {self.exit}")
        return self


PARAMETERS = np.dtype(
    [
        ("settings", PAIR_SETTINGS),
        ("microprice", "<i8"),
        ("turning", "<i8"),
        ("longest_half_life", "<f8"),
        ("leg_notional", "<f8"),
    ]
)
FORMED = np.dtype([("a", "<i4"), ("b", "<i4"), ("hedge_ratio", "<f8"), ("intercept", "<f8"), ("log_b", "<f8")])
ARTIFACT = np.dtype([("formed", "<i8"), ("pairs", "<i8"), ("turn", PROGRAM), ("pair", FORMED, (MAX_PAIRS,))])

# What the strategy wants of a pair; its stance in ``signals`` is what the z-score says.
HELD = np.dtype([("stance", "<i8"), ("qty_a", "<i8"), ("qty_b", "<i8")])
MEMORY = np.dtype(
    [
        ("signals", pairs_dtype(MAX_PAIRS, INSTRUMENTS)),
        ("held", HELD, (MAX_PAIRS,)),
        ("subject", SUBJECT, (MAX_PAIRS,)),
        ("prices", "<f8", (INSTRUMENTS,)),  # that the signals have seen last
        ("wanted", "<i8", (INSTRUMENTS,)),
        ("sent", "<i8", (INSTRUMENTS,)),
        ("columns", "<f8", (len(TURN_COLUMNS),)),
        ("scratch", "<f8", (COLUMNS,)),
        ("open", "<i8"),
        ("next_reported", "<i8"),
    ]
)

for _fits, _room in ((PARAMETERS, PARAMETER_BYTES), (ARTIFACT, ARTIFACT_BYTES), (MEMORY, MEMORY_BYTES)):
    if _fits.itemsize > _room:
        raise MemoryError(f"the kernel's record has {_fits.itemsize} bytes, the engine's state {_room} for it")


@lru_cache(maxsize=1)
def kernel() -> int:
    """The compiled kernel's address. Compiled (or loaded from the cache) when it is first asked for."""
    compiled = cfunc(SIGNATURE, cache=True, error_model="numpy")(_kernel)
    return cast(int, compiled.address)


def _kernel(event, market, instruments, parameters, artifact, memory, out):  # type: ignore[no-untyped-def]
    return 1 + _on_event(
        carray(event, 1, EVENT)[0],
        carray(market, instruments, MARKET),
        carray(parameters, 1, PARAMETERS)[0],
        carray(artifact, 1, ARTIFACT)[0],
        carray(memory, 1, MEMORY)[0],
        carray(out, KERNEL_RECORDS, EVENT),
    )


@njit(cache=True)
def _on_event(event, market, parameters, artifact, memory, out):
    """Records written: legs and targets that have changed, signals in turn."""
    if event.kind == BLOB:
        _take_formation(artifact, memory, parameters.settings.lookback)
    elif event.kind == SESSION:
        memory.open = (memory.open | (event.code == OPEN)) & (event.code != CLOSE)
    elif event.kind == TIMER:
        return _report(memory, len(market), out)
    elif memory.open:
        return _on_touch(event, market[event.instrument], parameters, artifact, memory, out)
    return 0


@njit(cache=True)
def _on_touch(event, market, parameters, artifact, memory, out):
    instrument = event.instrument
    price = touch_price(market, parameters.microprice)
    if price == 0.0 or price == memory.prices[instrument] or not market.trading:
        return 0
    memory.prices[instrument] = price
    signals = memory.signals
    updated, changed = on_price(signals, instrument, math.log(price), event.ts_recv, parameters.settings)
    written = 0
    if parameters.turning and updated:
        for position in range(signals.first[instrument], signals.first[instrument + 1]):
            index = signals.touching[position]
            memory.columns[0] = z_score(signals.pair[index])
            turned = observe(artifact.turn, memory.subject[index], memory.columns, event.ts_recv, memory.scratch)
            if turned and signals.pair[index].stance != 0 and memory.held[index].stance == 0:
                written = _enter(memory, index, parameters, out, written)
    for position in range(changed):
        index = signals.changed[position]
        if signals.pair[index].stance == 0:
            written = _hold(memory, index, 0, 0, 0, out, written)
        elif not parameters.turning:
            written = _enter(memory, index, parameters, out, written)
    return written


@njit(cache=True)
def _enter(memory, index, parameters, out, written):
    """Takes the stance that the z-score says, unless the spread's deviations live too long."""
    pair = memory.signals.pair[index]
    if parameters.longest_half_life > 0.0 and half_life(pair.reversion) > parameters.longest_half_life:
        return written
    shares_a = parameters.leg_notional / math.exp(memory.signals.logs[pair.a])
    shares_b = parameters.leg_notional * pair.hedge_ratio / math.exp(memory.signals.logs[pair.b])
    return _hold(memory, index, pair.stance, pair.stance * int(shares_a), -pair.stance * int(shares_b), out, written)


@njit(cache=True)
def _hold(memory, index, stance, qty_a, qty_b, out, written):
    """Wants ``qty_a`` and ``qty_b`` shares of the pair's legs from now on."""
    held, pair = memory.held[index], memory.signals.pair[index]
    if held.stance == stance:
        return written
    memory.wanted[pair.a] += qty_a - held.qty_a
    memory.wanted[pair.b] += qty_b - held.qty_b
    held.stance, held.qty_a, held.qty_b = stance, qty_a, qty_b
    written = emit_leg(out, written, index, pair.a, qty_a)
    written = emit_leg(out, written, index, pair.b, qty_b)
    written = _emit_signal(memory, index, out, written)
    written = _emit_target(memory, pair.a, out, written)
    return _emit_target(memory, pair.b, out, written)


@njit(cache=True)
def _emit_target(memory, instrument, out, written):
    if memory.wanted[instrument] == memory.sent[instrument]:
        return written
    memory.sent[instrument] = memory.wanted[instrument]
    record = out[written]
    record.kind = TARGET
    record.instrument = instrument
    record.side = 0
    record.parent_id = 0
    record.target = memory.wanted[instrument]
    record.qty = 0
    record.ref = 0
    return written + 1


@njit(cache=True)
def _emit_signal(memory, index, out, written):
    pair = memory.signals.pair[index]
    record = out[written]
    record.kind = SIGNAL
    record.instrument = pair.a
    record.side = memory.held[index].stance
    record.pair = index
    record.z_micro = int(z_score(pair) * 1e6)
    record.spread_micro = int(pair.spread * 1e6)
    record.hedge_micro = int(pair.hedge_ratio * 1e6)
    return written + 1


@njit(cache=True)
def _report(memory, instruments, out):
    """At a TIMER: some pairs' signals in turn, and targets that a new formation has left open."""
    written = 0
    for instrument in range(instruments):
        written = _emit_target(memory, instrument, out, written)
    count = memory.signals.count
    for _ in range(min(count, SIGNALS_A_TIMER)):
        index = memory.next_reported if memory.next_reported < count else 0
        memory.next_reported = index + 1
        if memory.signals.pair[index].variance > 0.0:
            written = _emit_signal(memory, index, out, written)
    return written


@njit(cache=True, allocates=True)
def _take_formation(artifact, memory, lookback):
    """Follows the new pairs from nothing. One that is formed again keeps what is held; of the others the legs close."""
    signals = memory.signals
    before, held = signals.pair.copy(), memory.held.copy()
    earlier = signals.count
    signals.count = artifact.pairs
    memory.wanted[:] = 0
    memory.prices[:] = 0.0
    for index in range(artifact.pairs):
        formed, pair = artifact.pair[index], signals.pair[index]
        _start(pair, formed, lookback)
        forget(memory.subject[index])
        kept = memory.held[index]
        kept.stance, kept.qty_a, kept.qty_b = 0, 0, 0
        for old in range(earlier):
            if before[old].a == formed.a and before[old].b == formed.b and held[old].stance != 0:
                kept.stance, kept.qty_a, kept.qty_b = held[old].stance, held[old].qty_a, held[old].qty_b
                pair.stance = kept.stance
        memory.wanted[formed.a] += kept.qty_a
        memory.wanted[formed.b] += kept.qty_b
    index_pairs(signals)


@njit(cache=True)
def _start(pair, formed, lookback):
    """A pair as it was formed, with nothing sampled. The Kalman filter's log price of b counts from ``log_b``."""
    pair.a, pair.b = formed.a, formed.b
    pair.hedge_ratio = formed.hedge_ratio
    pair.reference = formed.log_b
    pair.intercept = formed.intercept + formed.hedge_ratio * formed.log_b
    pair.spread, pair.away, pair.variance = 0.0, 0.0, 0.0
    pair.stance, pair.stopped, pair.next_sample = 0, 0, 0
    pair.hedge_variance, pair.covariance, pair.intercept_variance = HEDGE_VARIANCE, 0.0, HEDGE_VARIANCE
    pair.exponential.count, pair.exponential.mean, pair.exponential.variance = 0, 0.0, 0.0
    pair.reversion.last, pair.reversion.squares, pair.reversion.products = 0.0, 0.0, 0.0
    rolling_start(pair.rolling, lookback)


def parameter_record(parameters: BaseModel) -> bytes:
    """The kernel's parameter record."""
    chosen = cast(IntradayPairsParameters, parameters)
    record = np.zeros(1, PARAMETERS)
    settings = record["settings"]
    settings["hedge"] = Hedge[chosen.hedge.upper()]
    settings["statistics"] = Statistics[chosen.statistics.upper()]
    settings["lookback"] = chosen.lookback
    settings["interval"] = round(chosen.sample_seconds * SECOND)
    settings["weight"] = 2.0 / (chosen.lookback + 1)  # the mean age of an exponential sample is that of a rolling one
    settings["state_noise"], settings["spread_noise"] = chosen.hedge_drift**2, chosen.spread_noise**2
    for name in ("entry", "exit", "stop"):
        settings[name] = getattr(chosen, name)
    record["microprice"] = chosen.price == "microprice"
    record["turning"] = chosen.turn > 0
    record["longest_half_life"] = chosen.longest_half_life
    record["leg_notional"] = chosen.leg_notional
    return record.tobytes()


def turn_program(parameters: IntradayPairsParameters) -> np.ndarray:
    """PROGRAM[1]: beyond the entry, then back by ``turn`` in time, unless beyond the stop."""
    z = column("z")
    turn = Sequence(
        "turn",
        [abs(z) >= parameters.entry, abs(z) <= parameters.entry - parameters.turn],
        within=round(parameters.turn_seconds * SECOND),
        unless=abs(z) >= parameters.stop,
    )
    return compile_patterns(TURN_COLUMNS, sequences=[turn])


def prepare(
    closes: Closes,
    parameters: BaseModel,
    *,
    as_of: int,
    warm_to: int,
    instruments: list[str],
    cache: FormationCache | None,
) -> bytes:
    """Pairs formed from the closes before ``as_of``, their prices from before ``warm_to``."""
    chosen = cast(IntradayPairsParameters, parameters)
    formed, universe, prices = form(closes, chosen, as_of, instruments, cache)
    warm_end = int(np.searchsorted(closes.dates, warm_to))
    artifact = np.zeros(1, ARTIFACT)
    artifact["formed"], artifact["pairs"], artifact["turn"] = as_of, len(formed), turn_program(chosen)[0]
    for index, pair in enumerate(formed):
        before = prices[:warm_end, universe.index(pair.b)]
        log_b = math.log(before[before > 0][-1])
        legs = instruments.index(pair.a), instruments.index(pair.b)
        artifact["pair"][0, index] = (*legs, pair.hedge_ratio, pair.intercept, log_b)
    return artifact.tobytes()


def pair_names(artifact: bytes, instruments: list[str]) -> list[str]:
    """ "A/B" for each pair of an artifact, in the order of SIGNAL's and LEG's ``pair``."""
    record = np.frombuffer(artifact, ARTIFACT)[0]
    return [f"{instruments[row['a']]}/{instruments[row['b']]}" for row in record["pair"][: int(record["pairs"])]]


STRATEGY = Strategy(
    name="intraday_pairs",
    title="Pairs mean reversion, intraday",
    description="Trades short-lived deviations of cointegrated pairs, on every move of a price.",
    parameters_model=IntradayPairsParameters,
    parameter_record=parameter_record,
    prepare=prepare,
    pair_names=pair_names,
    kernel=kernel,
    interests=frozenset({Kind.QUOTE, Kind.SESSION, Kind.TIMER, Kind.BLOB}),
)
