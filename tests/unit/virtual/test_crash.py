"""A core that is killed in the middle: what its journal keeps, and what it can have sent."""

from random import Random

import numpy as np

from engine.core.events import EVENT, Kind
from engine.live.journal import Reader, Writer
from engine.live.segment import BLOCK_BYTES, HEADER_BYTES
from engine.protocols import ouch
from engine.protocols import soupbintcp as soup
from engine.virtual.crash import Crash

SEGMENT = HEADER_BYTES + 8 * BLOCK_BYTES


def records(*order_ids: int) -> np.ndarray:
    """An input (TIMER) and the order it causes, for each id."""
    made = np.zeros(2 * len(order_ids), EVENT)
    made["kind"][0::2], made["kind"][1::2] = Kind.TIMER, Kind.ORDER_NEW
    made["order_id"][1::2] = order_ids
    return made


def packet(order_id: int) -> bytes:
    order = ouch.CancelOrder(order_id, 0)
    return soup.encode(soup.UNSEQUENCED, ouch.encode(order))


def test_no_order_is_sent_whose_record_is_not_written(tmp_path):
    kept_ends = set()
    for seed in range(200):
        folder = tmp_path / str(seed)
        writer = Writer.create(folder, segment_bytes=SEGMENT)
        writer.append(records(1, 2))
        first = writer.last
        writer.append(records(3, 4, 5))
        cut = Crash(Random(seed)).choose(writer, first)
        sent = cut.sent(b"".join(packet(order_id) for order_id in (3, 4, 5)))
        writer.close()
        cut.apply(tmp_path / "none")
        opened = Writer.open(folder, segment_bytes=SEGMENT)
        kept = Reader(folder).read(0)
        assert first <= opened.last == cut.last == len(kept)
        whole = sum(1 for each in soup.Splitter().feed(sent) if each.type == soup.UNSEQUENCED)
        written = set(kept["order_id"][kept["kind"] == Kind.ORDER_NEW].tolist())
        assert {1, 2} <= written
        assert whole <= len(written) - 2
        kept_ends.add(opened.last)
        opened.close()
    assert kept_ends == set(range(4, 11))  # every record of the pass was the last one of some crash
