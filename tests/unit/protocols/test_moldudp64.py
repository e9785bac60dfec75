"""MoldUDP64: packets and the receiver's behaviour under loss, reordering, duplicates and session changes."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.protocols import moldudp64
from engine.protocols.layout import WireError
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


def message(number: int) -> bytes:
    return b"m%d" % number


def delivered(events: list) -> list[bytes]:
    return [m for e in events if isinstance(e, Data) for m in moldudp64.unframe(e.block, e.count)]


def downstream(session: str, first: int, *numbers: int) -> bytes:
    return moldudp64.encode(session, first, [message(n) for n in numbers])


@given(
    st.text("ABC0123456789", max_size=10),
    st.integers(1, 2**63),
    st.lists(st.binary(max_size=60), min_size=1, max_size=40),
)
def test_a_packet_decodes_to_what_was_encoded(session: str, sequence: int, messages: list[bytes]) -> None:
    packet = moldudp64.decode(moldudp64.encode(session, sequence, messages))
    assert (packet.session, packet.sequence, packet.count) == (session, sequence, len(messages))
    assert moldudp64.unframe(packet.block, packet.count) == messages
    assert moldudp64.encode_block(session, sequence, packet.count, packet.block) == moldudp64.encode(
        session, sequence, messages
    )


def test_header_is_session_sequence_count_in_big_endian() -> None:
    # Specification, "Downstream Packet": session 10 bytes, sequence 8, count 2, then length 2 and the message.
    raw = b"000010059B" + (0xE12F59).to_bytes(8, "big") + b"\x00\x01" + b"\x00\x03abc"
    assert moldudp64.encode("000010059B", 0xE12F59, [b"abc"]) == raw


@pytest.mark.parametrize("cut", range(1, 27))
def test_a_truncated_packet_is_refused_and_counted(cut: int) -> None:
    raw = downstream(DAY1, 1, 1, 22)[:-cut]
    with pytest.raises(WireError) as error:
        moldudp64.decode(raw)
    assert error.value.code == "truncated"
    receiver = Receiver()
    assert receiver.on_datagram(raw, 0) == []
    assert receiver.counters["truncated"] == 1


def test_bytes_behind_the_last_message_are_refused() -> None:
    with pytest.raises(WireError, match="wrong_length"):
        moldudp64.decode(downstream(DAY1, 1, 1) + b"\0")


def test_messages_in_order_are_handed_out_once() -> None:
    receiver = Receiver()
    events = receiver.on_datagram(downstream(DAY1, 1, 1, 2), 0) + receiver.on_datagram(downstream(DAY1, 3, 3), 1)
    events += receiver.on_datagram(downstream(DAY1, 1, 1, 2), 2)
    assert events[0] == SessionStarted(DAY1)
    assert delivered(events) == [message(n) for n in (1, 2, 3)]
    assert receiver.counters["duplicates"] == 1
    assert not receiver.gap
    assert receiver.requests(10) == []


def test_a_packet_that_overlaps_gives_only_its_new_messages() -> None:
    receiver = Receiver()
    receiver.on_datagram(downstream(DAY1, 1, 1, 2), 0)
    (event,) = receiver.on_datagram(downstream(DAY1, 2, 2, 3, 4), 0)
    assert (event.sequence, event.count) == (3, 2)
    assert delivered([event]) == [message(3), message(4)]


def test_reordered_packets_come_out_in_order_without_a_request() -> None:
    receiver = Receiver(Settings(patience=2 * MS))
    receiver.on_datagram(downstream(DAY1, 1, 1), 0)
    assert receiver.on_datagram(downstream(DAY1, 3, 3), 0) == [GapOpened(DAY1, 2)]
    assert receiver.gap
    assert receiver.requests(MS) == []
    events = receiver.on_datagram(downstream(DAY1, 2, 2), MS)
    assert delivered(events) == [message(2), message(3)]
    assert events[-1] == GapFilled(DAY1, 4)
    assert receiver.deadline() is None


def test_a_gap_is_requested_after_patience_and_again_after_the_retry_time() -> None:
    receiver = Receiver(Settings(patience=2 * MS, retry=50 * MS))
    receiver.on_datagram(downstream(DAY1, 1, 1), 0)
    receiver.on_datagram(downstream(DAY1, 5, 5), 0)
    assert receiver.deadline() == 2 * MS
    assert receiver.requests(2 * MS) == [moldudp64.encode_request(DAY1, 2, 3)]
    assert receiver.requests(51 * MS) == []
    assert receiver.requests(52 * MS) == [moldudp64.encode_request(DAY1, 2, 3)]


def test_a_heartbeat_ahead_of_us_opens_a_gap() -> None:
    receiver = Receiver()
    receiver.on_datagram(downstream(DAY1, 1, 1), 0)
    assert receiver.on_datagram(moldudp64.encode_heartbeat(DAY1, 2), 0) == []
    assert receiver.on_datagram(moldudp64.encode_heartbeat(DAY1, 4), 0) == [GapOpened(DAY1, 2)]
    assert receiver.requests(10 * MS) == [moldudp64.encode_request(DAY1, 2, 2)]


def test_a_late_join_asks_at_once_for_everything_from_the_first_message() -> None:
    store = RetransmissionStore()
    sender = Sender(DAY1, store, max_block=60)
    sent = [d for n in range(1, 501) for d in sender.send([message(n)], 0)]
    receiver = Receiver(Settings(request_count=128))
    events = receiver.on_datagram(sent[-1], 0)
    assert events == [SessionStarted(DAY1), GapOpened(DAY1, 1)]
    now = 0
    while receiver.gap:
        for request in receiver.requests(now):
            for datagram in store.respond(request):
                events += receiver.on_datagram(datagram, now)
        now += MS
    assert delivered(events) == [message(n) for n in range(1, 501)]


def test_a_session_resumes_where_a_restart_left_it() -> None:
    receiver = Receiver(session=DAY1, next_sequence=3)
    events = receiver.on_datagram(downstream(DAY1, 2, 2, 3), 0)
    assert delivered(events) == [message(3)]


def test_end_of_session_completes_and_the_next_session_begins() -> None:
    receiver = Receiver()
    receiver.on_datagram(downstream(DAY1, 1, 1), 0)
    assert receiver.on_datagram(moldudp64.encode_end_of_session(DAY1, 2), 0) == [SessionEnded(DAY1, 2, True)]
    assert receiver.on_datagram(moldudp64.encode_end_of_session(DAY1, 2), 0) == []
    events = receiver.on_datagram(downstream(DAY2, 1, 1), 0)
    assert events[0] == SessionStarted(DAY2)
    assert delivered(events) == [message(1)]
    assert receiver.on_datagram(downstream(DAY1, 1, 1), 0) == []
    assert receiver.counters["past_session"] == 2


def test_a_new_session_waits_until_the_lost_end_of_the_old_one_is_recovered() -> None:
    store = RetransmissionStore()
    sender = Sender(DAY1, store)
    (first,) = sender.send([message(1)], 0)
    sender.send([message(2)], 0)
    sender.end(0)
    receiver = Receiver()
    receiver.on_datagram(first, 0)
    assert receiver.on_datagram(downstream(DAY2, 1, 1), 0) == []
    events = []
    for now in range(0, 500 * MS, 10 * MS):
        for request in receiver.requests(now):
            for datagram in store.respond(request):
                events += receiver.on_datagram(datagram, now)
    assert events[1] == SessionEnded(DAY1, 3, True)
    assert events[2] == SessionStarted(DAY2)
    assert delivered(events) == [message(2), message(1)]


def test_what_never_comes_is_given_up_and_said() -> None:
    receiver = Receiver(Settings(give_up=1_000 * MS))
    receiver.on_datagram(downstream(DAY1, 1, 1), 0)
    receiver.on_datagram(downstream(DAY1, 4, 4), 0)
    receiver.on_datagram(moldudp64.encode_end_of_session(DAY1, 5), 0)
    assert receiver.on_time(999 * MS) == []
    events = receiver.on_time(1_000 * MS)
    assert events[0] == GapLost(DAY1, 2, 2)
    assert delivered(events) == [message(4)]
    assert events[-1] == SessionEnded(DAY1, 5, False)
    assert receiver.counters["messages_lost"] == 2


def test_an_abandoned_session_gives_way_to_its_successor() -> None:
    receiver = Receiver(Settings(give_up=1_000 * MS))
    receiver.on_datagram(downstream(DAY1, 1, 1), 0)
    receiver.on_datagram(downstream(DAY2, 1, 1), 0)
    events = receiver.on_time(1_000 * MS)
    assert events[0] == SessionEnded(DAY1, 2, False)
    assert delivered(events) == [message(1)]
    assert receiver.session == DAY2


def test_the_store_answers_bad_and_unknown_requests_with_nothing() -> None:
    store = RetransmissionStore()
    Sender(DAY1, store)
    assert store.respond(b"short") == [] == store.respond(moldudp64.encode_request("other", 1, 1))
    assert store.counters == {"wrong_length": 1, "unknown_session": 1}


def test_the_sender_beats_only_when_it_has_been_silent() -> None:
    sender = Sender(DAY1, RetransmissionStore(), heartbeat=1_000)
    sender.send([message(1)], 500)
    assert sender.heartbeat(1_499) is None
    assert sender.heartbeat(1_500) == moldudp64.encode_heartbeat(DAY1, 2)
    assert sender.heartbeat(1_600) is None
    sender.end(1_700)
    assert sender.heartbeat(2_700) == moldudp64.encode_end_of_session(DAY1, 2)


def test_datagrams_stay_below_the_limit() -> None:
    sender = Sender(DAY1, RetransmissionStore(), max_block=100)
    datagrams = sender.send([b"x" * 30] * 10, 0)
    assert [moldudp64.decode(d).count for d in datagrams] == [3, 3, 3, 1]
    assert [moldudp64.decode(d).sequence for d in datagrams] == [1, 4, 7, 10]


@given(st.integers(0, 10_000), st.floats(0, 0.6))
def test_any_mix_of_loss_reordering_and_duplication_gives_the_stream_as_sent(seed: int, loss: float) -> None:
    rng = random.Random(seed)
    store = RetransmissionStore()
    sent: list[tuple[float, bytes]] = []
    for session, count in ((DAY1, 40), (DAY2, 25)):
        sender = Sender(session, store, max_block=rng.choice((10, 40)))
        base = len(sent)
        datagrams = sender.send([message(n) for n in range(count)], 0) + [sender.end(0)]
        for index, datagram in enumerate(datagrams):
            sent += [(base + index + rng.uniform(0, 4), datagram) for _ in range(rng.choice((1, 1, 2)))]
    receiver, events, now = Receiver(), [], 0
    for _, datagram in sorted(sent, key=lambda pair: pair[0]):
        now += MS
        if not receiver.session or rng.random() >= loss:  # it begins with a packet of the first session
            events += receiver.on_datagram(datagram, now)
    events += receiver.on_datagram(moldudp64.encode_end_of_session(DAY1, 41), now)  # repeated, as the sender does
    events += receiver.on_datagram(moldudp64.encode_end_of_session(DAY2, 26), now)
    for _ in range(2_000):
        now += MS
        for request in receiver.requests(now):
            for datagram in store.respond(request):
                if rng.random() >= loss:
                    events += receiver.on_datagram(datagram, now)
        events += receiver.on_time(now)
    by_session = {s: [e for e in events if isinstance(e, Data) and e.session == s] for s in (DAY1, DAY2)}
    assert delivered(by_session[DAY1]) == [message(n) for n in range(40)]
    assert delivered(by_session[DAY2]) == [message(n) for n in range(25)]
    assert [e for e in events if isinstance(e, SessionEnded)] == [
        SessionEnded(DAY1, 41, True),
        SessionEnded(DAY2, 26, True),
    ]
