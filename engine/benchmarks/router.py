"""The smart order router beside "send all to the best displayed", on the same intents of the same days.

Two days of four venues, three that display and a dark midpoint (``engine.benchmarks.venue_days``): a simulated one, and
GOOG's real day split over venues, which no model of ours has made. An intent comes TRIGGER_NS after an event of the
day, drawn one in each few seconds; its side is drawn, its size a multiple of the mean displayed touch. Both work it to
its end (``engine.benchmarks.venue_replay``); quotes may be gone when an order arrives. The router begins each day with
the rates of `engine.core.venues` and learns them from what becomes of its own orders, so nothing of the day is known
beforehand.

Cost is (average price with fees - mid at arrival) / mid * 10,000, of each intent; positive is paid. ``difference`` is
the mean of router - naive over intents, its standard error from the means of blocks of BLOCK_NS, which allows for
intents that are near each other being alike. The naive way sends all that is left to the venue that displays the best
price: with the intent's limit (``naive_sweep``), or at that price (``naive_touch``, which trades through nothing, and
goes from venue to venue as what it left comes back). ``against`` compares with both; the headline, with the cheaper.
``router_without_dark`` says what is left when the dark venue is closed.
"""

import argparse
import math
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.benchmarks.surroundings import commit, machine, shared_file
from engine.benchmarks.venue_days import BOOKS, DARK, VENUES, VenueDay, real_day, simulated_day
from engine.benchmarks.venue_replay import (
    NAIVE_SWEEP,
    NAIVE_TOUCH,
    RESULT,
    ROUTER,
    TASK,
    decide_all,
    run_tasks,
    touches,
)
from engine.core import memory
from engine.core.counter_random import random_below
from engine.core.router_records import CONSOLIDATED, INTENT, ROUTE, VENUE
from engine.core.venues import fresh_terms
from engine.errors import BadInput

GOOG = "data/lobster/GOOG_2012-06-21_L10.itch50.gz"
TRIGGER_NS = 20_000
QUIET_NS = 300_000_000_000  # after the open and before the close, without intents
BLOCK_NS = 600_000_000_000
SIZES = (0.5, 1.0, 2.0, 3.0, 5.0)  # times the mean displayed touch
LIMIT_SHARE = 100  # the limit is a hundredth beyond the far touch
# What waiting for another round costs a share: 0.1 bp. A price that moves 1.5 % a day has in 0.7 ms, the longest round
# trip, a standard deviation of 0.03 bp.
URGENCY_SHARE = 100_000
# Fees for taking, at the midpoint, for resting (1/10,000 a share, negative a rebate); latency one way.
TERMS = (
    ((30, 10, -20), 60_000),
    ((25, 10, -15), 180_000),
    ((-12, 10, 18), 350_000),
    ((0, 10, 0), 300_000),
)
DARK_LEAST = 10
POLICIES = {
    "router": (ROUTER, True),
    "router_without_dark": (ROUTER, False),
    "naive_touch": (NAIVE_TOUCH, False),
    "naive_sweep": (NAIVE_SWEEP, False),
}
NAIVE = ("naive_touch", "naive_sweep")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", type=Path, metavar="FILE", help="GOOG's day as ITCH; the shared data's without it")
    parser.add_argument("--every-ms", type=int, default=2_500, help="one intent in each of so many milliseconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15, help="passes of timing, of which the median counts")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if not 1_000 <= arguments.every_ms <= 3_600_000:
        raise BadInput("out_of_range", "every_ms", arguments.every_ms, "1000 to 3600000")
    if not 0 <= arguments.seed < 1 << 62 or arguments.rounds < 1:
        raise BadInput("out_of_range", "seed, rounds", (arguments.seed, arguments.rounds), "from 0, from 1")
    real = real_day(arguments.input or shared_file(GOOG), arguments.seed)
    days = {day.name: _Day(day, arguments) for day in (real, simulated_day(arguments.seed))}
    figures = {name: day.figures() for name, day in days.items()}
    headline = figures[real.name]
    return {
        "bench": "router",
        "ok": all(one["difference_bps"] < 0 for one in figures.values()),
        "ours": headline["router"]["cost_bps"],
        "peer": headline["naive_bps"],
        "ratio": round(headline["naive_bps"] / headline["router"]["cost_bps"], 3),
        "unit": "bps",
        "n": headline["intents"],
        "commit": commit(),
        "machine": machine(),
        "difference_bps": headline["difference_bps"],
        "standard_error_bps": headline["standard_error_bps"],
        "ns_per_decision": headline["ns_per_decision"],
        "seed": arguments.seed,
        "days": figures,
    }


def terms(dark: bool) -> NDArray[np.void]:
    """VENUE[4] as a day begins."""
    made = np.zeros(VENUES, VENUE)
    for venue, (fees, latency) in enumerate(TERMS):
        least = DARK_LEAST if venue == DARK else 1
        made[venue] = fresh_terms(dark=venue == DARK, latency=latency, min_qty=least)
        made[venue]["open"] = dark or venue != DARK
        made[venue]["fees"] = fees
    return made


class _Day:
    def __init__(self, day: VenueDay, arguments: argparse.Namespace) -> None:
        self._day, self._rounds, self._seed = day, arguments.rounds, arguments.seed
        self._tasks, self.touch = self._make_tasks(arguments.every_ms * 1_000_000)

    def _make_tasks(self, every: int) -> tuple[NDArray[np.void], float]:
        """(TASK[n], mean shares displayed at the touch): one in each period, after an event drawn among its first
        three fifths, so that a task is done before the next begins."""
        times = self._day.events["ts_event"]
        periods = np.arange(times[0] + QUIET_NS, times[-1] - QUIET_NS, every)
        first, last = np.searchsorted(times, periods), np.searchsorted(times, periods + every * 3 // 5)
        numbers = np.flatnonzero(last > first)
        chosen = [int(first[n] + random_below(self._seed, 3 * n + 1, last[n] - first[n])) for n in numbers]
        at = times[chosen] + TRIGGER_NS
        shown = np.zeros((len(at), 4), np.int64)
        touches(self._day.events, at, memory.zeros(BOOKS), shown)
        quoted = (shown[:, 0] > 0) & (shown[:, 2] > shown[:, 0])
        touch = float(shown[quoted][:, [1, 3]].mean())
        tasks = np.zeros(int(quoted.sum()), TASK)
        for task, n, when, row in zip(tasks, numbers[quoted], at[quoted], shown[quoted], strict=True):
            side = 1 - 2 * random_below(self._seed, 3 * n + 2, 2)
            far = row[2] if side > 0 else row[0]
            size = SIZES[random_below(self._seed, 3 * n + 3, len(SIZES))]
            task["at"], task["side"], task["qty"] = when, side, max(round(size * touch), 1)
            task["limit"] = far + side * (far // LIMIT_SHARE)
            task["urgency"] = far // URGENCY_SHARE
        return tasks, touch

    def _work(self, policy: str) -> tuple[NDArray[np.void], NDArray[np.void], NDArray[np.void]]:
        """(RESULT[n], first looks, venues as the day ends)."""
        number, dark = POLICIES[policy]
        venues, results = terms(dark), np.zeros(len(self._tasks), RESULT)
        samples = np.zeros(len(self._tasks), CONSOLIDATED)
        book = memory.zeros(BOOKS)
        run_tasks(self._day.events, self._day.interests, self._tasks, number, venues, book, results, samples)
        if (results["ended"][:-1] >= self._tasks["at"][1:]).any():
            raise BadInput("out_of_range", "every_ms", self._day.name, "more time between intents")
        return results, samples, venues

    def figures(self) -> dict[str, Any]:
        worked = {policy: self._work(policy) for policy in POLICIES}
        done = np.all([results["done"] == self._tasks["qty"] for results, _, _ in worked.values()], axis=0)
        dropped = int((~done).sum())  # the real day shows ten levels: now and then they hold less than is wanted
        self._tasks = self._tasks[done]
        worked = {
            policy: (results[done], samples[done], venues) for policy, (results, samples, venues) in worked.items()
        }
        costs = {policy: self._costs(results) for policy, (results, _, _) in worked.items()}
        naive = min(NAIVE, key=lambda policy: costs[policy].mean())
        against = {peer: self._against(costs, peer) for peer in NAIVE}
        _, samples, venues = worked["router"]
        return {
            "intents": len(self._tasks),
            "intents_dropped": dropped,
            "mean_touch_shares": round(self.touch, 1),
            "events": len(self._day.events),
            "naive": naive,
            "naive_bps": round(float(costs[naive].mean()), 4),
            **against[naive],
            "against": against,
            "difference_by_size_bps": self._by_size(costs["router"] - costs[naive]),
            "ns_per_decision": self._time(samples, venues),
            **{policy: self._summary(costs[policy], results) for policy, (results, _, _) in worked.items()},
        }

    def _against(self, costs: dict[str, NDArray[np.float64]], peer: str) -> dict[str, float]:
        difference, error = self._compare(costs["router"], costs[peer])
        lit, lit_error = self._compare(costs["router_without_dark"], costs[peer])
        return {
            "difference_bps": difference,
            "standard_error_bps": error,
            "difference_without_dark_bps": lit,
            "standard_error_without_dark_bps": lit_error,
        }

    def _costs(self, results: NDArray[np.void]) -> NDArray[np.float64]:
        """Of each intent, in bps of the mid at its arrival."""
        mid = results["middle"] / 2
        return (results["paid"] / self._tasks["qty"] - self._tasks["side"] * mid) / mid * 1e4

    def _compare(self, ours: NDArray[np.float64], peer: NDArray[np.float64]) -> tuple[float, float]:
        """(mean difference, its standard error from the means of blocks of time)."""
        apart = ours - peer
        blocks = (self._tasks["at"] - self._tasks["at"][0]) // BLOCK_NS
        means = [float(apart[blocks == block].mean()) for block in np.unique(blocks)]
        return round(float(apart.mean()), 4), round(statistics.stdev(means) / math.sqrt(len(means)), 4)

    def _by_size(self, apart: NDArray[np.float64]) -> dict[str, float]:
        sizes = np.unique(self._tasks["qty"])
        return {str(size): round(float(apart[self._tasks["qty"] == size].mean()), 4) for size in sizes.tolist()}

    def _summary(self, costs: NDArray[np.float64], results: NDArray[np.void]) -> dict[str, float]:
        shares = int(self._tasks["qty"].sum())
        return {
            "cost_bps": round(float(costs.mean()), 4),
            "dark_share": round(int(results["dark"].sum()) / shares, 4),
            "lit_got_of_asked": round(int(results["got"].sum()) / max(int(results["asked"].sum()), 1), 4),
            "left_to_clean_up": round(int(results["cleaned"].sum()) / shares, 4),
            "orders_per_intent": round(float(results["orders"].mean()), 3),
            "rounds_per_intent": round(float(results["rounds"].mean()), 3),
        }

    def _time(self, samples: NDArray[np.void], venues: NDArray[np.void]) -> float:
        """Median of passes over the first decision of every intent."""
        intents, answers = np.zeros(len(self._tasks), INTENT), np.zeros(1, ROUTE)
        for name in ("side", "qty", "limit", "urgency"):
            intents[name] = self._tasks[name]
        passes = []
        for _ in range(self._rounds + 1):
            started = time.perf_counter()
            decide_all(intents, venues, samples, answers)
            passes.append((time.perf_counter() - started) / len(intents) * 1e9)
        return round(statistics.median(passes[1:]), 1)
