"""The days and the replay behind ``bench router``, and its keys. No figure is judged here. The real day needs
HELIOGRAPH_SHARED (default ../shared)."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.benchmarks.router import GOOG, terms
from engine.benchmarks.venue_days import BOOKS, INTEREST, LIT, real_day, simulated_day
from engine.benchmarks.venue_replay import NAIVE_SWEEP, NAIVE_TOUCH, RESULT, ROUTER, TASK, run_tasks, touches
from engine.core import memory
from engine.core.events import EVENT, Kind
from engine.core.router_records import CONSOLIDATED

ASK, BID = 1_000_000, 999_000
START = 1_000_000_000
KEYS = {"bench", "ours", "peer", "ratio", "unit", "n", "commit", "machine", "difference_bps", "standard_error_bps"}


def day_of(*rows: tuple[int, Kind, int, int, int, int, int]) -> np.ndarray:
    """EVENT[n] of (µs after START, kind, venue, order id, side, price, shares)."""
    events = np.zeros(len(rows), EVENT)
    for event, (when, kind, venue, order_id, side, price, qty) in zip(events, rows, strict=True):
        event["ts_event"], event["kind"], event["instrument"] = START + when * 1_000, kind, venue
        event["order_id"], event["side"], event["price"], event["qty"] = order_id, side, price, qty
    return events


QUOTES = [
    (0, Kind.ADD, 0, 1, -1, ASK, 100),
    (1, Kind.ADD, 1, 2, -1, ASK, 100),
    (2, Kind.ADD, 2, 3, -1, ASK + 100, 300),
    (3, Kind.ADD, 0, 4, 1, BID, 100),
]


def work(events: np.ndarray, qty: int, policy: int, interests: np.ndarray | None = None, dark: bool = False) -> np.void:
    """What becomes of buying ``qty`` shares, decided 100 µs after START."""
    task, result, samples = np.zeros(1, TASK), np.zeros(1, RESULT), np.zeros(1, CONSOLIDATED)
    task["at"], task["side"], task["qty"], task["limit"], task["urgency"] = START + 100_000, 1, qty, 2 * ASK, 100
    interests = np.zeros(0, INTEREST) if interests is None else interests
    run_tasks(events, interests, task, policy, terms(dark), memory.zeros(BOOKS), result, samples)
    return result[0]


def test_the_router_takes_both_best_quotes_and_then_the_next_price():
    result = work(day_of(*QUOTES), 250, ROUTER)
    fees = 100 * 30 + 100 * 25 - 50 * 12
    assert (result["done"], result["rounds"], result["orders"]) == (250, 1, 3)
    assert result["paid"] == 200 * ASK + 50 * (ASK + 100) + fees
    assert result["middle"] == ASK + BID


def test_a_quote_that_is_gone_when_the_order_arrives_is_not_taken():
    """Venue 1 is 180 µs away: what is cancelled 200 µs after the decision stands then, 150 µs after it does not."""
    for cancelled, orders in ((300, 2), (250, 3)):
        gone = (cancelled, Kind.DELETE, 1, 2, 0, 0, 0)
        result = work(day_of(*QUOTES, gone), 200, ROUTER)
        assert (result["done"], result["orders"]) == (200, orders)


def test_no_displayed_share_is_taken_twice_by_one_intent():
    results = {policy: work(day_of(*QUOTES), 450, policy) for policy in (ROUTER, NAIVE_TOUCH, NAIVE_SWEEP)}
    for result in results.values():
        assert (result["done"], result["got"]) == (450, 450)
        assert result["paid"] >= 200 * ASK + 250 * (ASK + 100) + 100 * 30 + 100 * 25 - 250 * 12
    assert results[NAIVE_TOUCH]["orders"] == 3
    assert work(day_of(*QUOTES), 600, ROUTER)["done"] == 500  # no more than there is


def test_an_interest_at_the_midpoint_is_met_while_it_stands():
    interests = np.zeros(1, INTEREST)
    interests["begins"], interests["ends"], interests["side"], interests["qty"] = START, START + 450_000, -1, 80
    result = work(day_of(*QUOTES), 100, ROUTER, interests, dark=True)
    assert (result["done"], result["dark"]) == (100, 80)  # 300 µs away: there at 400 µs
    interests["ends"] = START + 350_000
    assert work(day_of(*QUOTES), 100, ROUTER, interests, dark=True)["dark"] == 0
    interests["ends"], interests["side"] = START + 450_000, 1
    assert work(day_of(*QUOTES), 100, ROUTER, interests, dark=True)["dark"] == 0


def at_moments(events: np.ndarray) -> np.ndarray:
    times = np.linspace(events["ts_event"][1_000], events["ts_event"][-1], 500).astype(np.int64)
    shown = np.zeros((len(times), 4), np.int64)
    touches(events, times, memory.zeros(BOOKS), shown)
    return shown


def test_splitting_the_real_day_keeps_its_consolidated_touch_and_sizes(shared_data: Path):
    events = real_day(shared_data.parent / GOOG, seed=7).events
    counts = np.bincount(events["instrument"][events["kind"] == Kind.ADD])
    assert counts / counts.sum() == pytest.approx([0.5, 0.3, 0.2], abs=0.01)
    split = at_moments(events)
    whole = events.copy()
    whole["instrument"] = 0
    assert (split == at_moments(whole)).all()


def test_the_simulated_day_is_the_same_for_a_seed_and_seldom_crossed():
    day, again = simulated_day(3), simulated_day(3)
    assert (day.events == again.events).all()
    assert (day.interests == again.interests).all()
    assert set(day.events["instrument"]) == set(range(LIT))
    shown = at_moments(day.events)
    assert ((shown[:, 0] > 0) & (shown[:, 2] > shown[:, 0])).mean() > 0.95


def test_the_benchmark_prints_both_days_with_standard_errors(shared_data: Path, root: Path):
    command = [sys.executable, "-m", "engine", "bench", "router", "--every-ms", "30000", "--rounds", "1"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode in (0, 1), answer
    assert answer.keys() >= KEYS | {"ns_per_decision"}
    for day in answer["days"].values():
        assert day["intents"] > 500
        assert day["standard_error_bps"] > 0
        assert day.keys() >= {"router", "router_without_dark", "naive_touch", "naive_sweep", "against"}
