"""GLIMPSE: both sides against each other, and against bytes written by hand from the specification."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.protocols import glimpse, moldudp64
from engine.protocols import soupbintcp as soup
from engine.protocols import soupbintcp_session as sessions
from engine.protocols.layout import WireError

DAY = "20130102"
SECOND = 1_000_000_000


def server(spin: glimpse.Spin | None, password: str = "secret") -> sessions.ServerSession:
    return glimpse.server_session(lambda username, given: (username, given) == ("ada", password), lambda: spin, 0)


def converse(client: glimpse.Client, at_server: sessions.ServerSession, chunk: int = 1 << 20) -> list:
    """Carries bytes both ways, at most `chunk` at once to the client: what the client answered."""
    answers = []
    client.connect(0)
    for _ in range(4):
        at_server.receive(client.take(), 0)
        while at_server.pump(0, 10):
            continue
        raw = at_server.take()
        answers += [client.receive(raw[start : start + chunk], 0) for start in range(0, len(raw), chunk)]
    return [answer for answer in answers if answer is not None]


def test_the_snapshot_message_is_g_and_twenty_digits() -> None:
    # Section 1.7: message type "G", then the sequence number in 20 ASCII characters, as SoupBinTCP writes numbers.
    assert glimpse.encode_end_of_snapshot(123456789) == b"G" + b" " * 11 + b"123456789"
    assert glimpse.decode_end_of_snapshot(b"G" + b" " * 11 + b"123456789") == 123456789
    assert glimpse.decode_end_of_snapshot(b"G" + b"00000000000000000042") == 42


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "unknown_type"),
        (b"A", "unknown_type"),
        (b"G42", "wrong_length"),
        (b"G" + b"x" * 20, "bad_field"),
        (b"G" + b" " * 20, "bad_field"),
        (b"G" + b" " * 19 + b"0", "bad_field"),
        (b"G" + b" " * 18 + b"-1", "bad_field"),
    ],
)
def test_a_bad_snapshot_message_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(WireError) as error:
        glimpse.decode_end_of_snapshot(raw)
    assert error.value.code == reason


@pytest.mark.parametrize("number", [0, -1, 10**20])
def test_a_sequence_number_that_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(WireError, match="out_of_range"):
        glimpse.encode_end_of_snapshot(number)


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=50).filter(lambda raw: raw[:1] != b"G"), max_size=60),
    st.integers(1, 10**19),
    st.integers(1, 400),
)
def test_a_client_gets_what_the_server_spins_however_the_stream_is_cut(
    messages: list[bytes], sequence: int, chunk: int
) -> None:
    client, at_server = glimpse.Client("ada", "secret"), server(glimpse.spin(DAY, sequence, messages))
    (snapshot,) = converse(client, at_server, chunk)
    assert (snapshot.session, snapshot.next_sequence, snapshot.count) == (DAY, sequence, len(messages))
    assert moldudp64.unframe(snapshot.block, snapshot.count) == messages
    assert client.done
    assert at_server.state is sessions.State.CLOSED  # the client has logged out


@pytest.mark.parametrize(
    ("client", "spin", "reason"),
    [
        (glimpse.Client("ada", "wrong"), glimpse.spin(DAY, 1), "rejected_A"),
        (glimpse.Client("ada", "secret", session="20130103"), glimpse.spin(DAY, 1), "rejected_S"),
        (glimpse.Client("ada", "secret"), None, "rejected_S"),
        (glimpse.Client("ada", "secret", max_bytes=20), glimpse.spin(DAY, 1, [b"x" * 10] * 2), "too_large"),
    ],
)
def test_a_snapshot_that_cannot_be_had_fails_with_its_reason(
    client: glimpse.Client, spin: glimpse.Spin | None, reason: str
) -> None:
    assert converse(client, server(spin)) == [glimpse.Failed(reason)]
    assert client.done


def test_a_connection_that_ends_before_the_snapshot_message_has_failed() -> None:
    client, at_server = glimpse.Client("ada", "secret"), server(glimpse.spin(DAY, 9, [b"one", b"two"]))
    client.connect(0)
    at_server.receive(client.take(), 0)
    at_server.pump(0, 1)
    assert client.receive(at_server.take(), 0) is None
    assert client.connection_lost() == glimpse.Failed("incomplete")
    assert client.connection_lost() is None


def test_a_silent_server_is_given_up() -> None:
    client = glimpse.Client("ada", "secret", timeout=SECOND)
    client.connect(0)
    assert client.deadline() == SECOND
    assert client.on_time(SECOND - 1) is None
    assert client.on_time(SECOND) == glimpse.Failed("login_timeout")
    assert client.on_time(2 * SECOND) is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (soup.encode_login_accepted(DAY, 5), "wrong_sequence"),
        (soup.encode_login_accepted(DAY, 1) + soup.encode(soup.SEQUENCED, b"G42"), "wrong_length"),
        (soup.encode_login_accepted(DAY, 1) + soup.encode(soup.END_OF_SESSION), "incomplete"),
        (b"\0\0", "wrong_length"),
        (soup.encode(soup.SEQUENCED, b"x"), "unexpected_packet"),
    ],
)
def test_a_server_that_breaks_the_protocol_is_named(raw: bytes, reason: str) -> None:
    client = glimpse.Client("ada", "secret")
    client.connect(0)
    assert client.receive(raw, 0) == glimpse.Failed(reason)
