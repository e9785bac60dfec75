"""All pre-trade checks of one order, every limit finite at all four levels, beside the same checks in plain Python.

A state with positions of 16 strategies on 8 desks in every instrument; orders of all instruments in turn, each
one passing, so that every check is made. Timed in blocks of ``--block`` orders inside one compiled loop, so a block's
mean is the unit; p50 and p99 are over blocks. ``ns_per_order_with_hold`` also takes the order's hold, notes it as sent,
and releases it again. ``hot_p50_ns`` is over few instruments, so that everything is near. The peer is
``engine.core.reference_limits`` in plain Python, which adds its totals up before it is timed; both must
answer the same.
"""

import argparse
import json
import time
from typing import Any

import msgspec
import numpy as np
from numba import njit

from engine.benchmarks.surroundings import commit, machine
from engine.core.activity import note_sent
from engine.core.capacities import DESKS, INSTRUMENTS, STRATEGIES
from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import EVENT, BlobType, Command, Kind, Session, TradingStatus
from engine.core.limit_names import MEASURED, Level
from engine.core.limit_tables import (
    DeskLimits,
    SignedBundle,
    StrategyLimits,
    bundle_within,
    canonical_bytes,
    limits_within,
)
from engine.core.limits import NONE, check_order, sale_mark
from engine.core.positions import book_fill, hold
from engine.core.reference_limits import ReferenceLimits
from engine.messages import LimitEnvelope

ENVELOPE = LimitEnvelope(100_000, 10**12, 10**8, 10**14)
ORDER = np.dtype([("strategy", "<i8"), ("instrument", "<i8"), ("side", "<i8"), ("qty", "<i8"), ("price", "<i8")])
HOT_INSTRUMENTS = 4
CONDITIONS = 9  # bundle, restricted, instrument, venue, hours, crossed market, self trade, price test, locate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--instruments", type=int, default=500)
    parser.add_argument("--block", type=int, default=32, help="orders that are timed together")
    parser.add_argument("--peer-orders", type=int, default=200)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    instruments = min(max(arguments.instruments, 1), INSTRUMENTS)
    engine = _engine(instruments)
    orders = _orders(arguments.orders, instruments)
    state = engine.record
    check_all(state, orders[:1])
    check_and_hold(state, orders[:1])
    ns = _times(check_all, state, orders, arguments.block)
    few = _orders(arguments.orders, min(HOT_INSTRUMENTS, instruments))
    hot = _times(check_all, state, few, arguments.block)
    with_hold = _times(check_and_hold, state, orders, arguments.block)
    reference = ReferenceLimits(engine.state)
    sample = orders[: arguments.peer_orders].tolist()
    answers = [reference.check(*order) for order in sample]
    started = time.perf_counter_ns()
    answers = [reference.check(*order) for order in sample]
    peer = (time.perf_counter_ns() - started) / len(sample)
    same = [tuple(int(each) for each in answer) for answer in answers] == [
        tuple(int(each) for each in check_one(state, orders, index)) for index in range(len(sample))
    ]
    p50 = float(np.percentile(ns, 50))
    return {
        "bench": "limits",
        "ok": same and check_all(state, orders) == len(orders),
        "ours": round(p50, 1),
        "peer": round(peer, 1),
        "ratio": round(peer / p50, 1),
        "unit": "ns/order",
        "n": len(orders),
        "commit": commit(),
        "machine": machine(),
        "p50_ns": round(p50, 1),
        "p99_ns": round(float(np.percentile(ns, 99)), 1),
        "hot_p50_ns": round(float(np.percentile(hot, 50)), 1),
        "orders_in_a_block": arguments.block,
        "checks_per_order": len(Level) * (MEASURED + 4) + CONDITIONS - 4,
        "ns_per_order_with_hold": round(float(np.percentile(with_hold, 50)), 1),
    }


def _times(compiled: Any, state: np.ndarray, orders: np.ndarray, block: int) -> np.ndarray:
    """ns an order of each block, the call from Python (measured on an empty block) taken off."""
    empty = []
    for _ in range(1_000):
        started = time.perf_counter_ns()
        compiled(state, orders[:0])
        empty.append(time.perf_counter_ns() - started)
    call = float(np.median(empty))
    found = []
    for first in range(0, len(orders) - block + 1, block):
        part = orders[first : first + block]
        started = time.perf_counter_ns()
        compiled(state, part)
        found.append((time.perf_counter_ns() - started - call) / block)
    return np.array(found)


@njit(cache=True)
def check_all(states, orders):
    """How many pass."""
    passed = 0
    for order in orders:
        answer = check_order(states[0], order.strategy, order.instrument, order.side, order.qty, order.price, 0)
        if answer[0] == NONE:
            passed += 1
    return passed


@njit(cache=True)
def check_one(states, orders, index):
    order = orders[index]
    return check_order(states[0], order.strategy, order.instrument, order.side, order.qty, order.price, 0)


@njit(cache=True)
def check_and_hold(states, orders):
    """Checks, marks, holds and releases each order."""
    state = states[0]
    passed = 0
    for order in orders:
        strategy, instrument, side, qty, price = order.strategy, order.instrument, order.side, order.qty, order.price
        if check_order(state, strategy, instrument, side, qty, price, 0)[0] == NONE:
            mark = sale_mark(state, instrument, side, qty, price)
            note_sent(state, strategy, instrument, side, qty, price, mark)
            hold(state, strategy, instrument, side, qty)
            hold(state, strategy, instrument, side, -qty)
            passed += 1
    return passed


@njit(cache=True)
def fill_positions(states, instruments):
    """Every strategy is long 100 of every other instrument and short 100 of the rest."""
    for strategy in range(STRATEGIES):
        for instrument in range(instruments):
            side = 1 if (strategy + instrument) % 2 else -1
            book_fill(states[0], strategy, instrument, side, 1_000_000, 100, 0, 0)


def _engine(instruments: int) -> Engine:
    engine = Engine(lambda _: Loaded(0, frozenset(), 0))
    limits = limits_within(ENVELOPE)
    symbols = [f"S{number}" for number in range(instruments)]
    bundle = msgspec.structs.replace(
        bundle_within(ENVELOPE),
        desks=[DeskLimits(f"desk {number}", limits) for number in range(DESKS)],
    )
    payloads = [
        (BlobType.INSTRUMENTS, FIRM, json.dumps(symbols).encode()),
        (BlobType.LIMITS, FIRM, canonical_bytes(SignedBundle(bundle))),
    ]
    for slot in range(STRATEGIES):
        payloads.append((BlobType.MANIFEST, slot, b"{}"))
        payloads.append((BlobType.LIMITS, slot, canonical_bytes(StrategyLimits(slot % DESKS, limits))))
    for blob_type, strategy, payload in payloads:
        engine.apply_blob(blob(blob_type, payload, strategy=strategy, ts=0), payload)
    for event in _events(instruments):
        engine.apply(event)
    fill_positions(engine.record, instruments)
    return engine


def _events(instruments: int) -> list[np.ndarray]:
    events = np.zeros(2 + 2 * instruments, EVENT)
    events["ts_event"] = events["ts_recv"] = 1
    events["instrument"][:2] = -1
    events["kind"][0], events["command"][0] = Kind.COMMAND, Command.START
    events["kind"][1], events["code"][1] = Kind.SESSION, Session.OPEN
    status, quotes = events[2 : 2 + instruments], events[2 + instruments :]
    status["instrument"] = quotes["instrument"] = np.arange(instruments)
    status["kind"], status["code"] = Kind.STATUS, TradingStatus.TRADING
    quotes["kind"] = Kind.QUOTE
    quotes["bid"], quotes["ask"] = 999_900, 1_000_100
    quotes["bid_size"] = quotes["ask_size"] = 1_000
    return [events[index : index + 1] for index in range(len(events))]


def _orders(count: int, instruments: int) -> np.ndarray:
    """All sides, strategies and instruments in a shuffled order (seeded), at the far touch."""
    random = np.random.default_rng(7)
    orders = np.zeros(count, ORDER)
    orders["strategy"] = random.integers(0, STRATEGIES, count)
    orders["instrument"] = random.integers(0, instruments, count)
    orders["side"] = random.choice([-1, 1], count)
    orders["qty"] = random.integers(1, 1_000, count)
    orders["price"] = np.where(orders["side"] > 0, 1_000_100, 999_900)
    return orders
