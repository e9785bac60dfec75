"""Signals of hundreds of pairs on an ITCH feed: what one pair's update costs, and what the step does with all of them.

The file goes through the step (books, health, the kernel of the strategy ``intraday_pairs``) as in the live core, with
``--pairs`` pairs over the file's symbols and each move of a microprice a sample, so that every update does all its
work.
*One update* is timed on the moves that the file has: the logarithm of the price and `on_price`, for all of them in
turn, in each of the four ways to follow a spread; ``ns_per_pair_update`` is that of the default, a static hedge ratio
with a rolling window. The peer is `signals.reference` in plain Python with numpy on the first moves of the same file,
and the z-scores of both must agree.
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.benchmarks import itch_file
from engine.benchmarks.surroundings import commit, machine
from engine.core.compiled import njit
from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import EVENT, BlobType, Command, Kind, Session, TradingStatus
from engine.core.signals.instruments import touch_price
from engine.core.signals.pairs import on_price, z_score
from engine.core.signals.reference import ReferencePair
from engine.core.state import INSTRUMENTS
from engine.core.step import step
from engine.errors import BadInput
from engine.protocols.feed import FEED, new_locate_map, set_date
from engine.protocols.itch_events import decode_whole
from engine.strategies import intraday_pairs, many_pairs
from engine.strategies.intraday_pairs import HEDGE_VARIANCE, MEMORY, PARAMETERS

EVENTS_AT_ONCE = 1_024
MOVE = np.dtype([("instrument", "<i8"), ("price", "<f8"), ("now", "<i8")])
MODES = [(hedge, moments) for hedge in ("static", "kalman") for moments in ("rolling", "exponential")]
CHECKED_MOVES = 20_000
SAME = 1e-6  # how far z-scores of the two may be apart


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", type=Path, required=True, metavar="FILE", help="a plain ITCH 5.0 BinaryFILE")
    parser.add_argument("--pairs", type=int, default=300, help=f"at most {intraday_pairs.MAX_PAIRS}")
    parser.add_argument("--rounds", type=int, default=5, help="runs, of which the median counts")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    symbols = itch_file.symbols_of(arguments.input)
    if not 2 <= len(symbols) <= INSTRUMENTS:
        raise BadInput("instruments", "input", len(symbols), f"2 to {INSTRUMENTS} symbols")
    bench = _Bench(arguments.input, symbols, arguments.pairs)
    messages, moves = bench.record_moves()
    if not len(moves):
        raise BadInput("no_moves", "input", arguments.input, "a file in which a price moves")
    whole, quiet, costs = [], [], {mode: [] for mode in MODES}  # type: ignore[var-annotated]
    for _ in range(arguments.rounds):
        whole.append(bench.run_step(with_pairs=True))
        quiet.append(bench.run_step(with_pairs=False))
        for mode in MODES:
            seconds, updates = bench.run_moves(mode, moves)
            costs[mode].append(seconds / updates * 1e9)
    peer, apart = _peer(bench, moves[:CHECKED_MOVES])
    ours = {"_".join(mode): round(statistics.median(each), 2) for mode, each in costs.items()}
    rate, without = messages / statistics.median(whole), messages / statistics.median(quiet)
    return {
        "bench": "signals",
        "ok": apart < SAME,
        "ours": ours["static_rolling"],
        "peer": round(peer, 1),
        "ratio": round(peer / ours["static_rolling"], 1),
        "unit": "ns/update",
        "n": arguments.rounds,
        "commit": commit(),
        "machine": machine(),
        "messages": messages,
        "pairs": arguments.pairs,
        "moves": len(moves),
        "ns_per_pair_update": ours["static_rolling"],
        "ns_per_pair_update_by_mode": ours,
        "ns_per_pair_update_in_step": round((1e9 / rate - 1e9 / without) * messages / updates, 1),
        "pairs_per_message": round(updates / messages, 3),
        "msgs_per_s": round(rate),
        "msgs_per_s_without_pairs": round(without),
        "largest_z_difference": apart,
    }


class _Bench:
    def __init__(self, path: Path, symbols: np.ndarray, pairs: int) -> None:
        self.path, self.symbols, self.pairs = path, symbols, pairs
        self._events = np.zeros(EVENTS_AT_ONCE, EVENT)
        self._none = np.zeros(0, MOVE)

    def parameters(self, mode: tuple[str, str]) -> bytes:
        return many_pairs.parameters(hedge=mode[0], statistics=mode[1])

    def artifact(self) -> np.ndarray:
        return many_pairs.artifact(len(self.symbols), self.pairs)

    def engine(self, with_pairs: bool) -> Engine:
        """An engine in which the strategy runs; without the pairs its kernel sleeps."""
        wakes = intraday_pairs.STRATEGY.interests if with_pairs else frozenset()
        engine = Engine(lambda _: Loaded(intraday_pairs.kernel(), wakes, 0))
        for blob_type, strategy, payload in (
            (BlobType.INSTRUMENTS, FIRM, json.dumps([f"{key:016x}" for key in self.symbols.tolist()]).encode()),
            (BlobType.MANIFEST, 0, b"{}"),
            (BlobType.PARAMETERS, 0, self.parameters(("static", "rolling"))),
            (BlobType.ARTIFACT, 0, self.artifact().tobytes()),
        ):
            engine.apply_blob(blob(blob_type, payload, strategy=strategy, ts=0), payload)
        return engine

    def run_step(self, with_pairs: bool) -> float:
        """Seconds of the whole file through the step."""
        return self._through(self.engine(with_pairs), self._none)[0]

    def record_moves(self) -> tuple[int, np.ndarray]:
        """(messages of the file, MOVE[n]: each time that a microprice is another one)."""
        moves = np.zeros(4 * self.path.stat().st_size // 76, MOVE)
        _, messages, count = self._through(self.engine(False), moves)
        return messages, moves[:count]

    def _through(self, engine: Engine, moves: np.ndarray) -> tuple[float, int, int]:
        feed, locates = np.zeros(1, FEED), new_locate_map()
        set_date(feed[0], int(itch_file.SESSION))  # type: ignore[arg-type]
        prices = np.zeros(INSTRUMENTS)
        seconds, count = 0.0, 0
        for number, piece in enumerate(itch_file.pieces(self.path)):
            start = 0
            if number == 0:  # the day begins with the first message; the file does not open the session
                start = 2 + (int(piece[0]) << 8 | int(piece[1]))
                self._step(engine, piece[:start], feed, locates, moves, 0, prices)
                _open_session(engine, len(self.symbols))
            started = time.perf_counter()
            count = self._step(engine, piece[start:], feed, locates, moves, count, prices)
            seconds += time.perf_counter() - started
        return seconds, int(feed[0]["messages"]), count

    def _step(
        self,
        engine: Engine,
        piece: np.ndarray,
        feed: np.ndarray,
        locates: np.ndarray,
        moves: np.ndarray,
        count: int,
        prices: np.ndarray,
    ) -> int:
        where = feed, locates, self.symbols, self._events
        return int(step_block(piece, *where, engine.record, engine.kernels, engine.outputs, moves, count, prices))

    def memory(self, mode: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
        """(MEMORY[1], PARAMETERS[1]) of the kernel as it is when it has taken its formation."""
        engine = self.engine(True)
        parameters = np.frombuffer(self.parameters(mode), PARAMETERS)
        memory = engine.state["stores"][0]["memory"][: MEMORY.itemsize].view(MEMORY)
        return memory, parameters

    def run_moves(self, mode: tuple[str, str], moves: np.ndarray) -> tuple[float, int]:
        """(seconds, pair updates) of all moves."""
        memory, parameters = self.memory(mode)
        follow_moves(memory, moves[:1], parameters)
        started = time.perf_counter()
        updates = follow_moves(memory, moves, parameters)
        return time.perf_counter() - started, int(updates)


@njit(cache=True, nogil=True)
def step_block(block, feeds, locate_map, symbols, events, states, kernels, out, moves, count, prices):
    """Decodes and steps a block; notes moves of mids while ``moves`` has room, and returns how many there are."""
    start = 0
    while start < len(block):
        decoded = decode_whole(block, start, len(block), feeds[0], locate_map, symbols, events)
        for index in range(decoded):
            step(states[0], kernels, events, index, out)
            instrument = events[index].instrument
            if count < len(moves) and instrument >= 0:
                price = touch_price(states[0].market[instrument], True)
                if price > 0.0 and price != prices[instrument]:
                    prices[instrument] = price
                    moves[count].instrument = instrument
                    moves[count].price = price
                    moves[count].now = events[index].ts_event
                    count += 1
        start = feeds[0].position
    return count


@njit(cache=True, nogil=True)
def follow_moves(memories, moves, parameters):
    """Every move through the pairs of its instrument; returns the updates of pairs."""
    signals, settings = memories[0].signals, parameters[0].settings
    total = 0
    for index in range(len(moves)):
        move = moves[index]
        updated, _ = on_price(signals, move.instrument, math.log(move.price), move.now, settings)
        total += updated
    return total


def _open_session(engine: Engine, instruments: int) -> None:
    control = np.zeros(1, EVENT)
    control["instrument"] = -1
    control["kind"], control["command"] = Kind.COMMAND, Command.START
    engine.apply(control)
    control["kind"], control["code"], control["date"] = Kind.SESSION, Session.OPEN, int(itch_file.SESSION)
    engine.apply(control)
    control["kind"], control["code"] = Kind.STATUS, TradingStatus.TRADING
    for instrument in range(instruments):
        control["instrument"] = instrument
        engine.apply(control)


def _peer(bench: _Bench, moves: np.ndarray) -> tuple[float, float]:
    """(ns an update of the plain pairs on these moves, the largest difference of a z-score from ours)."""
    memory, parameters = bench.memory(("static", "rolling"))
    follow_moves(memory, moves, parameters)
    settings = parameters[0]["settings"]
    names = ("lookback", "interval", "weight", "state_noise", "spread_noise", "entry", "exit", "stop")
    values = {name: settings[name].item() for name in names}
    formed = bench.artifact()["pair"][0, : bench.pairs]
    pairs = [ReferencePair(1.0, 0.0, 0.0, False, True, state_variance=HEDGE_VARIANCE, **values) for _ in formed]
    touching: list[list[int]] = [[] for _ in bench.symbols]
    for index, row in enumerate(formed):
        touching[row["a"]].append(index)
        touching[row["b"]].append(index)
    legs = [(int(row["a"]), int(row["b"])) for row in formed]
    logs: list[float | None] = [None] * len(bench.symbols)
    updates, started = 0, time.perf_counter()
    for instrument, price, now in moves.tolist():
        logs[instrument] = math.log(price)
        for index in touching[instrument]:
            log_a, log_b = logs[legs[index][0]], logs[legs[index][1]]
            if log_a is not None and log_b is not None:
                pairs[index].update(log_a, log_b, now)
                updates += 1
    seconds = time.perf_counter() - started
    ours = [z_score(pair) for pair in memory[0]["signals"]["pair"][: bench.pairs]]
    apart = max(abs((pair.z or 0.0) - z) for pair, z in zip(pairs, ours, strict=True))
    return seconds / max(updates, 1) * 1e9, apart
