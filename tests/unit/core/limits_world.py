"""An engine with three strategies on two desks, limits that can be set at any level, and ways to act on it directly."""

import json
from typing import Any

import msgspec
import numpy as np
from numba import njit

from engine.core.activity import count_execution, note_cancel, note_sent
from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import EVENT, BlobType, Command, Kind, Session, TradingStatus
from engine.core.limit_names import Level, Limit
from engine.core.limit_tables import (
    Bundle,
    DeskLimits,
    Limits,
    SignedBundle,
    StrategyLimits,
    bundle_within,
    canonical_bytes,
    limits_within,
)
from engine.core.limits import check, sale_mark
from engine.core.positions import book_fill, hold
from engine.messages import LimitEnvelope

SYMBOLS = ["KO", "PEP"]
DESK_OF = (0, 0, 1)  # by strategy
WIDE = limits_within(LimitEnvelope(10**6, 10**12, 10**9, 10**15))
BID, ASK = 100_000, 100_200
MARK = 100_100


@njit
def fill_at(states, strategy, instrument, side, qty, price):
    book_fill(states[0], strategy, instrument, side, price, qty, 0, 0)
    count_execution(states[0], strategy, instrument)


@njit
def hold_at(states, strategy, instrument, side, qty):
    hold(states[0], strategy, instrument, side, qty)


@njit
def send_at(states, strategy, instrument, side, qty, price):
    mark = sale_mark(states[0], instrument, side, qty, price)
    note_sent(states[0], strategy, instrument, side, qty, price, mark)
    hold(states[0], strategy, instrument, side, qty)
    return mark


@njit
def cancel_at(states, strategy, instrument):
    note_cancel(states[0], strategy, instrument)


def event(kind: Kind, instrument: int = -1, side: int = 0, ts: int = 0, **payload: int) -> np.ndarray:
    record = np.zeros(1, EVENT)
    record["kind"], record["instrument"], record["side"] = kind, instrument, side
    record["ts_event"] = record["ts_recv"] = ts
    for name, value in payload.items():
        record[name] = value
    return record


class World:
    """``changed`` replaces limits at ``level``: of the firm, desk 0, strategy 0 or KO. ``bundle`` replaces fields."""

    def __init__(
        self, level: Level | None = None, changed: dict[str, Any] | None = None, fee: int = 0, **bundle: Any
    ) -> None:
        self.engine = Engine(lambda _: Loaded(0, frozenset(), 1_000_000_0000), fee_per_share=fee)
        self.blob(BlobType.INSTRUMENTS, json.dumps(SYMBOLS).encode())
        tight = msgspec.structs.replace(WIDE, **(changed or {}))
        at = {each: tight if each is level else WIDE for each in Level}
        self.blob(BlobType.LIMITS, document(at, **bundle))
        for slot, desk in enumerate(DESK_OF):
            self.blob(BlobType.MANIFEST, b"{}", slot)
            limits = at[Level.STRATEGY] if slot == 0 else WIDE
            self.blob(BlobType.LIMITS, canonical_bytes(StrategyLimits(desk, limits)), slot)
            self.engine.apply(event(Kind.COMMAND, command=Command.START, strategy=slot))
        self.engine.apply(event(Kind.ORDER_SESSION, code=1, ref=1))
        self.engine.apply(event(Kind.SESSION, code=Session.START_OF_MESSAGES, date=20130102))
        for instrument in range(len(SYMBOLS)):
            self.engine.apply(event(Kind.STATUS, instrument, code=TradingStatus.TRADING))
        self.engine.apply(event(Kind.SESSION, code=Session.OPEN, date=20130102))
        self.quote(BID, ASK)
        self.quote(BID, ASK, instrument=1)

    @property
    def state(self) -> Any:
        return self.engine.state

    def blob(self, blob_type: BlobType, payload: bytes, strategy: int = FIRM) -> np.ndarray:
        return self.engine.apply_blob(blob(blob_type, payload, strategy=strategy, ts=0), payload)

    def quote(self, bid: int, ask: int, instrument: int = 0, ts: int = 0) -> None:
        self.engine.apply(event(Kind.QUOTE, instrument, ts=ts, bid=bid, bid_size=100, ask=ask, ask_size=100))

    def trade(self, price: int, instrument: int = 0, ts: int = 0) -> np.ndarray:
        return self.engine.apply(event(Kind.TRADE, instrument, ts=ts, price=price, qty=1)).copy()

    def at(self, ts: int) -> None:
        self.engine.apply(event(Kind.TIMER, ts=ts))

    def new_day(self, date: int = 20130103) -> None:
        self.engine.apply(event(Kind.SESSION, code=Session.START_OF_MESSAGES, date=date))

    def check(
        self, side: int, qty: int, price: int, *, strategy: int = 0, instrument: int = 0, venue: int = 0
    ) -> tuple[int, int, int, int]:
        return check(self.engine.record, strategy, instrument, side, qty, price, venue)

    def passes(self, side: int, qty: int, price: int, **where: int) -> bool:
        return self.check(side, qty, price, **where)[0] == Limit.NONE

    def fill(self, side: int, qty: int, price: int, *, strategy: int = 0, instrument: int = 0) -> None:
        fill_at(self.engine.record, strategy, instrument, side, qty, price)

    def hold(self, side: int, qty: int, *, strategy: int = 0, instrument: int = 0) -> None:
        hold_at(self.engine.record, strategy, instrument, side, qty)

    def send(self, side: int, qty: int, price: int, *, strategy: int = 0, instrument: int = 0) -> int:
        """As if the order had passed: noted and held. Its mark."""
        return int(send_at(self.engine.record, strategy, instrument, side, qty, price))

    def cancel(self, *, strategy: int = 0, instrument: int = 0) -> None:
        cancel_at(self.engine.record, strategy, instrument)


def document(at: dict[Level, Limits], **changed: Any) -> bytes:
    bundle: Bundle = msgspec.structs.replace(
        bundle_within(LimitEnvelope(10**6, 10**12, 10**9, 10**15)),
        firm=at[Level.FIRM],
        desks=[DeskLimits("one", at[Level.DESK]), DeskLimits("two", WIDE)],
        symbols={"KO": at[Level.SYMBOL]},
        other_symbols=WIDE,
        **changed,
    )
    return canonical_bytes(SignedBundle(bundle))
