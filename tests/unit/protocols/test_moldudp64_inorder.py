"""The in-order path in front of the receiver: with it or without, the same events, and the receiver knows the same."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.events import EVENT
from engine.protocols import itch, moldudp64
from engine.protocols.feed import FEED, new_locate_map, symbol_keys
from engine.protocols.itch_events import decode_block
from engine.protocols.moldudp64_inorder import InOrder
from engine.protocols.moldudp64_receiver import Data, Receiver

SYMBOLS = symbol_keys(["AAPL", "GOOG"])
DAY1, DAY2 = "20130102", "20130103"
LOCATES = (("AAPL", 3), ("GOOG", 4), ("IBM", 5))


def directory(symbol: str, locate: int) -> bytes:
    return itch.encode(
        itch.StockDirectory(locate, 0, 1, symbol, "Q", "N", 100, "N", "C", "Z", "P", "N", "N", "1", "N", 0, "N")
    )


def messages(count: int, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    made = [directory(*one) for one in LOCATES]
    for order in range(1, count + 1):
        locate = chance.choice([3, 4, 5])
        made.append(itch.encode(itch.AddOrder(locate, 0, order, order, "B", 100, "ANY", 1_000_000 + order)))
        if chance.random() < 0.4:
            made.append(itch.encode(itch.OrderDelete(locate, 0, order, chance.randrange(1, order + 1))))
    return made


def packets(session: str, made: list[bytes], chance: random.Random) -> list[bytes]:
    built, sequence = [], 1
    while made:
        size = chance.randrange(1, 9)
        built.append(moldudp64.encode(session, sequence, made[:size]))
        sequence += len(made[:size])
        made = made[size:]
    return [*built, moldudp64.encode_end_of_session(session, sequence)]


def alone(datagrams: list[bytes]) -> tuple[bytes, Receiver, np.ndarray]:
    """(events, receiver, feed counters) of the receiver alone."""
    return run(datagrams, lambda *_: (0, 0), 64)


def run(datagrams, take=None, room=64):
    receiver, feed, locates, out = Receiver(), np.zeros(1, FEED), new_locate_map(), np.zeros(room, EVENT)
    take = take or InOrder(receiver).take
    joined = np.frombuffer(b"".join(datagrams), np.uint8)
    ends, done, events = np.cumsum([len(one) for one in datagrams]), 0, []
    while done < len(datagrams):
        packets_taken, count = take(joined, ends, done, feed, locates, SYMBOLS, out)
        events.append(out[:count].tobytes())
        done += packets_taken
        if not packets_taken:
            for event in receiver.on_datagram(datagrams[done], done):
                if isinstance(event, Data):
                    block, start = np.frombuffer(event.block, np.uint8), 0
                    while start < len(block):
                        count = decode_block(block, start, len(block), feed[0], locates, SYMBOLS, out)
                        events.append(out[:count].tobytes())
                        start = int(feed[0]["position"])
            done += 1
    feed["position"] = 0
    return b"".join(events), receiver, feed


def check_same(datagrams: list[bytes], room: int = 64) -> None:
    expected, plain, plain_feed = alone(datagrams)
    events, receiver, feed = run(datagrams, room=room)
    assert events == expected
    assert feed.tobytes() == plain_feed.tobytes()
    assert (receiver.session, receiver.next_sequence, receiver.gap) == (plain.session, plain.next_sequence, plain.gap)
    assert receiver.counters == plain.counters
    assert receiver.lines == plain.lines


def test_a_whole_day_in_order_needs_the_receiver_at_its_ends_alone() -> None:
    datagrams = packets(DAY1, messages(200, 1), random.Random(2))
    check_same(datagrams)
    receiver = Receiver()
    receiver.on_datagram(datagrams[0], 0)
    front = InOrder(receiver)
    joined, ends = np.frombuffer(b"".join(datagrams), np.uint8), np.cumsum([len(one) for one in datagrams])
    out = np.zeros(1_000, EVENT)
    taken, _ = front.take(joined, ends, 1, np.zeros(1, FEED), new_locate_map(), SYMBOLS, out)
    assert taken == len(datagrams) - 2


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(8, 80))
def test_lost_doubled_swapped_and_damaged_packets_change_nothing_of_what_the_receiver_alone_does(seed, room) -> None:
    chance = random.Random(seed)
    datagrams = packets(DAY1, messages(60, seed), chance) + packets(DAY2, messages(30, seed + 1), chance)
    for _ in range(chance.randrange(6)):
        at = chance.randrange(len(datagrams))
        match chance.randrange(5):
            case 0:
                datagrams.insert(chance.randrange(len(datagrams)), datagrams[at])
            case 1:
                datagrams.insert(min(at + chance.randrange(1, 4), len(datagrams) - 1), datagrams.pop(at))
            case 2:
                datagrams[at] = datagrams[at][: chance.randrange(len(datagrams[at]))]
            case 3:
                datagrams[at] += b"\0"
            case 4:
                raw = bytearray(datagrams[at])
                raw[chance.randrange(20)] ^= 1 << chance.randrange(8)
                datagrams[at] = bytes(raw)
    check_same(datagrams, room)


def test_the_other_lines_copies_do_not_stop_the_compiled_path() -> None:
    datagrams = packets(DAY1, messages(200, 5), random.Random(6))[:-1]
    doubled = [copy for datagram in datagrams for copy in (datagram, datagram)]
    check_same(doubled)
    receiver = Receiver()
    receiver.on_datagram(datagrams[0], 0)
    joined, ends = np.frombuffer(b"".join(doubled), np.uint8), np.cumsum([len(one) for one in doubled])
    arguments = np.zeros(1, FEED), new_locate_map(), SYMBOLS, np.zeros(1_000, EVENT)
    taken, _ = InOrder(receiver).take(joined, ends, 1, *arguments, by=1)
    assert taken == len(doubled) - 1
    assert receiver.lines[1] == {"packets": taken, "first": len(datagrams) - 1, "duplicates": len(datagrams)}


@pytest.mark.parametrize("end", [moldudp64.encode_heartbeat, moldudp64.encode_end_of_session])
def test_heartbeats_and_ends_of_session_are_the_receivers(end) -> None:
    made = packets(DAY1, messages(20, 3), random.Random(4))[:-1]
    check_same([*made[:5], end(DAY1, 1), *made[5:]])
