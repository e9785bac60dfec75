"""Feed health by its records, against figures worked out by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import carray, cfunc

from engine.core import health
from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import (
    EVENT,
    HEALTH_FIELDS,
    BlobType,
    Command,
    Flag,
    HealthPage,
    Kind,
    Session,
    Stale,
    TradingStatus,
)
from engine.core.health_record import BUCKETS
from engine.core.kernels import SIGNATURE

SYMBOLS = ["KO", "PEP", "XOM"]


def record(kind, instrument=-1, side=0, ts=0, latency=0, **payload):
    event = np.zeros(1, EVENT)
    event["kind"], event["instrument"], event["side"] = kind, instrument, side
    event["ts_recv"], event["ts_event"] = ts, ts - latency
    for name, value in payload.items():
        event[name] = value
    return event


def started(symbols=SYMBOLS, load=None):
    """An engine in an open session of instruments that trade, at time 0."""
    engine = Engine(load or (lambda manifest: Loaded(0, frozenset(), 0)))
    payload = json.dumps(symbols).encode()
    engine.apply_blob(blob(BlobType.INSTRUMENTS, payload, strategy=FIRM, ts=0), payload)
    engine.apply(record(Kind.SESSION, code=Session.START_OF_MESSAGES, date=20130102))
    for instrument in range(len(symbols)):
        engine.apply(record(Kind.STATUS, instrument, code=TradingStatus.TRADING))
    engine.apply(record(Kind.SESSION, code=Session.OPEN, date=20130102))
    return engine


def quote(engine, bid, ask, ts, instrument=0, **more):
    engine.apply(record(Kind.QUOTE, instrument, ts=ts, bid=bid, bid_size=1, ask=ask, ask_size=1, **more))


def trade(engine, price, ts=0, instrument=0):
    engine.apply(record(Kind.TRADE, instrument, ts=ts, price=price, qty=1))


def report(engine, ts, instrument=-1):
    """The fields of both pages of one subject, once its turn has come."""
    found = {}
    for _ in range(len(engine.instruments) + 1):
        for row in engine.apply(record(Kind.TIMER, ts=ts)).copy():
            if row["kind"] == Kind.FEED_HEALTH and row["instrument"] == instrument:
                found |= {name: int(row[name]) for name in HEALTH_FIELDS[HealthPage(int(row["flags"]))]}
    return found


def test_stale_time_gaps_and_what_the_receiver_counted_are_added_up():
    engine = started()
    engine.apply(record(Kind.STALE, ts=100, code=Stale.GAP, duplicates=2))
    engine.apply(record(Kind.STALE, ts=150, code=Stale.GAP, duplicates=1))
    engine.apply(record(Kind.STALE, ts=400, code=Stale.IN_ORDER, recovered=7))
    engine.apply(record(Kind.STALE, ts=1_000, code=Stale.GAP, recovered=1))
    found = report(engine, 1_250)
    assert (found["gaps"], found["recovered"], found["duplicates"], found["stale_ns"]) == (2, 8, 3, 300 + 250)


def test_messages_are_counted_by_instrument_and_recovered_ones_by_their_flag():
    engine = started()
    quote(engine, 10, 11, 5)
    quote(engine, 10, 11, 6, flags=Flag.RECOVERED)
    quote(engine, 10, 11, 7, instrument=2)
    found = report(engine, 10, 0)
    assert (found["messages"], found["recovered"]) == (3, 1)  # one of them the trading state
    assert report(engine, 10)["messages"] == 6


def test_what_a_snapshot_says_is_neither_a_message_nor_late():
    engine = started()
    engine.apply(record(Kind.ADD, 0, 1, ts=10**9, latency=10**9, order_id=1, price=10, qty=1, flags=Flag.SNAPSHOT))
    found = report(engine, 10**9)
    assert (found["messages"], found["recovered"], found["latency_max"]) == (3, 0, 0)  # the three trading states


def test_instruments_without_news_are_not_reported():
    engine = started()
    report(engine, 1)
    quote(engine, 10, 11, 5, instrument=1)
    assert report(engine, 10, 0) == {}
    quote(engine, 10, 11, 5, instrument=1)
    assert report(engine, 10, 1)["messages"] == 3


def test_crossed_time_runs_while_bid_is_at_or_above_ask_in_an_open_market():
    engine = started()
    quote(engine, 100, 101, 10)
    quote(engine, 101, 101, 20)  # locked
    quote(engine, 102, 101, 30)  # crossed
    quote(engine, 100, 101, 70)
    quote(engine, 100, 0, 75)  # one side alone is neither
    quote(engine, 103, 101, 100, instrument=1)
    assert report(engine, 130)["crossed_ns"] == 50 + 30
    quote(engine, 103, 101, 140)
    assert report(engine, 150, 0)["crossed_ns"] == 50 + 10
    assert report(engine, 150, 1)["crossed_ns"] == 50


@pytest.mark.parametrize(
    "ends",
    [
        record(Kind.STATUS, 0, ts=30, code=TradingStatus.HALTED),
        record(Kind.SESSION, ts=30, code=Session.CLOSE, date=20130102),
        record(Kind.STALE, ts=30, code=Stale.FORGET),
    ],
)
def test_crossed_time_ends_with_a_halt_the_close_and_books_that_are_forgotten(ends):
    engine = started()
    quote(engine, 102, 101, 10)
    engine.apply(ends)
    assert report(engine, 1_000)["crossed_ns"] == 20


def test_before_the_opening_nothing_is_crossed():
    engine = started()
    engine.apply(record(Kind.SESSION, code=Session.START_OF_MESSAGES, date=20130103))
    quote(engine, 102, 101, 10)
    assert report(engine, 1_000)["crossed_ns"] == 0


def test_a_trade_far_from_the_last_is_an_outlier_and_does_not_become_the_measure():
    engine = started()
    for price in (100_0000, 100_1000, 100_0000, 150_0000, 100_0500, 50_0000, 100_0000):
        trade(engine, price)
    assert report(engine, 1, 0)["outliers"] == 2


def test_the_third_trade_at_a_new_level_is_believed():
    engine = started()
    for price in (100_0000, 150_0000, 150_0000, 150_0000, 150_1000, 149_9000, 100_0000):
        trade(engine, price)
    assert report(engine, 1)["outliers"] == 2 + 1


def test_what_is_far_is_measured_by_how_the_instrument_moves():
    """Moves of half a per cent each: twenty times that is ten, so five per cent is no outlier; at rest it is."""
    wild, calm = started(), started()
    for step in range(200):
        trade(wild, 100_0000 + 5000 * (step % 2))
        trade(calm, 100_0000)
    trade(wild, 105_0000)
    trade(calm, 105_0000)
    assert report(wild, 1)["outliers"] == 0
    assert report(calm, 1)["outliers"] == 1


def test_executions_count_at_their_price_and_hidden_prints_not_at_all():
    engine = started()
    for order_id, price in ((1, 100_0000), (2, 150_0000)):
        engine.apply(record(Kind.ADD, 0, -1, order_id=order_id, price=price, qty=10))
    engine.apply(record(Kind.EXECUTE, 0, order_id=1, qty=1))
    engine.apply(record(Kind.EXECUTE, 0, order_id=2, qty=1, flags=Flag.NON_PRINTABLE))
    assert report(engine, 1)["outliers"] == 0
    engine.apply(record(Kind.EXECUTE, 0, order_id=2, qty=1))
    assert report(engine, 1)["outliers"] == 1


def test_latencies_stand_in_their_half_octave():
    engine = started(["KO"])
    for latency in [900] * 98 + [5_000, 70_000]:
        quote(engine, 10, 11, 100_000, latency=latency)
    quote(engine, 10, 11, 10**9, latency=10**9, flags=Flag.RECOVERED)  # late by the gap, not by the network
    found = report(engine, 10**9, 0)
    # The start's own trading state came with latency 0: 101 in all. 900 lies in [768, 1024), 5,000 in [4096, 6144).
    assert (found["latency_p50"], found["latency_p99"], found["latency_max"]) == (1024, 6144, 70_000)


def test_every_counter_begins_again_with_the_trading_day():
    engine = started()
    quote(engine, 103, 101, 10, latency=50)
    trade(engine, 100_0000)
    trade(engine, 200_0000)
    engine.apply(record(Kind.STALE, ts=20, code=Stale.GAP, duplicates=2))
    engine.apply(record(Kind.SESSION, ts=500, code=Session.START_OF_MESSAGES, date=20130103))
    found = report(engine, 700)
    assert found == dict.fromkeys(found, 0) | {"gaps": 1, "stale_ns": 200}  # still stale
    assert report(engine, 700, 0) == {}


def test_forgotten_books_are_empty_and_stale_and_keep_the_bar():
    engine = started()
    engine.apply(record(Kind.ADD, 0, 1, order_id=1, price=100_0000, qty=10))
    trade(engine, 100_5000)
    engine.apply(record(Kind.STATUS, 0, code=TradingStatus.HALTED, flags=Flag.OPERATIONAL))  # whose end was lost
    engine.apply(record(Kind.STALE, ts=5, code=Stale.FORGET))
    assert int(engine.state["market"][0]["bid"]) == 0
    assert int(engine.state["feed_stale"]) == 1
    engine.apply(record(Kind.ADD, 0, 1, order_id=1, price=99_0000, qty=4))  # the same reference, by the snapshot
    market = engine.state["market"][0]
    assert (int(market["bid"]), int(market["bid_size"])) == (99_0000, 4)
    assert (int(market["venue_halted"]), int(market["trading"])) == (0, 1)
    out = engine.apply(record(Kind.SESSION, ts=9, code=Session.CLOSE, date=20130102))
    assert out[out["kind"] == Kind.BAR]["high"].tolist() == [100_5000]


def test_many_instruments_take_turns_and_a_timer_writes_a_bounded_number():
    engine = started([f"S{number}" for number in range(200)])
    seen, most = set(), 0
    for turn in range(50):
        out = engine.apply(record(Kind.TIMER, ts=turn))
        rows = out[out["kind"] == Kind.FEED_HEALTH]
        seen |= set(rows["instrument"].tolist())
        most = max(most, len(rows))
    assert seen == {-1, *range(200)}
    assert most == 2 + 2 * (1 + 200 // health.TIMERS_PER_ROUND)


def test_a_strategy_that_asks_for_it_is_woken_with_each_record():
    @cfunc(SIGNATURE, error_model="numpy")
    def kernel(event, market, instruments, parameters, artifact, memory, out):
        seen = carray(event, 1, EVENT)[0]
        carray(out, 1, EVENT)[0].kind = 60
        carray(out, 1, EVENT)[0].instrument = seen.instrument
        carray(out, 1, EVENT)[0].code = 1000 + seen.flags
        return 2

    engine = started(["KO"], lambda manifest: Loaded(kernel.address, frozenset({Kind.FEED_HEALTH}), 0))
    engine.apply_blob(blob(BlobType.MANIFEST, b"{}", strategy=0, ts=0), b"{}")
    engine.apply(record(Kind.COMMAND, command=Command.START))
    out = engine.apply(record(Kind.TIMER, ts=5))
    woken = out[out["kind"] == Kind.STRATEGY_STATE]
    assert list(zip(woken["instrument"].tolist(), woken["code"].tolist(), strict=True)) == [
        (-1, 1000),
        (-1, 1001),
        (0, 1000),
        (0, 1001),
    ]


@settings(deadline=None)
@given(st.lists(st.integers(-5, 2**62), min_size=1, max_size=60), st.integers(1, 1000))
def test_a_percentile_is_at_least_the_true_one_and_less_than_half_above_it(latencies, permille):
    histogram = np.zeros(BUCKETS, np.int64)
    for latency in latencies:
        histogram[health.bucket_of(latency)] += 1
    exact = sorted(latencies)[max(-(-len(latencies) * permille // 1000) - 1, 0)]
    found = health.percentile(histogram, permille, max(latencies))
    assert found >= exact
    if 1 <= exact < 1 << 39:
        assert found <= max(exact * 1.5, 2)
