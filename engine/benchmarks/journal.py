"""Appending to the journal on a disk, and reading it back, against a plain Python writer of the same records.

*Appended* is what the live core does with each input: `segment.append` of one record, checksummed and visible to other
processes at once, from a compiled loop; `Writer.make_room` goes on to the next segment, of the live core's size, which
the writer's own thread makes ahead. That thread runs within the measured time, on another CPU. *Batch* appends 256
records a call. *Verify* is the reader's pass over all checksums, files mapped anew, pages in memory.

The peer does the same work a record, 64 bytes and a running checksum (`zlib.crc32`), through a buffered file. It is the
kinder comparison for the peer: a reader or a crash sees nothing of its last megabyte. *Plain write* is the other bound:
`ndarray.tofile` of whole megabytes, without checksums. Nobody calls fsync: a journal survives its process, not its
host. Files are removed; they are never larger than ``--records`` of 68.3 bytes and two segments.
"""

import argparse
import os
import statistics
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from engine.benchmarks.surroundings import commit, file_system, machine
from engine.core.compiled import njit
from engine.core.events import EVENT, EVENT_BYTES, Kind
from engine.core.state import OUTPUTS
from engine.errors import BadInput
from engine.live.journal import SEGMENT_BYTES, Reader, Writer, words_of
from engine.live.segment import append, capacity_of

IN_MEMORY = ("tmpfs", "ramfs", "hugetlbfs")
RECORDS = 1 << 16  # different records, appended over and over
BATCH = 256
PEER_RECORDS = 500_000
BUFFER_BYTES = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, help="where on a disk (default: HELIOGRAPH_VAR, or var)")
    parser.add_argument("--records", type=int, default=4_000_000, help="records a round; several segments")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, of which the median counts")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    folder = arguments.folder or Path(os.environ.get("HELIOGRAPH_VAR", "var"))
    segments = -(-arguments.records // capacity_of(SEGMENT_BYTES))
    if segments < 2:
        raise BadInput("records", "records", arguments.records, f"more than {capacity_of(SEGMENT_BYTES)}: two segments")
    kind = _disk(folder)
    records = _records()
    with tempfile.TemporaryDirectory(prefix="bench-journal-", dir=folder) as scratch:
        _journal(Path(scratch), records, 2 * BATCH, BATCH)  # compiles, or loads what is compiled
        rounds = [_round(Path(scratch), records, arguments.records) for _ in range(max(arguments.rounds, 1))]
    rates = {name: round(statistics.median(one[name] for one in rounds)) for name in rounds[0]}
    return {
        "bench": "journal",
        "ok": all(one["verified"] == arguments.records for one in rounds),
        "ours": rates["appended"],
        "peer": rates["peer"],
        "ratio": round(rates["appended"] / rates["peer"], 2),
        "unit": "events/s",
        "n": arguments.records,
        "commit": commit(),
        "machine": machine(),
        "file_system": kind,
        "events_per_s": rates["appended"],
        "batch_events_per_s": rates["batch"],
        "verify_events_per_s": rates["verify"],
        "plain_write_events_per_s": rates["plain"],
        "segments": segments,
        "events_per_s_of_runs": [round(one["appended"]) for one in rounds],
    }


def _disk(folder: Path) -> str:
    """The folder's file system. Raises BadInput for one that no disk is behind, or a folder that cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput("unwritable", "folder", folder, f"a folder that can be made ({error.strerror})") from error
    kind = file_system(folder)
    if kind in IN_MEMORY:
        raise BadInput("not_on_disk", "folder", f"{folder} ({kind})", "a folder on a disk: --folder or HELIOGRAPH_VAR")
    return kind


def _records() -> np.ndarray:
    """EVENT[RECORDS] of a feed of added orders."""
    draw, records = np.random.default_rng(7), np.zeros(RECORDS, EVENT)
    records["ts_event"] = records["ts_recv"] = np.arange(RECORDS) * 1_000
    records["kind"], records["order_id"] = Kind.ADD, np.arange(1, RECORDS + 1)
    for name, most in (("instrument", 500), ("price", 2_000_000), ("qty", 1_000)):
        records[name] = draw.integers(1, most, RECORDS)
    return records


def _round(scratch: Path, records: np.ndarray, count: int) -> dict[str, float]:
    """Records a second of everything that is measured, and how many verified."""
    batch, _, _ = _journal(scratch, records, count, BATCH)
    appended, verify, verified = _journal(scratch, records, count, 1)
    peer, plain = _peer(scratch / "peer", records), _plain(scratch / "plain", records, count)
    return {
        "appended": appended,
        "batch": batch,
        "verify": verify,
        "verified": verified,
        "peer": peer,
        "plain": plain,
    }


def _journal(scratch: Path, records: np.ndarray, count: int, at_once: int) -> tuple[float, float, int]:
    """(records a second appended, verified, how many verified) of a new journal, which is removed."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        writer, words, written = Writer.create(Path(folder)), words_of(records), 0
        started = time.perf_counter()
        while written < count:
            writer.make_room(1 + OUTPUTS)
            segment = writer.segment
            stop = written + min(RECORDS, count - written)
            written = append_all(
                segment.header, segment.cells, segment.checksums, writer.cursor[0], words, written, stop, at_once
            )
        appended = count / (time.perf_counter() - started)
        reader = Reader(Path(folder))
        started = time.perf_counter()
        verified = reader.verify()
        verify = count / (time.perf_counter() - started)
        writer.close()
    return appended, verify, verified


@njit(cache=True, nogil=True)
def append_all(header, cells, checksums, cursor, words, start, stop, at_once):
    """Appends records number ``start`` .. ``stop`` of an endless repetition of ``words``, ``at_once`` a call, while the
    segment has the room that the live core wants; the number of the first that is not appended."""
    while start < stop and cursor.capacity - cursor.count >= 1 + OUTPUTS:
        count = min(at_once, stop - start)
        append(header, cells, checksums, cursor, words, start % (len(words) - at_once + 1), count)
        start += count
    return start


def _peer(path: Path, records: np.ndarray) -> float:
    cells = [record.tobytes() for record in records.view(f"V{EVENT_BYTES}")]
    crc, started = 0, time.perf_counter()
    with open(path, "wb", buffering=BUFFER_BYTES) as file:
        for number in range(PEER_RECORDS):
            cell = cells[number % RECORDS]
            crc = zlib.crc32(cell, crc)
            file.write(cell)
            file.write(crc.to_bytes(4, "little"))
    seconds = time.perf_counter() - started
    path.unlink()
    return PEER_RECORDS / seconds


def _plain(path: Path, records: np.ndarray, count: int) -> float:
    started = time.perf_counter()
    with open(path, "wb") as file:
        for start in range(0, count, RECORDS):
            records[: count - start].tofile(file)
    seconds = time.perf_counter() - started
    path.unlink()
    return count / seconds
