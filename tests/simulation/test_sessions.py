"""Sessions of the whole system in virtual time: `python -m engine simulate` runs more of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.events import EVENT, Kind, timer_event
from engine.live.warm import warm
from engine.simulation.exchange import warm_up
from engine.virtual.session import Session, run_seed

SEED = 3


@pytest.fixture(scope="module", autouse=True)
def _warm():
    warm()
    warm_up(auctions=False)


def test_a_seed_is_the_same_session_each_time(tmp_path: Path):
    first, second = (run_seed(SEED, tmp_path / "session", venues=2) for _ in range(2))
    assert first.digest == second.digest
    assert first == second


def test_another_seed_is_another_session(tmp_path: Path):
    digests = {run_seed(seed, tmp_path / "session", venues=1).digest for seed in (SEED, SEED + 1)}
    assert len(digests) == 2


@pytest.mark.parametrize("seed", range(1, 9))
def test_after_a_session_venue_engine_and_ledger_agree(seed: int, tmp_path: Path):
    outcome = run_seed(seed, tmp_path / "session", venues=2)
    assert outcome.problems == []
    assert outcome.fills > 0
    assert outcome.crashes > 0


def test_a_fill_that_only_the_engine_has_is_found(tmp_path: Path):
    """An execution that the venue never told of is written into the journal, and stepped, behind the close."""
    session = Session(SEED, tmp_path / "session", 1)
    assert session.run() == []
    core = session.engines[0].core
    orders = core.engine.state["orders"]
    order = orders[orders["filled"] > 0][0]
    execution = np_event(Kind.EXECUTION, core.pipeline.last_ts, order)
    core.pipeline.take(execution)
    problems = session.check()
    session.close()
    assert any("execution" in problem and "the venue has None" in problem for problem in problems)
    assert any("shares at the venue" in problem for problem in problems)


def test_an_input_that_the_journal_lacks_is_found_by_its_replay(tmp_path: Path):
    session = Session(SEED, tmp_path / "session", 1)
    assert session.run() == []
    core = session.engines[0].core
    core.engine.apply(timer_event(core.pipeline.last_ts + 1, 0))
    problems = session.check()
    session.close()
    assert any("replay" in problem for problem in problems)


def test_a_fill_that_the_ledger_lacks_is_found(tmp_path: Path):
    session = Session(SEED, tmp_path / "session", 1)
    assert session.run() == []
    lost = session.ledger.fills.pop()[1]
    problems = session.check()
    session.close()
    assert problems
    assert all("the ledger None" in problem and str(lost.execution_id) in problem for problem in problems)


def test_the_command_counts_what_happened_and_ends_well(tmp_path: Path):
    command = [sys.executable, "-m", "engine", "simulate", "--seeds", "2", "--first", "4"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["ok"] is True
    assert result["seeds"] == 2
    assert result["failed"] == []
    assert result["crashes"] == result["faults"]["crashes"] > 0
    assert result["market_events"] > result["orders"] > result["fills"] > 0


def np_event(kind: Kind, ts: int, order):
    event = timer_event(ts, 0).astype(EVENT, copy=True)
    event["kind"], event["instrument"], event["side"] = kind, order["instrument"], order["side"]
    event["order_id"], event["price"], event["qty"], event["ref"] = order["order_id"], order["price"], 1, 999_999
    return event
