from random import Random

import pytest

from engine.live.journal import JournalFull, Writer
from engine.live.segment import BLOCK_BYTES, HEADER_BYTES
from engine.virtual.agenda import Agenda
from engine.virtual.disk import VirtualDisk

SEGMENT = HEADER_BYTES + BLOCK_BYTES


def test_a_journal_on_a_full_disk_goes_on_once_there_is_room(tmp_path):
    disk = VirtualDisk(Agenda(), Random(1), 0, lambda stall: None)
    writer = Writer.create(tmp_path / "journal", segment_bytes=SEGMENT, disk=disk)
    writer.begin_segment()  # takes the spare; the next one is made while there is room
    disk.full = True
    writer.begin_segment()
    assert not writer.spare_ready()
    with pytest.raises(JournalFull):
        writer.begin_segment()
    disk.full = False
    assert writer.spare_ready()
    writer.begin_segment()
    writer.close()
    assert disk.refusals == 2  # when it was to be made ahead, and when it was needed


def test_a_writer_that_needs_a_segment_before_it_is_made_waits_for_the_rest_of_its_time(tmp_path):
    agenda, stalls = Agenda(), []
    disk = VirtualDisk(agenda, Random(1), 1_000_000, stalls.append)
    writer = Writer.create(tmp_path / "journal", segment_bytes=SEGMENT, disk=disk)
    first = stalls.pop()  # the journal's first segment is waited for
    assert first > 0
    agenda.run(agenda.now + 1_000_000_000)
    writer.begin_segment()
    assert stalls == []  # made long ago
    writer.begin_segment()
    assert len(stalls) == 1
    writer.close()
