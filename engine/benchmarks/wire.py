"""Wire to wire on loopback: a UDP packet in, OUCH orders out over TCP, against a bare echo of the same sizes.

The engine is a live core in its own process, its loop busy and bound to ``--engine-cpu``, with ``--pairs`` pairs and
its journal on disk. Each packet holds one Order Replace that moves the bid of an instrument, and with it the stance of
a pair: two orders leave in one send, and the venue here, bound to ``--venue-cpu``, accepts and executes them before the
next packet. The echo is a compiled loop that answers each packet with as many bytes, on the engine's CPU while the core
is stopped. Time is stamped before the packet is sent, and when the last byte of the answer has been read. Blocks
alternate; ``ratio`` is the median of the blocks' ratios of medians.

``inside`` is the core's own measure, from recv's return to the call of send, beside the jitter of a loop that only
reads the clock on the same CPU. *These are loopback figures of one machine: they say what software adds, and are never
a network's.*
"""

import argparse
import contextlib
import os
import signal
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.benchmarks.live_core import DATE, LiveCore
from engine.benchmarks.order_port import PORT, answer
from engine.benchmarks.step import JITTER_SAMPLES, measure_jitter, percentiles
from engine.benchmarks.surroundings import commit, machine
from engine.core.atomics import observe, publish
from engine.core.compiled import njit
from engine.live.libc import receive, send, steady_ns
from engine.protocols import itch, moldudp64
from engine.protocols.unaligned import store_u32, store_u64

SYMBOLS = 500
PRICE, TICK = 1_000_000, 100
ORDER_BYTES = 50  # an Enter Order in its SoupBinTCP packet
ORDERS = 2  # a packet: both legs of a pair
ANSWER_BYTES = ORDERS * ORDER_BYTES
SEQUENCE, OLD, NEW = 10, 33, 41  # offsets in a packet of one Order Replace; its price is the last 4 bytes
FIRST_REPLACEMENT = 1_000_000
PAUSE_NS = 100_000  # from one packet's reports to the next packet
GIVE_UP_NS = 100_000_000
BUFFER = 1 << 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--blocks", type=int, default=10, help="of the echo and of the engine, in turn")
    parser.add_argument("--packets", type=int, default=2_000, help="a block")
    parser.add_argument("--engine-cpu", type=int, default=0)
    parser.add_argument("--venue-cpu", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the journal is written (default: HELIOGRAPH_VAR, or var)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    folder = arguments.folder or Path(os.environ.get("HELIOGRAPH_VAR", "var"))
    packets = arguments.packets
    with _world(folder, arguments) as world:
        world.block(packets)  # warms up
        world.echo_block(packets)
        world.missed = 0
        blocks = [(world.echo_block(packets), world.block(packets)) for _ in range(arguments.blocks)]
        inside = world.core.status()["send_ns"]
        jitter = world.jitter()
    echoes, engines = (np.array([float(np.median(each)) for each in side]) for side in zip(*blocks, strict=True))
    ratio = statistics.median((engines / echoes).tolist())
    return {
        "bench": "wire",
        "ok": world.missed < packets * arguments.blocks // 100,
        "ours": round(float(np.median(engines)) / 1000, 2),
        "peer": round(float(np.median(echoes)) / 1000, 2),
        "ratio": round(ratio, 3),
        "unit": "us, p50, loopback",
        "n": arguments.blocks,
        "commit": commit(),
        "machine": machine(),
        "packets": packets,
        "pairs": arguments.pairs,
        "bytes_in": len(world.packet),
        "bytes_out": ANSWER_BYTES,
        "missed": world.missed,
        "ratios": [round(each, 3) for each in (engines / echoes).tolist()],
        "engine": percentiles(np.concatenate([ours for _, ours in blocks])),
        "echo": percentiles(np.concatenate([echo for echo, _ in blocks])),
        "inside": {"p50_ns": inside["p50"], "p99_ns": inside["p99"]},
        "jitter": percentiles(jitter),
    }


@contextlib.contextmanager
def _world(folder: Path, arguments: argparse.Namespace) -> Iterator["_World"]:
    bound = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory(prefix="bench-wire-", dir=folder) as scratch:
        world = _World(Path(scratch), arguments)
        try:
            yield world
        finally:
            world.core.close()
            os.sched_setaffinity(0, bound)


class _World:
    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self._cpu, self.missed = arguments.engine_cpu, 0
        symbols = [f"S{number:03d}" for number in range(SYMBOLS)]
        self.core = LiveCore(folder, symbols, mode="busy", cpu=arguments.engine_cpu)
        self.core.deploy(arguments.pairs, lookback=10, entry=0.5, exit=0.1, stop=50.0, leg_notional=1_000)
        self.core.open_session(PRICE)
        time.sleep(1.0)
        os.sched_setaffinity(0, {arguments.venue_cpu})
        replace = itch.OrderReplace(1, 0, 0, 1, FIRST_REPLACEMENT, 10_000, PRICE)
        self.packet = np.frombuffer(moldudp64.encode(str(DATE), 0, [itch.encode(replace)]), np.uint8).copy()
        self._place = np.array([self.core.sequence, 1, FIRST_REPLACEMENT, 0], np.int64)
        self._ports, self._times = np.zeros(1, PORT), np.zeros(2, np.int64)
        self._buffers = np.zeros(BUFFER, np.uint8), np.zeros(BUFFER, np.uint8)
        self._echo_market, self._echo_orders, self._echo_ends = _echo_sockets()
        for each in (self.core.orders, self._echo_orders):
            each.setblocking(False)

    def block(self, packets: int) -> np.ndarray:
        """Times (ns) of packets that the engine answered."""
        return self._ping(self.core.market, self.core.orders, packets, 1)

    def echo_block(self, packets: int) -> np.ndarray:
        """The same of the echo, while the core stands still."""
        self.core.process.send_signal(signal.SIGSTOP)
        stop = np.zeros(1, np.uint64)
        thread = threading.Thread(target=self._echo, args=(stop,))
        thread.start()
        times = self._ping(self._echo_market, self._echo_orders, packets, 0)
        publish(stop, 0, 1)
        thread.join()
        self.core.process.send_signal(signal.SIGCONT)
        time.sleep(0.1)
        return times

    def _echo(self, stop: np.ndarray) -> None:
        os.sched_setaffinity(0, {self._cpu})  # of this thread
        market, orders = self._echo_ends
        echo(market.fileno(), orders.fileno(), np.zeros(BUFFER, np.uint8), ANSWER_BYTES, stop)

    def _ping(self, market: socket.socket, orders: socket.socket, packets: int, answering: int) -> np.ndarray:
        samples = np.zeros(packets, np.int64)
        ends = market.fileno(), orders.fileno()
        ping(*ends, self.packet, self._place, samples, answering, self._ports, *self._buffers, self._times)
        self.missed += int((samples == 0).sum())
        return samples[samples > 0]

    def jitter(self) -> np.ndarray:
        """Of the clock on the engine's CPU, while the core stands still; ns."""
        self.core.process.send_signal(signal.SIGSTOP)
        samples = np.zeros(JITTER_SAMPLES, np.int64)

        def measure() -> None:
            os.sched_setaffinity(0, {self._cpu})
            measure_jitter(samples, np.zeros(2, np.int64))

        thread = threading.Thread(target=measure)
        thread.start()
        thread.join()
        return samples


def _echo_sockets() -> tuple[socket.socket, socket.socket, tuple[socket.socket, socket.socket]]:
    """(market data out, orders in) of the venue, and the echo's ends of both."""
    market_end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    market_end.bind(("127.0.0.1", 0))
    market = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    market.connect(market_end.getsockname())
    with socket.create_server(("127.0.0.1", 0)) as server:
        orders_end = socket.create_connection(server.getsockname())
        orders, _ = server.accept()
    for each in (orders_end, orders):
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return market, orders, (market_end, orders_end)


@njit(cache=True, nogil=True)
def echo(market, orders, buffer, size, stop):
    """Answers each datagram with ``size`` bytes until it is stopped."""
    while observe(stop, 0) == 0:
        if receive(market, buffer, 0, len(buffer)) > 0:
            send(orders, buffer, 0, size)


@njit(cache=True, nogil=True)
def ping(market, orders, packet, place, samples, answering, ports, received, reports, times):
    """A packet, its answer, the venue's reports, a pause, over and over; ``samples`` stay 0 where no answer came.

    ``place`` holds the next sequence number, the order that is replaced, the next order and the number of packets.
    """
    for index in range(len(samples)):
        pause = steady_ns(times) + PAUSE_NS
        while steady_ns(times) < pause:
            _take_late(orders, answering, ports, received, reports)
        if answering:
            store_u64(packet, SEQUENCE, place[0])
            store_u64(packet, OLD, place[1])
            store_u64(packet, NEW, place[2])
            place[3] += 1
            store_u32(packet, len(packet) - 4, PRICE + TICK * (place[3] % 2))
            place[0], place[1], place[2] = place[0] + 1, place[2], place[2] + 1
        size = 0
        sent_at = now = steady_ns(times)
        send(market, packet, 0, len(packet))
        while size < ANSWER_BYTES and now - sent_at < GIVE_UP_NS:
            got = receive(orders, received, size, len(received) - size)
            now = steady_ns(times)
            if got > 0:
                size += got
        if size >= ANSWER_BYTES:
            samples[index] = now - sent_at
        if answering and size:
            stop, _ = answer(ports[0], received, 0, size, reports, 0)
            send(orders, reports, 0, stop)


@njit(cache=True, nogil=True)
def _take_late(orders, answering, ports, received, reports):
    """Heartbeats, and orders that came after the patience for them: they are executed all the same."""
    size = receive(orders, received, 0, len(received))
    if answering and size > 0:
        stop, _ = answer(ports[0], received, 0, size, reports, 0)
        send(orders, reports, 0, stop)
