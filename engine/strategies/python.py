"""Strategies as ordinary Python classes: the same class in a backtest, in paper trading and live.

A class derives from ``PythonStrategy``, overrides the callbacks that it cares for, and says what it wants with
``target`` and ``signal``. It runs outside the engine: live in a process of its own (``engine.live.strategy_host``), in
a backtest in lockstep (``engine.backtest.lockstep``). In both what it wants reaches the step as INTENT records, some
time after what it decided on. What it remembers is not journaled and not replayed; what it wanted is.

Prices and money are in 1/10,000 of the currency, quantities in shares, times in ns UTC on the engine's clock; an
instrument is an index into ``instruments``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from engine.core.events import EVENT, Flag, Kind, Session
from engine.core.kernels import OUTSIDE
from engine.core.state import StrategyState
from engine.errors import BadInput
from engine.strategies.base import Closes, Prepare, Strategy

KIND_SHIFT, SIDE_SHIFT, FLAGS_SHIFT = 32, 40, 56  # in a record's third word
MICRO = 1_000_000
Row = list[int]  # a record as its eight words


class Quote(NamedTuple):
    """The touch of an instrument has changed; 0 where a side is empty."""

    time: int
    instrument: int
    bid: int
    bid_size: int
    ask: int
    ask_size: int


class Trade(NamedTuple):
    """``taker`` is +1 where a buyer took, -1 a seller, 0 where nobody knows."""

    time: int
    instrument: int
    price: int
    qty: int
    taker: int


class Bar(NamedTuple):
    """The session's bar of an instrument, closed."""

    time: int
    instrument: int
    open: int
    high: int
    low: int
    close: int
    volume: int


class SessionChange(NamedTuple):
    time: int
    code: Session
    date: int  # yyyymmdd


class Fill(NamedTuple):
    """``side`` is +1 bought, -1 sold. ``position`` follows right behind it."""

    time: int
    instrument: int
    side: int
    price: int
    qty: int
    order_id: int


class Refusal(NamedTuple):
    """A limit (``engine.core.limit_names``) has refused an order for one of the strategy's targets."""

    time: int
    instrument: int
    side: int
    limit: int
    level: int
    value: int
    order_value: int


class Done(NamedTuple):
    """An order has ended; ``state`` is an ``engine.core.orders.OrderState``."""

    time: int
    instrument: int
    order_id: int
    state: int
    filled: int


class StrategyFailed(BadInput):
    """A callback raised; the cause is chained."""


class PythonStrategy:
    """What a strategy derives from. Of the callbacks it is woken by those that it overrides, and by no others."""

    def __init__(self, parameters: Any, instruments: list[str], capital: int) -> None:
        self.parameters, self.instruments, self.capital = parameters, instruments, capital
        self.now = 0
        self.state = StrategyState.LOADING
        self.intents: list[tuple[int, ...]] = []  # ts_recv of what was decided on, kind, instrument, side, payload
        self._positions: dict[int, int] = {}
        self._targets: dict[int, int] = {}

    # ---- what it may override ------------------------------------------------------------------------

    def on_artifact(self, artifact: bytes) -> None:
        """What ``prepare`` made, padded with zeros; before anything else, and whenever it is formed again."""

    def on_quote(self, quote: Quote) -> None: ...

    def on_trade(self, trade: Trade) -> None: ...

    def on_bar(self, bar: Bar) -> None: ...

    def on_session(self, change: SessionChange) -> None: ...

    def on_timer(self, time: int) -> None:
        """Each time the engine marks positions to market."""

    def on_fill(self, fill: Fill) -> None: ...

    def on_done(self, done: Done) -> None: ...

    def on_refusal(self, refusal: Refusal) -> None: ...

    # ---- what it may ask and say ---------------------------------------------------------------------

    def position(self, instrument: int) -> int:
        """Shares held, signed, as far as the strategy has heard."""
        return self._positions.get(instrument, 0)

    def wanted(self, instrument: int) -> int:
        """The newest target."""
        return self._targets.get(instrument, 0)

    def target(self, instrument: int, shares: int) -> None:
        """Wants to hold ``shares`` (signed) of an instrument. Saying so again changes nothing.

        Raises BadInput for what is no instrument.
        """
        if not 0 <= instrument < len(self.instruments):
            raise BadInput("instrument", "instrument", instrument, f"0 to {len(self.instruments) - 1}")
        if self._targets.get(instrument, 0) != shares:
            self._targets[instrument] = shares
            self.intents.append((self.now, Kind.TARGET, instrument, 0, 0, shares, 0, 0))

    def signal(self, number: int, z: float, *, spread: float = 0.0, hedge: float = 0.0, stance: int = 0) -> None:
        """Shows the value of a signal, by its number among the registry entry's ``signal_names``, on the live page."""
        values = (round(value * MICRO) for value in (z, spread, hedge))
        self.intents.append((self.now, Kind.SIGNAL, -1, stance, number, *values))


_ALWAYS = frozenset({Kind.POSITION, Kind.TARGET, Kind.STRATEGY_STATE, Kind.BLOB})
_WOKEN_BY: dict[str, tuple[Kind, ...]] = {
    "on_quote": (Kind.QUOTE,),
    "on_trade": (Kind.EXECUTE, Kind.TRADE),
    "on_bar": (Kind.BAR,),
    "on_session": (Kind.SESSION,),
    "on_timer": (Kind.TIMER,),
    "on_fill": (Kind.FILL,),
    "on_done": (Kind.ORDER_DONE,),
    "on_refusal": (Kind.LIMIT_REJECT,),
}


def interests_of(implementation: type[PythonStrategy]) -> frozenset[Kind]:
    """The kinds of records that a class is to be posted."""
    overridden = [
        kinds for name, kinds in _WOKEN_BY.items() if getattr(implementation, name) is not getattr(PythonStrategy, name)
    ]
    return _ALWAYS.union(*overridden)


class Driver:
    """Hands records to a strategy, in their order. ``artifact`` gives the newest artifact when one was loaded."""

    def __init__(self, strategy: PythonStrategy, artifact: Callable[[], bytes]) -> None:
        self.strategy, self._artifact = strategy, artifact
        self._handlers: list[Callable[[Row], None]] = [self._pass_over] * 256
        for kind, handler in {
            Kind.QUOTE: self._quote,
            Kind.TRADE: self._trade,
            Kind.BAR: self._bar,
            Kind.SESSION: self._session,
            Kind.TIMER: self._timer,
            Kind.FILL: self._fill,
            Kind.ORDER_DONE: self._done,
            Kind.LIMIT_REJECT: self._refusal,
            Kind.POSITION: self._position,
            Kind.TARGET: self._target,
            Kind.STRATEGY_STATE: self._state,
            Kind.BLOB: self._blob,
        }.items():
            self._handlers[kind] = handler

    def take(self, rows: list[Row]) -> None:
        """Raises StrategyFailed with the callback's exception as its cause."""
        strategy, handlers = self.strategy, self._handlers
        for row in rows:
            strategy.now = row[1]
            kind = row[2] >> KIND_SHIFT & 0xFF
            try:
                handlers[kind](row)
            except Exception as error:
                name = type(strategy).__name__
                raise StrategyFailed("strategy_failed", name, repr(error), f"no error on {Kind(kind).name}") from error

    def intents(self) -> np.ndarray:
        """What the strategy wants since it was asked last: EVENT[n], of the kinds that kernels write; ``ts_recv`` is
        that of the record on which it decided."""
        wanted, self.strategy.intents = self.strategy.intents, []
        records = np.zeros(len(wanted), EVENT)
        if wanted:
            columns = np.array(wanted, np.int64).T
            records["ts_event"] = records["ts_recv"] = columns[0]
            for name, column in zip(("kind", "instrument", "side"), columns[1:4], strict=True):
                records[name] = column
            for name, column in zip(("pair", "target", "spread_micro", "hedge_micro"), columns[4:], strict=True):
                records[name] = column
        return records

    def _pass_over(self, row: Row) -> None:
        """A kind that no class can ask for yet."""

    def _quote(self, row: Row) -> None:
        self.strategy.on_quote(Quote(row[1], row[2] & 0xFFFF, row[3], row[4], row[5], row[6]))

    def _trade(self, row: Row) -> None:
        self.strategy.on_trade(Trade(row[1], row[2] & 0xFFFF, row[4], row[5], _side(row)))

    def _bar(self, row: Row) -> None:
        self.strategy.on_bar(Bar(row[1], row[2] & 0xFFFF, *row[3:]))

    def _session(self, row: Row) -> None:
        self.strategy.on_session(SessionChange(row[1], Session(row[3]), row[4]))

    def _timer(self, row: Row) -> None:
        self.strategy.on_timer(row[1])

    def _fill(self, row: Row) -> None:
        self.strategy.on_fill(Fill(row[1], row[2] & 0xFFFF, _side(row), row[4], row[5], row[3]))

    def _done(self, row: Row) -> None:
        self.strategy.on_done(Done(row[1], row[2] & 0xFFFF, row[3], row[4], row[5]))

    def _refusal(self, row: Row) -> None:
        self.strategy.on_refusal(Refusal(row[1], row[2] & 0xFFFF, _side(row), row[3], row[5], row[4], row[6]))

    def _position(self, row: Row) -> None:
        self.strategy._positions[row[2] & 0xFFFF] = row[3]

    def _target(self, row: Row) -> None:
        self.strategy._targets[row[2] & 0xFFFF] = row[4]

    def _state(self, row: Row) -> None:
        """With SNAPSHOT what the strategy thought of positions and targets is forgotten; what stands follows."""
        self.strategy.state = StrategyState(row[3])
        if row[2] >> FLAGS_SHIFT & Flag.SNAPSHOT:
            self.strategy._positions.clear()
            self.strategy._targets.clear()

    def _blob(self, row: Row) -> None:
        artifact = self._artifact()
        if artifact.strip(b"\0"):
            self.strategy.on_artifact(artifact)


def _side(row: Row) -> int:
    side = row[2] >> SIDE_SHIFT & 0xFF
    return side - 256 if side > 127 else side


def nothing_to_prepare(
    closes: Closes, parameters: BaseModel, *, as_of: int, warm_to: int, instruments: list[str], cache: Any
) -> bytes:
    """The preparation of a strategy that needs none."""
    return b""


def python_strategy(
    implementation: type[PythonStrategy],
    *,
    name: str,
    title: str,
    description: str,
    parameters_model: type[BaseModel],
    prepare: Prepare = nothing_to_prepare,
    signal_names: Callable[[bytes, list[str]], list[str]] = lambda artifact, instruments: [],
) -> Strategy:
    """The registry's entry of a class. Its parameters come from the manifest, not from a kernel's record.

    ``signal_names``: of an artifact and the instruments, what its signals are called; others are not shown.
    """
    return Strategy(
        name=name,
        title=title,
        description=description,
        parameters_model=parameters_model,
        parameter_record=lambda parameters: b"",
        prepare=prepare,
        pair_names=signal_names,
        kernel=lambda: OUTSIDE,
        interests=interests_of(implementation),
        implementation=implementation,
    )
