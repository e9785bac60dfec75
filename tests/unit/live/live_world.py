"""An engine with one strategy whose target is the size of the last trade, and inputs for it."""

import json
from pathlib import Path

import msgspec
import numpy as np
from numba import carray, cfunc

from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import EVENT, BlobType, Command, Kind, Session, TradingStatus
from engine.core.kernels import SIGNATURE
from engine.core.limit_tables import firm_limits, strategy_limits
from engine.live.journal import Writer
from engine.live.pipeline import Pipeline
from engine.messages import DataContract, LimitEnvelope, Manifest

SYMBOLS = ["KO", "PEP"]
WIDE = LimitEnvelope(10_000, 10_000_000_000, 50_000, 100_000_000_000)
DATE = 20130102
SEGMENT = 4 * 1024 * 1024
TARGET, TRADE = int(Kind.TARGET), int(Kind.TRADE)


@cfunc(SIGNATURE)
def _kernel(event, market, instruments, parameters, artifact, memory, out):
    trade = carray(event, 1, EVENT)[0]
    record = carray(out, 1, EVENT)[0]
    record.kind = TARGET
    record.instrument = trade.instrument
    record.side = 0
    record.target = trade.qty
    record.qty = 0
    record.ref = 0
    return 2


def load(manifest: bytes) -> Loaded:
    return Loaded(int(_kernel.address), frozenset({Kind.TRADE}), 1_000_000_0000)


def manifest(deployment: str = "d-1") -> Manifest:
    return Manifest(deployment, "v-1", "pairs", "0" * 64, {}, WIDE, DataContract("x", "y"), "sim", 1_000_000_0000)


def record(kind: Kind, instrument: int = -1, side: int = 0, ts: int = 0, **payload: int) -> np.ndarray:
    event = np.zeros(1, EVENT)
    event["kind"], event["instrument"], event["side"] = kind, instrument, side
    event["ts_event"] = event["ts_recv"] = ts
    for name, value in payload.items():
        event[name] = value
    return event


def new_pipeline(folder: Path) -> Pipeline:
    return Pipeline(Engine(load), Writer.create(folder, segment_bytes=SEGMENT))


def blobs(pipeline: Pipeline) -> None:
    """Instruments, firm limits, and one strategy in slot 0, started."""
    for blob_type, payload, strategy in (
        (BlobType.INSTRUMENTS, json.dumps(SYMBOLS).encode(), FIRM),
        (BlobType.LIMITS, firm_limits(WIDE), FIRM),
        (BlobType.MANIFEST, msgspec.json.encode(manifest()), 0),
        (BlobType.LIMITS, strategy_limits(WIDE), 0),
    ):
        pipeline.take_blob(blob(blob_type, payload, strategy=strategy, ts=0), payload)
    pipeline.take(record(Kind.COMMAND, command=Command.START))


def opened(pipeline: Pipeline) -> None:
    """The venue is up, the session open, and KO quoted 10.00 to 10.02."""
    for event in (
        record(Kind.ORDER_SESSION, code=1, ref=1),
        record(Kind.SESSION, code=Session.START_OF_MESSAGES, date=DATE),
        record(Kind.STATUS, 0, code=TradingStatus.TRADING),
        record(Kind.STATUS, 1, code=TradingStatus.TRADING),
        record(Kind.SESSION, code=Session.OPEN, date=DATE),
        record(Kind.ADD, 0, 1, order_id=1, price=100_000, qty=300),
        record(Kind.ADD, 0, -1, order_id=2, price=100_200, qty=300),
    ):
        pipeline.take(event)


def wanted(pipeline: Pipeline, shares: int) -> np.ndarray:
    """A trade of KO that makes ``shares`` the target; the orders sent."""
    return pipeline.take(record(Kind.TRADE, 0, price=100_100, qty=shares))


def replacing(pipeline: Pipeline, origin: int, qty: int, price: int = 100_200) -> int:
    """The touch of KO moves up while ``origin`` works: the id of the order that is to replace it."""
    pipeline.take(record(Kind.ACCEPTED, 0, order_id=origin, price=price, qty=qty))
    pipeline.take(record(Kind.DELETE, 0, order_id=2))
    (replace,) = pipeline.take(record(Kind.ADD, 0, -1, order_id=3, price=100_300, qty=50))
    assert replace["kind"] == Kind.ORDER_REPLACE
    return int(replace["order_id"])
