"""From a journal back to the state it describes: newest snapshot of this build, then replay, sends suppressed.

A snapshot of another build is not used: the whole journal is replayed by this build instead. When it makes
every record again, the state is what this build would have come to itself, and the journal goes on (a new
segment's header names the new build). When it does not, the code's decisions have changed under open
positions: a new journal carries on from the old one, see ``engine.live.carry_over``.
"""

import hashlib
import json
import zlib
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np

from engine import engine_build
from engine.core.capacities import MARKETS
from engine.core.compiled import njit
from engine.core.engine import Engine
from engine.core.events import EVENT_BYTES, Kind, Stale
from engine.errors import BadInput
from engine.files import replace_file
from engine.live.journal import Reader
from engine.live.pipeline import Replay

SNAPSHOTS_KEPT = 2
BLOB, STALE, SESSION, BAR = int(Kind.BLOB), int(Kind.STALE), int(Kind.SESSION), int(Kind.BAR)
FIRST_REPORT, ORDER_SESSION = int(Kind.ACCEPTED), int(Kind.ORDER_SESSION)
FIRST_OUTPUT, FORGET = int(Kind.ORDER_NEW), int(Stale.FORGET)


class BuildDiffers(BadInput):
    """This build does not make the journal's records again."""


@dataclass
class InputState:
    """Where the venue's streams stand: what a restarted core asks for next."""

    feed_date: int = 0
    feed_sequence: int = 1  # of the packet that was journaled last
    feed_events: int = 0  # market data events of that packet in the journal
    forgotten: bool = (
        False  # the books of that point were given up for a snapshot, which the journal has in part at most
    )
    session_date: int = 0  # of the newest SESSION event
    session_code: int = 0
    order_sequence: int = 0  # last sequenced message of the order session
    unanswered_queries: int = 0


@dataclass(frozen=True)
class Snapshot:
    journal: str
    record: int
    build: str
    inputs: list[InputState]  # by venue
    state: bytes


def new_inputs() -> list[InputState]:
    """Of each venue that there can be: nothing was taken yet."""
    return [InputState() for _ in range(MARKETS)]


_PLACES = np.dtype([(one.name, "<i8") for one in fields(InputState)])


class InputTracker:
    """Follows the inputs that name places in the venues' streams; ``states`` by venue."""

    def __init__(self, states: list[InputState]) -> None:
        self._places, self._pending = np.array([astuple(each) for each in states], _PLACES), np.zeros(1, np.int64)

    @property
    def states(self) -> list[InputState]:
        rows = [InputState(*row.tolist()) for row in self._places]
        return [replace(row, forgotten=bool(row.forgotten)) for row in rows]

    def take(self, records: np.ndarray) -> None:
        """Takes the records that follow those taken before."""
        follow_inputs(records, self._pending, self._places)


@njit(cache=True, nogil=True)
def follow_inputs(records, pending, places):
    """``pending[0]`` are cells of a blob that are still to come."""
    for index in range(len(records)):
        record = records[index]
        if pending[0] > 0:
            pending[0] -= 1
        elif record.kind == BLOB:
            pending[0] = -(-record.length // EVENT_BYTES)
        elif record.kind < FIRST_OUTPUT and 0 <= record.venue < len(places):
            _follow(record, places[record.venue])


@njit(cache=True, nogil=True)
def _follow(record, place):
    """A record that names a packet says that all before it was taken; from a FORGET to the next one of those, books are
    being filled from elsewhere, and the place in the feed stands."""
    kind = record.kind
    if kind == STALE and record.code == FORGET:
        place.forgotten = 1
        if record.date != place.feed_date:
            place.feed_date, place.feed_sequence, place.feed_events = record.date, 1, 0
    elif kind == STALE and record.sequence > 0:
        place.feed_date, place.feed_sequence = record.date, record.sequence
        place.feed_events = place.forgotten = 0
    elif kind <= SESSION and kind != BAR:
        if kind == SESSION:
            place.session_date, place.session_code = record.date, record.code
        if not place.forgotten:
            place.feed_events += 1
    elif kind >= FIRST_REPORT:
        place.order_sequence = max(place.order_sequence, record.sequence)
        if kind == ORDER_SESSION:
            place.unanswered_queries = 0 if record.code else record.qty


def write_snapshot(folder: Path, snapshot: Snapshot) -> Path:
    """Writes beside the others under a temporary name, renames, and removes all but the newest ones."""
    folder.mkdir(parents=True, exist_ok=True)
    body = zlib.compress(snapshot.state, 1)
    head = {
        "journal": snapshot.journal,
        "record": snapshot.record,
        "build": snapshot.build,
        "inputs": [asdict(each) for each in snapshot.inputs],
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    path = folder / f"{snapshot.journal}-{snapshot.record:015d}.snapshot"
    replace_file(path, json.dumps(head).encode() + b"\n" + body)
    for old in sorted(folder.glob("*.snapshot"), key=lambda each: each.stat().st_mtime_ns)[:-SNAPSHOTS_KEPT]:
        old.unlink()
    return path


def read_snapshot(path: Path) -> Snapshot | None:
    """None for a file that is damaged."""
    head_line, _, body = path.read_bytes().partition(b"\n")
    try:
        head = json.loads(head_line)
        if hashlib.sha256(body).hexdigest() != head["sha256"]:
            return None
        inputs = [InputState(**each) for each in head["inputs"]]
        return Snapshot(head["journal"], head["record"], head["build"], inputs, zlib.decompress(body))
    except (ValueError, KeyError, TypeError, zlib.error):
        return None


def newest_snapshot(folder: Path, journal: str, last: int) -> Snapshot | None:
    """The newest whole snapshot of this journal and build that is not ahead of the journal."""
    for path in sorted(folder.glob(f"{journal}-*.snapshot"), reverse=True):
        snapshot = read_snapshot(path)
        if snapshot and snapshot.build == engine_build() and snapshot.record <= last:
            return snapshot
    return None


@dataclass(frozen=True)
class Recovered:
    inputs: list[InputState]  # by venue
    replayed: int
    from_snapshot: int  # record of the snapshot, 0 for none
    missing: np.ndarray  # outputs to be appended: the torn end took them


def recover(engine: Engine, reader: Reader, snapshots: Path, *, hung: int = 0) -> Recovered:
    """Brings ``engine`` (new) to where the journal ends; ``hung`` as in ``Replay``.

    Raises JournalDamaged, or BuildDiffers when replay makes other records than the journal holds.
    """
    snapshot = newest_snapshot(snapshots, reader.journal, reader.last)
    start, inputs = 0, new_inputs()
    if snapshot:
        engine.restore(snapshot.state)
        start, inputs = snapshot.record, snapshot.inputs
    replay, tracker, position = Replay(engine, start, hung=hung), InputTracker(inputs), start
    while len(records := reader.read(position, 1 << 20)):
        tracker.take(records)
        if not replay.take(records):
            raise _build_differs(reader, replay)
        position += len(records)
    return Recovered(tracker.states, position - start, start, replay.missing)


def _build_differs(reader: Reader, replay: Replay) -> BuildDiffers:
    assert replay.divergence is not None
    origins = [origin for origin in reader.origins if origin.first <= replay.divergence.record]
    return BuildDiffers(
        "build_differs",
        "journal",
        f"record {replay.divergence.record} ({replay.divergence.kind}) of {reader.directory}",
        f"the record that build {origins[-1].build[:16]} wrote; this is build {engine_build()[:16]}",
    )
