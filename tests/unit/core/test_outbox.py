"""Strategies outside the engine: what they are posted, and what their intents do."""

import numpy as np
import pytest
from engine_world import kinds, record, started

from engine.core.events import EVENT, Flag, Kind, Session
from engine.core.intents import intents_of
from engine.core.kernels import OUTSIDE
from engine.core.outbox import OUTBOX
from engine.core.state import Anomaly, StrategyState
from engine.strategies.python import PythonStrategy, interests_of

MARKET_MAKER = frozenset({Kind.QUOTE, Kind.TRADE, Kind.EXECUTE, Kind.BAR, Kind.SESSION, Kind.FILL, Kind.STRATEGY_STATE})


class Reader:
    """A ring in this process, and who reads it."""

    def __init__(self, capacity: int) -> None:
        self.cells, self.words, self.seen = np.zeros(capacity, EVENT), np.zeros(2, np.int64), 0
        self.box = np.zeros(1, OUTBOX)
        address = self.words.ctypes.data
        self.box[0] = (self.cells.ctypes.data, capacity, address, address + 8, 0, 0, 0)

    def read(self) -> np.ndarray:
        first, self.seen = self.seen, int(self.words[0])
        self.words[1] = self.seen
        return self.cells[np.arange(first, self.seen) % len(self.cells)]


def attached(capacity=64, interests=MARKET_MAKER):
    engine, reader = started(kernel=OUTSIDE, interests=interests), Reader(capacity)
    engine.attach(0, reader.box)
    return engine, reader


def intent(kind, instrument=0, ts=1, strategy=0, **payload):
    wanted = record(kind, instrument, ts=0, **payload)
    return intents_of(wanted, strategy, ts)


def test_who_is_attached_is_told_what_stands_before_anything_else():
    engine, reader = attached()
    stands = reader.read()
    assert kinds(stands) == ["STRATEGY_STATE", "BLOB", "QUOTE"]
    assert (stands["flags"] == Flag.SNAPSHOT).all()
    assert int(stands[0]["code"]) == StrategyState.RUNNING
    assert (int(stands[2]["bid"]), int(stands[2]["ask"])) == (100_000, 100_200)


def test_a_message_that_moves_the_touch_is_posted_as_a_quote_and_one_behind_it_is_not():
    engine, reader = attached()
    reader.read()
    engine.apply(record(Kind.ADD, 0, 1, ts=5, order_id=3, price=99_900, qty=100))
    assert not len(reader.read())
    engine.apply(record(Kind.ADD, 0, 1, ts=6, order_id=4, price=100_100, qty=70))
    (quote,) = reader.read()
    assert Kind(int(quote["kind"])) is Kind.QUOTE
    assert [int(quote[name]) for name in ("ts_recv", "bid", "bid_size", "ask", "ask_size")] == [
        6,
        100_100,
        70,
        100_200,
        300,
    ]


def test_an_execution_is_posted_as_a_trade_at_the_resting_orders_price_with_its_taker_and_then_the_touch():
    engine, reader = attached()
    reader.read()
    engine.apply(record(Kind.EXECUTE, 0, ts=5, order_id=2, price=0, qty=100, ref=9))
    trade, quote = reader.read()
    assert (Kind(int(trade["kind"])), int(trade["price"]), int(trade["qty"]), int(trade["side"])) == (
        Kind.TRADE,
        100_200,
        100,
        1,
    )
    assert (Kind(int(quote["kind"])), int(quote["ask_size"])) == (Kind.QUOTE, 200)


def test_bars_come_before_the_close_that_makes_them_as_in_a_daily_history():
    engine, reader = attached()
    engine.apply(record(Kind.TRADE, 0, ts=5, price=100_100, qty=10))
    reader.read()
    engine.apply(record(Kind.SESSION, code=Session.CLOSE, date=20130102))
    assert kinds(reader.read()) == ["BAR", "SESSION"]


def test_an_intent_is_worked_like_a_kernels_target_and_its_fill_is_posted():
    engine, reader = attached()
    reader.read()
    outputs = engine.apply(intent(Kind.TARGET, target=100))
    assert kinds(outputs) == ["TARGET", "ORDER_NEW"]
    order = int(outputs[1]["order_id"])
    engine.apply(record(Kind.ACCEPTED, 0, 1, order_id=order, price=100_200, qty=100))
    engine.apply(record(Kind.EXECUTION, 0, 1, order_id=order, price=100_200, qty=100, ref=1))
    assert kinds(reader.read()) == ["FILL"]
    assert int(engine.state["positions"][0, 0]["position"]) == 100


@pytest.mark.parametrize(
    ("kind", "strategy"), [(Kind.ORDER_NEW, 0), (Kind.FILL, 0), (Kind.TARGET, 1), (Kind.TARGET, -1), (Kind.TARGET, 99)]
)
def test_an_intent_of_another_kind_or_of_nobody_is_an_anomaly_and_nothing_else(kind, strategy):
    engine, _ = attached()
    outputs = engine.apply(intent(kind, strategy=strategy, target=100))
    assert kinds(outputs) == ["ANOMALY"]
    assert int(outputs[0]["code"]) == Anomaly.INTENT_REFUSED


def test_a_target_for_what_is_no_instrument_is_an_anomaly():
    engine, _ = attached()
    outputs = engine.apply(intent(Kind.TARGET, 400, target=100))
    assert kinds(outputs) == ["ANOMALY"]
    assert int(outputs[0]["code"]) == Anomaly.TARGET_OUT_OF_RANGE


def test_a_record_without_room_is_lost_and_counted_and_those_before_it_stay():
    engine, reader = attached(capacity=4)
    for number in range(6):
        engine.apply(record(Kind.TRADE, 0, ts=number, price=100_100 + number, qty=1))
    assert int(reader.box[0]["lost"]) == 5  # what stands takes three of the four places
    kept = reader.read()
    assert kinds(kept) == ["STRATEGY_STATE", "BLOB", "QUOTE", "TRADE"]
    engine.apply(record(Kind.TRADE, 0, ts=9, price=100_900, qty=1))
    assert [int(one["price"]) for one in reader.read()] == [100_900]


def test_a_reader_that_claims_to_have_taken_more_than_there_is_gains_no_room():
    engine, reader = attached(capacity=4)
    reader.words[1] = 1 << 40
    for number in range(6):
        engine.apply(record(Kind.TRADE, 0, ts=number, price=100_100, qty=1))
    assert int(reader.box[0]["published"]) == 4


def test_the_state_is_the_same_with_and_without_somebody_attached():
    """Which is why a replay needs no strategy."""
    hashes = set()
    for capacity in (64, 4, 0):
        engine = started(kernel=OUTSIDE, interests=MARKET_MAKER)
        reader = Reader(max(capacity, 1))
        if capacity:
            engine.attach(0, reader.box)
        for number in range(8):
            engine.apply(record(Kind.EXECUTE, 0, ts=number, order_id=2, price=0, qty=10, ref=number))
        engine.apply(intent(Kind.TARGET, ts=9, target=50))
        hashes.add(engine.state_hash())
    assert len(hashes) == 1


def test_a_new_manifest_in_the_slot_posts_to_the_old_strategy_no_more():
    engine, reader = attached()
    engine.detach(0)
    reader.read()
    engine.apply(record(Kind.TRADE, 0, price=100_100, qty=1))
    assert not len(reader.read())


def test_a_class_is_woken_by_what_it_overrides_and_by_no_more():
    class OnQuotes(PythonStrategy):
        def on_quote(self, quote):
            pass

    class OnBars(PythonStrategy):
        def on_bar(self, bar):
            pass

    assert Kind.QUOTE in interests_of(OnQuotes)
    assert Kind.QUOTE not in interests_of(OnBars)
    assert Kind.BAR in interests_of(OnBars)
