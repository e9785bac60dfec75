"""The feed gives each message's event once, also over gaps, late joins and a restart in the middle."""

import numpy as np

from engine.configuration import Account
from engine.core.events import Kind
from engine.live.feed import GIVE_UP_NS, MarketFeed
from engine.live.recovery import InputState
from engine.protocols import itch, moldudp64

SESSION, DATE = "20130102", 20130102
MS = 1_000_000


def messages() -> list[bytes]:
    """Start, KO's directory entry, and ten orders of KO."""
    directory = itch.StockDirectory(1, 0, 5, "KO", "Q", "N", 100, "N", "C", "Z", "T", "N", "N", "1", "N", 0, "N")
    start = itch.encode(itch.SystemEvent(0, 0, 5, "O"))
    adds = [itch.encode(itch.AddOrder(1, 0, 6, reference, "B", 100, "KO", 100_000)) for reference in range(1, 11)]
    return [start, itch.encode(directory), *adds]


ALL = messages()


def packet(first: int, last: int, session: str = SESSION) -> bytes:
    """The messages numbered ``first`` to ``last``."""
    return moldudp64.encode(session, first, ALL[first - 1 : last])


def take(feed: MarketFeed, *datagrams: bytes, now: int = 0) -> np.ndarray:
    inputs = [events for datagram in datagrams for events in feed.on_datagram(datagram, now, ts=9)]
    return np.concatenate([events.view("V64") for events in inputs]).view(inputs[0].dtype) if inputs else np.empty(0)


def order_ids(events: np.ndarray) -> list[int]:
    return events[events["kind"] == Kind.ADD]["order_id"].tolist()


def packets_named(events: np.ndarray) -> list[int]:
    marks = events[(events["kind"] == Kind.STALE) & (events["sequence"] > 0)]
    return marks["sequence"].tolist()


def fresh() -> MarketFeed:
    return feed_of(InputState())


def feed_of(resume: InputState) -> MarketFeed:
    return MarketFeed(["KO"], resume, Account("ada", "secret"))


def test_each_packets_events_follow_the_record_that_names_it():
    events = take(fresh(), packet(1, 5), packet(6, 12))
    assert packets_named(events) == [1, 6]
    assert order_ids(events) == list(range(1, 11))
    assert set(events["ts_recv"].tolist()) == {9}
    (session,) = events[events["kind"] == Kind.SESSION]
    assert session["date"] == DATE


def test_a_gap_makes_the_feed_stale_until_it_is_filled():
    feed = fresh()
    take(feed, packet(1, 4))
    events = take(feed, packet(8, 12), now=MS)
    assert events["code"].tolist() == [1]
    (request,) = feed.receiver.requests(5 * MS)
    asked = moldudp64.decode_request(request)
    assert (asked.sequence, asked.count) == (5, 3)
    events = take(feed, packet(5, 7), now=6 * MS)
    assert order_ids(events) == list(range(3, 11))
    assert events[events["kind"] == Kind.STALE]["code"].tolist()[-1] == 0


def test_a_gap_that_cannot_be_filled_leaves_the_feed_stale_for_the_session():
    feed = fresh()
    take(feed, packet(1, 4))
    take(feed, packet(8, 10), now=MS)
    feed.on_time(2 * GIVE_UP_NS, ts=9)
    assert feed.joiner.wants_connection(2 * GIVE_UP_NS)
    feed.joiner.receiver.no_snapshot(2 * GIVE_UP_NS)
    inputs = feed.on_time(3 * GIVE_UP_NS, ts=9)
    events = np.concatenate([each.view("V64") for each in inputs]).view(inputs[0].dtype)
    assert order_ids(events) == [6, 7, 8]
    marks = take(feed, packet(11, 12), now=3 * GIVE_UP_NS)
    assert marks[marks["kind"] == Kind.STALE]["code"].tolist() == [1]


def test_a_feed_met_in_the_middle_is_read_from_its_first_message():
    feed = fresh()
    take(feed, packet(9, 12))
    (request,) = feed.receiver.requests(0)
    assert moldudp64.decode_request(request).sequence == 1
    assert order_ids(take(feed, packet(1, 8))) == list(range(1, 11))


def test_a_restarted_feed_goes_on_with_the_event_behind_the_last_one_that_was_journaled():
    for taken in range(5):  # of the four events of the packet that begins with message 5, and what comes after
        feed = feed_of(InputState(feed_date=DATE, feed_sequence=5, feed_events=min(taken, 4)))
        events = take(feed, packet(11, 12), packet(1, 10))
        assert order_ids(events) == list(range(3 + min(taken, 4), 11)), taken
        assert feed.date == DATE


def test_a_restarted_feed_names_the_first_message_that_the_journal_lacks():
    feed = feed_of(InputState(feed_date=DATE, feed_sequence=5, feed_events=2))
    assert packets_named(take(feed, packet(1, 8))) == [7]
    assert packets_named(take(feed, packet(9, 12))) == [9]


def test_a_restarted_feed_that_finds_a_new_session_reads_it_from_its_start():
    feed = feed_of(InputState(feed_date=20121231, feed_sequence=500, feed_events=3))
    events = take(feed, packet(1, 12))
    assert order_ids(events) == list(range(1, 11))
    assert packets_named(events) == [1]
