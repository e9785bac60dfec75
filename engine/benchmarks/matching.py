"""Order messages a second through the matching engine, against the plain engine on a prefix of the same stream.

The stream is made from a seed: new orders of every kind around prices that wander, and cancels and cuts of them some
time later. Each is a message and counts; so do cancels and cuts that find their order traded already. Each pass starts
with empty books; what is timed is compiled from end to end, on one core, reports written. Making the stream is not
timed, neither here nor for the peer. After the prefix both books must have one hash, and both engines the same number
of executions.
"""

import argparse
import gc
import statistics
import time
from typing import Any

import numpy as np

from engine.benchmarks.surroundings import commit, machine, peak_rss_mb
from engine.core.compiled import njit
from engine.errors import BadInput
from engine.simulation.compiled import book_hash
from engine.simulation.matching import enter, reduce
from engine.simulation.matching_records import (
    DAY,
    EVERYTHING,
    EXECUTED,
    FILL_OR_KILL,
    IMMEDIATE,
    LIMIT,
    MARKET,
    MIDPOINT,
    NEW_ORDER,
    NewOrder,
    ReportKind,
    counts_by_reason,
    matching_state,
    report_buffer,
)
from engine.simulation.order_book import book_rows
from engine.simulation.reference import ReferenceMatching

TICK = 100
PRICE = 100_0000
# Shares of the new orders; most of those that may rest are cancelled later, some are cut before that.
NEW_ORDERS = {
    "limit": 0.70,
    "ioc": 0.10,
    "market": 0.02,
    "fill_or_kill": 0.02,
    "post_only": 0.04,
    "hidden": 0.05,
    "iceberg": 0.04,
    "midpoint": 0.02,
    "minimum": 0.01,
}
NAMES = [*NEW_ORDERS, "cancel", "reduce"]
CANCEL, REDUCE = NAMES.index("cancel"), NAMES.index("reduce")
CANCELLED, CUT = 0.92, 0.07
MEAN_AGE = 3_000  # new orders between an order and its cancel
COMMAND = np.dtype([("what", "<i4"), ("target", "<i4"), ("keep", "<i8"), ("new", NEW_ORDER)])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=7, help="passes over the stream, of which the median counts")
    parser.add_argument("--prefix", type=int, default=4_000, help="messages that the plain engine takes too")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    for name in ("messages", "symbols", "rounds", "prefix"):
        if getattr(arguments, name) < 1:
            raise BadInput("out_of_range", name, getattr(arguments, name), "at least 1")
    commands = stream(arguments.messages, arguments.symbols, arguments.seed)
    _pass(commands[:1_000], arguments.symbols)  # compiles, or loads what is compiled
    rates: list[float] = []
    for number in range(arguments.rounds):
        if number == arguments.rounds // 2:
            check = _compare(commands[: arguments.prefix], arguments.symbols)
        seconds, state, totals = _pass(commands, arguments.symbols)
        rates.append(len(commands) / seconds)
    ours = statistics.median(rates)
    return {
        "bench": "matching",
        "ok": check["equal"],
        "ours": round(ours),
        "peer": check["peer"],
        "ratio": round(ours / check["peer"], 1),
        "unit": "orders/s",
        "n": len(rates),
        "commit": commit(),
        "machine": machine(),
        "orders_per_s": round(ours),
        "orders_per_s_of_runs": [round(one) for one in rates],
        "messages": len(commands),
        "symbols": arguments.symbols,
        "mix": dict(zip(NAMES, (np.bincount(commands["what"]) / len(commands)).round(3).tolist(), strict=True)),
        "executions": int(totals[1]),
        "reports": int(totals[0]),
        "cancels_and_cuts_of_done_orders": int(totals[2]),
        "resting_at_end": int(state["resting"]),
        "ended_by_reason": counts_by_reason(state),
        "book_hash": book_hash(book_rows(state)),
        "peak_rss_mb": peak_rss_mb(),
        "check": check,
    }


def stream(messages: int, symbols: int, seed: int) -> np.ndarray:
    """COMMAND [messages]: new orders, and behind each, by a random age, its cut and its cancel."""
    random = np.random.default_rng(seed)
    what = random.choice(len(NEW_ORDERS), messages, p=list(NEW_ORDERS.values()))
    new = _new_orders(random, what, symbols)
    rests = new["time_in_force"] == DAY
    cancelled = np.flatnonzero(rests & (random.random(messages) < CANCELLED))
    cut = np.flatnonzero(rests & (random.random(messages) < CUT))
    age = random.geometric(1 / MEAN_AGE, messages)
    when = np.concatenate([np.arange(messages), cancelled + age[cancelled], cut + age[cut] // 2])
    commands = np.zeros(len(when), COMMAND)
    commands["what"] = np.repeat([0, CANCEL, REDUCE], [messages, len(cancelled), len(cut)])
    commands["what"][:messages], commands["new"][:messages] = what, new
    commands["keep"] = random.integers(1, 200, len(when))
    in_order = np.argsort(when, kind="stable")
    place = np.empty(len(when), np.int64)
    place[in_order] = np.arange(len(when))
    commands["target"][messages:] = place[np.concatenate([cancelled, cut])]
    return commands[in_order][:messages]


def _new_orders(random: np.random.Generator, what: np.ndarray, symbols: int) -> np.ndarray:
    count = len(what)
    new = np.zeros(count, NEW_ORDER)
    is_kind = {name: what == index for index, name in enumerate(NEW_ORDERS)}
    new["instrument"] = random.integers(0, symbols, count)
    new["side"] = random.choice([1, -1], count)
    new["qty"] = random.integers(1, 10, count) * 100
    new["display"] = EVERYTHING
    behind = random.geometric(0.12, count) - 3  # ticks: most rest behind the middle of all prices, some cross it
    behind[is_kind["ioc"] | is_kind["fill_or_kill"] | is_kind["minimum"]] = -4
    middle = PRICE // TICK + np.cumsum(random.choice([-1, 0, 1], count, p=[0.005, 0.99, 0.005]))
    new["price"] = np.where(is_kind["midpoint"], 0, (middle - new["side"] * behind) * TICK)
    new["kind"] = np.select([is_kind["market"], is_kind["midpoint"]], [MARKET, MIDPOINT], LIMIT)
    immediate = is_kind["ioc"] | is_kind["market"] | is_kind["minimum"]
    new["time_in_force"] = np.select([immediate, is_kind["fill_or_kill"]], [IMMEDIATE, FILL_OR_KILL], DAY)
    new["post_only"] = is_kind["post_only"]
    new["display"][is_kind["hidden"]] = 0
    new["display"][is_kind["iceberg"]] = 100
    new["min_qty"][is_kind["minimum"]] = 100
    new["group"] = random.integers(0, 50, count)  # 0: nobody's
    return new


@njit(cache=True, nogil=True)
def play(state, commands, references, reports, totals):
    """Lets the engine take ``commands``; ``totals``: reports, executions, cancels and cuts that met nothing."""
    for index in range(len(commands)):
        command = commands[index]
        if command.what == CANCEL or command.what == REDUCE:
            keep = command.keep if command.what == REDUCE else 0
            n = reduce(state, references[command.target], keep, reports, 0)
            totals[2] += n == 0
        else:
            n = enter(state, command.new, reports, 0)
            references[index] = reports[0].reference
        totals[0] += n
        for row in range(n):
            totals[1] += reports[row].kind == EXECUTED


def _pass(commands: np.ndarray, symbols: int) -> tuple[float, np.record, np.ndarray]:
    state, reports = matching_state(symbols, tick=TICK), report_buffer()
    references, totals = np.zeros(len(commands), np.int64), np.zeros(3, np.int64)
    gc.collect()
    started = time.perf_counter()
    play(state, commands, references, reports, totals)
    return time.perf_counter() - started, state, totals


def _compare(commands: np.ndarray, symbols: int) -> dict[str, Any]:
    """The plain engine's rate on ``commands``, and whether both engines agree after them."""
    orders = [_as_order(command["new"]) for command in commands]
    plain, serials, executions = ReferenceMatching(TICK), [0] * len(commands), 0
    started = time.perf_counter()
    for index, (what, target, keep) in enumerate(commands[["what", "target", "keep"]].tolist()):
        if what in (CANCEL, REDUCE):
            reports = plain.reduce(serials[target], keep if what == REDUCE else 0)
        else:
            reports = plain.enter(orders[index])
            serials[index] = reports[0].serial
        executions += sum(report.kind is ReportKind.EXECUTED for report in reports)
    seconds = time.perf_counter() - started
    _, state, totals = _pass(commands, symbols)
    hashes = [book_hash(rows) for rows in (book_rows(state), plain.resting_orders())]
    return {
        "messages": len(commands),
        "peer": round(len(commands) / seconds),
        "executions": executions,
        "book_hash": hashes[1],
        "equal": hashes[0] == hashes[1] and executions == int(totals[1]),
    }


def _as_order(row: np.void) -> NewOrder:
    return NewOrder(**{name: row[name].item() for name in NewOrder.__struct_fields__})
