"""The replay venue on GOOG's real day (LOBSTER's sample, as an ITCH file) with a market maker in it: operations
(messages of history, own orders, own cancels) a second.

Each ``--every-ms`` of event time the maker takes its two orders out and posts 100 shares at each side of the historic
touch; what it decides arrives ``--latency-us`` later. Its orders are a script, made once from the historic book, so
that the compiled venue and the plain one, ``engine.simulation.replay_venue`` (on the day's first messages, with the
same orders), do the same work and must say the same.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.benchmarks.router import GOOG
from engine.benchmarks.surroundings import commit, machine, shared_file
from engine.benchmarks.venue_days import BOOKS, real_day
from engine.core import books, memory
from engine.core.compiled import njit
from engine.core.events import Kind
from engine.simulation.compiled_replay import ENDED, TOLD, apply, cancel, enter, replay_state
from engine.simulation.replay_venue import Fill, Ghost, ReplayVenue

PASSES = 5
QTY = 100
KEPT = 1 << 20  # rows of what the venue says
MILLISECOND, MICROSECOND = 1_000_000, 1_000
FIRST_OWN = 1 << 48
# An own order that replaces another before the event at ``before``.
OWN = np.dtype([("before", "<i8"), ("order_id", "<i8"), ("cancels", "<i8"), ("side", "<i8"), ("price", "<i8")])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--every-ms", type=int, default=1_000)
    parser.add_argument("--latency-us", type=int, default=500)
    parser.add_argument("--peer-messages", type=int, default=3_000)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    events = real_day(shared_file(GOOG), 1).events
    events["instrument"] = 0
    script = own_orders(events, arguments.every_ms * MILLISECOND, arguments.latency_us * MICROSECOND)
    _replayed(events, script)  # compiled
    seconds = []
    for _ in range(PASSES):
        started = time.perf_counter()
        told, dropped = _replayed(events, script)
        seconds.append(time.perf_counter() - started)
    peer_told, peer_seconds = _plain(events[: arguments.peer_messages], script)
    agreed, _ = _replayed(events[: arguments.peer_messages], script)
    own = int((script["before"] < arguments.peer_messages).sum())
    operations, peer_operations = len(events) + 2 * len(script), arguments.peer_messages + 2 * own
    ours, peer = operations / statistics.median(seconds), peer_operations / peer_seconds
    fills = told[told["flag"] != ENDED]
    return {
        "bench": "replay_venue",
        "ours": round(ours),
        "peer": round(peer),
        "ratio": round(ours / peer, 1),
        "unit": "operations/s",
        "n": operations,
        "messages": len(events),
        "orders": len(script),
        "fills": len(fills),
        "added_shares": int(fills["qty"][fills["flag"] == ord("A")].sum()),
        "dropped": dropped,
        "equal": [tuple(row) for row in agreed.tolist()] == peer_told,
        "passes_s": [round(each, 4) for each in seconds],
        "commit": commit(),
        "machine": machine(),
    }


def own_orders(events: NDArray[np.void], every: int, latency: int) -> NDArray[np.void]:
    """OWN[n] in the order in which they arrive."""
    times = events["ts_event"]
    decisions = np.arange(int(times[0]) + every, int(times[-1]), every)
    decided, arrives = np.searchsorted(times, decisions, "right"), np.searchsorted(times, decisions + latency, "right")
    made = np.zeros(2 * len(decisions), OWN)
    count = _decide(memory.zeros(BOOKS), events, decided, arrives, made)
    return made[:count]


@njit(cache=True)
def _decide(state, events, decided, arrives, made):
    taken = count = 0
    for number in range(len(decided)):
        while taken < decided[number]:
            books.apply(state[0], events[taken])
            taken += 1
        for index in range(2):
            price, _ = books.touch(state[0], 0, index)
            if price:
                own = made[count]
                own.before, own.side, own.price = arrives[number], 1 - 2 * index, price
                own.order_id = FIRST_OWN + 2 * number + index
                own.cancels = own.order_id - 2
                count += 1
    return count


def _replayed(events: NDArray[np.void], script: NDArray[np.void]) -> tuple[NDArray[np.void], int]:
    states, told = replay_state(1), np.zeros(KEPT, TOLD)
    written = _replay(states, events, script, told)
    return told[:written], int(states[0]["dropped"])


@njit(cache=True)
def _replay(states, events, script, told):
    written = own = 0
    for index in range(len(events)):
        while own < len(script) and script[own].before <= index:
            order = script[own]
            written += cancel(states, order.cancels, told[written:])
            written += enter(states, order.order_id, 0, order.side, order.price, QTY, 0, told[written:])
            own += 1
        event = events[index]
        written += apply(
            states, 0, event.kind, event.side, event.order_id, event.price, event.qty, event.ref, told[written:]
        )
    return written


def _plain(events: NDArray[np.void], script: NDArray[np.void]) -> tuple[list[tuple[int, int, int, int]], float]:
    venue, told, own = ReplayVenue(), [], 0
    orders = [tuple(int(value) for value in row) for row in script.tolist()]
    names = ("kind", "side", "order_id", "price", "qty", "ref")
    rows = list(zip(*(events[name].tolist() for name in names), strict=True))
    started = time.perf_counter()
    for index, row in enumerate(rows):
        while own < len(orders) and orders[own][0] <= index:
            _, order_id, cancels, side, price = orders[own]
            told += venue.cancel(cancels)
            told += venue.enter(Ghost(order_id, 0, side, price, QTY))
            own += 1
        told += venue.apply(0, Kind(row[0]), *row[1:])
    seconds = time.perf_counter() - started
    return [
        (one.order_id, one.price, one.qty, ord(one.flag))
        if isinstance(one, Fill)
        else (one.order_id, 0, one.qty, ENDED)
        for one in told
    ], seconds
