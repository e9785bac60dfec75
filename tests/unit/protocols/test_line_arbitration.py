"""Two lines that each lose different packets, joined before anything is journaled; and what a receiver believes."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.events import EVENT
from engine.protocols import feed as feeds
from engine.protocols import itch, moldudp64
from engine.protocols.itch_events import decode_block
from engine.protocols.moldudp64_receiver import (
    Data,
    GapFilled,
    GapLost,
    GapOpened,
    Receiver,
    SessionEnded,
    SessionStarted,
    Settings,
)
from engine.protocols.moldudp64_sender import RetransmissionStore, Sender

MS = 1_000_000
DAY1, DAY2 = "20130102", "20130103"


def day_of_messages(count: int) -> list[bytes]:
    directory = itch.StockDirectory(7, 0, 1, "KO", "Q", "N", 100, "N", "C", "Z", "P", "N", "N", "1", "N", 0, "N")
    orders = [itch.AddOrder(7, 0, number, number, "B", 100, "KO", 40_0000 + number) for number in range(1, count + 1)]
    return [itch.encode(message) for message in (itch.SystemEvent(0, 0, 0, "O"), directory, *orders)]


def sent(messages: list[bytes], store: RetransmissionStore, rng: random.Random) -> list[bytes]:
    """Datagrams of a day, with heartbeats in between and the end."""
    sender, datagrams, position = Sender(DAY1, store), [], 0
    while position < len(messages):
        size = rng.randint(1, 5)
        datagrams += sender.send(messages[position : position + size], 0)
        position += size
        if rng.random() < 0.1:
            datagrams.append(moldudp64.encode_heartbeat(DAY1, sender.next_sequence))
    return [*datagrams, sender.end(0)]


def events_of(happened: list) -> bytes:
    """What would be journaled of the data: EVENT records as bytes."""
    feed, locates, symbols = feeds.new_feed(20130102), feeds.new_locate_map(), feeds.symbol_keys(["KO"])
    out, parts = np.zeros(512, EVENT), []
    for data in happened:
        if isinstance(data, Data):
            block = np.frombuffer(data.block, np.uint8)
            parts.append(out[: decode_block(block, 0, len(block), feed, locates, symbols, out)].tobytes())
    return b"".join(parts)


def listen(receiver: Receiver, arrivals: list[tuple[float, int, bytes]]) -> list:
    """Hands over (time in ms, line, datagram) in the order of time."""
    happened = []
    for at, line, datagram in sorted(arrivals, key=lambda arrival: arrival[0]):
        happened += receiver.on_datagram(datagram, int(at * MS), line)
    return happened


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.floats(0, 0.45))
def test_two_lines_that_lose_different_packets_give_the_whole_stream_without_a_request(seed: int, loss: float) -> None:
    rng = random.Random(seed)
    store = RetransmissionStore()
    messages = day_of_messages(120)
    datagrams = sent(messages, store, rng)
    arrivals, lost = [], [0, 0]
    for index, datagram in enumerate(datagrams):
        fate = rng.random()  # never lost on both; line 1 runs up to 3 ms behind and reorders
        if fate >= loss:
            arrivals.append((index, 0, datagram))
        if fate < 1 - loss:
            arrivals.append((index + rng.uniform(0, 3), 1, datagram))
        lost[0] += fate < loss
        lost[1] += fate >= 1 - loss
    receiver = Receiver(Settings(patience=10 * MS))
    happened = listen(receiver, arrivals)
    whole = Receiver()
    assert events_of(happened) == events_of([e for d in datagrams for e in whole.on_datagram(d, 0)])
    assert happened[-1] == SessionEnded(DAY1, len(messages) + 1, True)
    assert receiver.counters["requests"] == receiver.counters["messages_lost"] == 0
    assert not receiver.gap
    heard = receiver.lines
    assert [heard[line]["packets"] for line in (0, 1)] == [len(datagrams) - lost[line] for line in (0, 1)]
    carriers = sum(moldudp64.decode(datagram).messages > 0 for datagram in datagrams)
    assert heard[0]["first"] + heard[1]["first"] == carriers  # every packet won by exactly one line


def test_only_what_both_lines_lost_is_requested() -> None:
    store = RetransmissionStore()
    sender = Sender(DAY1, store)
    packets = [sender.send([b"m%d" % number], 0)[0] for number in range(1, 7)]
    receiver = Receiver(Settings(patience=2 * MS))
    lost_by = {0: {2, 4}, 1: {3, 4}}  # by packet number; 4 on both
    for index, packet in enumerate(packets):
        for line in (0, 1):
            if index + 1 not in lost_by[line]:
                receiver.on_datagram(packet, index * MS, line)
    assert receiver.requests(20 * MS) == [moldudp64.encode_request(DAY1, 4, 1)]
    (answer,) = store.respond(moldudp64.encode_request(DAY1, 4, 1))
    happened = receiver.on_datagram(answer, 21 * MS)
    assert [event for event in happened if isinstance(event, GapFilled)] == [GapFilled(DAY1, 7)]
    assert receiver.counters["recovered"] == 1
    assert happened[0] == Data(DAY1, 4, 1, b"\0\2m4", 1)
    assert [data.recovered for data in happened[1:3]] == [0, 0]  # these only waited


def test_duplicates_are_told_once() -> None:
    receiver = Receiver()
    for sequence in (1, 3, 2, 2, 1):
        receiver.on_datagram(moldudp64.encode(DAY1, sequence, [b"x"]), 0)
    assert receiver.new_duplicates() == 2
    assert receiver.new_duplicates() == 0


def test_a_longer_copy_takes_the_place_of_a_shorter_one_that_waits() -> None:
    receiver = Receiver()
    receiver.on_datagram(moldudp64.encode(DAY1, 1, [b"1"]), 0)
    receiver.on_datagram(moldudp64.encode(DAY1, 3, [b"3"]), 0)
    receiver.on_datagram(moldudp64.encode(DAY1, 3, [b"3", b"4"]), 0)
    happened = receiver.on_datagram(moldudp64.encode(DAY1, 2, [b"2"]), 0)
    assert [(data.sequence, data.count) for data in happened if isinstance(data, Data)] == [(2, 1), (3, 2)]


# ---- datagrams that say what is not so --------------------------------------------------------------------


def started() -> Receiver:
    receiver = Receiver(Settings(give_up=1_000 * MS))
    receiver.on_datagram(moldudp64.encode(DAY1, 1, [b"1"]), 0)
    return receiver


def test_a_number_that_leaps_ahead_alone_is_not_believed() -> None:
    receiver = started()
    assert receiver.on_datagram(moldudp64.encode(DAY1, 5_000_000, [b"?"]), 0) == []
    assert not receiver.gap
    assert receiver.counters["doubtful_sequence"] == 1


def test_a_leap_that_a_second_packet_confirms_opens_the_gap() -> None:
    receiver = started()
    receiver.on_datagram(moldudp64.encode(DAY1, 5_000_000, [b"a"]), 0)
    assert receiver.on_datagram(moldudp64.encode(DAY1, 5_000_001, [b"b"]), 0) == [GapOpened(DAY1, 2)]


@pytest.mark.parametrize("sequence", [0, 2**63])
def test_an_impossible_number_is_counted(sequence: int) -> None:
    receiver = started()
    assert receiver.on_datagram(moldudp64.encode(DAY1, sequence, [b"?"]), 0) == []
    assert receiver.counters["implausible_sequence"] == 1


def test_a_false_end_costs_no_message_once_a_heartbeat_has_said_where_the_stream_stands() -> None:
    receiver = started()
    receiver.on_datagram(moldudp64.encode_heartbeat(DAY1, 900), 0)  # one bit wrong
    receiver.on_datagram(moldudp64.encode_heartbeat(DAY1, 2), 500 * MS)
    assert receiver.on_time(1_000 * MS) == [GapFilled(DAY1, 2)]
    (data,) = receiver.on_datagram(moldudp64.encode(DAY1, 2, [b"2"]), 1_001 * MS)
    assert isinstance(data, Data)
    assert receiver.counters["messages_lost"] == 0


def test_a_packet_with_a_number_that_was_never_sent_is_dropped_for_a_heartbeat() -> None:
    receiver = started()
    receiver.on_datagram(moldudp64.encode(DAY1, 40, [b"wrong"]), 0)
    receiver.on_datagram(moldudp64.encode_heartbeat(DAY1, 2), 500 * MS)
    assert receiver.on_time(1_000 * MS) == [GapFilled(DAY1, 2)]
    assert receiver.counters["corrected"] == 1


def test_a_tail_that_heartbeats_go_on_to_announce_is_lost_when_nobody_sends_it() -> None:
    receiver = started()
    for beat in range(10):
        happened = receiver.on_datagram(moldudp64.encode_heartbeat(DAY1, 4), beat * 200 * MS)
        if happened and isinstance(happened[0], GapLost):
            break
    assert happened[0] == GapLost(DAY1, 2, 2)


def test_a_session_heard_of_once_does_not_end_one_that_lives() -> None:
    receiver = started()
    receiver.on_datagram(moldudp64.encode("2013?102", 1, [b"?"]), 0)
    for second in range(1, 20):
        assert receiver.on_datagram(moldudp64.encode_heartbeat(DAY1, 2), second * 1_000 * MS) == []
    (data,) = receiver.on_datagram(moldudp64.encode(DAY1, 2, [b"2"]), 20_000 * MS)
    assert isinstance(data, Data)


def test_the_next_session_takes_the_place_of_one_that_was_heard_of_once() -> None:
    receiver = started()
    receiver.on_datagram(moldudp64.encode("garbage", 1, [b"?"]), 0)
    receiver.on_datagram(moldudp64.encode(DAY2, 1, [b"n"]), 0)
    happened = receiver.on_datagram(moldudp64.encode_end_of_session(DAY1, 2), 0)
    assert happened[:2] == [SessionEnded(DAY1, 2, True), SessionStarted(DAY2)]
    assert receiver.counters["displaced_session"] == 1


def test_a_store_keeps_the_newest_packets_and_answers_nothing_for_older_ones():
    store = RetransmissionStore(max_bytes=2_000)
    sender = Sender(DAY1, store)
    for number in range(200):
        sender.send([b"%030d" % number], 0)
    assert store.respond(moldudp64.encode_request(DAY1, 1, 5)) == []
    (newest,) = store.respond(moldudp64.encode_request(DAY1, 200, 1))
    assert moldudp64.decode(newest).sequence == 200
    answered = [number for number in range(1, 201) if store.respond(moldudp64.encode_request(DAY1, number, 1))]
    assert answered == list(range(answered[0], 201))
    assert 2_000 <= sum(20 + 32 for _ in answered) <= 4_000
