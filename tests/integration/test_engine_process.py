"""A real engine (agent and core) against a real simulated exchange, and a control plane that keeps its word.

What is proved: orders are traded, the core is killed with kill -9 again and again, and afterwards what was
reported equals what the exchange wrote down; bad tokens, changed hashes and second cores are refused.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import Server, ServerConnection, serve

from engine.content import content_hash
from engine.history import open_history
from engine.history.ingest import read_bars
from engine.history.panel import PANEL, PANEL_DATASET, skfolio_panel_path
from engine.messages import (
    Acknowledge,
    DataContract,
    Deployed,
    Desired,
    FillReport,
    Heartbeat,
    Hello,
    KillOrder,
    KillReport,
    LimitEnvelope,
    Manifest,
    OrderReport,
    PositionReport,
    ReportBatch,
    Welcome,
    decode_up,
    encode,
    payload_hash,
)

ROOT = Path(__file__).resolve().parents[2]
MONEY = 10_000
ENVELOPE = LimitEnvelope(50_000, 2_000_000 * MONEY, 200_000, 20_000_000 * MONEY)
PARAMETERS = {"entry": 0.8, "exit": 0.2, "lookback": 15}
TOKEN = "the-right-token"
PATIENCE = 180.0
DONE = {"filled", "cancelled", "rejected", "replaced", "expired", "done_for_day"}


class ControlPlane:
    """Takes an engine's link the way the contract says, and remembers what was committed."""

    def __init__(self) -> None:
        self.committed: dict[str, int] = {}
        self.reports: list[Any] = []
        self.hellos: list[Hello] = []
        self.heartbeat: Heartbeat | None = None
        self.desired = Desired(1, [])
        self.faults: list[str] = []
        self._server: Server = serve(self._converse, "127.0.0.1", 0, process_request=self._admit, max_size=None)
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def desire(self, deployed: list[Deployed], kills: list[KillOrder] | None = None) -> None:
        kills = self.desired.kills if kills is None else kills
        self.desired = Desired(self.desired.revision + 1, deployed, kills)

    def latches(self) -> list[tuple[str, str]]:
        """What is killed at the engine, as its newest heartbeat says."""
        return [(one.scope, one.level) for one in self.heartbeat.latches] if self.heartbeat else []

    def close(self) -> None:
        self._server.shutdown()

    def of_kind(self, kind: type) -> list[Any]:
        return [report for report in list(self.reports) if isinstance(report, kind)]

    def positions(self) -> dict[str, int]:
        newest = {report.symbol: report.qty for report in self.of_kind(PositionReport)}
        return {symbol: qty for symbol, qty in newest.items() if qty}

    def working(self) -> set[int]:
        newest = {report.order_id: report.state for report in self.of_kind(OrderReport)}
        return {order_id for order_id, state in newest.items() if state not in DONE}

    def state(self, deployment: str) -> tuple[str, str]:
        beat = self.heartbeat
        applied = [one for one in beat.deployments if one.deployment == deployment] if beat else []
        return (applied[0].state, applied[0].reason) if applied else ("", "")

    def _admit(self, connection: ServerConnection, request: Any) -> Any:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return connection.respond(HTTPStatus.FORBIDDEN, "wrong token\n")
        return None

    def _converse(self, connection: ServerConnection) -> None:
        for frame in connection:
            message = decode_up(frame)
            if isinstance(message, Hello):
                self.hellos.append(message)
                connection.send(encode(Welcome(message.node, self.committed.get(message.journal, 0))).decode())
            elif isinstance(message, ReportBatch):
                self._commit(message)
                connection.send(encode(Acknowledge(message.journal, message.last)).decode())
                continue
            else:
                self.heartbeat = message
            connection.send(encode(self.desired).decode())

    def _commit(self, batch: ReportBatch) -> None:
        if batch.first != self.committed.get(batch.journal, 0):
            self.faults.append(f"batch from {batch.first} after {self.committed}")
        if batch.payload_hash != payload_hash(batch.reports):
            self.faults.append(f"batch {batch.last} has another hash than its reports")
        self.committed[batch.journal] = batch.last
        self.reports += batch.reports


class World:
    """Folders, configurations and processes of one exchange and one engine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.control = folder, ControlPlane()
        self.processes: list[subprocess.Popen[bytes]] = []
        history = open_history(folder / "history")
        history.append_bars(PANEL_DATASET, read_bars(skfolio_panel_path()).bars, PANEL)
        meta = history.describe(PANEL_DATASET)
        self.data = DataContract(PANEL_DATASET, meta.data_hash)
        itch = f"127.0.0.1:{_free_udp_port()}"
        (folder / "token").write_text(TOKEN + "\n")
        account = self._write("account.json", {"username": "HELIO1", "password": "secret"})
        self.exchange_config = self._write(
            "exchange.json",
            {
                "var": str(folder),
                "history": str(folder / "history"),
                "dataset": PANEL_DATASET,
                "start": "2013-01-02",
                "end": "2015-12-31",
                "day_seconds": 1.0,
                "receivers": [itch],
                "accounts_file": str(account),
            },
        )
        self.engine_settings = {
            "node": "sim-1",
            "var": str(folder / "engine"),
            "link": f"ws://127.0.0.1:{self.control.port}/engine/link/",
            "token_file": str(folder / "token"),
            "venues": [
                {
                    "name": "SIM",
                    "itch_bind": itch,
                    "ports_file": str(folder / "exchange" / "ports.json"),
                    "clock_file": str(folder / "exchange" / "clock.json"),
                    "account_file": str(account),
                }
            ],
            "symbols": list(meta.symbols),
            "history": str(folder / "history"),
            "fee_per_share": 30,
        }
        self.engine_config = self._write("engine.json", self.engine_settings)

    def manifest(self, deployment: str, digest: str | None = None) -> Manifest:
        own = content_hash("pairs", PARAMETERS, ENVELOPE, self.data)
        return Manifest(
            deployment, "v-1", "pairs", digest or own, PARAMETERS, ENVELOPE, self.data, "sim", 1_000_000 * MONEY
        )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{command[0]}.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "engine", *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.processes.append(process)
        return process

    def core_pid(self) -> int:
        """0 while a core that has just begun has not written it yet."""
        return int((self.folder / "engine" / "core.lock").read_text() or 0)

    def executed(self) -> dict[str, int]:
        """Net shares by symbol, from the exchange's own record."""
        net: dict[str, int] = {}
        for line in (self.folder / "exchange" / "record.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["type"] == "execution":
                signed = entry["qty"] if entry["side"] in ("buy", "B") else -entry["qty"]
                net[entry["symbol"]] = net.get(entry["symbol"], 0) + signed
        return {symbol: qty for symbol, qty in net.items() if qty}

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
        self.control.close()

    def _write(self, name: str, content: dict[str, Any]) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, condition: Callable[[], Any]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, f"waited {PATIENCE:.0f} s for {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange and an engine that trades one deployment."""
    made = World(tmp_path_factory.mktemp("engine_process"))
    try:
        exchange = made.start("exchange", "--config", str(made.exchange_config))
        assert exchange.stdout is not None
        assert b'"ports"' in exchange.stdout.readline()
        made.control.desire([Deployed(made.manifest("d-1"), "running")])
        made.start("run", "--config", str(made.engine_config))
        wait_for("20 fills", lambda: len(made.control.of_kind(FillReport)) >= 20)
        yield made
    finally:
        made.close()


def at_rest(world: World) -> None:
    """Pauses the deployment and waits until nothing works any more."""
    world.control.desire([Deployed(world.manifest("d-1"), "paused")])
    wait_for("a pause", lambda: world.control.state("d-1")[0] == "paused")
    wait_for("orders to end", lambda: not world.control.working())


def test_positions_equal_the_exchanges_record_after_the_core_was_killed_again_and_again(world):
    for _ in range(3):
        fills, pid, hellos = len(world.control.of_kind(FillReport)), world.core_pid(), len(world.control.hellos)
        os.kill(pid, signal.SIGKILL)
        wait_for("another core", lambda before=pid: world.core_pid() not in (before, 0))
        wait_for("fills to go on", lambda before=fills: len(world.control.of_kind(FillReport)) > before + 3)
        assert len(world.control.hellos) == hellos  # the link did not need to be made anew
    at_rest(world)
    wait_for("equal positions", lambda: world.control.positions() == world.executed())
    assert world.executed()
    assert world.control.faults == []


def test_every_execution_of_the_exchange_is_reported_once(world):
    at_rest(world)
    entries = map(json.loads, (world.folder / "exchange" / "record.jsonl").read_text().splitlines())
    executed = sorted(
        (entry["trade_date"], entry["match_number"], entry["user_ref_num"], entry["qty"], entry["price"])
        for entry in entries
        if entry["type"] == "execution"
    )
    reported = sorted(
        (fill.trade_date, fill.execution_id, fill.order_id, fill.qty, fill.price)
        for fill in world.control.of_kind(FillReport)
    )
    assert reported == executed


def test_a_desired_kill_holds_over_a_core_that_dies_until_two_have_rearmed_it(world):
    running = [Deployed(world.manifest("d-1"), "running")]
    epoch = time.time_ns() // 1_000_000
    world.control.desire(running, [KillOrder("strategy:pairs", "cancel", epoch, ["tess"])])
    wait_for("the latch", lambda: world.control.latches() == [("strategy:pairs", "cancel")])
    wait_for("orders to end", lambda: not world.control.working())
    orders, pid = len(world.control.of_kind(OrderReport)), world.core_pid()
    os.kill(pid, signal.SIGKILL)
    wait_for("another core", lambda: world.core_pid() != pid)
    wait_for(
        "its order session", lambda: world.control.heartbeat.core_alive and world.control.heartbeat.venue_connected
    )
    day = world.control.heartbeat.session_date
    wait_for("three more days", lambda: world.control.heartbeat.session_date > day + 2)
    assert world.control.latches() == [("strategy:pairs", "cancel")]
    assert len(world.control.of_kind(OrderReport)) == orders
    for persons in (["tess", "rhea"], ["rhea", "rory"]):
        epoch += 1
        world.control.desire(running, [KillOrder("strategy:pairs", "armed", epoch, persons)])
        wait_for(
            "that to be applied or refused", lambda: world.control.heartbeat.revision == world.control.desired.revision
        )
    wait_for("it to be re-armed", lambda: not world.control.latches())
    wait_for("orders again", lambda: len(world.control.of_kind(OrderReport)) > orders)
    reported = [(one.level, one.persons) for one in world.control.of_kind(KillReport)]
    assert reported == [("cancel", ["tess"]), ("armed", ["rhea", "rory"])]


def test_a_manifest_with_another_hash_is_refused_with_both_hashes(world):
    changed = world.manifest("d-2", digest="f" * 64)
    world.control.desire([Deployed(world.manifest("d-1"), "paused"), Deployed(changed, "running")])
    wait_for("a refusal", lambda: world.control.state("d-2")[0] == "refused")
    reason = world.control.state("d-2")[1]
    assert "content_hash" in reason
    assert "f" * 64 in reason
    assert world.manifest("d-1").content_hash in reason
    assert world.control.state("d-1")[0] == "paused"


def test_a_second_core_is_refused_and_names_the_one_that_runs(world):
    second = subprocess.run(
        [sys.executable, "-m", "engine.live.core", "--config", str(world.engine_config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert second.returncode == 2
    error = json.loads(second.stdout.splitlines()[-1])["error"]
    assert error["code"] == "core_running"
    assert str(world.core_pid()) in error["expected"]


def test_a_wrong_token_ends_the_engine_with_an_error_that_names_the_file(world, tmp_path):
    (tmp_path / "token").write_text("another token\n")
    venue = {**world.engine_settings["venues"][0], "itch_bind": f"127.0.0.1:{_free_udp_port()}"}
    config = tmp_path / "engine.json"
    own = {"var": str(tmp_path / "engine"), "token_file": str(tmp_path / "token"), "venues": [venue]}
    config.write_text(json.dumps({**world.engine_settings, **own}))
    ended = subprocess.run(
        [sys.executable, "-m", "engine", "run", "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 2
    error = json.loads(ended.stdout.splitlines()[-1])["error"]
    assert (error["code"], error["field"], error["value"]) == ("wrong_token", "token_file", str(tmp_path / "token"))


def test_replay_of_the_session_is_identical_to_the_last_order_and_nothing_is_left_running(world):
    engine = world.processes[-1]
    core = world.core_pid()
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(60) == 0
    assert engine.stdout is not None
    ended = json.loads(engine.stdout.read().splitlines()[-1])
    assert ended["events"] == ended["committed"]
    assert not Path(f"/proc/{core}").exists()
    replayed = subprocess.run(
        [sys.executable, "-m", "engine", "replay", ended["journal"]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    answer = json.loads(replayed.stdout.splitlines()[-1])
    assert (answer["identical"], answer["events"]) == (True, ended["events"])
