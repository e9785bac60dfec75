"""A core over three lit venues and a dark one, live over sockets, against the exchange's own record of each."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.benchmarks.session_record import SessionJournal, reconcile
from engine.benchmarks.venue_stage import DARK, DATASET, VENUES, VenueStage
from engine.core.engine import Engine
from engine.history import BARS, open_history
from engine.live.journal import Reader
from engine.live.pipeline import Replay
from engine.strategies.load import load_manifest

SYMBOLS = [f"S{number:02d}" for number in range(12)]
PAIRS = 10
NOTHING_AMISS = {"missing": 0, "extra": 0, "different": 0, "positions_differ": 0}
LIT = [name for name, _, _ in VENUES if name != DARK]


def write_history(folder: Path) -> None:
    days = [20130102, 20130103, 20130104]
    rows = [(day, symbol, 200_000 + 10_000 * index) for index, symbol in enumerate(SYMBOLS) for day in days]
    columns: dict[str, list[Any]] = dict.fromkeys(("open", "high", "low", "volume"), [None] * len(rows))
    columns |= {name: [row[place] for row in rows] for place, name in enumerate(("date", "symbol", "close"))}
    open_history(folder).append_bars(DATASET, pa.table(columns, schema=BARS))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[VenueStage]:
    write_history(tmp_path / "history")
    faults = {"hang_every": 6.0, "hang_seconds": 2.0}
    settings = {"day_seconds": 60.0, "messages_per_second": 4_000.0, "activity": 3.0, "seed": 3}
    made = VenueStage(tmp_path, SYMBOLS, ("2013-01-03", "2013-01-03"), exchange=settings)
    made.change_exchange(LIT[-1], faults=faults)
    try:
        yield made
    finally:
        made.close()


def until(what: str, reached: Any, patience: float = 30.0) -> None:
    give_up = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < give_up, what
        time.sleep(0.2)


def filled(stage: VenueStage) -> dict[str, int]:
    counts = dict.fromkeys((name for name, _, _ in stage.venues), 0)
    for venue, _ in stage.executions():
        counts[venue] += 1
    return counts


def test_every_venue_fills_orders_and_agrees_after_the_core_was_killed_while_they_worked(stage: VenueStage) -> None:
    stage.start_core()
    stage.deploy(PAIRS, lookback=20, entry=0.5, exit=0.1, stop=50.0)
    stage.start_exchange()
    stage.until_phase("open", 30)
    until("fills at every venue", lambda: all(filled(stage).values()))
    stage.end("core", signal.SIGKILL)
    before = sum(filled(stage).values())
    stage.start_core()
    until("every session to be back", lambda: all(one["connected"] for one in stage.status()["venues"]))
    until("fills after the restart", lambda: sum(filled(stage).values()) > before + 20)
    stage.until_phase("closed", 90)
    time.sleep(1.0)
    stage.end("core")
    stage.end("exchange")
    journal = SessionJournal(stage)
    compared = reconcile(stage, journal.fills)
    assert compared == {"executions": sum(filled(stage).values()), **NOTHING_AMISS}
    assert set(journal.by_venue["orders"]) == {name for name, _, _ in stage.venues}
    assert journal.kinds["ROUTE"] == journal.kinds["ORDER_NEW"]  # each order says why it was sent there
    assert replays(stage)


def replays(stage: VenueStage) -> bool:
    """Whether the journal makes itself again, record for record."""
    reader, replay, position = Reader(stage.folder / "engine" / "journal"), Replay(Engine(load_manifest)), 0
    while len(records := reader.read(position)):
        if not replay.take(records):
            return False
        position += len(records)
    return position == reader.last


def test_a_venue_whose_exchange_hangs_drops_out_and_the_others_go_on(stage: VenueStage) -> None:
    stage.change_exchange(LIT[-1], faults={"hang_every": 4.0, "hang_seconds": 8.0})
    stage.start_core()
    stage.deploy(PAIRS, lookback=20, entry=0.5, exit=0.1, stop=50.0)
    stage.start_exchange()
    stage.until_phase("open", 30)

    def stale() -> set[str]:
        return {one["name"] for one in stage.status()["venues"] if one["stale"]}

    until("the venue that hangs to be stale", lambda: stale() == {LIT[-1]}, 60)
    before = filled(stage)
    until("fills at the others", lambda: all(filled(stage)[name] > before[name] for name in LIT[:-1]))
    assert not stage.status()["stale"]
