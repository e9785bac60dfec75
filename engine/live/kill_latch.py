"""The latch file: kills that were given while no core could take them. The next core applies them before anything else.

One JSON object a line: a ``KillOrder``. Beside it ``core.hung``: the journal's newest record when a core that did not
answer was ended, and the kind of input that it is. If it was ended inside that input's step, a kernel never came back:
the next start does not call it for that input, tells the journal so (HUNG), and faults the strategy.

And ``second.queries.N``: how many account queries a second order session has sent to venue N. Their answers stand in
the account's stream, and the next core must not take one of them for the answer to its own.
"""

import os
from pathlib import Path

import msgspec
import numpy as np

from engine.core.events import Command, Kind, command_event
from engine.errors import BadInput
from engine.files import replace_file
from engine.live.journal import Reader, Writer
from engine.live.scan import Walk
from engine.messages import KillOrder

LATCH_FILE = "kill.latch"
HUNG_FILE = "core.hung"
QUERIES_FILE = "second.queries"
INPUTS = frozenset(kind for kind in Kind if kind < Kind.ORDER_NEW or kind >= Kind.TIMER) - {Kind.CELL}

_decode = msgspec.json.Decoder(KillOrder).decode


def count_query(folder: Path, venue: int) -> None:
    """One more, before it is sent."""
    count = counted_queries(folder, venue) + 1
    replace_file(folder / f"{QUERIES_FILE}.{venue}", str(count).encode())


def counted_queries(folder: Path, venue: int) -> int:
    """Raises BadInput for a damaged file."""
    path = folder / f"{QUERIES_FILE}.{venue}"
    content = path.read_text() if path.exists() else "0"
    if not content.isdecimal():
        raise BadInput("second_queries", path.name, str(path), "a whole number")
    return int(content)


class Hang(msgspec.Struct, frozen=True):
    """Where the journal ended when the core was ended."""

    journal: str
    record: int
    kind: int  # Kind of that record


def add_to_latch_file(folder: Path, order: KillOrder) -> None:
    """Durable when this returns."""
    content = b"".join(msgspec.json.encode(one) + b"\n" for one in [*read_latch_file(folder), order])
    replace_file(folder / LATCH_FILE, content, durable=True)
    os.chmod(folder / LATCH_FILE, 0o600)


def read_latch_file(folder: Path) -> list[KillOrder]:
    """Raises BadInput for a damaged file: a core that cannot read it must not trade."""
    path = folder / LATCH_FILE
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [_decode(line) for line in lines]
    except msgspec.DecodeError as error:
        raise BadInput("kill_latch", "kill.latch", str(path), f"kills, one JSON object a line ({error})") from error


def forget_no_core(folder: Path) -> None:
    """What was given and sent without a core is journaled."""
    for path in (folder / LATCH_FILE, *folder.glob(f"{QUERIES_FILE}.*")):
        path.unlink(missing_ok=True)


def note_hang(folder: Path, journal: Path) -> Hang | None:
    """Writes down where the journal ends; None without one. The core must not write any more."""
    try:
        reader = Reader(journal)
    except BadInput:
        return None
    kind, position, walk = 0, 0, Walk(frozenset(Kind) - {Kind.BLOB, Kind.CELL})
    while len(records := reader.read(position, 1 << 20)):
        rows = walk.rows(records)
        plain = len(rows) and rows[-1] == len(records) - 1
        kind = int(records[-1]["kind"]) if plain else int(Kind.BLOB)
        position += len(records)
    hang = Hang(reader.journal, position, kind)
    replace_file(folder / HUNG_FILE, msgspec.json.encode(hang), durable=True)
    return hang


def find_hang(folder: Path, writer: Writer) -> Hang | None:
    """The hang that the journal still ends with and does not tell of yet; a note that says nothing more is removed."""
    path = folder / HUNG_FILE
    if not path.exists():
        return None
    hang = msgspec.json.decode(path.read_bytes(), type=Hang)
    if hang.journal == writer.journal and hang.kind in INPUTS and hang.record <= writer.last:
        behind = Reader(writer.directory).read(hang.record)["kind"]
        if ((behind >= Kind.ORDER_NEW) & (behind < Kind.TIMER)).all():
            return hang
    path.unlink()
    return None


def forget_hang(folder: Path) -> None:
    (folder / HUNG_FILE).unlink(missing_ok=True)


def hung_record(kind: int, ts: int) -> np.ndarray:
    event = command_event(ts, Command.HUNG, -1)
    event["argument"] = kind
    return event
