"""After a session: the venue's own record against the engine, its journal and the ledger.

What is true is what the venue's record says, read from its file (`engine.virtual.truth`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.core.engine import Engine
from engine.core.events import Kind
from engine.core.orders import OrderState
from engine.live.journal import Reader
from engine.live.pipeline import Replay
from engine.live.scan import Walk
from engine.strategies.load import load_manifest
from engine.virtual.engine_host import EngineHost
from engine.virtual.memory_ledger import MemoryLedger
from engine.virtual.truth import Execution, Executions, Fill, Line, Truth, beyond_limits, take, worst_position

SECOND = 1_000_000_000
SIDE = {1: "buy", -1: "sell"}
Lines = list[tuple[str, Line]]  # with the venue of each, as they were written
NEVER = ("user_ref_num_not_rising", "malformed")  # what the venue counts, and must not have to


def _strategies_limits(engine: EngineHost, lines: Lines) -> list[str]:
    """The limits of each strategy for itself; whose an order is, and when it was sent, the journal says."""
    problems: list[str] = []
    sent = {
        int(record["order_id"]): (int(record["strategy"]), int(record["ts_recv"]))
        for record in _records(engine, frozenset({Kind.ORDER_NEW, Kind.ORDER_REPLACE}))
    }
    for slot, strategy in enumerate(engine.plan.strategies):
        truth = Truth()
        adds: dict[int, bool] = {}
        for venue, line in lines:
            if sent.get(line.user_ref_num, (-1, 0))[0] != slot:
                continue
            take(truth, venue, line)
            if line.type in ("order", "replace"):
                problems += beyond_limits(engine.deployments[slot], truth, line, strategy.envelope)
                adds[line.user_ref_num] = worst_position(truth, line) > 0
        times = [(sent[order_id][1], adds[order_id], order_id) for order_id in sorted(adds)]
        problems += [f"{engine.deployments[slot]}, {each}" for each in _beyond_rate(times, strategy.orders_per_s)]
    return problems


def _beyond_rate(orders: list[tuple[int, bool, int]], most: int) -> Iterator[str]:
    """Of orders as they were sent: (when, whether it adds to a position, id). So many pass at one moment, and one more
    each part of a second. Orders that take a position down pass any rate, and count."""
    bucket, before = 0, 0
    for ts, adds, order_id in orders:
        bucket = max(bucket - (ts - before) * most, 0) + SECOND
        before = ts
        if adds and bucket > most * SECOND:
            yield f"order {order_id}: more than {most} orders/s"


def check_host(engine: EngineHost, truth: Truth, lines: Lines) -> list[str]:
    """The engine and its journal against the venue's record; then the journal's replay against the engine."""
    if engine.core is None:
        return ["the core does not run"]
    problems = truth.problems[:5]
    if len(truth.ids) != len(set(truth.ids)):
        problems.append("an order id was taken twice")
    if truth.working:
        problems.append(f"{len(truth.working)} orders still work at the venue")
    for venue in engine.venues:
        counters = venue.venue.exchange.orders.counters
        problems += [f"a venue counted {name}: {counters[name]}" for name in NEVER if counters[name]]
    problems += _compare_fills("the journal", truth.fills, dict(_journal_fills(engine, problems)))
    problems += _strategies_limits(engine, lines)
    problems += _compare_state(engine, truth)
    return problems + _replay(engine)


def _compare_fills(who: str, expected: Executions, found: Executions) -> list[str]:
    problems = []
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            problems.append(f"execution {key}: the venue has {expected.get(key)}, {who} {found.get(key)}")
    return problems[:5]


def _records(engine: EngineHost, kinds: frozenset[Kind]) -> Iterator[Any]:
    reader, walk, position = Reader(engine.config.journal), Walk(kinds), 0
    while len(records := reader.read(position)):
        position += len(records)
        yield from records[walk.rows(records)]


def _journal_fills(engine: EngineHost, problems: list[str]) -> Iterator[tuple[Execution, Fill]]:
    """Of the one trading day of a session. An order id that is sent twice is a problem."""
    sent: set[int] = set()
    seen: set[Execution] = set()
    date = int(engine.core.engine.state["date"]) if engine.core else 0
    for record in _records(engine, frozenset({Kind.FILL, Kind.ORDER_NEW, Kind.ORDER_REPLACE})):
        order_id = int(record["order_id"])
        if int(record["kind"]) != Kind.FILL:
            if order_id in sent:
                problems.append(f"the journal has order {order_id} twice")
            sent.add(order_id)
            continue
        venue = engine.config.venue_names[int(record["venue"])]
        key = venue, date, int(record["ref"]), SIDE[int(record["side"])]
        if key in seen:
            problems.append(f"the journal has execution {key} twice")
        seen.add(key)
        symbol = engine.symbols[int(record["instrument"])]
        yield key, Fill(order_id, symbol, int(record["price"]), int(record["qty"]))


def _compare_state(engine: EngineHost, truth: Truth) -> list[str]:
    assert engine.core is not None
    state = engine.core.engine.state
    problems = []
    positions = state["positions"]["position"].sum(axis=0)
    for index, symbol in enumerate(engine.symbols):
        if int(positions[index]) != truth.positions[symbol]:
            problems.append(f"{symbol}: {truth.positions[symbol]} shares at the venue, {positions[index]} here")
    cash = int(state["positions"]["realised"].sum() - state["positions"]["cost"].sum())
    if cash != truth.cash:
        problems.append(f"cash of {truth.cash} at the venue, {cash} here")
    states = state["orders"]["state"]
    still_open = (states >= OrderState.PENDING_NEW) & (states <= OrderState.SUSPENDED)
    if still_open.any():
        problems.append(
            f"orders {state['orders']['order_id'][still_open].tolist()[:5]} are open here, not at the venue"
        )
    for name in ("working_buy", "working_sell"):
        for where in ("positions", "holdings"):
            held = int(np.abs(state[where][name]).sum())
            if held:
                problems.append(f"{held} shares are held in {where}.{name} with no order open")
    if state["breaks"]["code"].any() or int(state["unexplained"]["code"]):
        problems.append("there is a break")
    return problems


def _replay(engine: EngineHost) -> list[str]:
    """The journal makes the same state again, and every record of itself."""
    assert engine.core is not None
    fresh = Engine(load_manifest)
    replay, reader, position = Replay(fresh), Reader(engine.config.journal), 0
    while len(records := reader.read(position, 1 << 20)):
        if not replay.take(records):
            return [f"replay differs: {replay.divergence}"]
        position += len(records)
    if len(replay.missing):
        return ["the journal ends inside the outputs of its last input"]
    own = engine.core.engine.record.view(np.uint64)
    return [] if np.array_equal(own, fresh.record.view(np.uint64)) else ["replay comes to another state"]


def check_ledger(engines: list[EngineHost], truths: list[Truth], ledger: MemoryLedger) -> list[str]:
    """The ledger against the venues' records: every fill once, every order as it ended, every position."""
    problems = [f"ledger: {incident}" for incident in ledger.incidents]
    for engine, truth in zip(engines, truths, strict=True):
        found: Executions = {}
        for key, report in ledger.fills:
            if key[0] not in engine.config.venue_names:
                continue
            if key in found:
                problems.append(f"ledger: execution {key} is there twice")
            found[key] = Fill(report.order_id, report.symbol, report.price, report.qty)
        problems += _compare_fills("the ledger", truth.fills, found)
        problems += _compare_ledger(engine.symbols, engine.deployments, truth, ledger)
    return problems


def _compare_ledger(symbols: list[str], deployments: list[str], truth: Truth, ledger: MemoryLedger) -> list[str]:
    problems = []
    for symbol in symbols:
        reports = [ledger.positions.get((deployment, symbol)) for deployment in deployments]
        held = sum(report.qty for report in reports if report)
        if held != truth.positions[symbol]:
            problems.append(f"ledger: {held} shares of {symbol}, {truth.positions[symbol]} at the venue")
    known = {order.order_id: order for (name, _), order in ledger.orders.items() if name in deployments}
    for order_id, order in known.items():
        if order.filled != truth.filled[order_id]:
            problems.append(f"ledger: order {order_id} {order.filled} filled, {truth.filled[order_id]} at the venue")
        if order.state in ("sent", "accepted", "partially_filled", "suspended"):
            problems.append(f"ledger: order {order_id} is still {order.state}")
    missing = [order_id for order_id in truth.ids if order_id not in known]
    if missing:
        problems.append(f"ledger: orders {missing[:5]} of the venue are not there")
    return problems
