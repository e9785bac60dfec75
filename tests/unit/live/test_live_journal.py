"""The journal keeps what was appended, in order, and recovers the whole records before a torn end."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from engine.core.engine import blob, blob_cells
from engine.core.events import EVENT, BlobType, Kind
from engine.errors import BadInput
from engine.live import crc32c as checksum_module
from engine.live.crc32c import crc32c
from engine.live.journal import JournalDamaged, JournalFull, Reader, Writer
from engine.live.segment import BLOCK_BYTES, HEADER_BYTES

SMALL = HEADER_BYTES + 8 * BLOCK_BYTES  # 120 records


def events(first: int, count: int) -> np.ndarray:
    records = np.zeros(count, EVENT)
    records["kind"] = Kind.TIMER
    records["strategy"] = -1  # no record ends in zeros, which a cut file would get back when it is made long again
    records["ts_recv"] = records["deadline"] = np.arange(first, first + count)
    return records


def read_all(directory: Path) -> np.ndarray:
    reader, parts, after = Reader(directory), [np.empty(0, EVENT)], 0
    while len(part := reader.read(after, 50)):
        parts.append(part)
        after += len(part)
    return np.concatenate([part.view("V64") for part in parts]).view(EVENT)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c_equals_the_vectors_of_rfc_3720_appendix_b4(content, expected):
    assert crc32c(content) == expected


def test_crc32c_by_table_equals_the_processors_instruction():
    words = np.frombuffer(bytes(range(32)), np.uint64)
    crc = np.uint64(0xFFFFFFFF)
    for word in words:
        crc = checksum_module._word_by_table(crc, word)
    assert int(crc) ^ 0xFFFFFFFF == 0x46DD794E


def test_records_come_back_in_order_over_segments_and_reopening(tmp_path):
    writer = Writer.create(tmp_path, segment_bytes=SMALL)
    for first in range(1, 301, 7):
        writer.append(events(first, 7))
    last, journal = writer.last, writer.journal
    writer.close()
    writer = Writer.open(tmp_path, segment_bytes=SMALL)
    assert (writer.last, writer.journal) == (last, journal)
    writer.append(events(last + 1, 3))
    got = read_all(tmp_path)
    assert got["deadline"].tolist() == list(range(1, last + 4))
    assert len(Reader(tmp_path).origins) == 3


def test_what_is_appended_together_never_straddles_segments(tmp_path):
    writer = Writer.create(tmp_path, segment_bytes=SMALL)
    writer.append(events(1, 100))
    writer.append(events(101, 60))
    assert [origin.first for origin in Reader(tmp_path).origins] == [1, 101]


def test_more_than_a_segment_holds_is_refused_and_writes_nothing(tmp_path):
    writer = Writer.create(tmp_path, segment_bytes=SMALL)
    with pytest.raises(BadInput, match="at most 120"):
        writer.append(events(1, 121))
    assert writer.last == 0


def test_creating_over_a_journal_is_refused(tmp_path):
    Writer.create(tmp_path, segment_bytes=SMALL)
    with pytest.raises(BadInput, match="journal_exists"):
        Writer.create(tmp_path, segment_bytes=SMALL)


def written(tmp_path: Path) -> tuple[bytes, int]:
    """Bytes of a journal of 75 records, and where its last record's bytes end in the file."""
    writer = Writer.create(tmp_path / "written", segment_bytes=SMALL)
    for first in range(1, 76, 5):
        writer.append(events(first, 5))
    writer.close()
    return (tmp_path / "written" / "000001.seg").read_bytes(), HEADER_BYTES + 5 * BLOCK_BYTES


def recovered(tmp_path: Path, content: bytes) -> tuple[list[int], int]:
    """What a reopened journal has of ``content``, and how many records; that it can be written on is checked too."""
    directory = tmp_path / "torn"
    directory.mkdir(exist_ok=True)
    for leftover in directory.iterdir():
        leftover.unlink()
    (directory / "000001.seg").write_bytes(content)
    writer = Writer.open(directory, segment_bytes=SMALL)
    kept = writer.last
    writer.append(events(1001, 2))
    writer.close()
    numbers = read_all(directory)["deadline"].tolist()
    assert numbers[kept:] == [1001, 1002]
    return numbers[:kept], kept


def test_a_file_cut_at_every_byte_of_its_tail_gives_back_whole_records(tmp_path):
    content, end = written(tmp_path)
    for cut in range(HEADER_BYTES, end):
        numbers, kept = recovered(tmp_path, content[:cut])
        block, inside = divmod(cut - HEADER_BYTES, BLOCK_BYTES)
        assert kept == block * 15 + max(inside // 64 - 1, 0)
        assert numbers == list(range(1, kept + 1))


def test_one_bit_flipped_at_every_byte_of_the_tail_drops_from_the_record_it_hit(tmp_path):
    content, end = written(tmp_path)
    for place in range(HEADER_BYTES, end):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        numbers, kept = recovered(tmp_path, bytes(damaged))
        block, inside = divmod(place - HEADER_BYTES, BLOCK_BYTES)
        record = block * 15 + (inside // 64 - 1 if inside >= 64 else inside // 4 - 1)
        # the block's mark is no part of any record, and damages none
        assert kept == (75 if inside < 4 else record)
        assert numbers == list(range(1, kept + 1))


def test_a_blob_without_all_its_cells_is_dropped_whole(tmp_path):
    payload = bytes(range(200))
    writer = Writer.create(tmp_path, segment_bytes=SMALL)
    writer.append(events(1, 10))
    header = blob(BlobType.PARAMETERS, payload, strategy=0, ts=0)
    cells = blob_cells(payload).reshape(-1).view(EVENT)
    writer.append(np.concatenate([header.view("V64"), cells.view("V64")]).view(EVENT))
    writer.close()
    path = tmp_path / "000001.seg"
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + 64 * (1 + 13) + 5] ^= 4  # the third of four cells: record 14
    path.write_bytes(content)
    assert Writer.open(tmp_path, segment_bytes=SMALL).last == 10


def test_a_torn_new_segment_is_set_aside_and_the_one_before_goes_on(tmp_path):
    writer = Writer.create(tmp_path, segment_bytes=SMALL)
    writer.append(events(1, 120))
    writer.append(events(121, 1))
    writer.close()
    (tmp_path / "000002.seg").write_bytes(bytes(SMALL))
    writer = Writer.open(tmp_path, segment_bytes=SMALL)
    assert writer.last == 120
    writer.append(events(121, 4))
    assert read_all(tmp_path)["deadline"].tolist() == list(range(1, 125))
    assert (tmp_path / "000002.torn").exists()


def test_damage_before_the_end_is_an_error_that_names_the_segment(tmp_path):
    writer = Writer.create(tmp_path, segment_bytes=SMALL)
    writer.append(events(1, 120))
    writer.append(events(121, 5))
    writer.close()
    path = tmp_path / "000001.seg"
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(JournalDamaged, match="000001.seg: record 2"):
        read_all(tmp_path)


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """The operating system refuses to make a file longer, as it does on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_without_room_for_the_next_segment_the_writer_says_so_and_fills_the_one_it_has(tmp_path):
    writer = Writer.create(tmp_path, segment_bytes=SMALL)
    assert writer.spare_ready()
    with no_file_longer_than(SMALL - 1):
        writer.append(events(1, 120))
        writer.append(events(121, 1))  # the segment that was made ahead
        assert not writer.spare_ready()
        writer.append(events(122, 119))
        with pytest.raises(JournalFull, match="no room for a segment"):
            writer.append(events(241, 1))
    assert writer.last == 240
    assert writer.spare_ready()
    writer.append(events(241, 1))
    assert read_all(tmp_path)["deadline"].tolist() == list(range(1, 242))


def test_opening_without_room_to_complete_the_last_segment_leaves_it_as_it_is(tmp_path):
    content, end = written(tmp_path)
    directory = tmp_path / "cut"
    directory.mkdir()
    (directory / "000001.seg").write_bytes(content[:end])
    with no_file_longer_than(SMALL - 1), pytest.raises(JournalFull, match="no room for a segment"):
        Writer.open(directory, segment_bytes=SMALL)
    assert (directory / "000001.seg").read_bytes() == content[:end]


def test_a_file_left_by_a_segment_that_was_never_taken_does_not_come_into_the_journal(tmp_path):
    (tmp_path / "next").write_bytes(b"\xff" * (SMALL + 4096))
    writer = Writer.create(tmp_path, segment_bytes=SMALL)
    writer.append(events(1, 2))
    writer.close()
    assert (tmp_path / "000001.seg").stat().st_size == SMALL
    assert Writer.open(tmp_path, segment_bytes=SMALL).last == 2


def test_verifying_counts_the_records_before_the_first_that_does_not_hold(tmp_path):
    writer = Writer.create(tmp_path, segment_bytes=SMALL)
    writer.append(events(1, 120))
    writer.append(events(121, 20))
    writer.close()
    assert Reader(tmp_path).verify() == 140
    path = tmp_path / "000002.seg"
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + 64 * (1 + 7)] ^= 1
    path.write_bytes(content)
    assert Reader(tmp_path).verify() == 127


def test_a_reader_follows_a_writer_in_another_process(tmp_path):
    directory = tmp_path / "followed"
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]);"
        "from test_live_journal import *;"
        "w = Writer.create(Path(sys.argv[1]), segment_bytes=SMALL)\n"
        "for first in range(1, 2001, 4): w.append(events(first, 4))"
    )
    command = [sys.executable, "-c", script, str(directory), str(Path(__file__).parent)]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": "."})
    got: list[int] = []
    reader = None
    give_up = time.monotonic() + 60
    while len(got) < 2000 and time.monotonic() < give_up:
        if reader is None:
            reader = Reader(directory) if (directory / "000001.seg").exists() else None
            continue
        got += reader.read(len(got), 100)["deadline"].tolist()
    assert child.wait() == 0
    assert got == list(range(1, 2001))
