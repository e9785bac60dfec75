"""Journal, snapshot and replay bring back the very state that was lost, and say where they cannot."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from live_world import SEGMENT, blobs, load, new_pipeline, opened, record, wanted

from engine.core.engine import FIRM, Engine, blob
from engine.core.events import EVENT, BlobType, Kind
from engine.errors import BadInput
from engine.live import recovery
from engine.live.journal import Reader, Writer
from engine.live.pipeline import Pipeline
from engine.live.recovery import BuildDiffers, InputState, Snapshot, new_inputs, recover, write_snapshot
from engine.live.segment import HEADER_BYTES, cell_of


def inputs(**first: int) -> list[InputState]:
    return [InputState(**first), *new_inputs()[1:]]


def traded(folder: Path) -> Pipeline:
    """A session with two orders, of which the first is filled in part and the second waits."""
    pipeline = new_pipeline(folder)
    blobs(pipeline)
    opened(pipeline)
    (order,) = wanted(pipeline, 500)
    pipeline.take(record(Kind.ACCEPTED, 0, order_id=int(order["order_id"]), price=100_200, qty=500, sequence=1))
    fill = record(Kind.EXECUTION, 0, order_id=int(order["order_id"]), price=100_200, qty=300, ref=77, sequence=2)
    pipeline.take(fill)
    return pipeline


def recovered(folder: Path) -> tuple[Engine, recovery.Recovered]:
    engine = Engine(load)
    return engine, recover(engine, Reader(folder), folder.parent / "snapshots")


def test_replay_of_the_whole_journal_gives_the_same_state(tmp_path):
    pipeline = traded(tmp_path / "journal")
    engine, result = recovered(tmp_path / "journal")
    assert engine.state_hash() == pipeline.engine.state_hash()
    assert result.from_snapshot == 0
    assert result.inputs[0].order_sequence == 2
    assert int(engine.state["positions"][0][0]["position"]) == 300


def test_a_snapshot_and_what_came_after_give_the_same_state(tmp_path):
    pipeline = traded(tmp_path / "journal")
    at = pipeline.writer.last
    snapshot = Snapshot(
        pipeline.writer.journal, at, recovery.engine_build(), inputs(order_sequence=2), pipeline.engine.snapshot()
    )
    write_snapshot(tmp_path / "snapshots", snapshot)
    pipeline.take(record(Kind.EXECUTION, 0, order_id=1, price=100_200, qty=200, ref=78, sequence=3))
    engine, result = recovered(tmp_path / "journal")
    assert engine.state_hash() == pipeline.engine.state_hash()
    assert (result.from_snapshot, result.inputs[0].order_sequence) == (at, 3)


def test_a_snapshot_of_another_build_is_not_used(tmp_path):
    pipeline = traded(tmp_path / "journal")
    snapshot = Snapshot(pipeline.writer.journal, pipeline.writer.last, "other", inputs(), b"nonsense")
    write_snapshot(tmp_path / "snapshots", snapshot)
    engine, result = recovered(tmp_path / "journal")
    assert result.from_snapshot == 0
    assert engine.state_hash() == pipeline.engine.state_hash()


def test_a_damaged_snapshot_is_passed_over(tmp_path):
    pipeline = traded(tmp_path / "journal")
    path = write_snapshot(
        tmp_path / "snapshots",
        Snapshot(pipeline.writer.journal, 5, recovery.engine_build(), inputs(), pipeline.engine.snapshot()),
    )
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert recovered(tmp_path / "journal")[1].from_snapshot == 0


def test_outputs_that_a_torn_end_took_are_made_again_and_appended(tmp_path):
    pipeline = traded(tmp_path / "journal")
    whole = Reader(tmp_path / "journal").read(0)
    last_input = int(np.flatnonzero(whole["kind"] == Kind.EXECUTION)[-1])
    pipeline.writer.close()
    path = tmp_path / "journal" / "000001.seg"
    content = path.read_bytes()
    for lost_from in range(last_input + 1, len(whole)):
        shutil.rmtree(tmp_path / "torn", ignore_errors=True)
        (tmp_path / "torn").mkdir()
        damaged = bytearray(content)
        damaged[HEADER_BYTES + 64 * cell_of(lost_from) + 30] ^= 16
        (tmp_path / "torn" / "000001.seg").write_bytes(damaged)
        writer = Writer.open(tmp_path / "torn", segment_bytes=SEGMENT)
        assert writer.last == lost_from
        engine, result = recovered(tmp_path / "torn")
        writer.append(result.missing)
        assert Reader(tmp_path / "torn").read(0).tobytes() == whole.tobytes()
        assert engine.state_hash() == pipeline.engine.state_hash()


def test_a_journal_that_this_build_does_not_make_again_is_refused_by_record(tmp_path):
    pipeline = traded(tmp_path / "journal")
    records = Reader(tmp_path / "journal").read(0)
    order = int(np.flatnonzero(records["kind"] == Kind.ORDER_NEW)[-1])  # cells of blobs come before it
    records[order]["price"] += 100  # what another build might have decided
    Writer.create(tmp_path / "other", segment_bytes=SEGMENT).append(records)
    with pytest.raises(BuildDiffers) as refused:
        recovered(tmp_path / "other")
    assert f"record {order + 1} (ORDER_NEW)" in str(refused.value)
    assert pipeline.writer.last == len(records)


def test_a_blob_that_was_refused_is_refused_again(tmp_path):
    pipeline = traded(tmp_path / "journal")
    payload = json.dumps(["OTHER"]).encode()
    with pytest.raises(BadInput):
        pipeline.take_blob(blob(BlobType.INSTRUMENTS, payload, strategy=FIRM, ts=0), payload)
    pipeline.take(record(Kind.TIMER))
    engine, _ = recovered(tmp_path / "journal")
    assert engine.state_hash() == pipeline.engine.state_hash()


def test_the_feeds_place_is_the_newest_packet_and_the_events_of_it_that_were_journaled(tmp_path):
    pipeline = traded(tmp_path / "journal")
    pipeline.take(record(Kind.STALE, date=20130102, sequence=41))
    pipeline.take(record(Kind.ADD, 0, 1, order_id=10, price=99_900, qty=1))
    pipeline.take(record(Kind.STALE))
    pipeline.take(record(Kind.DELETE, 0, order_id=10))
    _, result = recovered(tmp_path / "journal")
    inputs = result.inputs[0]
    assert (inputs.feed_date, inputs.feed_sequence, inputs.feed_events) == (20130102, 41, 2)


def test_an_input_that_does_not_fit_the_segment_goes_to_the_next_with_all_that_it_causes(tmp_path):
    pipeline = new_pipeline(tmp_path / "journal")
    blobs(pipeline)
    opened(pipeline)
    many = np.zeros(60_000, EVENT)
    many["kind"], many["instrument"], many["price"] = Kind.STATUS, 0, 0
    many["code"] = 3
    pipeline.take(many)
    assert len(Reader(tmp_path / "journal").origins) > 1
    engine, result = recovered(tmp_path / "journal")
    assert result.replayed == pipeline.writer.last
    assert engine.state_hash() == pipeline.engine.state_hash()
