"""Late joiners: the multicast kept, the snapshot taken, the stream gone on with at the right number."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.protocols import glimpse, moldudp64
from engine.protocols import moldudp64_receiver as mold
from engine.protocols.late_join import LateJoiner, Settings
from engine.protocols.moldudp64_receiver import Data, GapFilled, GapLost, GapOpened, SessionStarted, SnapshotWanted
from engine.protocols.moldudp64_sender import RetransmissionStore, Sender

MS = 1_000_000
SECOND = 1_000 * MS
DAY = "20130102"
QUICK = Settings(mold=mold.Settings(snapshot_after=10, give_up=SECOND, max_pending=50), retry=100 * MS, attempts=3)


def message(number: int) -> bytes:
    return b"m%d" % number


class Exchange:
    """A feed and a snapshot server: a snapshot is simply every message so far."""

    def __init__(self) -> None:
        self.store = RetransmissionStore()
        self.sender = Sender(DAY, self.store)
        self.up = True

    def send(self, count: int = 1) -> list[bytes]:
        first = self.sender.next_sequence
        return [d for n in range(first, first + count) for d in self.sender.send([message(n)], 0)]

    def spin(self) -> glimpse.Spin:
        sequence = self.sender.next_sequence
        return glimpse.spin(DAY, sequence, (message(number) for number in range(1, sequence)))


def take_snapshot(joiner: LateJoiner, exchange: Exchange, now: int, meanwhile: int = 0, lost: int = 0) -> list:
    """One connection from login to answer. Between the two, the exchange sends `meanwhile` packets on, of which the
    first `lost` are lost."""
    joiner.connected(now)
    server = glimpse.server_session(lambda *_: exchange.up, exchange.spin, now)
    server.receive(joiner.take(), now)
    server.pump(now)
    happened = [event for datagram in exchange.send(meanwhile)[lost:] for event in joiner.on_datagram(datagram, now)]
    happened += joiner.receive(server.take(), now)
    assert joiner.finished
    server.receive(joiner.take(), now)
    joiner.connection_lost(now)
    return happened


def messages_of(happened: list) -> list[bytes]:
    """What a book would have been told: a snapshot stands for everything before it."""
    found: list[bytes] = []
    for event in happened:
        if isinstance(event, glimpse.Snapshot):
            found = moldudp64.unframe(event.block, event.count)
        elif isinstance(event, Data):
            assert event.sequence == len(found) + 1
            found += moldudp64.unframe(event.block, event.count)
    return found


def test_a_late_joiner_keeps_the_multicast_and_goes_on_behind_the_snapshot() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    exchange.send(100)
    (packet,) = exchange.send()
    assert joiner.on_datagram(packet, 0) == [SessionStarted(DAY), GapOpened(DAY, 1), SnapshotWanted(DAY, 1)]
    assert joiner.wants_connection(0)
    assert joiner.requests(0) == []  # a snapshot is quicker than a hundred messages
    happened = take_snapshot(joiner, exchange, 5, meanwhile=3)
    assert isinstance(happened[0], glimpse.Snapshot)
    assert happened[0].next_sequence == 102
    assert happened[-1] == GapFilled(DAY, 105)
    assert messages_of(happened) == [message(number) for number in range(1, 105)]
    assert not joiner.wants_connection(SECOND)
    assert joiner.deadline() is None


def test_a_session_met_a_little_late_is_requested_as_before() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    datagrams = exchange.send(8)
    joiner.on_datagram(datagrams[-1], 0)
    assert not joiner.wants_connection(0)
    assert joiner.requests(0) == [moldudp64.encode_request(DAY, 1, 7)]


def test_a_gap_that_nobody_fills_is_closed_by_a_snapshot() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    first, _, third = exchange.send(3)
    happened = joiner.on_datagram(first, 0) + joiner.on_datagram(third, 0)
    assert joiner.requests(10 * MS)
    assert joiner.on_time(SECOND - 1) == []
    assert joiner.on_time(SECOND) == [SnapshotWanted(DAY, 2)]
    happened += take_snapshot(joiner, exchange, SECOND)
    happened += [event for datagram in exchange.send(2) for event in joiner.on_datagram(datagram, SECOND)]
    assert messages_of(happened) == [message(number) for number in range(1, 6)]
    assert not joiner.receiver.gap


def test_with_too_much_to_keep_the_oldest_goes_for_the_snapshot_covers_it() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    exchange.send(50)
    for datagram in exchange.send(200):
        joiner.on_datagram(datagram, 0)
    happened = take_snapshot(joiner, exchange, 0, meanwhile=40)
    assert messages_of(happened) == [message(number) for number in range(1, 291)]
    assert joiner.receiver.counters["pending_full"] == 190


def test_packets_lost_behind_the_snapshot_are_requested() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    exchange.send(60)
    joiner.on_datagram(exchange.send()[0], 0)
    happened = take_snapshot(joiner, exchange, 0, meanwhile=3, lost=2)
    assert joiner.requests(0) == [moldudp64.encode_request(DAY, 62, 2)]
    for answer in exchange.store.respond(moldudp64.encode_request(DAY, 62, 2)):
        happened += joiner.on_datagram(answer, 1)
    assert messages_of(happened) == [message(number) for number in range(1, 65)]


def test_a_snapshot_from_before_the_gap_is_not_used_and_taken_again() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    old = exchange.spin()
    happened = [event for datagram in exchange.send(20) for event in joiner.on_datagram(datagram, 0)]
    exchange.send(30)
    happened += joiner.on_datagram(exchange.send()[0], 0)
    current, exchange.spin = exchange.spin, lambda: old
    assert take_snapshot(joiner, exchange, 0) == []
    assert joiner.failures == {"unusable": 1}
    assert not joiner.wants_connection(99 * MS)
    assert joiner.wants_connection(100 * MS)
    exchange.spin = current
    happened += take_snapshot(joiner, exchange, 100 * MS)
    assert messages_of(happened) == [message(number) for number in range(1, 52)]


def test_without_a_snapshot_server_the_gap_is_requested_and_given_up_like_any_other() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    exchange.send(30)
    joiner.on_datagram(exchange.send()[0], 0)
    now = 0
    for _ in range(3):
        assert joiner.wants_connection(now)
        joiner.connection_lost(now)  # refused
        now += 100 * MS
    assert joiner.failures == {"no_connection": 3}
    assert not joiner.wants_connection(now)
    assert joiner.requests(now) == [moldudp64.encode_request(DAY, 1, 30)]
    happened = joiner.on_time(now + SECOND)
    assert happened[0] == GapLost(DAY, 1, 30)


def test_a_rejected_login_is_a_failure_with_its_reason() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "wrong", QUICK)
    exchange.up = False
    exchange.send(30)
    joiner.on_datagram(exchange.send()[0], 0)
    assert take_snapshot(joiner, exchange, 0) == []
    assert joiner.failures == {"rejected_A": 1}
    assert not joiner.wants_connection(SECOND)  # the next answer would be the same
    assert joiner.requests(0) == [moldudp64.encode_request(DAY, 1, 30)]


def test_while_a_connection_is_being_opened_nothing_is_due_until_it_takes_too_long() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    exchange.send(30)
    joiner.on_datagram(exchange.send()[0], 0)
    joiner.opening(0)
    assert joiner.deadline() == 100 * MS
    assert not joiner.wants_connection(99 * MS)
    assert joiner.wants_connection(100 * MS)


def test_a_snapshot_from_before_what_was_read_before_a_restart_is_not_used() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK, oldest=(DAY, 25))
    exchange.send(20)
    old = exchange.spin()
    exchange.send(10)
    joiner.on_datagram(exchange.send()[0], 0)
    exchange.spin = lambda: old
    assert take_snapshot(joiner, exchange, 0) == []
    assert joiner.failures == {"unusable": 1}


def test_a_snapshot_that_comes_when_nothing_is_missing_any_more_is_not_used() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    datagrams = exchange.send(30)
    joiner.on_datagram(datagrams[-1], 0)
    joiner.connected(0)
    server = glimpse.server_session(lambda *_: True, exchange.spin, 0)
    server.receive(joiner.take(), 0)
    server.pump(0)
    happened = [event for datagram in datagrams[:-1] for event in joiner.on_datagram(datagram, 0)]
    assert happened[-1] == GapFilled(DAY, 31)  # by another line
    assert joiner.receive(server.take(), 0) == []
    assert joiner.finished
    assert joiner.failures == {}


def test_a_connection_that_falls_silent_is_tried_again() -> None:
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    exchange.send(30)
    joiner.on_datagram(exchange.send()[0], 0)
    joiner.connected(0)
    assert not joiner.wants_connection(0)
    joiner.on_time(15 * SECOND)
    assert joiner.finished
    joiner.connection_lost(15 * SECOND)
    assert joiner.failures == {"login_timeout": 1}
    assert joiner.wants_connection(16 * SECOND)


def test_a_joiner_that_never_wants_a_snapshot_is_refused() -> None:
    with pytest.raises(ValueError, match="snapshot_after"):
        LateJoiner("ada", "secret", Settings(mold=mold.Settings()))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.floats(0, 0.5), st.booleans())
def test_any_loss_with_or_without_retransmission_ends_with_the_stream_as_sent(
    seed: int, loss: float, retransmits: bool
) -> None:
    rng = random.Random(seed)
    exchange, joiner = Exchange(), LateJoiner("ada", "secret", QUICK)
    exchange.send(rng.randint(0, 40))
    happened: list = []
    for now in range(0, 12 * SECOND, 20 * MS):
        for datagram in exchange.send(rng.randint(0, 2)) if now < 8 * SECOND else ():
            if rng.random() >= loss:
                happened += joiner.on_datagram(datagram, now)
        if now % SECOND == 0 and now > 0:
            happened += joiner.on_datagram(moldudp64.encode_heartbeat(DAY, exchange.sender.next_sequence), now)
        happened += joiner.on_time(now)
        for request in joiner.requests(now):
            for answer in exchange.store.respond(request) if retransmits else ():
                if rng.random() >= loss:
                    happened += joiner.on_datagram(answer, now)
        if joiner.wants_connection(now):
            happened += take_snapshot(joiner, exchange, now)
    assert messages_of(happened) == [message(number) for number in range(1, exchange.sender.next_sequence)]
    assert not joiner.receiver.gap
