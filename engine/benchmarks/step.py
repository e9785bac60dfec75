"""From a market data message to encoded order bytes: the live loop without its sockets.

Each message of the file is a datagram of its own and goes the way of the live core: decoded in its MoldUDP64 packet,
journaled on disk, stepped (books, health, the kernel of ``intraday_pairs`` with ``--pairs`` pairs and every move of a
microprice a sample), limits checked, orders journaled and encoded as OUCH in SoupBinTCP. The time of an order is from
the datagram being at hand, before its first byte is looked at, to the moment at which the live loop would call send;
it is the loop's own stamp. A venue in the same process (`order_port`) accepts and executes every order before the next
message; its reports take the live way too and are not timed as orders, but are within ``msgs_per_s``.

Every limit stands at a finite value. Before anything is timed, each is provoked in turn (`provocations`) until an order
is refused for it: ``rejects`` counts refusals by limit.

The peer is the jitter of the machine: the same stamps in the same run around nothing.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.benchmarks import itch_file
from engine.benchmarks.order_port import PORT, answer, keep, next_kept
from engine.benchmarks.provocations import Provocation, bundle_of, limits_of, provocations
from engine.benchmarks.surroundings import commit, machine
from engine.configuration import Account
from engine.core.clock import SESSION_SHARE, SessionClock
from engine.core.compiled import njit
from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import EVENT, BlobType, Command, Flag, Kind, Session, ShortSale, TradingStatus, command_event
from engine.core.limit_names import MEASURED, Level, Limit
from engine.core.limit_tables import StrategyLimits, canonical_bytes
from engine.core.state import INSTRUMENTS, OUTPUTS
from engine.errors import BadInput
from engine.live.compiled_loop import drive_inputs, encode_orders_of, take_packet, take_stream
from engine.live.feed import MarketFeed
from engine.live.journal import SEGMENT_BYTES, Reader, Writer
from engine.live.libc import steady_ns
from engine.live.loop import Gateway, Loop
from engine.live.loop_records import GO_ON, ORDER_SIDE, PACKETS, ROOM, new_session
from engine.live.order_session import OrderSession, order_session_event
from engine.live.pipeline import Pipeline
from engine.live.recovery import InputState
from engine.messages import LimitEnvelope
from engine.strategies import intraday_pairs, many_pairs
from engine.strategies.intraday_pairs import MEMORY

SAMPLES = 1 << 21  # a power of two
JITTER_SAMPLES = 1_000_000
ONE_MESSAGE = 1  # bytes of a datagram: less than any message needs
LEG_NOTIONAL = 1_000
FINITE = 10**14  # shares or 1/10,000: far above what is traded, and checked all the same
ENVELOPE = LimitEnvelope(FINITE, FINITE, FINITE, FINITE)
WARM_UP = 200_000  # messages
LOOK_EVERY, PATIENCE = 2_000, 50  # messages to a look for a refusal, looks at most
SESSION_SECONDS = 23_400
RIVAL = 1  # the slot of the strategy whose orders could meet the other one's
KEPT_BYTES = 1 << 22


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", type=Path, required=True, metavar="FILE", help="a plain ITCH 5.0 BinaryFILE")
    parser.add_argument("--pairs", type=int, default=300, help=f"at most {intraday_pairs.MAX_PAIRS}")
    parser.add_argument("--messages", type=int, default=5_000_000, help="of the file, at most")
    parser.add_argument("--folder", type=Path, help="where the journal is written (default: HELIOGRAPH_VAR, or var)")
    parser.add_argument("--cpu", type=int, help="that the run is bound to")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    symbols = itch_file.symbols_of(arguments.input)
    if not 2 <= len(symbols) <= INSTRUMENTS:
        raise BadInput("instruments", "input", len(symbols), f"2 to {INSTRUMENTS} symbols")
    folder = arguments.folder or Path(os.environ.get("HELIOGRAPH_VAR", "var"))
    with tempfile.TemporaryDirectory(prefix="bench-step-", dir=folder) as scratch:
        bench = _Bench(arguments.input, symbols, arguments.pairs, Path(scratch) / "journal")
        if arguments.cpu is not None:
            os.sched_setaffinity(0, {arguments.cpu})
        bench.play(WARM_UP)
        rejects = bench.provoke_rejects()
        bench.start_measuring()
        messages, seconds = bench.play(arguments.messages)
        latencies, orders, updates = bench.latencies(), bench.orders, bench.pair_updates
    jitter = np.zeros(JITTER_SAMPLES, np.int64)
    measure_jitter(jitter, np.zeros(3, np.int64))
    ours, peer = percentiles(latencies), percentiles(jitter)
    return {
        "bench": "step",
        "ok": all(rejects.values()),
        "ours": ours["p50_ns"],
        "peer": peer["p50_ns"],
        "ratio": round(ours["p50_ns"] / max(peer["p50_ns"], 1), 1),
        "unit": "ns",
        "n": len(latencies),
        "commit": commit(),
        "machine": machine(),
        "messages": messages,
        "orders": orders,
        **ours,
        "jitter": peer,
        "msgs_per_s": round(messages / seconds),
        "pairs": arguments.pairs,
        "pairs_per_message": round(updates / messages, 3),
        "checks_per_order": len(Level) * MEASURED,
        "rejects": rejects,
    }


def percentiles(samples: np.ndarray) -> dict[str, int]:
    p50, p99, p999 = np.percentile(samples, (50, 99, 99.9)).round().astype(int).tolist()
    return {"p50_ns": p50, "p99_ns": p99, "p999_ns": p999, "max_ns": int(samples.max())}


class _Bench:
    def __init__(self, path: Path, symbols: np.ndarray, pairs: int, journal: Path) -> None:
        names = [int(key).to_bytes(8, "big").decode().rstrip() for key in symbols]
        engine = Engine(lambda _: Loaded(intraday_pairs.kernel(), intraday_pairs.STRATEGY.interests, 10**12))
        self._pipeline = Pipeline(engine, Writer.create(journal, segment_bytes=SEGMENT_BYTES))
        account, codec = Account("", ""), new_session(symbols, 1, SAMPLES)
        self._feed = MarketFeed(names, InputState(), account)
        self._orders = OrderSession(account, names, InputState(), codec=codec)
        gateway = Gateway(self._feed, self._orders, [0], direct=False)  # what it sends is left for the venue here
        self._loop = Loop(self._pipeline, [gateway], -1, busy=True)
        clock = SessionClock(time.time_ns(), [int(itch_file.SESSION)], SESSION_SECONDS / SESSION_SHARE)
        self._loop.set_clock(clock.wall_knots, clock.session_knots)
        self._port, self._kept = np.zeros(1, PORT), np.zeros(KEPT_BYTES, np.uint8)
        self._symbols, self._bundles = names, 1
        self._packer, self._pieces = itch_file.Packer(ONE_MESSAGE), itch_file.pieces(path)
        self._datagrams, self._ends, self._next = np.zeros(0, np.uint8), np.zeros(0, np.int64), 0
        self._trade(names, pairs)
        self._open()
        self._command(Command.PAUSE, RIVAL)

    def _trade(self, names: list[str], pairs: int) -> None:
        """One strategy that runs within limits, and RIVAL, which looks back less far and is paused."""
        self._load(BlobType.INSTRUMENTS, json.dumps(names).encode(), FIRM)
        self._load_bundle({})
        for slot, lookback in ((0, 30), (RIVAL, 10)):
            traded = many_pairs.parameters(lookback=lookback, entry=0.5, exit=0.3, stop=50.0, leg_notional=LEG_NOTIONAL)
            self._load(BlobType.MANIFEST, b"{}", slot)
            self._load_limits({}, slot)
            self._load(BlobType.PARAMETERS, traded, slot)
            self._load(BlobType.ARTIFACT, many_pairs.artifact(len(names), pairs).tobytes(), slot)
            self._command(Command.START, slot)
        self._pipeline.take(order_session_event(0, up=True, next_id=1))
        self._orders.up = True

    def _load(self, blob_type: BlobType, payload: bytes, slot: int) -> None:
        header = blob(blob_type, payload, strategy=slot, ts=self._pipeline.last_ts)
        self._send(self._pipeline.take_blob(header, payload))

    def _load_bundle(self, changes: dict[str, object]) -> None:
        self._load(BlobType.LIMITS, bundle_of(ENVELOPE, self._bundles, changes), FIRM)
        self._bundles += 1

    def _load_limits(self, changes: dict[str, object], slot: int) -> None:
        limits = canonical_bytes(StrategyLimits(0, limits_of(ENVELOPE, changes)))
        self._load(BlobType.LIMITS, limits, slot)

    def _command(self, command: Command, slot: int, **fields: int) -> None:
        event = command_event(self._pipeline.last_ts, command, slot)
        for name, value in fields.items():
            event[name] = value
        self._send(self._pipeline.take(event))

    def _open(self) -> None:
        """The state machine takes the file's first message, and the session opens, which the file does not say."""
        self._datagrams, self._ends = self._packer.pack(next(self._pieces))
        for events in self._feed.on_datagram(self._datagrams[: self._ends[0]].tobytes(), 0, 0):
            self._pipeline.take(events)
        self._next = 1
        event = np.zeros(1, EVENT)
        event["instrument"], event["kind"], event["code"] = -1, Kind.SESSION, Session.OPEN
        event["date"] = int(itch_file.SESSION)
        self._pipeline.take(event)
        self._status(TradingStatus.TRADING)

    def _status(self, code: int, flags: int = 0) -> None:
        event = np.zeros(1, EVENT)
        event["kind"], event["code"], event["flags"] = Kind.STATUS, code, flags
        event["ts_event"] = event["ts_recv"] = self._pipeline.last_ts
        for instrument in range(len(self._symbols)):
            event["instrument"] = instrument
            self._send(self._pipeline.take(event))

    def _send(self, orders: np.ndarray) -> None:
        """Orders that no market data has caused go to the venue, which answers them with what it has kept."""
        if len(orders):
            side, kept = np.zeros(1, ORDER_SIDE), int(self._port[0]["kept"])
            side["up"] = 1
            symbols, refused = self._orders.codec.symbols, np.zeros(len(orders), EVENT)
            self._port["kept"] += encode_orders_of(side, orders, len(orders), 0, symbols, self._kept[kept:], refused)

    def play(self, messages: int) -> tuple[int, float]:
        """(messages played, seconds): as many as the file still has, at most ``messages``."""
        played, seconds = 0, 0.0
        while played < messages:
            if self._next == len(self._ends):
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._datagrams, self._ends = self._packer.pack(piece)
                self._next = 0
            first, ends = self._next, self._ends[: self._next + messages - played]
            began = time.perf_counter()
            self._play(ends)
            seconds += time.perf_counter() - began
            played += self._next - first
        return played, seconds

    def _play(self, ends: np.ndarray) -> None:
        while self._next < len(ends):
            lent = self._loop.lend(0)
            self._next, reason = play(self._datagrams, ends, self._next, self._port, self._kept, *lent)
            self._loop.take_back()
            if reason == PACKETS:
                raise BadInput("message", "input", self._next, "a message that continues the session")
            if reason == ROOM:
                self._pipeline.writer.make_room(1 + OUTPUTS)

    def provoke_rejects(self) -> dict[str, int]:
        """Refusals by limit, each limit provoked in turn until there is one."""
        counted = dict.fromkeys((limit.name.lower() for limit in Limit if limit is not Limit.NONE), 0)
        for limit, provocation in provocations(self._symbols).items():
            self._provoke(provocation)
            before = self._pipeline.writer.last
            for _ in range(PATIENCE):
                self.play(LOOK_EVERY)
                self._count_rejects(counted, before)
                before = self._pipeline.writer.last
                if counted[limit.name.lower()]:
                    break
            self._leave_alone()
        return counted

    def _provoke(self, provocation: Provocation) -> None:
        if provocation.limits:
            self._load_limits(provocation.limits, 0)
        if provocation.bundle:
            self._load_bundle(provocation.bundle)
        if provocation.price_test:
            self._status(ShortSale.RESTRICTED, Flag.SHORT_SALE)
        if provocation.silent:
            self._port["silent"] = 1
            self._command(Command.START, RIVAL)

    def _leave_alone(self) -> None:
        """As it was. What was not answered is; executions beyond a limit are latched until a person lets go on."""
        self._load_limits({}, 0)
        self._load_bundle({})
        self._status(ShortSale.FREE, Flag.SHORT_SALE)
        self._command(Command.REENABLE, 0, level=Level.STRATEGY, person=1)
        self._command(Command.PAUSE, RIVAL)
        self._port["silent"] = 0
        while self._port[0]["kept_from"] < self._port[0]["kept"]:
            self._pipeline.writer.make_room(1 + OUTPUTS)
            answer_kept(self._port, self._kept, *self._loop.lend(0))
            self._loop.take_back()
        self._port["kept_from"] = self._port["kept"] = 0

    def _count_rejects(self, counted: dict[str, int], after: int) -> None:
        reader = Reader(self._pipeline.writer.directory)
        while len(records := reader.read(after)):
            after += len(records)
            for code in records["code"][records["kind"] == Kind.LIMIT_REJECT].tolist():
                counted[Limit(code).name.lower()] += 1

    def start_measuring(self) -> None:
        self._loop.forget_latencies()
        self._orders_before, self._updates_before = int(self._port[0]["orders"]), self._updates()

    def _updates(self) -> int:
        memory = self._pipeline.engine.state["stores"][0]["memory"][: MEMORY.itemsize].view(MEMORY)[0]
        return int(memory["signals"]["pair"]["exponential"]["count"].sum())

    @property
    def pair_updates(self) -> int:
        return self._updates() - self._updates_before

    @property
    def orders(self) -> int:
        return int(self._port[0]["orders"]) - self._orders_before

    def latencies(self) -> np.ndarray:
        return self._loop.latencies()


@njit(cache=True, nogil=True)
def play(datagrams, ends, first, ports, kept, loops, stop, ready, clock, machine, journal, market, session):
    """Takes datagrams from number ``first`` on as `serve` does; (the first not taken, why). What was begun when the
    segment was full is gone on with."""
    loop, port = loops[0], ports[0]
    feed = loop.feeds[0]
    loop.orders[0].logged_in = 1
    for index in range(first, len(ends)):
        if not port.begun:
            start = ends[index - 1] if index else 0
            for position in range(start, ends[index]):  # which is what recv does
                market.datagrams[0, 0, position - start] = datagrams[position]
            feed.held[0] = ends[index] - start
            feed.received_at[0] = steady_ns(clock.times)
            if not take_packet(loop, 0, clock, machine, market, 0):
                return index, PACKETS
        port.begun = 1
        if not port.answering and drive_inputs(loop, clock, machine, journal, session) == ROOM:
            return index, ROOM
        port.answering = 1
        sends = session.sends[0]
        reason = _answer(loop, port, kept, clock, machine, journal, session)
        session.sends[0] = sends  # what reports cause is not from a market data message
        if reason == ROOM:
            return index, ROOM
        port.begun = port.answering = 0
    return len(ends), GO_ON


@njit(cache=True, nogil=True)
def _answer(loop, port, kept, clock, machine, journal, session):
    """The venue takes what was sent, and the loop its reports, until nobody has anything to say."""
    orders, out, stream = loop.orders[0], session.out[0], session.stream[0]
    while True:
        if orders.unsent < orders.unsent_stop:
            if port.silent:
                keep(port, kept, out, orders.unsent, orders.unsent_stop)
            else:
                orders.stop, _ = answer(port, out, orders.unsent, orders.unsent_stop, stream, orders.stop)
            orders.unsent = orders.unsent_stop = 0
        if loop.start < loop.stop:
            reason = drive_inputs(loop, clock, machine, journal, session)
        elif orders.start < orders.stop:
            orders.heard_at = steady_ns(clock.times)
            reason = take_stream(loop, 0, clock, machine, journal, session)
        else:
            return GO_ON
        if reason == ROOM:
            return ROOM


@njit(cache=True, nogil=True)
def answer_kept(ports, kept, loops, stop, ready, clock, machine, journal, market, session):
    """The venue says what becomes of the next order that it has kept silent about."""
    loop, port = loops[0], ports[0]
    orders, sends = loop.orders[0], session.sends[0]
    orders.logged_in = 1
    orders.unsent, orders.unsent_stop = 0, next_kept(port, kept, session.out[0])
    _answer(loop, port, kept, clock, machine, journal, session)
    session.sends[0] = sends


@njit(cache=True, nogil=True)
def measure_jitter(samples, times):
    """From each reading of the clock to the next one."""
    before = steady_ns(times)
    for index in range(len(samples)):
        now = steady_ns(times)
        samples[index] = now - before
        before = now
