"""The sockets of two lines, and the connection to a snapshot server, over loopback."""

import socket
from collections.abc import Iterator
from select import epoll

import pytest

from engine.configuration import Account
from engine.core.events import Kind, Stale
from engine.errors import BadInput
from engine.live.feed import MarketFeed
from engine.live.feed_lines import FeedLines
from engine.live.recovery import InputState
from engine.live.snapshot_connection import SnapshotConnection
from engine.protocols import moldudp64

DAY = "20130102"
SECOND = 1_000_000_000
ANY = ("127.0.0.1", 0)


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        yield made


def packet(sequence: int) -> bytes:
    return moldudp64.encode(DAY, sequence, [b"x"])


def new_feed(snapshot_after: int = 20_000) -> MarketFeed:
    return MarketFeed(["KO"], InputState(), Account("ada", "secret"), snapshot_after)


def test_what_waits_on_the_other_line_opens_no_gap(sender: socket.socket) -> None:
    lines, feed = FeedLines({"a": ANY, "b": ANY}), new_feed()
    for line, numbers in enumerate(([1, 3, 4, 6], [1, 2, 3, 5, 6])):
        for number in numbers:
            sender.sendto(packet(number), ("127.0.0.1", lines.ports[line]))
    arrived = list(lines.receive())
    assert [moldudp64.decode(datagram).sequence for _, datagram in arrived] == [1, 1, 2, 3, 3, 4, 5, 6, 6]
    stale = [events for line, each in arrived for events in feed.on_datagram(each, 0, 0, line)]
    assert {int(event["code"]) for events in stale for event in events if event["kind"] == Kind.STALE} == {
        Stale.IN_ORDER
    }
    assert feed.receiver.next_sequence == 7
    assert list(lines.receive()) == []


def test_a_line_whose_port_is_taken_is_refused_by_the_name_of_its_setting() -> None:
    taken = FeedLines({"a": ANY})
    with pytest.raises(BadInput, match="itch_bind_b"):
        FeedLines({"venue.itch_bind": ANY, "venue.itch_bind_b": ("127.0.0.1", taken.ports[0])})


def wanting(poll: epoll) -> tuple[MarketFeed, SnapshotConnection]:
    """A feed that has lost so much that it wants a snapshot at time 0."""
    feed = new_feed(snapshot_after=5)
    feed.on_datagram(packet(50), 0, 0)
    return feed, SnapshotConnection(feed, poll)


def pass_events(connection: SnapshotConnection, poll: epoll, now: int) -> None:
    for descriptor, _ in poll.poll(5):
        assert connection.owns(descriptor)
        assert connection.on_event(now, 0) == []


def test_where_nobody_listens_the_connection_is_tried_again_and_then_the_messages_are_asked_for() -> None:
    with socket.create_server(ANY) as closed:
        address = closed.getsockname()
    poll = epoll()
    feed, connection = wanting(poll)
    connection.address = address
    for attempt in range(5):
        assert feed.joiner.requests(attempt * SECOND) == []
        connection.on_time(attempt * SECOND)
        pass_events(connection, poll, attempt * SECOND)
    assert feed.joiner.failures == {"no_connection": 5}
    assert feed.joiner.requests(5 * SECOND) == [moldudp64.encode_request(DAY, 1, 49)]
    connection.on_time(6 * SECOND)
    assert poll.poll(0) == []


def test_while_no_server_is_known_an_attempt_fails_each_second() -> None:
    feed, connection = wanting(epoll())
    for now in (0, SECOND - 1, SECOND):
        connection.on_time(now)
    assert feed.joiner.failures == {"no_connection": 2}


def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    poll = epoll()
    with socket.create_server(ANY) as silent:
        feed, connection = wanting(poll)
        connection.address = silent.getsockname()
        connection.on_time(0)
        pass_events(connection, poll, 0)
        accepted, _ = silent.accept()
        with accepted:
            assert accepted.recv(100)[2:3] == b"L"  # a login request, behind its length
            feed.on_time(15 * SECOND, 0)
            connection.on_time(15 * SECOND)
            assert accepted.recv(100) == b""
    assert feed.joiner.failures == {"login_timeout": 1}
