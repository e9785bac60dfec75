"""The agent: keeps the core running, links it to the control plane, and brings it what is desired.

``run`` serves until SIGTERM or SIGINT. The link may be down for as long as it likes: the core trades on,
and what it journals is shipped once the link is back.
"""

import asyncio
import json
import logging
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from engine import engine_build
from engine.errors import BadInput
from engine.history import CorruptHistory, open_history
from engine.live.carry_over import SHIPPED, earlier_journals, replaced_journals
from engine.live.config import Config, load_account, load_config, load_token
from engine.live.core_client import CoreClient, CoreGone
from engine.live.deployer import Deployer
from engine.live.history_writer import HistoryWriter
from engine.live.journal import Reader
from engine.live.kill_watch import KillWatch
from engine.live.limits import keep_bundle
from engine.live.link import BatchSource, Link, LinkState
from engine.live.preparation import Preparation
from engine.live.strategy_processes import StrategyProcesses
from engine.live.supervisor import Supervisor
from engine.messages import Desired, Heartbeat, Hello, Latch, LimitsInForce, OpenBreak, Refused, VenueStatus

log = logging.getLogger("engine.agent")

TICK = 0.05  # seconds
HISTORY_SECONDS = 1.0
OPEN_SECONDS = 10.0
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
FLUSH_SECONDS = 2.0  # what is left is shipped after the core has stopped
STATUS_STALE = 2.0  # seconds after which a core that says nothing counts as not alive


class Agent:
    """One node's agent. ``run`` raises BadInput for what only a person can put right."""

    def __init__(self, config_path: Path) -> None:
        self.config: Config = load_config(config_path)
        self.token = load_token(self.config.token_file)
        for venue in self.config.venues:
            load_account(venue.account_file)
        self.config.folder.mkdir(parents=True, exist_ok=True)
        self.supervisor = Supervisor(config_path.resolve(), self.config.folder)
        self.processes = StrategyProcesses(self.config.folder)
        self.deployer = Deployer(Preparation(self.config), self.processes.reasons)
        self.kills = KillWatch(self.config, lambda: self._status)
        self.desired: Desired | None = None
        self.link: Link | None = None
        self._source: BatchSource | None = None
        self._shipping = self.config.journal
        self._status: dict[str, Any] | None = None
        self._announced = False
        self._welcomed = False
        self._stop = asyncio.Event()
        self._flushing = False
        self._history: HistoryWriter | None = None
        self._history_lock = asyncio.Lock()

    async def run(self) -> dict[str, Any]:
        """Serves; returns what it ended with."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        link = asyncio.create_task(self._link())
        serving = {
            asyncio.create_task(self.supervisor.run(self._core_started)),
            asyncio.create_task(self._reconcile()),
            asyncio.create_task(self._keep_processes()),
            asyncio.create_task(self._write_history()),
            asyncio.create_task(self.kills.run()),
            link,
            asyncio.create_task(self._stop.wait()),
        }
        done, _ = await asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
        self._flushing = True
        await self.supervisor.stop()
        await self.processes.stop()
        if self.config.history_dataset:
            await self._history_lock.acquire()  # the last block is written
            await asyncio.to_thread(self._catch_up)
        if not link.done():
            await asyncio.wait({link}, timeout=FLUSH_SECONDS)
        for task in serving:
            task.cancel()
        results = await asyncio.gather(*serving, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        last = self._source.reader.last if self._source else 0
        committed = self.link.committed if self.link else 0
        return {"ok": True, "journal": str(self.config.journal), "events": last, "committed": committed}

    async def _core_started(self, client: CoreClient) -> None:
        self._status = status = client.status
        assert status is not None
        if status["build"] != engine_build():  # what this process vouches for would not be what runs
            raise BadInput("build_differs", "engine", status["build"], f"build {engine_build()}: run the engine again")
        earlier = earlier_journals(self.config.folder)
        if earlier:
            self._ship(earlier[0])
        elif self._source is None:
            self._ship(self.config.journal)
        log.info("core %d runs, journal %s at %d", status["pid"], status["journal"], status["events"])
        if not self._announced:
            self._announced = True
            listening = ports_by_venue(self.config, status["itch_ports"])
            print(json.dumps(listening | {"journal": str(self.config.journal)}), flush=True)

    def _ship(self, journal: Path) -> None:
        """From here on the link ships this journal: those that were replaced first, then the one in use."""
        self._shipping, self._source = journal, BatchSource(lambda: Reader(journal))

    # ---- desired state -----------------------------------------------------------------------------

    async def _reconcile(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            core = self.supervisor.client
            if self.desired is None or core is None or core.gone:
                continue
            try:
                await self.deployer.reconcile(self.desired, core)
            except (CoreGone, BadInput) as error:
                log.warning("desired state %d: %s", self.desired.revision, error)
                await asyncio.sleep(0.5)

    async def _keep_processes(self) -> None:
        """Those of strategies that are Python classes; link or no link."""
        while True:
            await asyncio.sleep(TICK)
            core = self.supervisor.client
            if core is not None and not core.gone and core.status is not None:
                wanted = self.desired.deployments if self.desired else []
                running = frozenset(one.manifest.deployment for one in wanted if one.desired == "running")
                await self.processes.keep(core.status, running)

    async def _write_history(self) -> None:
        """Each second what has been journaled since, in a thread."""
        while self.config.history_dataset:
            await asyncio.sleep(HISTORY_SECONDS)
            if self._source is not None:
                async with self._history_lock:
                    await asyncio.to_thread(self._catch_up)
        await asyncio.Event().wait()

    def _catch_up(self) -> None:
        """An error here (a full disk, say) is reported and tried again: neither link nor core depend on the history."""
        if self._history is None:
            history, dataset = open_history(self.config.history), self.config.history_dataset
            self._history = HistoryWriter(history, dataset, self.config.folder, self._journals)
        try:
            self._history.catch_up()
        except (BadInput, CorruptHistory, OSError) as error:
            log.error("the history was not written: %s", error)

    def _journals(self) -> list[Path]:
        return [*replaced_journals(self.config.folder), self.config.journal]

    # ---- the link ----------------------------------------------------------------------------------

    async def _link(self) -> None:
        wait = FIRST_WAIT
        while True:
            if self._source is None or self._status is None:
                await asyncio.sleep(TICK)
                continue
            up = await self._one_connection()
            if self._flushing:
                return
            wait = FIRST_WAIT if up else min(2 * wait, LONGEST_WAIT)
            await asyncio.sleep(wait)

    async def _one_connection(self) -> bool:
        """One connection from the handshake to its end; True when the control plane took it."""
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            socket = await connect(
                self.config.link, additional_headers=headers, open_timeout=OPEN_SECONDS, max_size=None, proxy=None
            )
        except InvalidStatus as error:
            self._turned_away(error.response.status_code)
            return False
        except (OSError, TimeoutError, InvalidHandshake) as error:
            log.warning("no link to %s: %s", self.config.link, error)
            return False
        assert self._source is not None
        self.link = link = Link(self._hello(), self._source, self._heartbeat)
        try:
            await self._converse(socket, link)
        except ConnectionClosed as error:
            log.warning("the link was closed: %s", error)
        except msgspec.DecodeError as error:
            log.error("the control plane sent what is not of the contract: %s", error)
        finally:
            link.lost()
            await socket.close()
        if link.refusal is not None:
            raise _refused(link.refusal, self.config)
        return link.desired is not None

    async def _converse(self, socket: ClientConnection, link: Link) -> None:
        await _send(socket, link.connected(time.monotonic_ns()))
        while link.state in (LinkState.GREETING, LinkState.UP):
            link.flush = self._flushing or self._shipping != self.config.journal
            try:
                async with asyncio.timeout(TICK):
                    frame = await socket.recv()
            except TimeoutError:
                frames = link.on_time(time.monotonic_ns())
            else:
                frames = link.receive(frame, time.monotonic_ns())
                self._take_desired(link)
            await _send(socket, frames)
            if self._shipping != self.config.journal and link.drained:
                self._earlier_shipped()
                return
            if link.silent(time.monotonic_ns()):
                log.warning("the control plane is silent: the link is made anew")
                return
            if self._flushing and not self.supervisor.core_pid and link.drained:
                return
        for incident in link.incidents:
            log.error("the control plane refused a message (%s): %s", incident.code, incident.reason)

    def _earlier_shipped(self) -> None:
        """All of a replaced journal is committed: goes on with the next one over a new connection."""
        (self._shipping / SHIPPED).touch()
        self._ship((earlier_journals(self.config.folder) or [self.config.journal])[0])

    def _take_desired(self, link: Link) -> None:
        self.kills.give(link.kills)
        link.kills.clear()
        if link.desired is not None and link.desired is not self.desired:
            self._take_limits(link.desired.limits)
            self.desired = link.desired
            self._welcomed = True

    def _take_limits(self, document: str) -> None:
        """Keeps the node's bundle, for the core to take; what it cannot vouch for changes nothing."""
        if not document or not self.config.limits_link or (self.desired and document == self.desired.limits):
            return
        try:
            if keep_bundle(self.config, document):
                log.info("a new bundle of limits has come")
        except BadInput as error:
            log.error("the limits that have come are refused: %s", error)

    def _turned_away(self, status: int) -> None:
        """401 and 403: the token is wrong. Raised while it has never been right; later the core trades on."""
        error = BadInput(
            "wrong_token",
            "token_file",
            self.config.token_file,
            f"the token of node {self.config.node}: {self.config.link} answered {status}",
        )
        if status in (401, 403) and not self._welcomed:
            raise error
        log.error("%s", error if status in (401, 403) else f"{self.config.link} answered {status}")

    def _hello(self) -> Hello:
        assert self._source is not None
        return Hello(
            node=self.config.node,
            journal=self._source.reader.journal,
            build=engine_build(),
            core_pid=self.supervisor.core_pid,
            venue=self.config.venues[0].name,
            venues=self.config.venue_names,
        )

    def _heartbeat(self, revision: int) -> Heartbeat:
        """``revision`` is the newest desired state heard of; what is reported is the newest that was applied."""
        client = self.supervisor.client
        if client is not None and client.status is not None:
            self._status = client.status
        status = self._status
        assert status is not None
        assert self._source is not None
        fresh = client is not None and asyncio.get_running_loop().time() - client.status_at < STATUS_STALE
        return Heartbeat(
            revision=min(revision, self.deployer.revision),
            core_alive=self.supervisor.alive and fresh,
            session_date=status["date"],
            session_phase=status["phase"],
            session_time=status["time"],
            feed_age_ms=status["feed_age_ms"],
            venue_connected=status["venue_connected"] and self.supervisor.alive,
            events=self._source.reader.last,
            anomalies=status["anomalies"],
            deployments=self.deployer.applied(self.desired, status),
            breaks=[OpenBreak(**one) for one in status["breaks"]],
            latches=[_latch(one) for one in status["latches"] if one["level"] != "armed"],
            kill_epoch=status["kill_epoch"],
            limits=msgspec.convert(status["limits"], LimitsInForce | None),
            venues=[VenueStatus(**one) for one in status["venues"]],
        )


def ports_by_venue(config: Config, ports: list[int]) -> dict[str, Any]:
    """Where market data arrives, of all lines in turn: ``ports`` of the first venue, ``others`` by their names."""
    left = iter(ports)
    lines = {
        venue.name: dict(zip(("itch", "itch_b"), [next(left) for _ in venue.itch_addresses], strict=False))
        for venue in config.venues
    }
    first = lines.pop(config.venues[0].name)
    return {"ports": first, "others": lines} if lines else {"ports": first}


def _latch(row: dict[str, Any]) -> Latch:
    return Latch(row["scope"], row["level"], row["epoch"])


async def _send(socket: ClientConnection, frames: list[bytes]) -> None:
    for frame in frames:
        await socket.send(frame.decode())


def _refused(refusal: Refused, config: Config) -> BadInput:
    return BadInput(
        refusal.code, "link", config.link, f"a control plane that takes node {config.node}: {refusal.reason}"
    )
