"""Snapshots in the live feed, against a whole simulated exchange: its books are ours, and nothing counts twice."""

from pathlib import Path

import numpy as np
import pytest
from feed_world import DATES, EPOCH, MS, SECOND, Listener, Venue, killed
from live_world import load

from engine.configuration import Account
from engine.core.engine import Engine
from engine.core.events import Flag, Kind, Session, Stale
from engine.live.pipeline import Replay
from engine.protocols import moldudp64

MID = EPOCH + 900 * MS
UP_TO_OPEN = [Session.START_OF_MESSAGES, Session.START_OF_SYSTEM, Session.OPEN]


@pytest.fixture
def venue(tmp_path: Path) -> Venue:
    return Venue(tmp_path / "exchange")


def messages(datagrams: list[bytes]) -> int:
    return sum(moldudp64.decode(datagram).messages for datagram in datagrams)


def phases(listener: Listener) -> list[int]:
    records = listener.records()
    return records[records["kind"] == Kind.SESSION]["code"].tolist()


def check_replay(listener: Listener) -> None:
    engine = Engine(load)
    assert Replay(engine).take(listener.records())
    assert engine.state_hash() == listener.pipeline.engine.state_hash()


def late(venue: Venue, folder: Path, **options) -> tuple[Listener, list[bytes]]:
    """One who hears the session from 0.9 s on; with nothing that was heard in order."""
    listener = Listener(venue, folder, **options)
    venue.until(900 * MS)
    listener.hear(venue.until(950 * MS), MID)
    return listener, []


def gapped(venue: Venue, folder: Path, **options) -> tuple[Listener, list[bytes]]:
    """One who lost what came between 0.5 and 0.55 s, at 0.9 s; with what was heard before."""
    listener = Listener(venue, folder, **options)
    before = venue.until(500 * MS)
    assert messages(venue.until(550 * MS))
    listener.hear(before + venue.until(900 * MS), MID)
    return listener, before


@pytest.mark.parametrize("begun", [late, gapped])
def test_a_snapshot_gives_the_exchanges_books_and_the_feed_goes_on_from_there(begun, venue, tmp_path) -> None:
    listener, before = begun(venue, tmp_path / "journal", snapshot_after=20)
    assert listener.state["feed_stale"]
    now = listener.settle(MID)
    assert listener.requests == []  # a snapshot is quicker
    assert listener.orders() == venue.orders() != []
    behind = venue.until(1_400 * MS)
    listener.hear(behind, now)
    assert listener.orders() == venue.orders()
    assert not listener.state["feed_stale"]
    assert listener.state["date"] == DATES[0]
    assert phases(listener) == UP_TO_OPEN  # each once, although the snapshot tells them again
    assert listener.volumes() == venue.shares_traded(before + behind)
    assert sum(listener.volumes()) > 0
    check_replay(listener)


@pytest.mark.parametrize("begun", [late, gapped])
def test_feed_health_counts_what_the_feed_brought_and_not_what_the_snapshot_says(begun, venue, tmp_path) -> None:
    listener, _ = begun(venue, tmp_path / "journal", snapshot_after=20)
    listener.settle(MID)
    records, health = listener.records(), listener.state["health"]
    market = records[np.isin(records["kind"], range(Kind.ADD, Kind.SESSION)) & (records["flags"] & Flag.SNAPSHOT == 0)]
    assert health["messages"] == len(market)
    assert health["latencies"].sum() == len(market)
    assert health["recovered"] == 0
    assert health["gaps"] == 1


def test_a_snapshot_stands_between_forgetting_and_the_message_to_go_on_with(venue, tmp_path) -> None:
    listener, _ = late(venue, tmp_path / "journal", snapshot_after=20)
    listener.settle(MID)
    records = listener.records()
    at = np.flatnonzero(records["kind"] == Kind.STALE)
    assert records[at]["code"].tolist() == [Stale.GAP, Stale.FORGET, Stale.GAP, Stale.IN_ORDER]
    assert records[at]["sequence"].tolist() == [0, 0, messages(venue.sent) + 1, 0]
    between = records[at[1] + 1 : at[2]]
    assert set(between["kind"].tolist()) == {Kind.ADD, Kind.STATUS, Kind.SESSION}
    assert (between["flags"] & Flag.SNAPSHOT).all()


def test_a_gap_that_the_retransmission_server_has_forgotten_is_closed_by_a_snapshot(venue, tmp_path) -> None:
    venue.remembers = False
    listener, before = gapped(venue, tmp_path / "journal", snapshot_after=10_000)
    listener.settle(MID)
    assert listener.requests
    assert listener.orders() == venue.orders()
    assert listener.volumes() == venue.shares_traded(before)
    assert not listener.state["feed_stale"]


@pytest.mark.parametrize("begun", [late, gapped])
@pytest.mark.parametrize("refusal", ["password", "no_server"])
def test_without_a_snapshot_the_messages_are_asked_for_and_counted_as_recovered(
    begun, refusal, venue, tmp_path
) -> None:
    venue.gives_snapshots = refusal == "password"
    account = Account("ada", "wrong")
    listener, _ = begun(venue, tmp_path / "journal", account=account, snapshot_after=20)
    first = listener.feed.receiver.next_sequence
    settled = listener.settle(MID)
    assert (settled - MID < SECOND) == (refusal == "password")  # a rejected login is not tried again
    assert listener.orders() == venue.orders()
    assert listener.volumes() == venue.shares_traded(venue.sent)
    assert listener.requests[0].sequence == first
    records = listener.records()
    assert listener.state["health"]["recovered"] == sum(request.count for request in listener.requests)
    flagged = records[records["flags"] & Flag.RECOVERED > 0]
    assert 0 < len(flagged) <= listener.state["health"]["recovered"]
    assert listener.state["health"]["instruments"]["recovered"].sum() == (flagged["kind"] != Kind.SESSION).sum()


def test_every_record_between_a_gap_and_its_end_finds_the_feed_stale(venue, tmp_path) -> None:
    venue.gives_snapshots = False
    listener, _ = gapped(venue, tmp_path / "journal", snapshot_after=10_000)
    before = len(listener.records())
    listener.settle(MID)
    filled = listener.records()[before:]
    marks = filled[filled["kind"] == Kind.STALE]["code"].tolist()
    assert len(marks) > 3
    assert marks == [Stale.GAP] * (len(marks) - 1) + [Stale.IN_ORDER]
    assert filled[-1]["kind"] == Kind.STALE


# ---- a core that dies ---------------------------------------------------------------------------------------


def deaths_within_the_snapshot(listener: Listener) -> list[int]:
    """Numbers of journal records behind which the core dies, the last ones with all but the closing record."""
    records = listener.records()
    (forget,) = np.flatnonzero((records["kind"] == Kind.STALE) & (records["code"] == Stale.FORGET)).tolist()
    (closing,) = np.flatnonzero((records["flags"] & Flag.SNAPSHOT) > 0)[-1:].tolist()
    first_add = forget + 1 + int(np.flatnonzero(records[forget + 1 :]["kind"] == Kind.ADD)[0])
    return [forget + 1, forget + 2, first_add + 1, (first_add + closing) // 2, closing + 1]


@pytest.mark.parametrize("begun", [late, gapped])
@pytest.mark.parametrize("way", ["snapshot", "retransmission"])
def test_a_core_that_dies_inside_a_snapshot_comes_back_with_whole_books(begun, way, venue, tmp_path) -> None:
    first, before = begun(venue, tmp_path / "journal", snapshot_after=20)
    first.settle(MID)
    venue.gives_snapshots = way == "snapshot"
    for records in deaths_within_the_snapshot(first):
        again = Listener(venue, killed(first, records, tmp_path / f"{records}"), snapshot_after=20)
        assert again.resume.forgotten
        again.hear(venue.sent[-1:], MID)
        again.settle(MID)
        assert again.orders() == venue.orders(), records
        # What is read again from the feed's first message counts the trades that the journal lacks, once.
        counted = before if way == "snapshot" else venue.sent
        assert again.volumes() == venue.shares_traded(counted), records
        assert phases(again) == UP_TO_OPEN, records
        assert not again.state["feed_stale"]
        check_replay(again)
        third = Listener(venue, again.folder, snapshot_after=20)
        assert not third.resume.forgotten
        assert third.resume.feed_sequence + third.resume.feed_events <= messages(venue.sent) + 1


def test_a_core_that_dies_twice_while_it_rebuilds_its_books_still_counts_every_trade_once(venue, tmp_path) -> None:
    first, _ = gapped(venue, tmp_path / "journal", snapshot_after=20)
    first.settle(MID)
    venue.gives_snapshots = False
    torn = killed(first, deaths_within_the_snapshot(first)[2], tmp_path / "torn")
    second = Listener(venue, torn, snapshot_after=20)
    start = second.pipeline.writer.last
    second.hear(venue.sent[-1:], MID)
    second.settle(MID)
    for records in range(start + 1, second.pipeline.writer.last, 97):
        third = Listener(venue, killed(second, records, tmp_path / f"third{records}"), snapshot_after=20)
        third.hear(venue.sent[-1:], MID)
        third.settle(MID)
        assert third.orders() == venue.orders(), records
        assert third.volumes() == venue.shares_traded(venue.sent), records
        assert phases(third) == UP_TO_OPEN, records


@pytest.mark.parametrize("way", ["snapshot", "retransmission"])
def test_a_core_that_dies_behind_a_snapshot_goes_on_with_the_message_that_it_named(way, venue, tmp_path) -> None:
    first, before = gapped(venue, tmp_path / "journal", snapshot_after=20)
    first.settle(MID)
    behind = venue.until(1_000 * MS)
    first.hear(behind, MID)
    venue.gives_snapshots = way == "snapshot"
    again = Listener(venue, killed(first, first.pipeline.writer.last, tmp_path / "again"), snapshot_after=20)
    missed = venue.until(1_200 * MS)
    again.hear(venue.sent[-1:], MID)
    again.settle(MID)
    assert again.orders() == venue.orders()
    counted = before + behind + ([] if way == "snapshot" else missed)
    assert again.volumes() == venue.shares_traded(counted)
    assert phases(again) == UP_TO_OPEN


def test_a_session_that_ended_while_the_core_was_dead_leaves_nothing_of_its_half_snapshot(venue, tmp_path) -> None:
    first, _ = late(venue, tmp_path / "journal", snapshot_after=20)
    first.settle(MID)
    torn = killed(first, deaths_within_the_snapshot(first)[3], tmp_path / "torn")
    venue.until(1_850 * MS)
    again = Listener(venue, torn, snapshot_after=20)
    today = venue.until(2_900 * MS)
    again.hear(today, MID)
    assert again.orders() == venue.orders() != []
    assert again.volumes() == venue.shares_traded(today)
    assert not again.state["feed_stale"]
