"""The kill command against a real exchange, with a core that runs, one that hangs in an endless kernel, and none."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from exchange_process import ROOT, SYMBOLS, ExchangeProcess

from engine.core.events import BlobType, Command
from engine.core.limit_tables import strategy_limits
from engine.live.control import CHOOSE_SLOT, ask, blob_packets, command_packets, connect
from engine.messages import DataContract, LimitEnvelope, Manifest

PATIENCE = 300.0  # seconds; a cold start compiles
WIDE = LimitEnvelope(999_999, 10**14, 10**7, 10**15)


class World:
    """One exchange, one engine folder; cores and commands as processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.exchange = ExchangeProcess(folder, [port], day_seconds=600.0, messages_per_second=10.0)
        self.exchange.start()
        (folder / "token").write_text("unused\n")
        (folder / "account.json").write_text(json.dumps({"username": "HELIO1", "password": "secret"}))
        config = {
            "node": "sim-1",
            "var": str(folder / "engine"),
            "link": "ws://127.0.0.1:1/engine/link/",
            "token_file": str(folder / "token"),
            "venues": [
                {
                    "name": "SIM",
                    "itch_bind": f"127.0.0.1:{port}",
                    "ports_file": str(folder / "var" / "exchange" / "ports.json"),
                    "clock_file": str(folder / "var" / "exchange" / "clock.json"),
                    "account_file": str(folder / "account.json"),
                }
            ],
            "symbols": SYMBOLS,
            "history": str(folder / "history"),
            "firm_limits": msgspec.to_builtins(WIDE),
        }
        self.config = folder / "engine.json"
        self.config.write_text(json.dumps(config))
        self.engine = folder / "engine"
        self.core: subprocess.Popen[bytes] | None = None

    def start_core(self) -> None:
        log = (self.folder / "core.log").open("ab")
        self.core = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "endless_core.py"), "--config", str(self.config)],
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        log.close()
        self.wait("a core that listens", lambda: self.status() is not None)

    def status(self) -> dict | None:
        """None while the core does not answer within a second."""
        try:
            with closing(connect(self.engine)) as connection:
                connection.settimeout(1.0)
                return ask(connection, b"S")["status"]
        except OSError:
            return None

    def deploy(self) -> None:
        manifest = Manifest(
            "d-1", "v", "pairs", "", {}, WIDE, DataContract("", ""), "sim", 10**12, "Endless desk", "Endless"
        )
        with closing(connect(self.engine)) as connection:
            connection.settimeout(30)
            packets = [
                blob_packets(BlobType.MANIFEST, msgspec.json.encode(manifest), CHOOSE_SLOT),
                blob_packets(BlobType.LIMITS, strategy_limits(WIDE), 0),
                command_packets(Command.START, 0),
            ]
            for (packet,) in packets:
                ask(connection, packet)

    def command(self, *arguments: str) -> tuple[int, dict]:
        done = subprocess.run(
            [sys.executable, "-m", "engine", *arguments, "--config", str(self.config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    def working(self) -> set[int]:
        """Orders that work, by the exchange's own record."""
        left: dict[int, int] = {}
        for line in (self.folder / "var" / "exchange" / "record.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["type"] in ("order", "replace"):
                left.pop(entry.get("replaces"), None)
                left[entry["user_ref_num"]] = entry["qty"]
            elif entry["type"] in ("execution", "cancel"):
                left[entry["user_ref_num"]] -= entry["qty"]
        return {order_id for order_id, shares in left.items() if shares}

    def orders(self) -> int:
        record = (self.folder / "var" / "exchange" / "record.jsonl").read_text()
        return sum(json.loads(line)["type"] in ("order", "replace") for line in record.splitlines())

    def wait(self, what: str, condition) -> None:
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < give_up, f"waited for {what}; {(self.folder / 'core.log').read_text()[-3000:]}"
            time.sleep(0.1)

    def close(self) -> None:
        if self.core and self.core.poll() is None:
            self.core.kill()
            self.core.wait()
        self.exchange.kill()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    made = World(tmp_path_factory.mktemp("kill"))
    try:
        made.start_core()
        made.deploy()
        yield made
    finally:
        made.close()


def test_an_endless_kernel_is_ended_its_orders_are_cancelled_and_the_next_core_stays_killed(world: World) -> None:
    world.wait("an order that works", world.working)
    world.wait("a kernel that does not come back", lambda: world.status() is None)
    assert world.working()
    code, proof = world.command("kill", "--scope", "firm", "--level", "cancel", "--patience", "0.5", "--person", "ada")
    assert (code, proof["ok"], proof["core_ended"], proof["through"]) == (0, True, True, "second session")
    assert proof["orders_before"] > 0
    assert (proof["acknowledged"], proof["unacknowledged"]) == (proof["orders_before"], 0)
    assert world.core.wait(5) == -signal.SIGKILL
    assert world.working() == set()

    before = world.orders()
    world.start_core()
    world.wait("an order session", lambda: (world.status() or {}).get("venue_connected"))
    status = world.status()
    assert [(one["scope"], one["level"]) for one in status["latches"]] == [("firm", "cancel")]
    assert [slot["state"] for slot in status["slots"]] == ["faulted"]
    assert world.orders() == before


def test_the_killer_does_not_rearm_and_two_others_do_on_a_core_that_runs(world: World) -> None:
    assert world.command("rearm", "--scope", "firm", "--person", "ada", "--person", "rhea")[0] == 2
    assert world.status()["latches"][0]["level"] == "cancel"
    code, answer = world.command("rearm", "--scope", "firm", "--person", "tess", "--person", "rhea")
    assert (code, answer["ok"]) == (0, True)
    assert world.status()["latches"][0]["level"] == "armed"


def test_a_core_that_runs_takes_the_kill_itself(world: World) -> None:
    before = world.orders()
    code, proof = world.command("kill", "--scope", "symbol:KO", "--level", "flatten")
    assert (code, proof["through"], proof["core_ended"]) == (0, "core", False)
    assert proof["unacknowledged"] == 0
    assert world.core.poll() is None
    world.wait("the order that closes the position", lambda: world.orders() > before)


def test_a_desk_that_is_not_here_is_latched_and_said_to_cover_nothing(world: World) -> None:
    code, proof = world.command("kill", "--scope", "desk:Elsewhere", "--level", "cancel")
    assert (code, proof["ok"], proof["strategies"]) == (1, False, 0)


def test_disconnect_logs_out_and_no_order_session_is_made_again(world: World) -> None:
    assert world.status()["venue_connected"]
    assert world.command("kill", "--scope", "venue:SIM", "--level", "disconnect")[0] == 0
    world.wait("no order session", lambda: not world.status()["venue_connected"])
    time.sleep(1.0)  # longer than a core waits before it connects again
    assert not world.status()["venue_connected"]


def test_without_a_core_the_latch_waits_for_one(world: World) -> None:
    world.core.kill()
    world.core.wait()
    code, proof = world.command("kill", "--scope", "symbol:PEP", "--level", "pause")
    assert (code, proof["through"], proof["core_ended"]) == (0, "latch file", False)
    world.start_core()
    world.wait(
        "the latch",
        lambda: ("symbol:PEP", "pause") in [(one["scope"], one["level"]) for one in world.status()["latches"]],
    )
    assert not (world.engine / "kill.latch").exists()


def test_what_the_exchange_does_not_trade_is_refused(world: World) -> None:
    code, answer = world.command("kill", "--scope", "symbol:XYZ", "--level", "cancel")
    assert (code, answer["error"]["code"]) == (2, "unknown_symbol")
    code, answer = world.command("resolve", "--symbol", "KO")
    assert (code, answer["error"]["code"]) == (2, "no_break")
