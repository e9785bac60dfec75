"""The compiled loop with what Python lends it: sockets, buffers, and where the sessions stand."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.atomics import observe, publish
from engine.core.clock import HostClocks
from engine.core.events import EVENT
from engine.core.state import OUTPUTS
from engine.live.compiled_loop import serve
from engine.live.feed import MarketFeed
from engine.live.journal import words_of
from engine.live.loop_records import LOOP, Clock, Journal, Machine, Reason, new_ready
from engine.live.order_session import OrderSession
from engine.live.pipeline import Pipeline

INPUTS = 1 << 15  # decoded at once; a datagram cannot hold as many messages
NEVER = np.iinfo(np.int64).max
NO_CLOCK = np.array([NEVER], np.int64), np.zeros(1, np.int64)  # session time stands still at 0


@dataclass
class Gateway:
    """What of one venue the loop serves. ``lines`` are the descriptors of its feed's sockets."""

    feed: MarketFeed
    orders: OrderSession
    lines: list[int]
    connection: int = -1  # descriptor of the order session's connection, -1 while there is none
    direct: bool = True  # whether nothing waits for room in its socket


class Loop:
    """``run`` serves what is plainly next and comes back for the rest, which stands here until it is taken.

    ``poll`` is the descriptor of the epoll in which all sockets are. ``busy`` asks the sockets again and again instead
    of sleeping until one is ready. Feeds and order sessions of all ``gateways`` share one `Market` and one `Session`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        gateways: Sequence[Gateway],
        poll: int,
        *,
        busy: bool,
        clocks: HostClocks = time,
    ) -> None:
        self._clocks = clocks
        self.gateways, self._pipeline = list(gateways), pipeline
        self._market, self._session = self.gateways[0].feed.market, self.gateways[0].orders.codec
        self._record = np.zeros(1, LOOP)
        self._loop = self._record[0]
        self._loop["epoll"], self._loop["busy"], self._loop["venues"] = poll, busy, len(self.gateways)
        for side, gateway in zip(self._loop["feeds"], self.gateways, strict=False):
            lines = gateway.lines
            side["lines"], side["descriptors"][: len(lines)], side["held"] = len(lines), lines, -1
        inputs, engine = np.zeros(INPUTS, EVENT), pipeline.engine
        self._machine = Machine(
            engine.record,
            engine.kernels,
            inputs,
            words_of(inputs),
            engine.outputs,
            pipeline.out_words,
            pipeline.orders,
            np.zeros((len(self.gateways), OUTPUTS), EVENT),
        )
        self._stop, self._ready, self._times = np.zeros(1, np.uint64), new_ready(), np.zeros(3, np.int64)
        self.set_clock(*NO_CLOCK)

    def set_clock(self, wall_knots: np.ndarray, session_knots: np.ndarray) -> None:
        """Session time by wall time, int64[n] each: see `engine.core.clock.interpolate`."""
        self._clock = Clock(wall_knots, session_knots, self._times)

    def hold_clock(self, steady_ns: int) -> None:
        """For the compiled loop it is this time until another is given: how a simulation in virtual time has it."""
        self._times[2] = steady_ns

    def run(self, deadline: int) -> Reason:
        """Serves until the steady time ``deadline`` at the latest; says why it came back, ``venue`` for which one.

        What has been read and not taken is then to be asked for: of each venue `unsent` and `refused`, then `inputs`,
        in this order, before anything else is journaled or sent; and `datagrams` or `packet`.
        """
        reason = serve(*self.lend(deadline))
        self.take_back()
        return Reason(reason)

    @property
    def venue(self) -> int:
        return int(self._loop["venue"])

    def lend(self, deadline: int) -> tuple[Any, ...]:
        """What `serve` takes, in its order, after all that Python knows has been told."""
        loop, writer = self._loop, self._pipeline.writer
        loop["deadline"], loop["last_ts"] = deadline, self._pipeline.last_ts
        loop["wall_offset"] = self._clocks.time_ns() - self._clocks.monotonic_ns()
        for venue, gateway in enumerate(self.gateways):
            orders = loop["orders"][venue]
            if int(orders["descriptor"]) != gateway.connection:
                orders["descriptor"], orders["start"], orders["stop"] = gateway.connection, 0, 0
            orders["direct"] = gateway.direct
            gateway.feed.lend(loop["feeds"][venue])
            gateway.orders.lend(orders, gateway.feed.date)
        segment = writer.segment
        journal = Journal(segment.header, segment.cells, segment.checksums, writer.cursor)
        return self._record, self._stop, self._ready, self._clock, self._machine, journal, self._market, self._session

    def take_back(self) -> None:
        """Learns what has been taken since ``lend``."""
        self._pipeline.last_ts = int(self._loop["last_ts"])
        for venue, gateway in enumerate(self.gateways):
            gateway.feed.take_back(self._loop["feeds"][venue])
            gateway.orders.take_back(self._loop["orders"][venue])

    def unsent(self, venue: int = 0) -> bytes:
        """Bytes for the venue that the socket did not take."""
        orders = self._loop["orders"][venue]
        start, stop = int(orders["unsent"]), int(orders["unsent_stop"])
        orders["unsent"] = orders["unsent_stop"] = 0
        return self._session.out[venue, start:stop].tobytes()

    def refused(self, venue: int = 0) -> np.ndarray:
        """Orders (EVENT[n]) for the venue that OUCH cannot hold."""
        orders = self._loop["orders"][venue]
        count, orders["refused"] = int(orders["refused"]), 0
        return self._machine.refused[venue, :count].copy()

    def inputs(self) -> np.ndarray:
        """Inputs (EVENT[n]) that are decoded and not journaled."""
        start, stop = int(self._loop["start"]), int(self._loop["stop"])
        self._loop["start"] = self._loop["stop"] = 0
        return self._machine.inputs[start:stop]

    def datagrams(self, venue: int = 0) -> list[tuple[int, bytes]]:
        """(line, datagram) of those at hand."""
        held, at_hand = self._loop["feeds"][venue]["held"], self._market.datagrams[venue]
        found = [(line, at_hand[line, :size].tobytes()) for line, size in enumerate(held) if size >= 0]
        held[:] = -1
        return found

    def packet(self, venue: int = 0) -> bytes:
        """The next packet of the venue's order session; all there is where its length cannot be."""
        orders, stream = self._loop["orders"][venue], self._session.stream[venue]
        start, stop = int(orders["start"]), int(orders["stop"])
        length = int(stream[start]) << 8 | int(stream[start + 1])
        end = start + 2 + length if length else stop
        orders["start"] = end
        return stream[start:end].tobytes()

    def latencies(self) -> np.ndarray:
        """Of the newest sends, from a receive's return to the send call; ns."""
        ring = self._session.latencies
        return ring[: min(self.sends, len(ring))].copy()

    @property
    def sends(self) -> int:
        """How many sends there were, to all venues."""
        return int(self._session.sends[0])

    def send_ns(self) -> dict[str, int]:
        """Of `latencies`: how many sends there were in all, median and 99th percentile."""
        newest = np.sort(self.latencies())
        if not len(newest):
            return {"sends": 0, "p50": 0, "p99": 0}
        p50, p99 = int(newest[len(newest) // 2]), int(newest[len(newest) * 99 // 100])
        return {"sends": self.sends, "p50": p50, "p99": p99}

    def send_histogram(self) -> list[int]:
        """Of every send since the start, by bucket of `engine.core.health_record`, to the last that is not 0."""
        return np.trim_zeros(self._session.histogram, "b").tolist()

    def forget_latencies(self) -> None:
        self._session.sends[0] = 0

    def stop(self) -> None:
        """Ends `run` from any thread, now and from now on."""
        publish(self._stop, 0, 1)

    @property
    def stopped(self) -> bool:
        return bool(observe(self._stop, 0))
