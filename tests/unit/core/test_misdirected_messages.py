"""Book messages that name another instrument's order, or make what cannot be: refused, counted, nothing changed."""

import json

import numpy as np
import pytest

from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import EVENT, BlobType, Kind, Session


def record(kind, instrument=-1, side=0, **payload):
    event = np.zeros(1, EVENT)
    event["kind"], event["instrument"], event["side"] = kind, instrument, side
    for name, value in payload.items():
        event[name] = value
    return event


@pytest.fixture
def engine():
    """KO with orders 1 (bid 10.00 x 300) and 2 (ask 10.02 x 200), PEP with order 3."""
    made = Engine(lambda manifest: Loaded(0, frozenset(), 0))
    payload = json.dumps(["KO", "PEP"]).encode()
    made.apply_blob(blob(BlobType.INSTRUMENTS, payload, strategy=FIRM, ts=0), payload)
    made.apply(record(Kind.SESSION, code=Session.START_OF_MESSAGES, date=20130102))
    made.apply(record(Kind.ADD, 0, 1, order_id=1, price=100_000, qty=300))
    made.apply(record(Kind.ADD, 0, -1, order_id=2, price=100_200, qty=200))
    made.apply(record(Kind.ADD, 1, 1, order_id=3, price=50_000, qty=100))
    return made


@pytest.mark.parametrize(
    "message",
    [
        record(Kind.DELETE, 1, order_id=1),
        record(Kind.EXECUTE, 1, order_id=1, qty=100),
        record(Kind.REDUCE, 1, order_id=2, qty=1),
        record(Kind.REPLACE, 1, order_id=9, price=100_100, qty=100, ref=1),
        record(Kind.REPLACE, 0, order_id=2, price=100_100, qty=100, ref=1),
        record(Kind.REPLACE, 0, order_id=9, price=100_100, qty=0, ref=1),
        record(Kind.REPLACE, 0, order_id=9, price=0, qty=100, ref=1),
        record(Kind.REDUCE, 0, order_id=1, qty=0),
        record(Kind.ADD, 0, 1, order_id=9, price=0, qty=100),
        record(Kind.ADD, 0, 1, order_id=9, price=100_100, qty=0),
        record(Kind.ADD, 1, 1, order_id=1, price=50_100, qty=100),
        record(Kind.DELETE, 0, order_id=77),
    ],
)
def test_it_is_an_anomaly_and_every_book_stays_as_it_was(engine, message):
    books = engine.state["market"][:2].tobytes()
    out = engine.apply(message)
    assert out["kind"].tolist() == [Kind.ANOMALY]
    assert engine.state["market"][:2].tobytes() == books
    engine.apply(record(Kind.EXECUTE, 0, order_id=1, qty=300))
    engine.apply(record(Kind.EXECUTE, 0, order_id=2, qty=200))
    engine.apply(record(Kind.DELETE, 1, order_id=3))
    assert int(engine.state["anomalies"]) == 1
    assert not any(engine.state["market"][:2][side].any() for side in ("bid", "bid_size", "ask", "ask_size"))
