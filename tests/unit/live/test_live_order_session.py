"""After any loss the order session says what the venue has told, and only then that it has caught up."""

from typing import Any

import numpy as np
import pytest
from live_world import record

from engine.configuration import Account
from engine.core.events import Kind
from engine.live.order_session import NOT_SENT, QUERY_PATIENCE_NS, OrderSession
from engine.live.recovery import InputState
from engine.protocols import ouch
from engine.protocols.soupbintcp import encode_login_accepted
from engine.protocols.soupbintcp_session import ServerSession, Unsequenced
from memory_stream import MemoryStream

DATE = 20130102
NOW = 1_000_000_000


class Venue:
    """An order port that keeps its stream over connections, and answers queries with what it last saw."""

    def __init__(self) -> None:
        self.stream = MemoryStream("ABC")
        self.received: list[Any] = []
        self.next_id = 1
        self.session: ServerSession | None = None
        self.silent = False

    def accept(self, now: int) -> None:
        self.session = ServerSession(lambda user, word: self.stream if word == "secret" else None, now)

    def exchange(self, client: OrderSession, now: int, ts: int = 5) -> list[np.ndarray]:
        """Carries bytes both ways until nobody has anything to say; the inputs that the client made."""
        assert self.session is not None
        inputs: list[np.ndarray] = []
        while True:
            up = client.take_bytes()
            for event in self.session.receive(up, now):
                if isinstance(event, Unsequenced):
                    self._take(ouch.decode_inbound(event.payload))
            self.session.pump(now)
            down = self.session.take()
            inputs += client.receive(down, now, ts, DATE)
            if not up and not down:
                return inputs

    def _take(self, message: Any) -> None:
        self.received.append(message)
        if isinstance(message, ouch.AccountQuery) and not self.silent:
            self.stream.append(ouch.encode(ouch.AccountQueryResponse(7, self.next_id)))

    def executed(self, order_id: int, qty: int = 100, match: int = 1) -> None:
        self.stream.append(ouch.encode(ouch.Executed(7, order_id, qty, 100_200, "R", match)))


def session(venue: Venue, resume: InputState | None = None, password: str = "secret") -> OrderSession:
    client = OrderSession(Account("HELIO1", password), ["KO"], resume or InputState())
    venue.accept(NOW)
    client.connect(NOW)
    return client


def described(inputs: list[np.ndarray]) -> list[tuple[str, int]]:
    """(kind, sequence) of each input; an order session's code for its sequence."""
    return [
        (Kind(int(event["kind"])).name, int(event["code" if event["kind"] == Kind.ORDER_SESSION else "sequence"]))
        for inputs_event in inputs
        for event in inputs_event
    ]


def test_reports_that_were_missed_come_before_the_session_counts_as_up():
    venue = Venue()
    venue.executed(1)
    venue.executed(1, match=2)
    venue.next_id = 2
    inputs = venue.exchange(client := session(venue, InputState(order_sequence=1)), NOW)
    assert described(inputs) == [("ORDER_SESSION", 0), ("EXECUTION", 2), ("ORDER_SESSION", 1)]
    assert int(inputs[-1][0]["ref"]) == 2
    assert client.up


def test_the_answer_to_an_earlier_connections_query_is_not_taken_for_the_end():
    venue = Venue()
    venue.stream.append(ouch.encode(ouch.AccountQueryResponse(7, 1)))  # asked by a core that was killed at once
    venue.executed(1)
    venue.next_id = 2
    inputs = venue.exchange(session(venue, InputState(unanswered_queries=1)), NOW)
    assert described(inputs) == [("ORDER_SESSION", 0), ("EXECUTION", 2), ("ORDER_SESSION", 1)]
    assert int(inputs[0][0]["qty"]) == 2  # journaled before the query is sent
    assert int(inputs[-1][0]["ref"]) == 2


def test_a_counted_answer_that_never_comes_holds_the_session_back_only_for_a_while():
    venue = Venue()
    client = session(venue, InputState(unanswered_queries=1))
    assert described(venue.exchange(client, NOW)) == [("ORDER_SESSION", 0)]
    assert client.on_time(NOW + QUERY_PATIENCE_NS - 1, 5) == []
    assert described(client.on_time(NOW + QUERY_PATIENCE_NS, 5)) == [("ORDER_SESSION", 1)]


def test_a_query_that_was_not_answered_is_counted_by_the_next_login():
    venue = Venue()
    venue.silent = True
    client = session(venue)
    venue.exchange(client, NOW)
    assert client.lost(5) == []  # it was not up
    venue.silent = False
    venue.accept(NOW)
    client.connect(NOW)
    inputs = venue.exchange(client, NOW)
    assert int(inputs[0][0]["qty"]) == 2


def test_losing_the_session_says_so_once():
    venue = Venue()
    client = session(venue)
    venue.exchange(client, NOW)
    assert described(client.lost(5)) == [("ORDER_SESSION", 0)]
    assert client.lost(5) == []
    assert not client.connected


def test_orders_and_cancels_go_out_as_ouch():
    venue = Venue()
    client = session(venue)
    venue.exchange(client, NOW)
    buy = record(Kind.ORDER_NEW, 0, 1, order_id=3, price=100_200, qty=500)
    assert client.send(buy, NOW, 5) == []
    assert client.send(record(Kind.ORDER_CANCEL, 0, 1, order_id=3), NOW, 5) == []
    venue.exchange(client, NOW)
    order, cancel = venue.received[-2:]
    assert (order.user_ref_num, order.side, order.quantity, order.price, order.symbol) == (3, "B", 500, 100_200, "KO")
    assert (cancel.user_ref_num, cancel.quantity) == (3, 0)


def test_an_order_that_ouch_cannot_hold_comes_back_as_rejected():
    venue = Venue()
    client = session(venue)
    venue.exchange(client, NOW)
    (refused,) = client.send(record(Kind.ORDER_NEW, 0, 1, order_id=3, price=100_200, qty=1_000_000), NOW, 5)
    assert (refused[0]["kind"], refused[0]["order_id"], refused[0]["reason"]) == (Kind.REJECTED, 3, NOT_SENT)


def test_orders_made_while_the_session_is_down_are_not_sent_later():
    venue = Venue()
    client = session(venue)
    assert client.send(record(Kind.ORDER_NEW, 0, 1, order_id=1, price=100_200, qty=5), NOW, 5) == []
    venue.exchange(client, NOW)
    assert [type(message) for message in venue.received] == [ouch.AccountQuery]


@pytest.mark.parametrize(
    ("password", "sequence", "reason"),
    [("wrong", 0, "user name or password are wrong"), ("secret", 7, "stream is not the journal's")],
)
def test_a_refused_login_is_named(password, sequence, reason, caplog):
    venue = Venue()
    client = session(venue, InputState(order_sequence=sequence), password=password)
    assert venue.exchange(client, NOW) == []
    assert not client.connected
    assert reason in caplog.text


@pytest.mark.parametrize("goes_on_at", [2, 11])
def test_reports_that_the_venue_does_not_have_are_counted_before_the_session_can_come_up(goes_on_at):
    """Six was asked for: four that we have seen it has lost, or five that it has sent it does not keep any more."""
    client = OrderSession(Account("HELIO1", "secret"), ["KO"], InputState(order_sequence=5))
    client.connect(NOW)
    (event,) = client.receive(encode_login_accepted("ABC", goes_on_at), NOW, 5, DATE)
    assert (int(event[0]["code"]), int(event[0]["missing"])) == (0, abs(goes_on_at - 6))


def test_nothing_is_missing_where_the_venue_goes_on_as_it_was_asked():
    venue = Venue()
    venue.executed(1)
    inputs = venue.exchange(session(venue, InputState(order_sequence=1)), NOW)
    assert int(inputs[0][0]["missing"]) == 0
