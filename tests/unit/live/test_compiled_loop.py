"""The compiled loop takes what is plainly next as the state machines would, and leaves them the rest."""

import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from select import EPOLLIN
from typing import Any

import numpy as np
import pytest
from feed_world import ACCOUNT, MS, Venue
from feed_world import SYMBOLS as EXCHANGE_SYMBOLS
from live_world import SEGMENT, load
from loop_world import World, packet, trade

from engine.configuration import Account
from engine.core.engine import FIRM, Engine, blob
from engine.core.events import EVENT, BlobType, Kind
from engine.core.limit_tables import SignedBundle, bundle_within, canonical_bytes, strategy_limits
from engine.live.feed import MarketFeed
from engine.live.journal import Reader, Writer
from engine.live.loop_records import Reason
from engine.live.order_session import NOT_SENT
from engine.live.pipeline import Pipeline, Replay
from engine.live.recovery import InputState
from engine.messages import LimitEnvelope
from engine.protocols import moldudp64, ouch
from engine.protocols.soupbintcp import Splitter

LOST = 7  # a datagram of these


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path).trading()
    yield made
    made.close()


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A simulated exchange's day almost to its close, in packets of one to four messages."""
    venue, messages = Venue(tmp_path_factory.mktemp("exchange")), []
    for datagram in venue.until(1_700 * MS):
        received = moldudp64.decode(datagram)
        messages += moldudp64.unframe(received.block, received.messages)
    rng, packets, at = random.Random(3), [], 0
    while at < len(messages):
        count = rng.randint(1, 4)
        packets.append(moldudp64.encode(received.session, 1 + at, messages[at : at + count]))
        at += count
    assert len(packets) > 100
    return packets


def empty_pipeline(folder: Path) -> Pipeline:
    pipeline = Pipeline(Engine(load), Writer.create(folder, segment_bytes=SEGMENT))
    payload = json.dumps(EXCHANGE_SYMBOLS).encode()
    pipeline.take_blob(blob(BlobType.INSTRUMENTS, payload, strategy=FIRM, ts=0), payload)
    return pipeline


def by_state_machines(folder: Path, arrivals: list[tuple[int, bytes]]) -> bytes:
    """The journal of (line, datagram) in the order of their arrival, each taken by the receiver in Python."""
    pipeline = empty_pipeline(folder)
    feed = MarketFeed(EXCHANGE_SYMBOLS, InputState(), Account(ACCOUNT.username, ACCOUNT.password), 50)
    for line, datagram in arrivals:
        for events in feed.on_datagram(datagram, 0, 0, line):
            pipeline.take(events)
    return Reader(folder).read(0, 1 << 20).tobytes()


def by_loop(folder: Path, rounds: list[list[tuple[int, bytes]]], **options: Any) -> tuple[bytes, list[Reason]]:
    """(the journal, what the loop came back for) when what is in a round waits in the sockets together."""
    world = World(folder, symbols=EXCHANGE_SYMBOLS, pipeline=empty_pipeline(folder / "journal"), **options)
    reasons = []
    for arrivals in rounds:
        for line, datagram in arrivals:
            world.send(datagram, line)
        reasons += world.settle()
    world.close()
    return world.records().tobytes(), reasons


@pytest.mark.parametrize("busy", [False, True])
def test_an_exchanges_packets_make_the_journal_that_the_state_machine_makes(sent, tmp_path, busy):
    arrivals = [(0, datagram) for datagram in sent]
    journal, reasons = by_loop(tmp_path, [arrivals[at : at + 5] for at in range(0, len(sent), 5)], busy=busy)
    assert journal == by_state_machines(tmp_path / "other", arrivals)
    assert len(reasons) < len(sent) // 10  # nearly all of them were plainly next


def test_the_other_lines_copies_make_the_journal_that_the_state_machine_makes(sent, tmp_path):
    arrivals = [(line, datagram) for datagram in sent for line in (0, 1)]
    journal, _ = by_loop(tmp_path, [arrivals[at : at + 8] for at in range(0, len(arrivals), 8)], lines=2)
    assert journal == by_state_machines(tmp_path / "other", arrivals)


def test_what_one_line_lost_is_taken_from_the_other_without_a_gap(sent, tmp_path):
    rounds = []
    for at in range(0, len(sent), 4):
        group = list(enumerate(sent[at : at + 4], start=at))
        rounds.append(
            [(0, datagram) for number, datagram in group if number % LOST != 3]
            + [(1, datagram) for number, datagram in group if number % LOST == 3 or number % 2]
        )
    journal, _ = by_loop(tmp_path, rounds, lines=2)
    records = np.frombuffer(journal, "V64").view(EVENT)
    stale = records[records["kind"] == Kind.STALE]
    assert not stale["code"].any()
    assert stale["duplicates"].sum() > 20


def test_a_gap_is_the_state_machines_and_the_loop_goes_on_behind_it(sent, tmp_path):
    order = [(0, datagram) for datagram in (*sent[:40], *sent[41:60], sent[40], *sent[60:])]
    journal, reasons = by_loop(tmp_path, [order[at : at + 5] for at in range(0, len(order), 5)])
    assert journal == by_state_machines(tmp_path / "other", order)
    assert reasons.count(Reason.PACKETS) > 1
    assert len(reasons) < len(order) // 4


def test_an_order_is_sent_behind_the_input_and_the_outputs_that_made_it(world):
    world.send(packet(3, trade(400)))
    assert world.run() is Reason.DEADLINE
    (order,) = world.port.orders()
    assert (type(order), order.side, order.quantity, order.price) == (ouch.EnterOrder, "B", 400, 100_200)
    assert world.kinds()[-4:] == ["STALE", "TRADE", "TARGET", "ORDER_NEW"]
    assert len(world.loop.latencies()) == 1
    assert 0 < world.loop.latencies()[0] < 1_000_000_000


def accepted_and_executed(world: World) -> None:
    world.port.stream.append(
        ouch.encode(ouch.Accepted(7, 1, "B", 400, "KO", 100_200, "0", "Y", 99, "P", "N", "N", "L"))
    )
    world.port.stream.append(ouch.encode(ouch.Executed(8, 1, 150, 100_200, "R", 5)))
    world.port.stream.append(ouch.encode(ouch.Executed(9, 1, 250, 100_200, "R", 6)))


def test_reports_that_arrive_in_pieces_of_any_size_are_taken_once_and_whole(tmp_path):
    journals = set()
    for size in (1, 2, 3, 7, 50, 10_000):
        world = World(tmp_path / str(size)).trading()
        world.send(packet(3, trade(400)))
        world.run()
        world.port.listen()
        accepted_and_executed(world)
        content = world.port.bytes()
        for at in range(0, len(content), size):
            world.port.socket.sendall(content[at : at + size])
            assert world.run() is Reason.DEADLINE
        assert int(world.pipeline.engine.state["positions"][0, 0]["position"]) == 400
        assert world.events()["sequence"][world.events()["kind"] == Kind.EXECUTION].tolist() == [3, 4]
        journals.add(world.records().tobytes())
        world.close()
    assert len(journals) == 1


def test_the_state_machine_of_the_order_session_goes_on_where_the_loop_stopped(world):
    world.send(packet(3, trade(400)))
    world.run()
    world.port.listen()
    accepted_and_executed(world)
    world.port.socket.sendall(world.port.bytes())
    assert world.run() is Reason.DEADLINE
    assert world.orders.sequence == 4  # the query's answer, then three reports
    world.port.stream.append(ouch.encode(ouch.AccountQueryResponse(7, 9)))
    world.port.stream.append(ouch.encode(ouch.Executed(9, 1, 250, 100_200, "R", 7)))
    world.port.socket.sendall(world.port.bytes())
    assert world.settle() == [Reason.SESSION]
    assert world.orders.sequence == 6


def test_the_session_learns_when_the_loop_has_sent_and_heard(world):
    silent_since_0 = world.orders.deadline()
    world.send(packet(3, trade(400)))
    world.run()
    world.port.listen()
    world.port.session.on_time(2_000_000_000)  # a heartbeat is due
    world.port.socket.sendall(world.port.session.take())
    assert world.run() is Reason.DEADLINE
    assert time.monotonic_ns() - 60_000_000_000 < world.orders.deadline() - silent_since_0 <= time.monotonic_ns()


def test_a_session_that_is_not_up_gets_no_orders(world):
    world.orders.up = False
    world.send(packet(3, trade(400)))
    assert world.run() is Reason.DEADLINE
    assert world.kinds()[-1] == "ORDER_NEW"
    assert world.port.orders() == []


def only_order(content: bytes) -> Any:
    (message,) = [ouch.decode_inbound(each.payload) for each in Splitter().feed(content)]
    return message


@pytest.mark.parametrize("full", [True, False])
def test_bytes_that_cannot_go_out_now_are_handed_over(world, full):
    if full:
        with contextlib.suppress(BlockingIOError):
            while world.connection.send(bytes(1 << 16), socket.MSG_DONTWAIT):
                pass
    else:
        world.gateway.direct = False  # others wait already
    world.send(packet(3, trade(400)))
    assert world.run() is Reason.HELD_BACK
    assert only_order(world.loop.unsent()).quantity == 400
    assert world.loop.unsent() == b""
    assert len(world.loop.inputs()) == 0


def test_an_order_that_ouch_cannot_hold_is_handed_over_with_the_inputs_behind_it(world):
    envelope = LimitEnvelope(10_000_000, 10**15, 10_000_000, 10**15)
    firm = canonical_bytes(SignedBundle(bundle_within(envelope, number=2)))
    for strategy, wide in ((FIRM, firm), (0, strategy_limits(envelope))):
        world.pipeline.take_blob(blob(BlobType.LIMITS, wide, strategy=strategy, ts=0), wide)
    world.send(packet(3, trade(1_000_000), trade(1_000_000)))
    assert world.settle() == [Reason.HELD_BACK]
    rejected = world.events()[world.events()["kind"] == Kind.REJECTED]
    assert rejected["reason"].tolist() == [NOT_SENT]
    assert world.kinds().count("TRADE") == 2
    assert world.port.orders() == []


def test_a_connection_that_ends_is_reported(world):
    world.port.socket.close()
    assert world.run() is Reason.ORDERS_LOST


def test_a_descriptor_that_is_not_the_loops_ends_it(world):
    control, other = socket.socketpair()
    world.poll.register(control.fileno(), EPOLLIN)
    other.send(b"x")
    assert world.run(10_000) is Reason.OTHER
    control.close()
    other.close()


def test_a_packet_that_finds_the_segment_full_goes_on_in_the_next_one(world):
    match, reasons = 0, []
    for number in range(1_700):
        trades = [trade(400, match := match + 1) for _ in range(20)]
        world.send(packet(3 + 20 * number, *trades))
        reasons += world.settle()
    assert Reason.ROOM in reasons
    assert world.kinds().count("TRADE") == 20 * 1_700
    assert world.kinds().count("ORDER_NEW") == 1
    replay, reader, taken = Replay(Engine(load)), Reader(world.folder), 0
    while len(records := reader.read(taken)):
        assert replay.take(records)
        taken += len(records)
    assert len(reader.origins) > 1
    assert replay.engine.record.tobytes() == world.pipeline.engine.record.tobytes()


@pytest.mark.parametrize("busy", [False, True])
def test_a_loop_that_waits_takes_what_comes_and_ends_when_it_is_told_to(tmp_path, busy):
    world = World(tmp_path, busy=busy).trading()
    reasons = []
    thread = threading.Thread(target=lambda: reasons.append(world.run(60_000)))
    thread.start()
    world.send(packet(3, trade(400)))
    give_up = time.monotonic() + 30
    while not (orders := world.port.orders()) and time.monotonic() < give_up:
        time.sleep(0.01)
    world.loop.stop()
    world.send(packet(4, trade(400)))  # what wakes one that sleeps
    thread.join(30)
    assert [order.quantity for order in orders] == [400]
    assert reasons == [Reason.STOPPED]
    assert world.loop.stopped
    world.close()
