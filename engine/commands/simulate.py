"""Runs sessions of the whole trading system in one process, in virtual time, each under a seed that also draws what
goes wrong: ``simulate --seeds 300``. After each session the venues' records, the engines and the ledger must agree.

A seed counts with at least 5,000 market events, 200 orders, 50 fills, one crash and three kinds of fault. A seed that
fails prints, on standard error, what did not agree and the command that repeats it.
"""

import argparse
import gc
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.live.warm import warm
from engine.simulation.exchange import warm_up
from engine.virtual.session import Outcome, run_seed

MEMORY = Path("/dev/shm")  # journals are written there: it is not the disk that is tried
AT_ONCE = 8  # seeds handed to a process


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=20, help="how many sessions")
    parser.add_argument("--first", type=int, default=1, help="the first seed; the others follow it")
    parser.add_argument("--venues", type=int, default=2, help="exchanges in a session, each with an engine of its own")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--stop", action="store_true", help="at the first seed that fails")
    parser.add_argument("--verbose", action="store_true", help="each session's counts, and what the parts log")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.seeds < 1 or arguments.first < 0 or not 1 <= arguments.venues <= 16 or arguments.processes < 1:
        raise BadInput("out_of_range", "seeds", arguments.seeds, "at least one seed, venue and process")
    if not arguments.verbose:
        logging.disable(logging.CRITICAL)
    warm()
    warm_up(auctions=False)
    gc.collect()
    gc.freeze()
    began, outcomes = time.monotonic(), []
    for outcome in _outcomes(arguments):
        outcomes.append(outcome)
        _tell(outcome, arguments)
        if outcome.problems and arguments.stop:
            break
    return _summary(outcomes, arguments, time.monotonic() - began)


def _outcomes(arguments: argparse.Namespace) -> Iterator[Outcome]:
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    with tempfile.TemporaryDirectory(prefix="simulate-", dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        if arguments.processes == 1:
            yield from (_one(seed, scratch, arguments.venues) for seed in seeds)
            return
        tasks = [(seed, scratch, arguments.venues) for seed in seeds]
        with ProcessPoolExecutor(arguments.processes, mp_context=get_context("fork")) as pool:
            yield from pool.map(_one, *zip(*tasks, strict=True), chunksize=AT_ONCE)


def _one(seed: int, scratch: str, venues: int) -> Outcome:
    return run_seed(seed, Path(scratch) / str(os.getpid()), venues=venues)


def command(seed: int, venues: int) -> str:
    """What repeats a seed."""
    return f"python -m engine simulate --seeds 1 --first {seed} --venues {venues}"


def _tell(outcome: Outcome, arguments: argparse.Namespace) -> None:
    if arguments.verbose:
        print(outcome, file=sys.stderr)
    for problem in outcome.problems:
        print(f"seed {outcome.seed}: {problem}", file=sys.stderr)
    if outcome.problems:
        print(f"repeat it with: {command(outcome.seed, arguments.venues)}", file=sys.stderr, flush=True)


def _summary(outcomes: list[Outcome], arguments: argparse.Namespace, seconds: float) -> dict[str, Any]:
    faults: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome.faults)
    failed = [outcome for outcome in outcomes if outcome.problems]
    return {
        "ok": not failed,
        "seeds": len(outcomes),
        "first": arguments.first,
        "venues": arguments.venues,
        "counted": sum(outcome.counted for outcome in outcomes),
        "failed": [
            {"seed": each.seed, "problem": each.problems[0], "repeat": command(each.seed, arguments.venues)}
            for each in failed[:20]
        ],
        "failures": len(failed),
        "market_events": sum(outcome.market_events for outcome in outcomes),
        "orders": sum(outcome.orders for outcome in outcomes),
        "fills": sum(outcome.fills for outcome in outcomes),
        "crashes": sum(outcome.crashes for outcome in outcomes),
        "faults": dict(sorted(faults.items())),
        "seconds": round(seconds, 1),
    }
