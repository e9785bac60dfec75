"""The compiled loop with what Python lends it: sockets, buffers, and where the sessions stand."""

import time
from typing import Any

import numpy as np

from engine.core.clock import HostClocks
from engine.core.events import EVENT
from engine.core.state import OUTPUTS
from engine.live.compiled_loop import LOOP, Clock, Journal, Machine, Reason, new_ready, serve
from engine.live.feed import MarketFeed
from engine.live.journal import words_of
from engine.live.order_session import OrderSession
from engine.live.pipeline import Pipeline
from engine.live.segment import observe, publish

INPUTS = 1 << 15  # decoded at once; a datagram cannot hold as many messages
NO_EVENTS = np.empty(0, EVENT)  # even an empty copy of records whose fields overlap takes 30 us
NEVER = np.iinfo(np.int64).max
NO_CLOCK = np.array([NEVER], np.int64), np.zeros(1, np.int64)  # session time stands still at 0


class Loop:
    """``run`` serves what is plainly next and comes back for the rest, which stands here until it is taken.

    ``lines`` are the descriptors of the feed's sockets, ``poll`` that of the epoll in which all sockets are. ``busy``
    asks the sockets again and again instead of sleeping until one is ready.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        feed: MarketFeed,
        orders: OrderSession,
        lines: list[int],
        poll: int,
        *,
        busy: bool,
        clocks: HostClocks = time,
    ) -> None:
        self._clocks = clocks
        self.connection = -1  # descriptor of the order session's connection, -1 while there is none
        self.direct = True  # whether nothing waits for room in its socket
        self._pipeline, self._feed, self._orders = pipeline, feed, orders
        self._record = np.zeros(1, LOOP)
        self._loop = self._record[0]
        self._loop["epoll"], self._loop["busy"] = poll, busy
        side = self._loop["feed"]
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
            np.zeros(OUTPUTS, EVENT),
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
        """Serves until the steady time ``deadline`` at the latest; says why it came back.

        What has been read and not taken is then to be asked for: `unsent`, `refused` and `inputs`, in this order,
        before anything else is journaled or sent; and `datagrams` or `packet`.
        """
        reason = serve(*self.lend(deadline))
        self.take_back()
        return Reason(reason)

    def lend(self, deadline: int) -> tuple[Any, ...]:
        """What `serve` takes, in its order, after all that Python knows has been told."""
        loop, orders, writer = self._loop, self._loop["orders"], self._pipeline.writer
        loop["deadline"], loop["last_ts"] = deadline, self._pipeline.last_ts
        loop["wall_offset"] = self._clocks.time_ns() - self._clocks.monotonic_ns()
        if int(orders["descriptor"]) != self.connection:
            orders["descriptor"], orders["start"], orders["stop"] = self.connection, 0, 0
        orders["direct"] = self.direct
        self._feed.lend(loop["feed"])
        self._orders.lend(orders, self._feed.date)
        segment = writer.segment
        journal = Journal(segment.header, segment.cells, segment.checksums, writer.cursor)
        market, session = self._feed.market, self._orders.codec
        return self._record, self._stop, self._ready, self._clock, self._machine, journal, market, session

    def take_back(self) -> None:
        """Learns what has been taken since ``lend``."""
        self._pipeline.last_ts = int(self._loop["last_ts"])
        self._feed.take_back(self._loop["feed"])
        self._orders.take_back(self._loop["orders"])

    def unsent(self) -> bytes:
        """Bytes for the venue that the socket did not take."""
        orders = self._loop["orders"]
        start, stop = int(orders["unsent"]), int(orders["unsent_stop"])
        orders["unsent"] = orders["unsent_stop"] = 0
        return self._orders.codec.out[start:stop].tobytes()

    def refused(self) -> np.ndarray:
        """Orders (EVENT[n]) that OUCH cannot hold."""
        count, self._loop["orders"]["refused"] = int(self._loop["orders"]["refused"]), 0
        return self._machine.refused[:count].copy() if count else NO_EVENTS

    def inputs(self) -> np.ndarray:
        """Inputs (EVENT[n]) that are decoded and not journaled."""
        start, stop = int(self._loop["start"]), int(self._loop["stop"])
        self._loop["start"] = self._loop["stop"] = 0
        return self._machine.inputs[start:stop]

    def datagrams(self) -> list[tuple[int, bytes]]:
        """(line, datagram) of those at hand."""
        held = self._loop["feed"]["held"]
        found = [
            (line, self._feed.market.datagrams[line, :size].tobytes()) for line, size in enumerate(held) if size >= 0
        ]
        held[:] = -1
        return found

    def packet(self) -> bytes:
        """The next packet of the order session; all there is where its length cannot be."""
        orders, stream = self._loop["orders"], self._orders.codec.stream
        start, stop = int(orders["start"]), int(orders["stop"])
        length = int(stream[start]) << 8 | int(stream[start + 1])
        end = start + 2 + length if length else stop
        orders["start"] = end
        return stream[start:end].tobytes()

    def latencies(self) -> np.ndarray:
        """Of the newest sends, from a receive's return to the send call; ns."""
        ring = self._orders.codec.latencies
        return ring[: min(int(self._loop["orders"]["sends"]), len(ring))].copy()

    def send_ns(self) -> dict[str, int]:
        """Of `latencies`: how many sends there were in all, median and 99th percentile."""
        newest = np.sort(self.latencies())
        if not len(newest):
            return {"sends": 0, "p50": 0, "p99": 0}
        p50, p99 = int(newest[len(newest) // 2]), int(newest[len(newest) * 99 // 100])
        return {"sends": int(self._loop["orders"]["sends"]), "p50": p50, "p99": p99}

    def forget_latencies(self) -> None:
        self._loop["orders"]["sends"] = 0

    def stop(self) -> None:
        """Ends `run` from any thread, now and from now on."""
        publish(self._stop, 0, 1)

    @property
    def stopped(self) -> bool:
        return bool(observe(self._stop, 0))
