"""The core process: the compiled loop, and in Python all that is not plainly next.

The loop runs in a thread of its own, bound to a CPU where the configuration says so; the main thread waits for it and
takes signals. The order of appending to the journal is the order of everything. The agent starts
``python -m engine.live.core --config FILE``; exit code 0 after SIGTERM or SIGINT, 2 for bad input, 4 when the journal
has no room or is damaged (standard error says which).
"""

import argparse
import gc
import json
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from select import EPOLLIN, epoll
from typing import Any

import numpy as np

from engine import uncollected
from engine.core.events import BlobType, Command, Kind, command_event, timer_event
from engine.core.state import STRATEGIES, Phase, StrategyState
from engine.errors import BadInput
from engine.live.config import Config, load_account, load_config
from engine.live.control import CHOOSE_SLOT, ControlClient, listen
from engine.live.core_status import core_status
from engine.live.journal import JournalDamaged, JournalFull
from engine.live.kill_latch import counted_queries, forget_no_core, read_latch_file
from engine.live.lifetime import end_with
from engine.live.limits import bundle_stamp, renew_limits
from engine.live.loop import Loop
from engine.live.loop_records import Reason, new_market, new_session
from engine.live.outside import HOST, Outside
from engine.live.person_commands import (
    PERSONAL,
    apply_kills,
    disconnected,
    take_person_command,
    unacknowledged,
)
from engine.live.pipeline import joined
from engine.live.python_strategies import PythonStrategies
from engine.live.snapshot_writer import SnapshotWriter
from engine.live.startup import load_settings, lock_core, open_pipeline
from engine.live.statement import breaks_with, read_statement
from engine.live.venue_clock import VenueClock
from engine.live.venue_link import VenueLink
from engine.live.warm import warm
from engine.protocols.feed import symbol_keys

log = logging.getLogger("engine.core")

SECOND = 1_000_000_000
STATUS_NS = SECOND // 2
FROM_AGENT = frozenset({BlobType.MANIFEST, BlobType.PARAMETERS, BlobType.LIMITS, BlobType.PLAN, BlobType.ARTIFACT})
LEAST_TIMER_WAIT = 0.001  # seconds; behind the close session time passes more slowly than `speed` says
FROM_ANYBODY = frozenset({Command.START, Command.PAUSE, Command.STOP, Command.FLATTEN, Command.REENABLE})


class Core:
    """Sockets and deadlines around the pipeline."""

    def __init__(self, config: Config, outside: Outside = HOST) -> None:
        self.config, self._clocks = config, outside.clocks
        for venue in config.venues:
            load_account(venue.account_file)  # raises before anything is compiled or opened
        self.pipeline, inputs = open_pipeline(config, outside.disk)
        self.engine = self.pipeline.engine
        self.clock = VenueClock(Path(config.venues[0].clock_file))
        self.clock.refresh()
        load_settings(self.pipeline, config, self.clock.speed())
        self._snapshots = SnapshotWriter(config, self.pipeline, inputs)
        self._poll = epoll()
        keys = symbol_keys(config.symbols)
        market, codec = new_market(keys, len(config.venues)), new_session(keys, len(config.venues))
        self.venues = [
            VenueLink(
                number, venue, config.symbols, inputs[number], self._poll, market=market, codec=codec, outside=outside
            )
            for number, venue in enumerate(config.venues)
        ]
        self._status_at = 0
        self._paused_for_room = False
        self._bundle_stamp = (0, 0)  # of the limits that were taken last
        self._clients: dict[int, ControlClient] = {}
        self._python = PythonStrategies(config.folder, self.pipeline, self._poll)
        self._control = listen(config.folder)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        lines = [descriptor for venue in self.venues for descriptor in venue.lines.filenos]
        for descriptor in (*lines, self._control.fileno(), self._wake_read):
            self._poll.register(descriptor, EPOLLIN)
        gateways = [venue.gateway for venue in self.venues]
        busy = config.mode == "busy"
        self.loop = Loop(self.pipeline, gateways, self._poll.fileno(), busy=busy, clocks=outside.clocks)
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
        ts = self._now()
        for venue in self.venues:
            self._take(venue.begin(ts, counted_queries(self.config.folder, venue.number)))
        self._take(self._python.begin(ts))
        if self.config.positions_file:
            self._take(breaks_with(read_statement(self.config.positions_file), self.engine, ts))
        self._apply_latch_file()

    def finish(self) -> None:
        self._snapshots.write()
        for venue in self.venues:
            venue.orders.logout(self._clocks.monotonic_ns())
        self._send_bytes()

    def serve(self, deadline: int) -> Reason:
        """The loop until it comes back, at the steady time ``deadline`` at the latest; then what it came back for."""
        for venue in self.venues:
            venue.lend()
        reason = self.loop.run(deadline)
        self._take_up()
        venue = self.venues[self.loop.venue]
        if reason in (Reason.OTHER, Reason.DEADLINE):
            for descriptor, events in self._poll.poll(0):
                self._on_ready(descriptor, events)
        elif reason is Reason.PACKETS:
            self._on_datagrams(venue)
        elif reason is Reason.SESSION:
            self._on_session_packet(venue)
        elif reason is Reason.ORDERS_LOST:
            self._take(venue.disconnect(self._now()))
        self._on_time()
        return reason

    def _take_up(self) -> None:
        """What the loop has begun and left: bytes to send, orders that OUCH cannot hold, inputs that found no room."""
        refused: list[np.ndarray] = []
        for venue in self.venues:
            unsent = self.loop.unsent(venue.number)
            if unsent and not venue.send_bytes(unsent):
                refused += venue.disconnect(self._now())
            refused += venue.orders.refuse(self.loop.refused(venue.number), self._now())
        inputs = self.loop.inputs()
        if refused or len(inputs):
            self._take([*refused, inputs])

    def deadline(self) -> int:
        """Steady time of what is due next."""
        due = [self._status_at, *(each for venue in self.venues for each in venue.deadlines())]
        due.append(self._clocks.monotonic_ns() + int(self._timer_wait() * SECOND))
        return min(each for each in due if each is not None)

    def _timer_wait(self) -> float:
        """Seconds of wall time until the step's own deadline."""
        if not self.engine.state["timer_interval"]:
            return STATUS_NS / SECOND
        left = int(self.engine.state["next_deadline"]) - self._now()
        return max(left / SECOND / max(self.clock.speed(), 1.0), LEAST_TIMER_WAIT)

    def _on_ready(self, descriptor: int, events: int) -> None:
        owner = next((venue for venue in self.venues if venue.owns(descriptor)), None)
        if owner is not None:
            self._take(owner.on_ready(descriptor, events, self._now()))
        elif self._python.owns(descriptor):
            self._take(self._python.on_ready(descriptor, self._clocks.monotonic_ns(), self._now()))
        elif descriptor == self._control.fileno():
            self._accept()
        elif descriptor == self._wake_read:
            os.read(self._wake_read, 64)
            self.loop.stop()  # a signal: if another thread has taken it, the main thread sleeps on
        elif descriptor in self._clients and not self._clients[descriptor].on_readable():
            self._drop(descriptor)

    def _on_time(self) -> None:
        now = self._clocks.monotonic_ns()
        for venue in self.venues:
            self._on_venue_time(venue, now)
        if self.engine.state["timer_interval"] and self._now() >= self.engine.state["next_deadline"]:
            self._take([timer_event(self._now(), int(self.engine.state["next_deadline"]))])
        if now >= self._status_at:
            self._status_at = now + STATUS_NS
            self._each_half_second()

    def _on_venue_time(self, venue: VenueLink, now: int) -> None:
        self._take(venue.feed.on_time(now, self._now()))
        venue.ask_again(now)
        venue.on_snapshot_time(now)
        self._take(venue.orders.on_time(now, self._now()))
        self._take(venue.check_session(self._now()))
        self._keep_disconnected(venue, now)
        self._take(venue.connect_if_due(now, self._now()))

    def _each_half_second(self) -> None:
        if self.clock.refresh():
            self._use_clock()
            load_settings(self.pipeline, self.config, self.clock.speed())
        for venue in self.venues:
            venue.read_ports()
        if self.config.limits_link and (stamp := bundle_stamp(self.config)) != self._bundle_stamp:
            self._bundle_stamp = stamp
            renew_limits(self.pipeline, self.config)
        self._watch_room()
        self._snapshots.follow()
        self._take(self._python.on_time(self._clocks.monotonic_ns(), self._now()))
        if self._snapshots.due and int(self.engine.state["phase"]) == Phase.CLOSED:
            self._snapshots.write()
        message = {"status": self.status()}
        for descriptor, client in list(self._clients.items()):
            if not client.send(message):
                self._drop(descriptor)

    def close(self) -> None:
        """Lets go of everything that is open, as the end of the process does."""
        self.pipeline.writer.close()
        for venue in self.venues:
            venue.close()
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
        """Journals and steps; what the step orders is sent, then whatever else the order sessions have to say."""
        for events in inputs:
            self._send(self.pipeline.take(events))
        self._send_bytes()

    def _send(self, orders: np.ndarray) -> None:
        while len(orders):
            now, ts = self._clocks.monotonic_ns(), self._now()
            refused = [event for venue in self.venues for event in venue.orders.send(orders, now, ts)]
            orders = joined([self.pipeline.take(event) for event in refused])

    def _send_bytes(self) -> None:
        for venue in self.venues:
            if not venue.send_bytes():
                self._take(venue.disconnect(self._now()))

    def _on_datagrams(self, venue: VenueLink) -> None:
        ts = self._now()
        for line, datagram in venue.lines.receive(self.loop.datagrams(venue.number)):
            self._take(venue.feed.on_datagram(datagram, self._clocks.monotonic_ns(), ts, line))
        venue.ask_again(self._clocks.monotonic_ns())

    def _on_session_packet(self, venue: VenueLink) -> None:
        """What of the order session is neither report nor heartbeat."""
        packet = self.loop.packet(venue.number)
        self._take(venue.orders.receive(packet, self._clocks.monotonic_ns(), self._now(), venue.feed.date))
        if venue.orders.up:
            venue.caught_up()
        self._take(venue.check_session(self._now()))

    def _keep_disconnected(self, venue: VenueLink, now: int) -> None:
        """A kill of the last level: the session ends once every cancel is answered, or those answers stay away."""
        killed = disconnected(self.engine.state, venue.number)
        waiting = self._waiting(f"venue:{venue.config.name}", 1 << 62) if killed else 0
        if venue.keep_disconnected(now, killed, waiting):
            venue.orders.logout(now)
            self._send_bytes()
            self._take(venue.disconnect(self._now()))

    # ---- control -----------------------------------------------------------------------------------

    def _apply_latch_file(self) -> None:
        """Kills that were given while there was no core to take them; before anything is sent."""
        folder = self.config.folder
        apply_kills(self.pipeline, read_latch_file(folder), self.config.venue_names, self._now(), self._send)
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
                    "blob_type", "blob_type", int(record["blob_type"]), "manifest, parameters, limits, plan, artifact"
                )
            if int(record["blob_type"]) == BlobType.MANIFEST and int(record["strategy"]) == CHOOSE_SLOT:
                header["strategy"] = self.engine.free_slot()
        elif int(record["kind"]) == Kind.COMMAND and int(record["command"]) in PERSONAL:
            answer = take_person_command(self.pipeline, header, payload, self.config.venue_names, self._send)
            self._send_bytes()
            return answer
        if not 0 <= int(record["strategy"]) < STRATEGIES:
            raise BadInput("slot", "strategy", int(record["strategy"]), f"0 to {STRATEGIES - 1}")
        if int(record["kind"]) == Kind.BLOB:
            self._take_blob(header, payload)
        elif int(record["kind"]) == Kind.COMMAND and int(record["command"]) not in FROM_ANYBODY:
            raise BadInput("command", "command", int(record["command"]), ", ".join(one.name for one in FROM_ANYBODY))
        else:
            if int(record["command"]) == Command.START and int(record["kind"]) == Kind.COMMAND:
                self._python.before_start(int(record["strategy"]))
            self._send(self.pipeline.take(header))
        self._send_bytes()
        return {"slot": int(record["strategy"])}

    def _take_blob(self, header: np.ndarray, payload: bytes) -> None:
        slot, blob_type = int(header[0]["strategy"]), int(header[0]["blob_type"])
        if blob_type == BlobType.ARTIFACT:
            self._python.keep_artifact(slot, payload)
        self._send(self.pipeline.take_blob(header, payload))
        if blob_type == BlobType.MANIFEST:
            self._python.open(slot)

    def _waiting(self, scope: str, below: int) -> int:
        return unacknowledged(self.engine.state, scope, below, self.engine.instruments, self.config.venue_names)

    def status(self) -> dict[str, Any]:
        return core_status(self.pipeline, self.venues, self.loop, self._python, self._now())

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


def warm_up() -> None:
    """Before any socket is open: who calls is answered at once, and no datagram waits."""
    with uncollected():
        warm()
    gc.freeze()  # what is loaded by now stays, and is not looked through while trading


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.live.core", description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--parent", type=int, default=0, help="process id of the agent; end when it ends")
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    end_with(arguments.parent)
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
