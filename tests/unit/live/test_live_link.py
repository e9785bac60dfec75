"""The link ships every record once, in order, whatever happens to the connection."""

from typing import Any

import pytest
from live_world import blobs, manifest, new_pipeline, opened, record, wanted

from engine.core.events import Kind, TradingStatus
from engine.errors import BadInput
from engine.live.journal import Reader
from engine.live.link import EMPTY_BATCH_NS, HEARTBEAT_NS, SILENCE_NS, WINDOW, BatchSource, Link, LinkState
from engine.messages import (
    Acknowledge,
    Deployed,
    Desired,
    Heartbeat,
    Hello,
    Refused,
    ReportBatch,
    Welcome,
    decode_up,
    encode,
    payload_hash,
)

QUIET = record(Kind.STATUS, 1, code=TradingStatus.TRADING)  # makes no report


class World:
    def __init__(self, folder: Any) -> None:
        self.folder = folder
        self.pipeline = new_pipeline(folder)
        self.now = 1_000_000_000_000
        self.link = self.restarted()

    def restarted(self) -> Link:
        """The link of an agent that has just started."""
        self.source = BatchSource(lambda: Reader(self.folder))
        hello = Hello("sim-1", self.source.reader.journal, "b", 1, "SIM")
        self.link = Link(hello, self.source, self.heartbeat)
        return self.link

    def heartbeat(self, revision: int) -> Heartbeat:
        return Heartbeat(revision, True, 20130102, "open", 0, 0, True, self.source.reader.last, 0, [])

    def down(self, message: Any) -> list[Any]:
        return [decode_up(frame) for frame in self.link.receive(encode(message), self.now)]

    def wait(self, ns: int) -> list[Any]:
        self.now += ns
        return [decode_up(frame) for frame in self.link.on_time(self.now)]

    def welcomed(self, committed: int = 0) -> list[ReportBatch]:
        self.link.connected(self.now)
        return batches(self.down(Welcome("sim-1", committed)))

    def trade(self, shares: int) -> None:
        (order,) = wanted(self.pipeline, shares)
        order_id, qty = int(order["order_id"]), int(order["qty"])
        fill = record(Kind.EXECUTION, 0, order_id=order_id, price=100_200, qty=qty, ref=1_000 + order_id)
        self.pipeline.take(fill)

    def acknowledge(self, last: int) -> list[Any]:
        return self.down(Acknowledge(self.source.reader.journal, last))


def batches(messages: list[Any]) -> list[ReportBatch]:
    return [message for message in messages if isinstance(message, ReportBatch)]


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "journal")
    blobs(world.pipeline)
    opened(world.pipeline)
    return world


def test_hello_comes_first_and_nothing_else_before_the_welcome(world):
    world.trade(100)
    (hello,) = [decode_up(frame) for frame in world.link.connected(world.now)]
    assert isinstance(hello, Hello)
    assert world.wait(HEARTBEAT_NS) == []


def test_batches_join_without_a_gap_and_carry_the_hash_of_their_reports(world):
    sent = world.welcomed()
    for shares in (100, 200, 300):
        world.trade(shares)
        sent += batches(world.wait(1))
    assert [batch.first for batch in sent] == [0] + [batch.last for batch in sent[:-1]]
    assert sent[-1].last == world.pipeline.writer.last
    assert all(batch.payload_hash == payload_hash(batch.reports) for batch in sent)


def test_what_was_not_committed_is_cut_again_after_a_reconnect_with_the_same_reports(world):
    world.trade(100)
    (first,) = world.welcomed()
    world.link.lost()
    (again,) = world.welcomed(committed=0)
    assert (again.first, again.last, again.payload_hash) == (first.first, first.last, first.payload_hash)


def test_a_restarted_agent_goes_on_from_what_is_committed_and_still_knows_the_orders(world):
    world.trade(100)
    (first,) = world.welcomed()
    world.trade(250)
    world.restarted()
    (second,) = world.welcomed(committed=first.last)
    assert second.first == first.last
    fills = [report for report in second.reports if type(report).__name__ == "FillReport"]
    assert [(fill.qty, fill.deployment, fill.symbol, fill.trade_date) for fill in fills] == [
        (150, "d-1", "KO", 20130102)
    ]


def test_an_acknowledgement_that_was_lost_is_made_up_for_by_the_welcome(world):
    world.trade(100)
    (first,) = world.welcomed()
    world.link.lost()
    assert world.welcomed(committed=first.last) == []


def test_only_so_many_batches_are_on_the_way(world):
    world.welcomed()
    sent = []
    for shares in range(100, 100 + 2 * WINDOW):
        world.trade(shares)
        sent += batches(world.wait(1))
    assert len(sent) == WINDOW - 1  # one more was sent with the welcome
    assert batches(world.acknowledge(sent[-1].last))[-1].last == world.pipeline.writer.last


def test_records_without_reports_are_committed_after_a_while(world):
    (first,) = world.welcomed()
    world.pipeline.take(QUIET)
    assert batches(world.wait(1)) == []
    (batch,) = batches(world.wait(EMPTY_BATCH_NS))
    assert (batch.first, batch.last) == (first.last, world.pipeline.writer.last)


def test_a_held_back_batch_goes_out_with_the_next_reports(world):
    (first,) = world.welcomed()
    world.pipeline.take(QUIET)
    assert batches(world.wait(1)) == []
    world.trade(100)
    (batch,) = batches(world.wait(1))
    assert (batch.first, batch.last) == (first.last, world.pipeline.writer.last)


def test_heartbeats_go_out_each_half_second_with_the_revision_heard_of(world):
    world.welcomed()
    world.down(Desired(7, [Deployed(manifest(), "running")]))
    assert [type(message) for message in world.wait(HEARTBEAT_NS // 2)] == []
    (beat,) = world.wait(HEARTBEAT_NS // 2)
    assert beat.revision == 7
    assert world.link.deployments()[0].desired == "running"


def test_a_fatal_refusal_ends_the_link_and_names_the_reason(world):
    world.link.connected(world.now)
    world.down(Refused("wrong_node", "the token is another node's", fatal=True))
    assert world.link.state is LinkState.REFUSED
    assert world.link.refusal.reason == "the token is another node's"


def test_a_refused_batch_is_an_incident_and_the_link_begins_again(world):
    world.welcomed()
    world.down(Refused("gap", "expected 3"))
    assert world.link.state is LinkState.DOWN
    assert [incident.code for incident in world.link.incidents] == ["gap"]


def test_a_silent_control_plane_counts_as_a_dead_connection(world):
    world.welcomed()
    assert not world.link.silent(world.now)
    assert world.link.silent(world.now + SILENCE_NS + 1)


def test_a_control_plane_that_has_more_than_the_journal_is_an_error(world):
    with pytest.raises(BadInput, match="journal_behind"):
        world.welcomed(committed=world.pipeline.writer.last + 1)
