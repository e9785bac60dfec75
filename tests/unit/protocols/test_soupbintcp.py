"""SoupBinTCP: both sides of a connection, against each other and against bytes written by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.protocols import soupbintcp as soup
from engine.protocols.layout import WireError
from engine.protocols.soupbintcp_session import (
    SECOND,
    ClientSession,
    EndOfSession,
    LoggedIn,
    LoginRejected,
    LogoutRequested,
    Lost,
    Sequenced,
    ServerSession,
    State,
    Unsequenced,
    same_secret,
)
from memory_stream import MemoryStream


def pair(stream: MemoryStream, password: str = "secret", **client: object) -> tuple[ClientSession, ServerSession]:
    def authenticate(username: str, given_password: str) -> MemoryStream | None:
        return stream if username == "ada" and same_secret(given_password, password) else None

    return ClientSession("ada", "secret", **client), ServerSession(authenticate, 0)


def exchange(client: ClientSession, server: ServerSession, now: int) -> tuple[list, list]:
    """Carries pending bytes both ways until nothing moves: (events of the client, events of the server)."""
    at_client, at_server = [], []
    for _ in range(10):
        at_server += server.receive(client.take(), now)
        server.pump(now)
        at_client += client.receive(server.take(), now)
    return at_client, at_server


def test_login_request_stands_as_the_specification_says() -> None:
    # Section 2.3.1: username and password padded on the right, session and sequence number on the left.
    raw = b"\x00\x2fL" + b"ada   " + b"secret    " + b"       DAY" + b" " * 18 + b"42"
    assert soup.encode_login(soup.Login("ada", "secret", "DAY", 42)) == raw
    assert soup.decode_login(raw[3:]) == soup.Login("ada", "secret", "DAY", 42)


def test_login_replays_from_the_requested_sequence() -> None:
    stream = MemoryStream("S1")
    for payload in (b"one", b"two", b"three"):
        stream.append(payload)
    client, server = pair(stream, next_sequence=2)
    client.connect(0)
    at_client, at_server = exchange(client, server, 0)
    assert at_client == [LoggedIn("S1", 2, 2), Sequenced(2, b"two"), Sequenced(3, b"three")]
    assert at_server == [LoggedIn("S1", 2, 2)]
    assert server.username == "ada"
    stream.append(b"four")
    assert exchange(client, server, 1)[0] == [Sequenced(4, b"four")]
    assert client.next_sequence == 5


def test_sequence_zero_means_only_what_is_new() -> None:
    stream = MemoryStream("S1")
    stream.append(b"old")
    client, server = pair(stream, next_sequence=0)
    client.connect(0)
    assert exchange(client, server, 0)[0] == [LoggedIn("S1", 2, 0)]
    stream.append(b"new")
    assert exchange(client, server, 0)[0] == [Sequenced(2, b"new")]


def test_a_reconnect_goes_on_with_the_next_sequence() -> None:
    stream = MemoryStream("S1")
    client, server = pair(stream)
    client.connect(0)
    stream.append(b"one")
    exchange(client, server, 0)
    client.connection_lost()
    stream.append(b"missed")
    again, server = pair(stream, session=client.session, next_sequence=client.next_sequence)
    again.connect(0)
    assert exchange(again, server, 0)[0] == [LoggedIn("S1", 2, 2), Sequenced(2, b"missed")]


@pytest.mark.parametrize(
    ("password", "client", "reason"),
    [
        ("another", {}, "A"),
        ("secret", {"session": "S9"}, "S"),
        ("secret", {"next_sequence": 9}, "S"),
    ],
)
def test_a_login_is_rejected_with_the_reason(password: str, client: dict, reason: str) -> None:
    client_side, server_side = pair(MemoryStream("S1"), password, **client)
    client_side.connect(0)
    at_client, at_server = exchange(client_side, server_side, 0)
    assert at_client == [LoginRejected(reason)] == at_server
    assert client_side.state is State.CLOSED is server_side.state


def test_unsequenced_packets_reach_the_server_in_order() -> None:
    client, server = pair(MemoryStream("S1"))
    client.connect(0)
    exchange(client, server, 0)
    client.send_unsequenced(b"order 1", 0)
    client.send_unsequenced(b"order 2", 0)
    assert exchange(client, server, 0)[1] == [Unsequenced(b"order 1"), Unsequenced(b"order 2")]


def test_nothing_is_sent_before_the_login() -> None:
    client, _ = pair(MemoryStream("S1"))
    with pytest.raises(WireError, match="not_logged_in"):
        client.send_unsequenced(b"order", 0)


def test_data_before_the_login_ends_the_connection() -> None:
    _, server = pair(MemoryStream("S1"))
    assert server.receive(soup.encode(soup.UNSEQUENCED, b"order"), 0) == [Lost("not_logged_in")]


def test_a_silent_side_beats_each_second_and_is_lost_after_fifteen() -> None:
    client, server = pair(MemoryStream("S1"))
    client.connect(0)
    exchange(client, server, 0)
    assert client.on_time(SECOND - 1) == []
    assert client.take() == b""
    assert client.deadline() == SECOND
    client.on_time(SECOND)
    assert client.take() == b"\x00\x01R"
    server.on_time(SECOND)
    assert server.take() == b"\x00\x01H"
    assert client.on_time(15 * SECOND - 1) == []
    assert client.on_time(15 * SECOND) == [Lost("timeout")]
    assert client.on_time(99 * SECOND) == []
    assert client.deadline() is None


def test_heartbeats_keep_a_connection_alive() -> None:
    client, server = pair(MemoryStream("S1"))
    client.connect(0)
    for second in range(60):
        assert client.on_time(second * SECOND) == [] == server.on_time(second * SECOND)
        exchange(client, server, second * SECOND)
    assert client.state is State.LOGGED_IN is server.state


def test_a_client_that_never_logs_in_is_lost() -> None:
    _, server = pair(MemoryStream("S1"))
    assert server.on_time(15 * SECOND) == [Lost("login_timeout")]


def test_end_of_session_comes_after_all_messages() -> None:
    stream = MemoryStream("S1")
    client, server = pair(stream)
    client.connect(0)
    exchange(client, server, 0)
    for number in range(2_500):
        stream.append(b"%d" % number)
    server.end(0)
    events = client.receive(server.take(), 0)
    assert len(events) == 2_501
    assert events[-1] == EndOfSession("S1")
    assert client.state is State.CLOSED


def test_logout_closes_the_server_side() -> None:
    client, server = pair(MemoryStream("S1"))
    client.connect(0)
    exchange(client, server, 0)
    client.logout(0)
    assert server.receive(client.take(), 0) == [LogoutRequested()]
    assert server.state is State.CLOSED


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x00\x00", "wrong_length"),
        (b"\x00\x01?", "unknown_type"),
        (b"\x00\x02R!", "wrong_length"),
        (b"\x00\x1fA" + b" " * 10 + b"not a number".rjust(20), "unexpected_packet"),
        (b"\x00\x01H", "unexpected_packet"),
    ],
)
def test_a_broken_stream_ends_the_connection_with_its_reason(raw: bytes, reason: str) -> None:
    client, server = pair(MemoryStream("S1"))
    client.connect(0)
    exchange(client, server, 0)
    assert server.receive(raw, 0) == [Lost(reason)]
    assert server.state is State.CLOSED
    assert server.receive(b"\x00\x01R", 0) == []


def test_a_login_with_letters_for_a_number_is_refused() -> None:
    _, server = pair(MemoryStream("S1"))
    raw = b"\x00\x2fL" + b"ada   secret    " + b" " * 10 + b"abc".rjust(20)
    assert server.receive(raw, 0) == [Lost("bad_field")]


def test_a_password_that_does_not_fit_is_an_error_that_does_not_show_it() -> None:
    with pytest.raises(WireError) as error:
        soup.encode_login(soup.Login("ada", "far too long for it", "", 1))
    assert "far too long" not in str(error.value)


@given(st.lists(st.binary(max_size=50), max_size=20), st.lists(st.integers(1, 40), min_size=1, max_size=200))
def test_packets_survive_any_cutting_of_the_stream(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(soup.encode(soup.SEQUENCED, payload) for payload in payloads)
    splitter, packets, position = soup.Splitter(), [], 0
    while position < len(stream):
        step = cuts[position % len(cuts)]
        packets += splitter.feed(stream[position : position + step])
        position += step
    assert [p.payload for p in packets] == payloads
    assert splitter.pending == 0


@given(st.binary(max_size=300))
def test_any_bytes_are_taken_without_a_crash(raw: bytes) -> None:
    for side in pair(MemoryStream("S1")):
        side.receive(raw, 0)
