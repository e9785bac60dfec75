"""The core process: the compiled loop, and in Python all that is not plainly next.

The loop runs in a thread of its own, bound to a CPU where the configuration says so; the main thread waits for it and
takes signals. The order of appending to the journal is the order of everything. The agent starts
``python -m engine.live.core --config FILE``; exit code 0 after SIGTERM or SIGINT, 2 for bad input, 4 when the journal
has no room or is damaged (standard error says which).
"""

import argparse
import ctypes
import gc
import json
import logging
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from select import EPOLLIN, EPOLLOUT, epoll
from typing import Any

import numpy as np

from engine import engine_build, uncollected
from engine.core.clock import HostClocks
from engine.core.events import EVENT, BlobType, Command, Kind, Stale, command_event, timer_event
from engine.core.state import STRATEGIES, Phase, StrategyState
from engine.errors import BadInput
from engine.live.compiled_loop import Reason
from engine.live.config import Config, load_account, load_config, read_json
from engine.live.connection import Connect, Connection, connect_tcp
from engine.live.control import CHOOSE_SLOT, ControlClient, listen
from engine.live.feed import MarketFeed, stale_event
from engine.live.feed_lines import Bind, FeedLines, bind_udp
from engine.live.journal import JournalDamaged, JournalFull, Reader
from engine.live.kill_latch import counted_queries, forget_no_core, read_latch_file
from engine.live.loop import Loop
from engine.live.order_session import OrderSession, order_session_event
from engine.live.person_commands import (
    PERSONAL,
    apply_kills,
    breaks_now,
    disconnected,
    latches_now,
    take_person_command,
    unacknowledged,
)
from engine.live.recovery import InputTracker, Snapshot, write_snapshot
from engine.live.reports import STATE_NAMES
from engine.live.snapshot_connection import SnapshotConnection
from engine.live.spare import LOCAL_DISK, Disk
from engine.live.startup import load_settings, lock_core, open_pipeline
from engine.live.venue_clock import VenueClock
from engine.live.warm import warm
from engine.strategies.load import decode_manifest

log = logging.getLogger("engine.core")

SECOND = 1_000_000_000
STATUS_NS = SECOND // 2
LEAST_TIMER_WAIT = 0.001  # seconds; behind the close session time passes more slowly than `speed` says
RECONNECT_NS = (SECOND // 5, 2 * SECOND)
DISCONNECT_NS = 2 * SECOND  # how long a kill that disconnects waits for its cancels
LOOPBACK = "127.0.0.1"
FROM_AGENT = frozenset({BlobType.MANIFEST, BlobType.PARAMETERS, BlobType.LIMITS, BlobType.ARTIFACT})
FROM_ANYBODY = frozenset({Command.START, Command.PAUSE, Command.STOP, Command.FLATTEN, Command.REENABLE})
PR_SET_PDEATHSIG = 1


class Core:
    """Sockets and deadlines around the pipeline. What is outside of this process is handed in: where not, it is the
    host's."""

    def __init__(
        self,
        config: Config,
        *,
        clocks: HostClocks = time,
        disk: Disk = LOCAL_DISK,
        bind: Bind = bind_udp,
        connect: Connect = connect_tcp,
    ) -> None:
        self.config, self._clocks, self._connect_to = config, clocks, connect
        account = load_account(config.venue.account_file)
        self.pipeline, inputs = open_pipeline(config, disk)
        self.engine = self.pipeline.engine
        self.clock = VenueClock(Path(config.venue.clock_file))
        self.clock.refresh()
        load_settings(self.pipeline, config, self.clock.speed())
        self._tracker, self._tracked = InputTracker(replace(inputs)), self.pipeline.writer.last
        self._snapshot_at = self._tracked
        self.feed = MarketFeed(config.symbols, inputs, account, config.venue.snapshot_after)
        self.orders = OrderSession(account, config.symbols, inputs)
        self._poll = epoll()
        self._snapshots = SnapshotConnection(self.feed, self._poll, connect)
        self._connection: Connection | None = None
        self._connect_at, self._backoff = 0, RECONNECT_NS[0]
        self._retransmit: tuple[str, int] | None = None
        self._ouch: tuple[str, int] | None = None
        self._status_at = self._disconnect_by = 0
        self._paused_for_room = False
        self._clients: dict[int, ControlClient] = {}
        self._lines = FeedLines(config.venue.itch_addresses, bind)
        self._control = listen(config.folder)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for descriptor in (*self._lines.filenos, self._control.fileno(), self._wake_read):
            self._poll.register(descriptor, EPOLLIN)
        lines, poll = self._lines.filenos, self._poll.fileno()
        busy = config.mode == "busy"
        self.loop = Loop(self.pipeline, self.feed, self.orders, lines, poll, busy=busy, clocks=clocks)
        self._use_clock()

    # ---- the loop ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then writes a snapshot."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.loop.stop())
        with ThreadPoolExecutor(1, "core") as thread:
            thread.submit(self._serve).result()

    def _serve(self) -> None:
        if self.config.cpu is not None:
            os.sched_setaffinity(0, {self.config.cpu})  # this thread alone
        self.start()
        while not self.loop.stopped:
            self.serve(self.deadline())
        self.finish()

    def start(self) -> None:
        """Whatever was known before this start is old: nothing trades until feed and order session have caught up."""
        ts = self._now()
        self.orders.unanswered += counted_queries(self.config.folder)
        session = order_session_event(ts, up=False, unanswered=self.orders.unanswered)
        self._take([session, stale_event(ts, Stale.GAP)])
        self._apply_latch_file()

    def finish(self) -> None:
        self._snapshot()
        self.orders.logout(self._clocks.monotonic_ns())
        self._send_bytes()

    def serve(self, deadline: int) -> Reason:
        """The loop until it comes back, at the steady time ``deadline`` at the latest; then what it came back for."""
        established = self._connection if self._connection is not None and self._connection.established else None
        self.loop.connection = established.fileno if established else -1
        self.loop.direct = established is not None and not established.waiting
        reason = self.loop.run(deadline)
        self._take_up()
        if reason in (Reason.OTHER, Reason.DEADLINE):
            for descriptor, events in self._poll.poll(0):
                self._on_ready(descriptor, events)
        elif reason is Reason.PACKETS:
            self._on_datagrams()
        elif reason is Reason.SESSION:
            self._on_session_packet()
        elif reason is Reason.ORDERS_LOST:
            self._disconnect()
        self._on_time()
        return reason

    def _take_up(self) -> None:
        """What the loop has begun and left: bytes to send, orders that OUCH cannot hold, inputs that found no room."""
        unsent, refused, inputs = self.loop.unsent(), self.loop.refused(), self.loop.inputs()
        if unsent and self._connection is not None and not self._connection.send(unsent):
            self._disconnect()
        if len(refused) or len(inputs):
            self._take([*self.orders.refuse(refused, self._now()), inputs])

    def deadline(self) -> int:
        """Steady time of what is due next."""
        due = [self._status_at, self.feed.joiner.deadline(), self.orders.deadline()]
        if self._connection is None:
            due.append(self._connect_at)
        due.append(self._clocks.monotonic_ns() + int(self._timer_wait() * SECOND))
        return min(each for each in due if each is not None)

    def _timer_wait(self) -> float:
        """Seconds of wall time until the step's own deadline."""
        if not self.engine.state["timer_interval"]:
            return STATUS_NS / SECOND
        left = int(self.engine.state["next_deadline"]) - self._now()
        return max(left / SECOND / max(self.clock.speed(), 1.0), LEAST_TIMER_WAIT)

    def _on_ready(self, descriptor: int, events: int) -> None:
        if self._connection is not None and descriptor == self._connection.fileno:
            if events & EPOLLOUT or not self._connection.established:
                self._on_writable()
        elif self._snapshots.owns(descriptor):
            self._take(self._snapshots.on_event(self._clocks.monotonic_ns(), self._now()))
        elif descriptor == self._control.fileno():
            self._accept()
        elif descriptor == self._wake_read:
            os.read(self._wake_read, 64)
            self.loop.stop()  # a signal: if another thread has taken it, the main thread sleeps on
        elif descriptor in self._clients and not self._clients[descriptor].on_readable():
            self._drop(descriptor)

    def _on_time(self) -> None:
        now, ts = self._clocks.monotonic_ns(), self._now()
        self._take(self.feed.on_time(now, ts))
        self._ask_again(now)
        self._snapshots.on_time(now)
        self._take(self.orders.on_time(now, ts))
        self._check_order_session()
        self._keep_disconnected(now)
        if self._connection is None and now >= self._connect_at:
            self._connect(now)
        if self.engine.state["timer_interval"] and self._now() >= self.engine.state["next_deadline"]:
            self._take([timer_event(self._now(), int(self.engine.state["next_deadline"]))])
        if now >= self._status_at:
            self._status_at = now + STATUS_NS
            self._each_half_second()

    def _each_half_second(self) -> None:
        if self.clock.refresh():
            self._use_clock()
            load_settings(self.pipeline, self.config, self.clock.speed())
        ports = read_json(self.config.venue.ports_file)
        if ports:
            self._retransmit = (LOOPBACK, int(ports["itch_retransmit"]))
            self._ouch = (LOOPBACK, int(ports["ouch"]))
            self._snapshots.address = (LOOPBACK, int(ports["glimpse"])) if "glimpse" in ports else None
        self._watch_room()
        closed = int(self.engine.state["phase"]) == Phase.CLOSED
        if closed and self.pipeline.writer.last - self._snapshot_at >= self.config.snapshot_records:
            self._snapshot()
        message = {"status": self.status()}
        for descriptor, client in list(self._clients.items()):
            if not client.send(message):
                self._drop(descriptor)

    def close(self) -> None:
        """Lets go of everything that is open, as the end of the process does."""
        self.pipeline.writer.close()
        if self._connection is not None:
            self._connection.close()
        self._snapshots.close()
        self._lines.close()
        for client in self._clients.values():
            client.connection.close()
        self._control.close()
        self._poll.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # ---- inputs ------------------------------------------------------------------------------------

    def _use_clock(self) -> None:
        if self.clock.clock is not None:
            self.loop.set_clock(self.clock.clock.wall_knots, self.clock.clock.session_knots)

    def _now(self) -> int:
        """Session time, which never goes back."""
        return max(self.clock.session_ns(self._clocks.time_ns()), self.pipeline.last_ts)

    def _take(self, inputs: list[np.ndarray]) -> None:
        """Journals and steps; what the step orders is sent, then whatever else the order session has to say."""
        for events in inputs:
            self._send(self.pipeline.take(events))
        self._send_bytes()

    def _send(self, orders: np.ndarray) -> None:
        while len(orders):
            refused = self.orders.send(orders, self._clocks.monotonic_ns(), self._now())
            orders = np.empty(0, EVENT)
            for event in refused:
                orders = self.pipeline.take(event)

    def _send_bytes(self) -> None:
        content = self.orders.take_bytes()
        if content and self._connection is not None and not self._connection.send(content):
            self._disconnect()

    def _on_datagrams(self) -> None:
        ts = self._now()
        for line, datagram in self._lines.receive(self.loop.datagrams()):
            self._take(self.feed.on_datagram(datagram, self._clocks.monotonic_ns(), ts, line))
        self._ask_again(self._clocks.monotonic_ns())

    def _ask_again(self, now: int) -> None:
        for request in self.feed.joiner.requests(now):
            if self._retransmit is not None:
                self._lines.request(request, self._retransmit)

    # ---- the order session -------------------------------------------------------------------------

    def _connect(self, now: int) -> None:
        self._connect_at = now + self._backoff
        self._backoff = min(2 * self._backoff, RECONNECT_NS[1])
        if self._ouch is None:
            return
        self._connection = Connection(self._ouch, self._poll, self._connect_to)
        if self._connection.failed:
            self._disconnect()

    def _on_writable(self) -> None:
        assert self._connection is not None
        was_established = self._connection.established
        if not self._connection.on_writable():
            self._disconnect()
        elif self._connection.established and not was_established:
            self.orders.connect(self._clocks.monotonic_ns())
            self._send_bytes()

    def _on_session_packet(self) -> None:
        """What of the order session is neither report nor heartbeat."""
        self._take(self.orders.receive(self.loop.packet(), self._clocks.monotonic_ns(), self._now(), self.feed.date))
        if self.orders.up:
            self._backoff = RECONNECT_NS[0]
        self._check_order_session()

    def _check_order_session(self) -> None:
        """Closes a connection whose session has ended."""
        if self._connection is not None and self._connection.established and not self.orders.connected:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._connect_at = self._clocks.monotonic_ns() + self._backoff
        self._take(self.orders.lost(self._now()))

    def _keep_disconnected(self, now: int) -> None:
        """A kill of the last level: the session ends once every cancel is answered, or those answers stay away."""
        if not disconnected(self.engine.state):
            self._disconnect_by = 0
            return
        if self._connection is None:
            self._connect_at = now + RECONNECT_NS[1]  # nothing is due while nobody has re-armed it
            return
        self._disconnect_by = self._disconnect_by or now + DISCONNECT_NS
        if now >= self._disconnect_by or not unacknowledged(
            self.engine.state, "firm", 1 << 62, self.engine.instruments, self.config.venue.name
        ):
            self.orders.logout(now)
            self._send_bytes()
            self._disconnect()

    # ---- control -----------------------------------------------------------------------------------

    def _apply_latch_file(self) -> None:
        """Kills that were given while there was no core to take them; before anything is sent."""
        folder = self.config.folder
        apply_kills(self.pipeline, read_latch_file(folder), self.config.venue.name, self._now(), self._send)
        forget_no_core(folder)

    def _accept(self) -> None:
        connection, _ = self._control.accept()
        connection.setblocking(False)
        self._clients[connection.fileno()] = ControlClient(connection, self._handle, self.status, self._waiting)
        self._poll.register(connection.fileno(), EPOLLIN)

    def _drop(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._clients.pop(descriptor).connection.close()

    def _handle(self, header: np.ndarray, payload: bytes) -> dict[str, Any]:
        """Journals and applies one record from the control socket. Raises BadInput."""
        record = header[0]
        header["ts_event"] = header["ts_recv"] = self._now()
        if int(record["kind"]) == Kind.BLOB:
            if int(record["blob_type"]) not in FROM_AGENT:
                raise BadInput(
                    "blob_type", "blob_type", int(record["blob_type"]), "manifest, parameters, limits, artifact"
                )
            if int(record["blob_type"]) == BlobType.MANIFEST and int(record["strategy"]) == CHOOSE_SLOT:
                header["strategy"] = self.engine.free_slot()
        elif int(record["kind"]) == Kind.COMMAND and int(record["command"]) in PERSONAL:
            answer = take_person_command(self.pipeline, header, payload, self.config.venue.name, self._send)
            self._send_bytes()
            return answer
        if not 0 <= int(record["strategy"]) < STRATEGIES:
            raise BadInput("slot", "strategy", int(record["strategy"]), f"0 to {STRATEGIES - 1}")
        if int(record["kind"]) == Kind.BLOB:
            self._send(self.pipeline.take_blob(header, payload))
        elif int(record["kind"]) == Kind.COMMAND and int(record["command"]) not in FROM_ANYBODY:
            raise BadInput("command", "command", int(record["command"]), ", ".join(one.name for one in FROM_ANYBODY))
        else:
            self._send(self.pipeline.take(header))
        self._send_bytes()
        return {"slot": int(record["strategy"])}

    def _waiting(self, scope: str, below: int) -> int:
        return unacknowledged(self.engine.state, scope, below, self.engine.instruments, self.config.venue.name)

    def status(self) -> dict[str, Any]:
        """What the agent reports and decides by."""
        state, heard = self.engine.state, self.feed.heard_at
        return {
            "pid": os.getpid(),
            "build": engine_build(),
            "journal": self.pipeline.writer.journal,
            "events": self.pipeline.writer.last,
            "date": int(state["date"]),
            "phase": Phase(int(state["phase"])).name.lower(),
            "time": self._now(),
            "feed_age_ms": (self._clocks.monotonic_ns() - heard) // 1_000_000 if heard else -1,
            "stale": bool(state["feed_stale"]),
            "venue_connected": self.orders.up,
            "anomalies": int(state["anomalies"]),
            "send_ns": self.loop.send_ns(),
            "itch_ports": self._lines.ports,
            "breaks": breaks_now(self.pipeline),
            "latches": latches_now(self.pipeline, self.config.venue.name),
            "kill_epoch": int(state["kills"]["epoch"]),
            "slots": [self._slot(slot, manifest) for slot, manifest in self.engine.manifests.items()],
        }

    def _slot(self, slot: int, manifest: bytes) -> dict[str, Any]:
        state = int(self.engine.state["slots"][slot]["state"])
        return {
            "slot": slot,
            "deployment": decode_manifest(manifest).deployment,
            "state": STATE_NAMES[state],
            "flat": not self.engine.state["positions"][slot]["position"].any(),
        }

    # ---- durability --------------------------------------------------------------------------------

    def _watch_room(self) -> None:
        """Without a segment allocated ahead, no strategy may send new orders: there must be room for what comes."""
        writer = self.pipeline.writer
        if writer.spare_ready():
            self._paused_for_room = False
            return
        if self._paused_for_room:
            return
        self._paused_for_room = True
        log.error("%s: no room for another journal segment; strategies are paused", writer.directory)
        for slot in self.engine.manifests:
            if int(self.engine.state["slots"][slot]["state"]) == StrategyState.RUNNING:
                self._take([command_event(self._now(), Command.PAUSE, slot)])

    def _snapshot(self) -> None:
        """Writes the engine's state and where the venue's streams stand."""
        writer, reader = self.pipeline.writer, Reader(self.config.journal)
        while len(records := reader.read(self._tracked, 1 << 20)):
            self._tracker.take(records)
            self._tracked += len(records)
        snapshot = Snapshot(
            writer.journal, writer.last, engine_build(), replace(self._tracker.state), self.engine.snapshot()
        )
        write_snapshot(self.config.snapshots, snapshot)
        self._snapshot_at = writer.last


def warm_up() -> None:
    """Before any socket is open: who calls is answered at once, and no datagram waits."""
    with uncollected():
        warm()
    gc.freeze()  # what is loaded by now stays, and is not looked through while trading


def _end_with(parent: int) -> None:
    """Asks the kernel to end this process in good order when its agent dies; a core without one is nobody's."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent and os.getppid() != parent:
        sys.exit(0)  # it died before the kernel was asked


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.live.core", description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--parent", type=int, default=0, help="process id of the agent; end when it ends")
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    if arguments.parent:
        _end_with(arguments.parent)
    try:
        config = load_config(arguments.config)
        lock = lock_core(config)
        warm_up()
        Core(config).run()
        os.close(lock)
    except BadInput as error:
        print(json.dumps(error.as_json()), flush=True)
        return 2
    except (JournalDamaged, JournalFull) as error:
        log.error("%s", error)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
