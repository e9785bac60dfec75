"""A strategy that is a Python class, live: a real engine trades it against a real exchange, and outlives it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_engine_process import ENVELOPE, MONEY, ROOT, World, wait_for

from engine.content import content_hash
from engine.core.events import Kind
from engine.core.intents import WANTED
from engine.history import open_history
from engine.live.journal import Reader
from engine.live.scan import Walk
from engine.messages import Deployed, FillReport, Manifest

HISTORY = "live"
PARAMETERS = {"fast": 2, "slow": 4, "band_bps": 0, "formation_days": 20}


def manifest(world: World, deployment: str = "d-1", digest: str | None = None) -> Manifest:
    own = content_hash("trend", PARAMETERS, ENVELOPE, world.data)
    return Manifest(
        deployment, "v-1", "trend", digest or own, PARAMETERS, ENVELOPE, world.data, "sim", 1_000_000 * MONEY
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("python_strategy"))
    made.engine_config = made._write("engine.json", {**made.engine_settings, "history_dataset": HISTORY})
    try:
        exchange = made.start("exchange", "--config", str(made.exchange_config))
        assert exchange.stdout is not None
        assert b'"ports"' in exchange.stdout.readline()
        made.control.desire([Deployed(manifest(made), "running")])
        made.start("run", "--config", str(made.engine_config))
        wait_for("20 fills", lambda: fills(made) >= 20)
        yield made
    finally:
        made.close()


def fills(world: World) -> int:
    return len(world.control.of_kind(FillReport))


def host_pid(world: World) -> int:
    """The process of the strategy, 0 for none."""
    wanted = str(world.folder / "engine" / "strategies")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode()
            except OSError:
                continue
            if "engine.live.strategy_host" in command and wanted in command:
                return int(entry.name)
    return 0


def test_a_strategy_whose_process_is_killed_is_paused_and_trades_on_with_another(world):
    core, killed = world.core_pid(), host_pid(world)
    os.kill(killed, signal.SIGKILL)
    wait_for("a pause", lambda: world.control.state("d-1")[0] == "paused")
    wait_for("another process", lambda: host_pid(world) not in (0, killed))
    wait_for("it to run", lambda: world.control.state("d-1")[0] == "running")
    before = fills(world)
    wait_for("fills to go on", lambda: fills(world) > before + 5)
    assert world.core_pid() == core


def test_a_strategy_whose_process_hangs_is_paused_with_the_reason_and_replaced(world):
    core, hung = world.core_pid(), host_pid(world)
    os.kill(hung, signal.SIGSTOP)
    wait_for("a pause", lambda: world.control.state("d-1")[0] == "paused")
    wait_for("the reason", lambda: "silent" in world.control.state("d-1")[1] or host_pid(world) not in (0, hung))
    wait_for("it to run", lambda: world.control.state("d-1")[0] == "running")
    assert host_pid(world) != hung
    assert world.core_pid() == core


def test_a_core_that_was_killed_takes_the_strategy_up_again(world):
    pid, host = world.core_pid(), host_pid(world)
    os.kill(pid, signal.SIGKILL)
    wait_for("another core", lambda: world.core_pid() not in (pid, 0))
    wait_for("another process", lambda: host_pid(world) not in (host, 0))
    wait_for("it to run", lambda: world.control.state("d-1")[0] == "running")
    before = fills(world)
    wait_for("fills to go on", lambda: fills(world) > before + 5)


def test_positions_equal_the_exchanges_record(world):
    world.control.desire([Deployed(manifest(world), "paused")])
    wait_for("a pause", lambda: world.control.state("d-1")[0] == "paused")
    wait_for("orders to end", lambda: not world.control.working())
    wait_for("equal positions", lambda: world.control.positions() == world.executed())
    assert world.executed()
    assert world.control.faults == []


def test_the_session_replays_to_the_last_order_without_the_strategy(world):
    engine = world.processes[-1]
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(60) == 0
    wait_for("the strategy's process to end", lambda: host_pid(world) == 0)
    journal = world.folder / "engine" / "journal"
    began = time.monotonic()
    replayed = subprocess.run(
        [sys.executable, "-m", "engine", "replay", str(journal)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert '"identical": true' in replayed.stdout, (replayed.stdout, time.monotonic() - began)
    reader, taken, intents, targets = Reader(journal), 0, 0, 0
    walk = Walk(frozenset({Kind.INTENT, Kind.TARGET}))
    while len(records := reader.read(taken, 1 << 20)):
        chosen = records[walk.rows(records)]
        intents += int(((chosen["kind"] == Kind.INTENT) & (chosen["flags"] == WANTED[0])).sum())
        targets += int((chosen["kind"] == Kind.TARGET).sum())
        taken += len(records)
    assert intents == targets > 20


def test_the_history_holds_every_fill_once_whatever_was_killed(world):
    """Compared with the exchange's own record; the agent has written it while the core and the strategy were killed."""
    history = open_history(world.folder / "history")
    entries = map(json.loads, (world.folder / "exchange" / "record.jsonl").read_text().splitlines())
    executed = sorted(
        (entry["match_number"], entry["user_ref_num"], entry["qty"], entry["price"])
        for entry in entries
        if entry["type"] == "execution"
    )
    fills = history.rows(HISTORY, "fill").to_pylist()
    assert sorted((row["match"], row["order_id"], row["size"], row["price"]) for row in fills) == executed
    assert history.rows(HISTORY, "quote").num_rows > 100
    assert history.rows(HISTORY, "risk").num_rows > 10
