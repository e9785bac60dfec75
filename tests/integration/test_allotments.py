"""Three engines under one firm limit at one exchange, one of them cut off from the control plane.

The test is the link: what cores say goes to the control plane's services, and the bundles that these give go to the
node's folder as the agent puts them there. What counts is the exchange's own record.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from exchange_process import ROOT, SYMBOLS, ExchangeProcess

from control.accounts.services import user_create
from control.deployments.models import Node
from control.deployments.services import node_register
from control.errors import Conflict
from control.limits.models import Allotment, Limit
from control.limits.services import allotment_set, limit_agree, limit_ask, public_key_write
from control.local.venue_limits import Account, Envelope
from control.monitoring.services import heartbeat_record
from engine.core.events import BlobType, Command
from engine.core.limit_tables import strategy_limits
from engine.limits_bundle import SignedBundle
from engine.live.config import load_config
from engine.live.control import CHOOSE_SLOT, ask, blob_packets, command_packets, connect
from engine.live.limits import keep_bundle
from engine.messages import DataContract, Heartbeat, Hello, LimitEnvelope, LimitsInForce, Manifest

pytestmark = pytest.mark.django_db
PATIENCE = 300.0  # seconds; a cold start compiles
WIDE = LimitEnvelope(999_999, 10**14, 10**7, 10**15)
FIRM = 4_000
DAY_SECONDS, VALID_DAYS = 10.0, 1  # six days in all


class Engine:
    """One node: a core as a process, and its part of the link."""

    def __init__(self, folder: Path, name: str, account: str, exchange: Path, public_key: Path) -> None:
        self.folder, self.name, self.account, self.linked = folder / name, name, account, True
        self.folder.mkdir()
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (self.folder / "account.json").write_text(json.dumps({"username": account, "password": "secret"}))
        settings = {
            "node": name,
            "var": str(self.folder / "engine"),
            "link": "",
            "token_file": "",
            "venues": [
                {
                    "name": "SIM",
                    "itch_bind": f"127.0.0.1:{self.port}",
                    "ports_file": str(exchange / "ports.json"),
                    "clock_file": str(exchange / "clock.json"),
                    "account_file": str(self.folder / "account.json"),
                }
            ],
            "symbols": SYMBOLS,
            "history": str(folder / "history"),
            "limits_link": True,
            "limits_key": str(public_key),
        }
        (self.folder / "engine.json").write_text(json.dumps(settings))
        (self.folder / "engine").mkdir()
        self.config = load_config(self.folder / "engine.json")
        self.core: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "core.log").open("ab") as log:
            command = [sys.executable, str(Path(__file__).parent / "restless_core.py"), "--config"]
            self.core = subprocess.Popen(
                [*command, str(self.folder / "engine.json")], stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
            )

    def status(self) -> dict[str, Any] | None:
        try:
            with closing(connect(self.config.folder)) as connection:
                connection.settimeout(2.0)
                return ask(connection, b"S")["status"]
        except OSError:
            return None

    def deploy(self) -> None:
        manifest = Manifest("d-1", "v", "pairs", "", {}, WIDE, DataContract("", ""), "sim", 10**12)
        with closing(connect(self.config.folder)) as connection:
            connection.settimeout(30)
            for (packet,) in (
                blob_packets(BlobType.MANIFEST, msgspec.json.encode(manifest), CHOOSE_SLOT),
                blob_packets(BlobType.LIMITS, strategy_limits(WIDE), 0),
                command_packets(Command.START, 0),
            ):
                ask(connection, packet)

    def beat(self) -> None:
        """A heartbeat up, the desired state down."""
        status = self.status()
        if status is None or not self.linked:
            return
        heartbeat = Heartbeat(
            revision=0,
            core_alive=True,
            session_date=status["date"],
            session_phase=status["phase"],
            session_time=status["time"],
            feed_age_ms=status["feed_age_ms"],
            venue_connected=status["venue_connected"],
            events=status["events"],
            anomalies=status["anomalies"],
            deployments=[],
            limits=msgspec.convert(status["limits"], LimitsInForce | None),
        )
        node = Node.objects.get(name=self.name)
        hello = Hello(self.name, status["journal"], status["build"], status["pid"], "SIM")
        desired = heartbeat_record(node=node, epoch=node.epoch, hello=hello, heartbeat=heartbeat)
        if desired.limits:
            keep_bundle(self.config, desired.limits)

    def kept(self) -> Any:
        return msgspec.json.decode(Path(self.config.bundle_file).read_bytes(), type=SignedBundle).bundle


class World:
    def __init__(self, folder: Path, public_key: Path) -> None:
        self.folder, self.record = folder, folder / "var" / "exchange" / "record.jsonl"
        names = (("a", "NODE-A"), ("b", "NODE-B"), ("c", "NODE-C"))
        self.engines = [Engine(folder, name, account, self.record.parent, public_key) for name, account in names]
        ports = [engine.port for engine in self.engines]
        self.exchange = ExchangeProcess(folder, ports, day_seconds=DAY_SECONDS, messages_per_second=200.0)
        accounts = [{"username": engine.account, "password": "secret"} for engine in self.engines]
        (folder / "accounts.json").write_text(json.dumps(accounts))

    def until(self, what: str, check: Callable[[], bool], seconds: float = PATIENCE) -> None:
        give_up = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < give_up, what
            for engine in self.engines:
                engine.beat()
            time.sleep(0.2)

    def go_on(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.until("time to pass", lambda: time.monotonic() > end)

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def stop(self) -> None:
        for engine in self.engines:
            if engine.core is not None:
                engine.core.kill()
                engine.core.wait()
        self.exchange.kill()


@pytest.fixture
def limits(people: SimpleNamespace, desk: Any, settings: Any, tmp_path: Path) -> SimpleNamespace:
    """The firm's limit, and who splits it."""
    settings.LIMITS_KEY, settings.LIMITS_VALID_DAYS = tmp_path / "signer" / "limits.key", VALID_DAYS
    public_key_write()
    second = user_create(actor=people.admin, username="rory", role="risk_officer", desks=[desk], password="x" * 20)
    values = {
        "max_order_qty": 5_000,
        "max_order_notional": Decimal(10**9),
        "max_position_qty": FIRM,
        "max_gross_notional": Decimal(10**9),
    }
    limit_agree(actor=second, change=limit_ask(actor=people.risk_officer, desk=None, values=values))
    for name in ("a", "b", "c"):
        node_register(actor=people.admin, name=name)
    return SimpleNamespace(
        firm=Limit.objects.get(), actor=people.risk_officer, public_key=settings.LIMITS_KEY.with_suffix(".pub")
    )


def allot(limits: SimpleNamespace, name: str, qty: int) -> None:
    node = Node.objects.get(name=name)
    part = Decimal(10**8)
    allotment_set(actor=limits.actor, limit=limits.firm, node=node, position_qty=qty, gross_notional=part)


@pytest.fixture
def world(tmp_path: Path, limits: SimpleNamespace) -> Iterator[World]:
    made = World(tmp_path, limits.public_key)
    try:
        for engine in made.engines:
            engine.start()
        made.until("cores that listen", lambda: all(engine.status() for engine in made.engines))
        made.exchange.start()
        yield made
    finally:
        made.stop()


def worst_cases(entries: list[dict[str, Any]], names: list[str]) -> tuple[int, dict[str, int]]:
    """(the most that all accounts together might have come to in a symbol at any moment, the most of each)."""
    open_ended = Envelope(1 << 40, 1 << 60, 1 << 40)
    accounts = {name: {symbol: Account(name, open_ended) for symbol in SYMBOLS} for name in names}
    now: dict[str, dict[str, int]] = defaultdict(dict)
    most = 0
    for entry in entries:
        if entry["symbol"] not in SYMBOLS or entry["account"] not in accounts:
            continue
        account = accounts[entry["account"]][entry["symbol"]]
        account.take(entry)
        held = account.positions[entry["symbol"]]
        buys, sells = (
            sum(order.qty for order in account.working.values() if order.side == side) for side in ("buy", "sell")
        )
        now[entry["symbol"]][entry["account"]] = max(held + buys, sells - held)
        most = max(most, sum(now[entry["symbol"]].values()))
    return most, {name: max(one.worst for one in symbols.values()) for name, symbols in accounts.items()}


def test_three_engines_never_exceed_the_firms_limit_though_one_is_cut_off(
    world: World, limits: SimpleNamespace
) -> None:
    a, b, c = world.engines
    started = lambda: all((engine.status() or {"date": 0})["date"] for engine in world.engines)  # noqa: E731
    world.until("the first day", started)
    for engine in world.engines:
        engine.deploy()
    world.go_on(DAY_SECONDS / 2)
    assert not any(entry["type"] == "order" for entry in world.entries()), "without a bundle nothing is sent"

    for name, qty in (("a", 1_500), ("b", 1_000), ("c", 1_500)):
        allot(limits, name, qty)
    world.until(
        "orders of all three", lambda: len({e["account"] for e in world.entries() if e["type"] == "order"}) == 3
    )
    world.go_on(DAY_SECONDS)

    c.linked = False
    expires = c.kept().valid_until
    with pytest.raises(Conflict, match="0 shares|1,000 shares"):
        allot(limits, "b", 2_000)  # a and c hold the rest
    allot(limits, "c", 0)
    with pytest.raises(Conflict, match="1,000 shares"):
        allot(limits, "b", 2_500)  # c has not said that it goes by that, and never will
    allot(limits, "a", 500)
    given = lambda: Allotment.objects.get(node__name="a").held_position_qty == 500  # noqa: E731
    world.until("a to give up what it has", given)
    allot(limits, "b", 2_000)
    world.until(
        "b to go by more", lambda: (b.status() or {"limits": {"number": 0}})["limits"]["number"] >= b.kept().number
    )
    world.until("c's bundle to run out", lambda: (c.status() or {"time": 0})["time"] > expires, 4 * DAY_SECONDS)
    world.go_on(DAY_SECONDS / 2)
    assert Allotment.objects.get(node__name="c").held_position_qty == 1_500

    entries = world.entries()
    most, each = worst_cases(entries, [engine.account for engine in world.engines])
    assert most <= FIRM
    assert each["NODE-A"] <= 1_500
    assert each["NODE-B"] <= 2_000
    assert each["NODE-C"] <= 1_500
    assert each["NODE-B"] > 1_000, "what a gave up was used by b"
    assert most > FIRM // 2, "limits that nobody came near prove nothing"
    late = [one for one in entries if one["account"] == "NODE-C" and one["type"] == "order" and one["ts"] > expires]
    assert all(_reduces(one, entries) for one in late)
    assert any(one["account"] == "NODE-A" and one["type"] == "order" and one["ts"] > expires for one in entries)


def _reduces(order: dict[str, Any], entries: list[dict[str, Any]]) -> bool:
    """Whether the order only takes its account's position down, as it stood by the record then."""
    position = 0
    for entry in entries:
        if entry is order:
            break
        mine = entry["account"] == order["account"] and entry["symbol"] == order["symbol"]
        if mine and entry["type"] == "execution":
            position += entry["qty"] if entry["side"] == "buy" else -entry["qty"]
    sign = 1 if order["side"] == "buy" else -1
    return position * sign < 0 and order["qty"] <= abs(position)
