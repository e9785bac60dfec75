"""One engine's host: the live core, started, killed in the middle of anything, and started again from its journal."""

import json
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np

from engine.core.events import BlobType, Command
from engine.core.limit_tables import StrategyLimits, canonical_bytes, limits_within
from engine.core.state import OUTPUTS, STRATEGIES, StrategyState
from engine.live.config import Config, FirmLimits, VenueConfig
from engine.live.control import CHOOSE_SLOT, blob_packets, command_packets, connect
from engine.live.core import Core
from engine.live.journal import JournalFull
from engine.live.loop_records import Reason
from engine.live.outside import Outside
from engine.live.segment import BLOCK_BYTES, BLOCK_RECORDS, HEADER_BYTES
from engine.messages import DataContract, Manifest
from engine.strategies import many_pairs
from engine.virtual.agenda import SECOND, Agenda, VirtualClocks
from engine.virtual.crash import Crash
from engine.virtual.disk import VirtualDisk
from engine.virtual.plan import MICROSECOND, HostPlan, Plan
from engine.virtual.venue_host import ACCOUNT, ORDERS_PORT, PORTS, REQUESTS_PORT, SNAPSHOTS_PORT, VenueHost
from engine.virtual.wires import LineSocket, VirtualConnection, VirtualLine

SEGMENT_RECORDS = OUTPUTS + 3_000  # little more than one step may write, so that segments change often
LEAST_SLEEP = 100 * MICROSECOND
RESTART_NS, LONGEST_RESTART_NS = SECOND // 5, SECOND  # what the agent waits before it starts a core again
LOOK_NS = SECOND // 2  # how often it looks whether the strategy runs
TIMER_WALL_MS = 200
REPRICE_SECONDS = 60
SNAPSHOT_AFTER = 400  # messages
STRATEGY = "intraday_pairs"
SIGNALS = {"entry": 1.4, "exit": 0.2, "stop": 50.0}


class EngineHost:
    """``name`` is the node's. ``killed`` counts crashes in the middle of something, ``ends`` those for want of room."""

    def __init__(self, agenda: Agenda, folder: Path, name: str, symbols: list[str], plan: Plan, host: HostPlan) -> None:
        self.name, self.plan, self.symbols = name, host, symbols
        self.clocks = VirtualClocks(agenda)
        self.killed = self.ends = self.starts = self.cuts = self.jumped = 0
        self.core: Core | None = None
        self._agenda, self._random = agenda, Random(f"{plan.seed}:{name}")
        self.disk = VirtualDisk(agenda, Random(f"{plan.seed}:{name}:disk"), host.disk_mean_ns, self._stall)
        self.venues: list[VenueHost] = []
        for number in range(len(host.venues)):
            deliver = partial(self.deliver, number)
            leader = self.venues[0] if self.venues else None
            place = folder / f"venue{number}"
            self.venues.append(VenueHost(agenda, place, symbols, plan, host, number, deliver, leader))
            (place / "clock.json").write_text(self.venues[0].clock.to_json())
            ports = {"ouch": ORDERS_PORT, "itch_retransmit": REQUESTS_PORT, "glimpse": SNAPSHOTS_PORT}
            wide = {service: number * PORTS + port for service, port in ports.items()}
            (place / "ports.json").write_text(json.dumps(wide))
            (place / "account.json").write_bytes(msgspec.json.encode(ACCOUNT))
        self.config = _configuration(folder, name, symbols, host)
        self._lines: dict[tuple[int, int], VirtualLine] = {}  # by venue and line
        self._connections: list[tuple[int, VirtualConnection]] = []
        self._woken_at = 0
        self._busy_until = 0
        self._wait = RESTART_NS
        self._crash: Crash | None = None
        self._plan_what_goes_wrong()

    def _plan_what_goes_wrong(self) -> None:
        for when in self.plan.crashes:
            self._agenda.at(when, self._crash_next)
        for when in self.plan.cuts:
            self._agenda.at(when, self._cut)
        for when, by in self.plan.jumps:
            self._agenda.at(when, lambda by=by: self._jump(by))  # type: ignore[misc]
        for span in self.plan.disk_full:
            self._agenda.at(span.first, lambda: self._fill_disk(True))
            self._agenda.at(span.last, lambda: self._fill_disk(False))
        self._agenda.every(LOOK_NS, self._keep_running)

    # ---- its life --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the core, from its journal where it has one; again later where there is no room for that."""
        self.starts += 1
        try:
            self.core = Core(self.config, Outside(self.clocks, self.disk, self._bind, self._connect))
            self.core.start()
        except JournalFull:
            self._end()
            return
        if not self.core.engine.manifests:
            for index in range(len(self.plan.strategies)):
                self._deploy(index)
        self._wait = RESTART_NS
        self.wake()

    def wake(self) -> None:
        """There is something for the core."""
        self._wake_at(self._agenda.now)

    def deliver(self, venue: int, line: int, datagram: bytes) -> None:
        if self._lines:
            self._lines[venue, line].deliver(datagram)
            self.wake()

    @property
    def idle(self) -> bool:
        """Whether the core runs and has nothing that it has not taken."""
        return self.core is not None and self._agenda.now >= self._busy_until

    def close(self) -> None:
        if self.core is not None:
            self._let_go()
        for venue in self.venues:
            venue.close()

    def _wake_at(self, when: int) -> None:
        when = max(when, self._busy_until, self._agenda.now)
        if not self._agenda.now <= self._woken_at <= when:
            self._woken_at = when
            self._agenda.at(when, lambda: self._serve(when))

    def _serve(self, planned: int) -> None:
        if planned != self._woken_at:
            return
        self._woken_at = 0
        if self.core is None:
            return
        if self._agenda.now < self._busy_until:
            self.wake()
            return
        first = self.core.pipeline.writer.last
        try:
            self._pass(self.core)
        except JournalFull:
            self._end()
            return
        if self._crash is not None and self.core.pipeline.writer.last > first:
            self._kill(self._crash, first)
            return
        self._send()
        self._wake_at(max(self.core.deadline(), self._agenda.now + LEAST_SLEEP))

    def _pass(self, core: Core) -> None:
        """Everything that is there for the core at this moment."""
        core.loop.hold_clock(self._agenda.now)
        while core.serve(self._agenda.now) is not Reason.DEADLINE:
            continue

    def _stall(self, how_long: int) -> None:
        self._busy_until = max(self._busy_until, self._agenda.now + how_long)

    # ---- what goes wrong -------------------------------------------------------------------------------

    def _crash_next(self) -> None:
        """The next thing that the core does kills it, somewhere in the middle."""
        self._crash = Crash(self._random)

    def _kill(self, crash: Crash, first: int) -> None:
        """The process is gone: what it had not written yet, and sent behind that, never was."""
        assert self.core is not None
        self._crash = None
        self.killed += 1
        writer = self.core.pipeline.writer
        cut = crash.choose(writer, first)
        for port, connection in self._connections:
            content = connection.read()
            connection.send(cut.sent(content) if port % PORTS == ORDERS_PORT else content)
        self._let_go()
        cut.apply(self.config.snapshots)
        self._agenda.after(RESTART_NS, self.start)

    def _end(self) -> None:
        """The core has ended by itself, because its journal has no room."""
        self.ends += 1
        self._send()
        if self.core is not None:
            self._let_go()
        self._wait = min(2 * self._wait, LONGEST_RESTART_NS)
        self._agenda.after(self._wait, self.start)

    def _let_go(self) -> None:
        assert self.core is not None
        self.core.close()
        self.core = None
        self._woken_at = self._busy_until = 0
        for line in self._lines.values():
            line.close()
        self._lines = {}

    def _cut(self) -> None:
        """Connections break: those to one venue, or all."""
        cut = self._random.choice([[number] for number in range(len(self.venues))] + [list(range(len(self.venues)))])
        alive = [each for port, each in self._connections if not each.over and port // PORTS in cut]
        self.cuts += bool(alive)
        for connection in alive:
            connection.cut(int(self._random.uniform(0.0, 2.0) * SECOND))

    def _jump(self, by: int) -> None:
        self.jumped += 1
        self.clocks.jump(by)
        self.wake()

    def _fill_disk(self, full: bool) -> None:
        self.disk.full = full

    # ---- its wires -------------------------------------------------------------------------------------

    def _bind(self, field: str, address: tuple[str, int]) -> LineSocket:
        name, _, setting = field.partition(".")
        venue, line = self.config.venue_names.index(name), int(setting.endswith("_b"))
        self._lines[venue, line] = VirtualLine(self.venues[venue].request)
        return self._lines[venue, line].core_end

    def _connect(self, address: tuple[str, int]) -> tuple[Any, bool]:
        number, port = divmod(address[1], PORTS)
        venue, wire = self.venues[number], self.plan.venues[number].wire
        connection = VirtualConnection(self._agenda, self._random, wire, venue.accept(port), self.wake, venue.look)
        self._connections.append((address[1], connection))
        return connection.core_end, True

    def _send(self) -> None:
        """Puts on the wires what the core has sent."""
        for _, connection in self._connections:
            connection.retry()
            connection.send(connection.read())
        self._connections = [each for each in self._connections if not each[1].over]

    # ---- the agent's part ------------------------------------------------------------------------------

    def _deploy(self, index: int) -> None:
        strategy = self.plan.strategies[index]
        manifest = msgspec.json.encode(self.manifest(index))
        slot = int(self._ask(blob_packets(BlobType.MANIFEST, manifest, CHOOSE_SLOT))["slot"])
        limits = msgspec.structs.replace(limits_within(strategy.envelope), max_orders_per_s=strategy.orders_per_s)
        signals = {"leg_notional": strategy.leg_notional, "lookback": strategy.lookback, **SIGNALS}
        for blob_type, payload in (
            (BlobType.LIMITS, canonical_bytes(StrategyLimits(0, limits))),
            (BlobType.PARAMETERS, many_pairs.parameters(**signals)),
            (BlobType.ARTIFACT, many_pairs.artifact(len(self.symbols), len(self.symbols)).tobytes()),
        ):
            self._ask(blob_packets(blob_type, payload, slot))
        self._ask(command_packets(Command.START, slot))

    def _keep_running(self) -> None:
        """A strategy that the core has paused for want of room is started again."""
        if self.core is None or self._agenda.now < self._busy_until or self.disk.full:
            return
        states = self.core.engine.state["slots"]["state"][:STRATEGIES]
        for slot in np.flatnonzero(states == StrategyState.PAUSED).tolist():
            try:
                self._ask(command_packets(Command.START, slot))
            except JournalFull:
                self._end()
                return
        self.wake()

    def _ask(self, packets: list[bytes]) -> dict[str, Any]:
        """Over the core's control socket, as the agent does."""
        assert self.core is not None
        with connect(self.config.folder) as control:
            control.setblocking(False)
            for packet in packets:
                control.send(packet)
            while True:
                self._pass(self.core)
                try:
                    answer = json.loads(control.recv(1 << 20))
                except BlockingIOError:
                    continue
                if "status" not in answer:
                    assert answer["ok"], answer
                    return dict(answer)

    def manifest(self, index: int) -> Manifest:
        name, data = f"{self.name}-{index}", DataContract("none", "0" * 64)
        envelope = self.plan.strategies[index].envelope
        return Manifest(name, "v", STRATEGY, "0" * 64, {}, envelope, data, "sim", 10**10, name=name)

    @property
    def deployments(self) -> list[str]:
        return [self.manifest(index).deployment for index in range(len(self.plan.strategies))]


def _configuration(folder: Path, name: str, symbols: list[str], host: HostPlan) -> Config:
    envelope = host.envelope
    return Config(
        node=name,
        var=str(folder / "engine"),
        link="ws://virtual/",
        token_file="",
        venues=[_venue(folder / f"venue{number}", f"{name.upper()}{number}") for number in range(len(host.venues))],
        symbols=symbols,
        history=str(folder / "history"),
        firm_limits=FirmLimits(**{name: getattr(envelope, name) for name in FirmLimits.__struct_fields__}),
        timer_wall_ms=TIMER_WALL_MS,
        reprice_after_s=REPRICE_SECONDS,
        snapshot_records=host.snapshot_records,
        segment_bytes=HEADER_BYTES + (SEGMENT_RECORDS // BLOCK_RECORDS + 1) * BLOCK_BYTES,
    )


def _venue(place: Path, name: str) -> VenueConfig:
    return VenueConfig(
        name=name,
        itch_bind="127.0.0.1:0",
        itch_bind_b="127.0.0.1:0",
        ports_file=str(place / "ports.json"),
        clock_file=str(place / "clock.json"),
        account_file=str(place / "account.json"),
        snapshot_after=SNAPSHOT_AFTER,
    )
