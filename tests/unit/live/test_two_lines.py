"""Two lines that lose different packets make the same journal as one that loses none."""

import random

import numpy as np
import pytest

from engine.configuration import Account
from engine.core.events import EVENT, Flag, Kind, Stale
from engine.live.feed import MarketFeed
from engine.live.recovery import InputState
from engine.protocols import itch, moldudp64
from engine.protocols.moldudp64_sender import RetransmissionStore, Sender

DAY = "20130102"
MS = 1_000_000
STORE = RetransmissionStore()


def datagrams() -> list[bytes]:
    directory = itch.StockDirectory(7, 0, 1, "KO", "Q", "N", 100, "N", "C", "Z", "P", "N", "N", "1", "N", 0, "N")
    orders = [itch.AddOrder(7, 0, number, number, "B", 100, "KO", 40_0000 + number) for number in range(1, 301)]
    sender = Sender(DAY, STORE, max_block=200)
    return sender.send(map(itch.encode, [itch.SystemEvent(0, 0, 0, "O"), directory, *orders]), 0)


def new_feed() -> MarketFeed:
    return MarketFeed(["KO"], InputState(), Account("ada", "secret"))


def joined(inputs: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([events.view("V64") for events in inputs]).view(EVENT)


def heard(feed: MarketFeed, arrivals: list[tuple[float, int, bytes]]) -> np.ndarray:
    """What is journaled of (time in ms, line, datagram), taken in the order of time; nothing may be asked for."""
    inputs: list[np.ndarray] = []
    for at, line, datagram in sorted(arrivals, key=lambda arrival: arrival[0]):
        inputs += feed.on_datagram(datagram, int(at * MS), 0, line)
        assert feed.joiner.requests(int(at * MS)) == []
    return joined(inputs)


def market_records(events: np.ndarray) -> bytes:
    """What is journaled of the market itself, without the marks of packets and gaps, and how late it came."""
    market = events[events["kind"] != Kind.STALE]
    market["flags"] &= ~Flag.RECOVERED
    return market.tobytes()


def stale_records(events: np.ndarray) -> np.ndarray:
    return events[events["kind"] == Kind.STALE]


def test_what_one_line_lost_the_other_brings_before_the_journal() -> None:
    rng, sent = random.Random(5), datagrams()
    expected = heard(new_feed(), [(index, 0, datagram) for index, datagram in enumerate(sent)])
    arrivals = []
    for index, datagram in enumerate(sent):
        loser = rng.choice([0, 1, None])  # line 1 is up to two packets behind
        arrivals += [(index, 0, datagram)] if loser != 0 else []
        arrivals += [(index + rng.uniform(0, 2), 1, datagram)] if loser != 1 else []
    events = heard(new_feed(), arrivals)
    assert market_records(events) == market_records(expected)
    assert len(market_records(events)) == 301 * 64
    stale = stale_records(events)
    assert Stale.GAP in stale["code"]  # a gap stood until the other line came
    assert stale["code"][-1] == Stale.IN_ORDER
    assert stale["recovered"].sum() == (events["flags"] & Flag.RECOVERED > 0).sum() > 0


@pytest.mark.parametrize("loser", [0, 1])
def test_a_packet_lost_on_one_of_two_lines_that_run_together_opens_no_gap(loser: int) -> None:
    sent, feed = datagrams(), new_feed()
    lost = set(range(3, len(sent) - 1, 5))
    arrivals = [
        (index + line / 2, line, datagram)
        for index, datagram in enumerate(sent)
        for line in (0, 1)
        if not (line == loser and index in lost)
    ]
    events = heard(feed, arrivals)
    assert market_records(events) == market_records(heard(new_feed(), [(0, 0, each) for each in sent]))
    assert set(stale_records(events)["code"].tolist()) == {Stale.IN_ORDER}
    # A copy is told with the next packet's record; the last one's has none behind it.
    assert stale_records(events)["duplicates"].sum() == len(sent) - len(lost) - 1
    assert stale_records(events)["recovered"].sum() == 0
    lines = feed.receiver.lines
    assert lines[loser]["packets"] == len(sent) - len(lost)
    assert lines[0]["first"] + lines[1]["first"] == len(sent)


def test_a_copy_leaves_nothing_in_the_journal() -> None:
    sent, feed = datagrams(), new_feed()
    for datagram in sent:
        assert feed.on_datagram(datagram, 0, 0, 0)
        assert feed.on_datagram(datagram, 0, 0, 1) == []
    assert feed.receiver.lines[1]["duplicates"] == len(sent)


def test_line_b_alone_makes_the_journal_that_line_a_makes() -> None:
    sent = datagrams()
    by_a, by_b = (heard(new_feed(), [(0, line, each) for each in sent]) for line in (0, 1))
    assert by_a.tobytes() == by_b.tobytes()


def test_what_both_lines_lost_is_stale_asked_for_once_and_told_as_recovered() -> None:
    sent, feed = datagrams(), new_feed()
    inputs: list[np.ndarray] = []
    for index, datagram in enumerate(sent):
        for line in (0, 1):
            if index != 10:
                inputs += feed.on_datagram(datagram, 0, 0, line)
    (request,) = feed.joiner.requests(5 * MS)
    lost = moldudp64.decode(sent[10])
    assert moldudp64.decode_request(request) == moldudp64.Request(DAY, lost.sequence, lost.count)
    for answer in STORE.respond(request):
        inputs += feed.on_datagram(answer, 6 * MS, 0)
    events = joined(inputs)
    assert market_records(events) == market_records(heard(new_feed(), [(0, 0, each) for each in sent]))
    stale = stale_records(events)
    gap = int(np.flatnonzero(stale["code"] == Stale.GAP)[0])
    assert stale["code"].tolist() == [0] * gap + [1] * (len(stale) - gap - 1) + [0]
    assert stale["recovered"].sum() == lost.count
    late = events[events["flags"] & Flag.RECOVERED > 0]
    assert late["order_id"].tolist() == [number - 2 for number in range(lost.sequence, lost.next_sequence)]
