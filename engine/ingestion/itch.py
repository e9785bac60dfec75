"""ITCH 5.0 BinaryFILEs into rows of ``event``: every message that changes a book, prints or has a status.

The file has no date, so whoever imports says it. Decoding is the engine's own (``protocols.itch_events``); ``seq``
counts the events, a symbol's instrument is its place in the file's directory.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.core.events import EVENT
from engine.errors import BadInput
from engine.history.tables import event_rows
from engine.ingestion.rows import Batch
from engine.protocols import binaryfile
from engine.protocols.feed import counters, new_feed, new_locate_map, set_date, symbol_keys
from engine.protocols.itch_events import decode_whole

EVENTS = 65_536
DIRECTORY = ord("R")
STOCK = slice(11, 19)
FAULTS = ("unknown_type", "wrong_length", "truncated", "bad_field")


def read(content: NDArray[np.uint8], day: int) -> Iterator[Batch]:
    """Batches of events of the day (yyyymmdd, in New York). Raises ``BadInput`` for a file that is no ITCH."""
    names = sorted(
        {bytes(m[STOCK]).decode("latin-1").rstrip() for m in binaryfile.messages(content) if m[0] == DIRECTORY}
    )
    if not names:
        raise BadInput("no_directory", "file", "no Stock Directory message", "an ITCH 5.0 BinaryFILE")
    feed, locates, symbols = new_feed(), new_locate_map(), symbol_keys(names)
    set_date(feed, day)
    events, at, seq = np.zeros(EVENTS, EVENT), 0, 1
    while at < len(content):
        count = int(decode_whole(content, at, len(content), feed, locates, symbols, events))
        if count:
            found = events[:count].copy()
            found["ts_recv"] = found["ts_event"]  # nobody received it: it arrives when it happened
            yield "event", event_rows(found, names, seq)
            seq += count
        if int(feed["position"]) == at:
            break
        at = int(feed["position"])
    counted = counters(feed)
    refused = {name: counted[name] for name in FAULTS if counted[name]}
    if refused:
        raise BadInput("bad_messages", "file", refused, "messages as ITCH 5.0 has them")
