"""The core's side of a strategy's process: what it believes of the rings, and what it does about one that fails."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from select import EPOLLIN, epoll

import numpy as np
import pytest
from live_world import SEGMENT, blobs, opened, record

from engine.core.engine import Engine, Loaded
from engine.core.events import EVENT, Command, Kind
from engine.core.kernels import OUTSIDE
from engine.core.state import StrategyState
from engine.errors import BadInput
from engine.live import python_strategies
from engine.live.journal import Writer
from engine.live.pipeline import Pipeline
from engine.live.python_strategies import AT_ONCE, SILENT_NS, PythonStrategies
from engine.live.shared_ring import (
    BEAT_AT,
    BELL,
    EVENTS,
    INTENTS,
    PROCESS_AT,
    PUBLISHED_AT,
    READY_AT,
    TAKEN_AT,
    RingFile,
    folder_of,
)

INTERESTS = frozenset({Kind.TRADE, Kind.STRATEGY_STATE})


class Host:
    """A strategy's process as the core sees it: whatever it writes."""

    def __init__(self, world: "World", process: int = 0) -> None:
        status = world.strategies.status(0)
        assert status is not None
        self.folder, self.generation = folder_of(world.folder, 0), status["generation"]
        self.events = RingFile.open(self.folder / EVENTS, self.generation, writable=False)
        self.intents = RingFile.open(self.folder / INTENTS, self.generation, writable=True)
        self.intents.put(BEAT_AT, time.monotonic_ns())
        self.intents.header[PROCESS_AT] = process or os.getpid()
        self.intents.put(READY_AT, self.generation)
        self.bell = os.open(self.folder / BELL, os.O_WRONLY | os.O_NONBLOCK)
        self.written = 0
        os.write(self.bell, b"\0")

    def want(self, *targets: int, instrument: int = 0, kind: Kind = Kind.TARGET) -> None:
        records = np.zeros(len(targets), EVENT)
        records["kind"], records["instrument"], records["target"] = kind, instrument, targets
        self.intents.write(self.written, records)
        self.written += len(targets)
        os.write(self.bell, b"\0")


class World:
    """A pipeline with one strategy that runs outside in slot 0, and what looks after it."""

    def __init__(self, folder) -> None:
        engine = Engine(lambda manifest: Loaded(OUTSIDE, INTERESTS, 10**10))
        self.folder, self.pipeline = folder, Pipeline(engine, Writer.create(folder / "journal", segment_bytes=SEGMENT))
        self.poll = epoll()
        self.strategies = PythonStrategies(folder, self.pipeline, self.poll)
        blobs(self.pipeline)
        opened(self.pipeline)
        self.strategies.open(0)

    def settle(self, now: int | None = None) -> list[np.ndarray]:
        """Everything that is ready, and what a core does each half second; the inputs that came of it."""
        now, taken = time.monotonic_ns() if now is None else now, []
        while ready := self.poll.poll(0):
            for descriptor, _ in ready:
                taken += self._take(self.strategies.on_ready(descriptor, now, 10))
        return taken + self._take(self.strategies.on_time(now, 10))

    def _take(self, inputs):
        for each in inputs:
            self.pipeline.take(each)
        return inputs

    @property
    def state(self) -> StrategyState:
        return StrategyState(int(self.pipeline.engine.state["slots"][0]["state"]))

    def target(self) -> int:
        return int(self.pipeline.engine.state["parents"][0, 0]["target"])

    def status(self):
        return self.strategies.status(0)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def attached(world, process=0):
    host = Host(world, process)
    world.settle()
    assert world.status()["attached"]
    return host


def assert_given_up(world, why):
    """Paused, with the reason, and with new rings that nobody is attached to."""
    assert world.state is StrategyState.PAUSED
    assert why in world.status()["fault"]
    assert not world.status()["attached"]


def test_without_a_process_a_strategy_does_not_start(world):
    with pytest.raises(BadInput, match="no_process"):
        world.strategies.before_start(0)
    attached(world)
    world.strategies.before_start(0)


def test_what_a_process_wants_becomes_an_input_and_the_process_hears_that_it_was_taken(world):
    host = attached(world)
    host.want(100, 250)
    (inputs,) = world.settle()
    assert inputs["kind"].tolist() == [Kind.INTENT] * 2
    assert world.target() == 250
    assert host.events.get(TAKEN_AT) == 2


def test_what_a_paused_strategy_wanted_before_it_heard_of_it_is_dropped(world):
    host = attached(world)
    world.pipeline.take(record(Kind.COMMAND, command=Command.PAUSE))
    host.want(100)
    assert world.settle() == []
    assert world.target() == 0
    assert world.status()["attached"]


def test_a_process_that_ends_is_noticed_at_once_and_its_strategy_is_paused(world):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    attached(world, child.pid)
    child.kill()
    child.wait()
    (paused,) = world.settle()
    assert int(paused[0]["command"]) == Command.PAUSE
    assert_given_up(world, "ended")


def test_a_process_that_names_no_process_is_not_attached(world):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    Host(world, child.pid)
    world.settle()
    assert_given_up(world, f"process {child.pid}")


def test_a_silent_process_is_given_up(world):
    attached(world)
    world.settle(time.monotonic_ns() + SILENT_NS)
    assert_given_up(world, "silent")


@pytest.mark.parametrize(
    ("kind", "instrument", "shares"),
    [
        (Kind.ORDER_NEW, 0, 1),
        (Kind.COMMAND, 0, 1),
        (Kind.TARGET, -1, 1),
        (Kind.TARGET, 2, 1),
        (Kind.TARGET, 0, 1 << 41),
        (Kind.TARGET, 0, -1 << 63),  # has no absolute value
        (Kind.LEG, 2, 1),
    ],
)
def test_rubbish_is_not_journaled_and_its_writer_is_given_up(world, kind, instrument, shares):
    host = attached(world)
    host.want(shares, instrument=instrument, kind=kind)
    inputs = world.settle()
    assert [int(each[0]["kind"]) for each in inputs] == [Kind.COMMAND]
    assert_given_up(world, "writes what no strategy may")


@pytest.mark.parametrize("claimed", [-1, 1 << 20])
def test_a_count_that_cannot_be_is_not_believed(world, claimed):
    host = attached(world)
    host.intents.put(PUBLISHED_AT, claimed)
    os.write(host.bell, b"\0")
    world.settle()
    assert_given_up(world, str(claimed))


def test_a_flood_is_stopped(world, monkeypatch):
    monkeypatch.setattr(python_strategies, "MOST_A_SECOND", 1_000)
    host = attached(world)
    host.want(*range(1_001))
    world.settle(now=5 * 1_000_000_000)
    assert_given_up(world, "floods")
    assert world.target() <= 1_000


def test_a_process_that_does_not_read_loses_records_and_is_given_up_while_the_core_goes_on(world):
    host = attached(world)
    for price in range(host.events.capacity + 10):
        world.pipeline.take(record(Kind.TRADE, 0, price=100_000 + price % 7, qty=1))
    world.settle()
    assert_given_up(world, "does not keep up")


def test_a_given_up_process_writes_to_nobody_and_another_may_take_its_place(world):
    old = attached(world)
    world.settle(time.monotonic_ns() + SILENT_NS)
    old.want(500)
    new = attached(world)
    assert new.generation > old.generation
    assert world.settle() == []
    world.pipeline.take(record(Kind.COMMAND, command=Command.START))
    new.want(200)
    world.settle()
    assert world.target() == 200


def test_a_ring_of_another_generation_is_refused(world):
    with pytest.raises(BadInput, match="generation 1"):
        RingFile.open(folder_of(world.folder, 0) / EVENTS, 1, writable=False)


def fill(bell: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(bell, b"\0" * 4096)


def test_a_bell_that_a_process_has_filled_rings_for_the_rest(world, monkeypatch):
    host, put = attached(world), RingFile.put

    def put_while_the_process_rings_on(ring: RingFile, word: int, value: int) -> None:
        put(ring, word, value)
        if ring.header is not host.intents.header and word == TAKEN_AT:
            fill(host.bell)

    monkeypatch.setattr(RingFile, "put", put_while_the_process_rings_on)
    host.want(*range(AT_ONCE))
    host.want(77)
    ((bell, _),) = world.poll.poll(0)
    for expected in (AT_ONCE - 1, 77):
        for inputs in world.strategies.on_ready(bell, time.monotonic_ns(), 10):
            world.pipeline.take(inputs)
        assert world.target() == expected
    assert world.poll.poll(0) == [(bell, EPOLLIN)]
    assert world.status()["attached"]


def test_a_bell_that_a_process_has_silenced_itself_stops_nobody(world):
    host = attached(world)
    host.want(100)
    ((bell, _),) = world.poll.poll(0)
    silencer = os.open(host.folder / BELL, os.O_RDWR | os.O_NONBLOCK)
    os.read(silencer, 1 << 16)
    (inputs,) = world.strategies.on_ready(bell, time.monotonic_ns(), 10)
    world.pipeline.take(inputs)
    assert world.target() == 100


def obstacle(world: World) -> Path:
    """A directory where the new ring is to be written: the file cannot be made, as on a full disk."""
    path = (folder_of(world.folder, 0) / INTENTS).with_suffix(".new")
    path.mkdir(parents=True, exist_ok=True)
    return path


def assert_no_rings(world):
    status = world.status()
    assert (status["generation"], status["attached"]) == (0, False)
    assert "gets no rings" in status["fault"]
    assert "intents.new" in status["fault"]


def test_a_failed_strategy_whose_rings_cannot_be_renewed_stays_paused_until_they_can(world):
    old, path = attached(world), obstacle(world)
    world.settle(time.monotonic_ns() + SILENT_NS)
    assert world.state is StrategyState.PAUSED
    old.want(100)
    assert world.settle() == []
    assert_no_rings(world)
    path.rmdir()
    world.settle()
    assert attached(world).generation > old.generation


def test_a_strategy_is_loaded_where_no_rings_can_be_made_and_waits_for_them(world):
    path = obstacle(world)
    world.strategies.open(0)
    assert_no_rings(world)
    with pytest.raises(BadInput, match="no_process"):
        world.strategies.before_start(0)
    path.rmdir()
    world.settle()
    attached(world)


def test_a_strategy_whose_folder_cannot_be_made_waits_for_it(world, tmp_path):
    (tmp_path / "full").write_text("")  # no folder
    other = PythonStrategies(tmp_path / "full", world.pipeline, epoll())
    other.open(0)
    status = other.status(0)
    assert status is not None
    assert "gets no rings" in status["fault"]
    with pytest.raises(BadInput, match="no_room"):
        other.keep_artifact(0, b"weights")
    (tmp_path / "full").unlink()
    other.on_time(0, 10)
    status = other.status(0)
    assert status is not None
    assert status["generation"] > 0


def test_after_a_start_what_runs_outside_is_paused_until_somebody_is_attached(world, tmp_path):
    other = PythonStrategies(tmp_path, world.pipeline, epoll())
    (pause,) = other.begin(10)
    assert int(pause[0]["command"]) == Command.PAUSE
    status = other.status(0)
    assert status is not None
    assert not status["attached"]
