"""An engine with two instruments and one strategy, and the records to drive it with."""

import json

import numpy as np

from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import EVENT, BlobType, Command, Kind, Session, TradingStatus
from engine.core.limit_tables import firm_limits, strategy_limits
from engine.core.parents import set_target
from engine.messages import LimitEnvelope

WIDE = LimitEnvelope(10_000, 10_000_000_000, 50_000, 100_000_000_000)
MINUTE = 60_000_000_000


def record(kind, instrument=-1, side=0, ts=0, **payload):
    event = np.zeros(1, EVENT)
    event["kind"], event["instrument"], event["side"] = kind, instrument, side
    event["ts_event"] = event["ts_recv"] = ts
    for name, value in payload.items():
        event[name] = value
    return event


def load(engine, blob_type, payload, strategy=0):
    return engine.apply_blob(blob(blob_type, payload, strategy=strategy, ts=0), payload)


def started(envelope=WIDE, firm=WIDE, kernel=0, interests=frozenset()):
    """An engine with two instruments, one running strategy, the session open and a 10.00 / 10.02 market."""
    engine = Engine(lambda manifest: Loaded(kernel, interests, 1_000_000_0000), fee_per_share=30, reprice_after=MINUTE)
    load(engine, BlobType.INSTRUMENTS, json.dumps(["KO", "PEP"]).encode(), FIRM)
    load(engine, BlobType.LIMITS, firm_limits(firm), FIRM)
    load(engine, BlobType.MANIFEST, b"{}")
    load(engine, BlobType.LIMITS, strategy_limits(envelope))
    engine.apply(record(Kind.COMMAND, command=Command.START))
    engine.apply(record(Kind.ORDER_SESSION, code=1, ref=1))
    engine.apply(record(Kind.SESSION, code=Session.START_OF_MESSAGES, date=20130102))
    for instrument in range(2):
        engine.apply(record(Kind.STATUS, instrument, code=TradingStatus.TRADING))
    engine.apply(record(Kind.SESSION, code=Session.OPEN, date=20130102))
    engine.apply(record(Kind.ADD, 0, 1, order_id=1, price=100_000, qty=300))
    engine.apply(record(Kind.ADD, 0, -1, order_id=2, price=100_200, qty=300))
    return engine


def want(engine, shares, instrument=0):
    set_target(engine.state, 0, instrument, shares)


def poke(engine, ts=0):
    """Any market data makes the step look at its targets."""
    return engine.apply(record(Kind.TRADE, 0, ts=ts, price=100_100, qty=1))


def kinds(outputs):
    return [Kind(kind).name for kind in outputs["kind"]]
