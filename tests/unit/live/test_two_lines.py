"""Two lines that lose different packets make the same journal as one that loses none."""

import random

from engine.configuration import Account
from engine.core.events import Kind
from engine.live.feed import MarketFeed
from engine.live.recovery import InputState
from engine.protocols import itch
from engine.protocols.moldudp64_sender import RetransmissionStore, Sender

DAY = "20130102"
MS = 1_000_000
ACCOUNT = Account("ada", "secret")


def datagrams() -> list[bytes]:
    directory = itch.StockDirectory(7, 0, 1, "KO", "Q", "N", 100, "N", "C", "Z", "P", "N", "N", "1", "N", 0, "N")
    orders = [itch.AddOrder(7, 0, number, number, "B", 100, "KO", 40_0000 + number) for number in range(1, 301)]
    sender = Sender(DAY, RetransmissionStore(), max_block=200)
    return sender.send(map(itch.encode, [itch.SystemEvent(0, 0, 0, "O"), directory, *orders]), 0)


def market_records(inputs: list) -> bytes:
    """What is journaled of the market itself, without the marks of packets and gaps."""
    return b"".join(events[events["kind"] != Kind.STALE].tobytes() for events in inputs)


def test_what_one_line_lost_the_other_brings_before_the_journal() -> None:
    rng, sent = random.Random(5), datagrams()
    whole = MarketFeed(["KO"], InputState(), ACCOUNT)
    expected = [events for datagram in sent for events in whole.on_datagram(datagram, 0, 0)]
    arrivals = []
    for index, datagram in enumerate(sent):
        loser = rng.choice([0, 1, None])  # line 1 is up to two packets behind
        arrivals += [(index, datagram)] if loser != 0 else []
        arrivals += [(index + rng.uniform(0, 2), datagram)] if loser != 1 else []
    both, inputs = MarketFeed(["KO"], InputState(), ACCOUNT), []
    for at, datagram in sorted(arrivals):
        inputs += both.on_datagram(datagram, int(at * MS), 0)
        assert both.receiver.requests(int(at * MS)) == []
    assert market_records(inputs) == market_records(expected)
    assert len(market_records(inputs)) == 301 * 64
    stale = [int(events[0]["code"]) for events in inputs if events[0]["kind"] == Kind.STALE]
    assert 1 in stale  # a gap stood until the other line came
    assert stale[-1] == 0
