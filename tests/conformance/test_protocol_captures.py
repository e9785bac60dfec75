"""Real captures and files: every byte decodes, and the same bytes come back from the decoded fields.

What each holds is from the folder's own README: Nasdaq captures of the Open Markets Initiative, the head of a Nasdaq
day, and a LOBSTER day written as ITCH. Needs HELIOGRAPH_SHARED (default ../shared).
"""

import os
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from engine.core.events import EVENT, Kind
from engine.protocols import binaryfile, itch, moldudp64, ouch, pcap
from engine.protocols import feed as feeds
from engine.protocols.capture import decode_file
from engine.protocols.itch_events import decode_block
from engine.protocols.ouch_options import Option

ROOT = Path(__file__).resolve().parents[2]
DATA = (ROOT / os.environ.get("HELIOGRAPH_SHARED", "../shared")).resolve() / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="HELIOGRAPH_SHARED (default ../shared) has no data folder")
NASDAQ = DATA / "itch_nasdaq"
HEAD = NASDAQ / "bekele_head1000.itch"
LOBSTER = DATA / "lobster" / "GOOG_2012-06-21_L10.itch50.gz"

CAPTURES = {
    "pcap_itch/AddOrderNoMpidAttributionMessage": {"itch.AddOrder": 1, "moldudp64.Packet": 1},
    "pcap_itch/OrderDeleteMessage": {"itch.OrderDelete": 1, "moldudp64.Packet": 1},
    "pcap_itch/OrderExecutedMessage": {"itch.OrderExecuted": 1, "moldudp64.Packet": 1},
    "pcap_itch/Multiple.Packets": {
        "itch.OrderDelete": 1,
        "itch.AddOrder": 36,
        "itch.AddOrderMpid": 2,
        "moldudp64.Packet": 2,
    },
    "pcap_ouch/EnterOrderMessage": {"ouch.EnterOrder": 1, "soupbintcp.Unsequenced": 1},
    "pcap_ouch/CancelOrderMessage": {"ouch.CancelOrder": 1, "soupbintcp.Unsequenced": 1},
    "pcap_ouch/OrderAcceptedMessage": {"ouch.Accepted": 1, "soupbintcp.Sequenced": 1},
    "pcap_ouch/CanceledMessage": {"ouch.Canceled": 1, "soupbintcp.Sequenced": 1},
    "pcap_ouch/ClientHeartbeatPacket": {"soupbintcp.ClientHeartbeat": 1},
    "pcap_ouch/ServerHeartbeatPacket": {"soupbintcp.ServerHeartbeat": 1},
}


def capture(name: str) -> Path:
    return NASDAQ / f"{name}.pcap"


def test_every_capture_of_the_folder_is_tried() -> None:
    found = {path.relative_to(NASDAQ).with_suffix("").as_posix() for path in NASDAQ.glob("pcap_*/*.pcap")}
    assert found == set(CAPTURES)


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_decodes_and_encodes_byte_for_byte(name: str) -> None:
    found = list(decode_file(capture(name)))
    assert Counter(f"{one.protocol}.{one.name}" for one in found) == CAPTURES[name]
    assert all(one.equal and not one.reason for one in found)


def test_the_captured_add_order_has_the_fields_of_its_bytes() -> None:
    (datagram,) = pcap.read(capture("pcap_itch/AddOrderNoMpidAttributionMessage").read_bytes(), Counter())
    packet = moldudp64.decode(datagram.payload)
    assert (packet.session, packet.sequence, packet.count) == ("000010059B", 0xE12F59, 1)
    (raw,) = moldudp64.unframe(packet.block, 1)
    # Read by hand from the hex dump: reference 00 00 00 00 01 66 B5 3E, 0x0640 shares, price 0x0D55AC = 87.39.
    assert itch.decode(raw) == itch.AddOrder(0x1598, 0, 0x1F1ACED85306, 0x166B53E, "B", 1600, "IVOO", 873_900)


def test_the_captured_order_carries_its_firm_in_the_appendage() -> None:
    order = next(one.content for one in decode_file(capture("pcap_ouch/EnterOrderMessage")))
    assert isinstance(order, ouch.EnterOrder)
    # Read by hand from the hex dump: quantity 0xE1, price 0x099DB8 = 63.02, the letters "0YANN", then the identifier.
    assert (order.symbol, order.quantity, order.price) == ("CVLT", 0xE1, 630_200)
    assert order.cl_ord_id == "H8FUB8IV"
    assert order.appendage == (Option(2, "LIME"),)


def test_the_head_of_a_real_day_decodes_and_encodes_byte_for_byte() -> None:
    found = Counter()
    for raw in binaryfile.messages(binaryfile.load(HEAD)):
        message = itch.decode(raw)
        assert itch.encode(message) == raw
        found[message.TYPE] += 1
    assert found == {"S": 1, "R": 993, "H": 3, "Y": 3}


def test_a_whole_day_decodes_into_events_that_agree_with_the_structures() -> None:
    content = binaryfile.load(LOBSTER)
    feed, locate_map = feeds.new_feed(20120621), feeds.new_locate_map()
    out = np.zeros(160_000, EVENT)
    count = decode_block(content, 0, len(content), feed, locate_map, feeds.symbol_keys(["GOOG"]), out)
    assert (int(feed["messages"]), count, int(feed["position"])) == (157_214, 157_213, len(content))
    events = out[:count]
    kinds = {"A": Kind.ADD, "D": Kind.DELETE, "E": Kind.EXECUTE, "X": Kind.REDUCE, "P": Kind.TRADE}
    position, index = 0, 0
    wanted: Counter[int] = Counter()
    shares = 0
    view = memoryview(content)
    while position < len(view):  # an independent reading of the same bytes
        (size,) = struct.unpack_from(">H", view, position)
        letter = chr(view[position + 2])
        if letter in kinds:
            wanted[int(kinds[letter])] += 1
            if letter in "AP":
                shares += struct.unpack_from(">I", view, position + 22)[0]
        index += letter != "R"
        position += 2 + size
    assert index == count
    market = events[np.isin(events["kind"], list(wanted))]
    assert Counter(market["kind"].tolist()) == wanted
    assert int(market["qty"][np.isin(market["kind"], [Kind.ADD, Kind.TRADE])].sum()) == shares
    assert set(market["instrument"].tolist()) == {0}
    assert bool((np.diff(events["ts_event"]) >= 0).all())
