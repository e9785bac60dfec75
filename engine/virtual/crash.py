"""The end of a core in the middle of something: kill -9 between any two of its writes and sends.

What a pass of the core's does is appending records and sending bytes, one after the other, and an order's bytes go out
only behind the records that made it. So any record of the pass may have been the last one that was written, and any
byte up to the orders that those records hold the last one that was sent. A mapped journal keeps what was written, the
record that was being written perhaps in part, and may not have published all of it.
"""

from pathlib import Path
from random import Random

import numpy as np

from engine.core.events import Kind
from engine.live.journal import Reader, Writer
from engine.live.scan import Walk
from engine.live.segment import COMMITTED_WORD, WORDS, Segment, cell_of, publish
from engine.protocols import ouch
from engine.protocols import soupbintcp as soup
from engine.protocols.layout import WireError

SENT = frozenset({Kind.ORDER_NEW, Kind.ORDER_REPLACE, Kind.ORDER_CANCEL})
WORD = (1 << 64) - 1


class Cut:
    """The journal ends behind record number ``last``."""

    def __init__(self, random: Random, path: Path, first: int, base: int, last: int, orders: dict[int, int]) -> None:
        self.last = last
        self._random, self._path, self._first, self._base, self._orders = random, path, first, base, orders

    def sent(self, content: bytes) -> bytes:
        """What of the bytes that the core has sent in this pass can have been sent by then, or a part of it."""
        splitter, whole = soup.Splitter(), 0
        for packet in splitter.feed(content):
            if packet.type == soup.UNSEQUENCED and self._orders.get(_order_of(packet.payload), 0) > self.last:
                break
            whole += len(soup.encode(packet.type, packet.payload))
        return content[: self._random.choice([whole, self._random.randint(0, whole)])]

    def apply(self, snapshots: Path) -> None:
        """Takes away what was never written; whatever was made of it later was not made either."""
        segment = Segment(self._path, writable=True)
        count = self.last - self._base
        segment.truncate(count)
        if count < segment.capacity and self._random.random() < 0.5:
            for word in range(self._random.randrange(WORDS)):
                segment.cells[cell_of(count), word] = np.uint64(self._random.randint(0, WORD))
        published = self._random.randint(max(self._first - self._base, 0), count)
        publish(segment.header, COMMITTED_WORD, self._random.choice([count, published]))
        for path in snapshots.glob("*.snapshot"):
            if int(path.stem.rpartition("-")[2]) > self.last:
                path.unlink()


class Crash:
    def __init__(self, random: Random) -> None:
        self._random = random

    def choose(self, writer: Writer, first: int) -> Cut:
        """Where it happens, of a pass that has written the records behind number ``first``."""
        base = writer.first - 1  # of what segments were before nothing is taken away
        last = self._random.randint(max(first, base), writer.last)
        return Cut(self._random, writer.segment.path, first, base, last, _orders(writer.directory, first))


def _orders(journal: Path, first: int) -> dict[int, int]:
    """The newest record behind number ``first`` that each order id was sent by."""
    reader, walk, found, position = Reader(journal), Walk(SENT), {}, first
    while len(records := reader.read(position)):
        for row in walk.rows(records).tolist():
            found[int(records[row]["order_id"])] = position + row + 1
        position += len(records)
    return found


def _order_of(payload: bytes) -> int:
    try:
        message = ouch.decode_inbound(payload)
    except WireError:
        return 0
    return int(getattr(message, "user_ref_num", 0))
