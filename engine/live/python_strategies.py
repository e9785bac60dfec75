"""The core's side of strategies that run in processes of their own: rings out and in, and what is thought of them.

The core never waits for such a process. What it wants is read when its bell rings, checked, and journaled as INTENT.
A process that ends, is silent, floods, writes what cannot be, or does not read what it is posted has failed: its
strategy is paused, its orders are cancelled, its rings are given up for new ones, and the core says so in its status;
the agent starts another process (``strategy_processes``). Where there is no room for rings, the core says that, tries
again each half second, and goes on.
"""

import contextlib
import json
import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from select import EPOLLIN, epoll
from typing import Any

import numpy as np

from engine.core.events import Command, command_event
from engine.core.intents import WANTED, intents_of
from engine.core.kernels import OUTSIDE
from engine.core.outbox import OUTBOX
from engine.core.state import ARTIFACT_BYTES, StrategyState
from engine.errors import BadInput
from engine.files import replace_file
from engine.live.pipeline import Pipeline
from engine.live.shared_ring import (
    ARTIFACT,
    BEAT_AT,
    BELL,
    DESCRIPTION,
    EVENTS,
    INTENTS,
    PROCESS_AT,
    PUBLISHED_AT,
    READY_AT,
    TAKEN_AT,
    RingFile,
    folder_of,
)

log = logging.getLogger("engine.core")

SECOND = 1_000_000_000
SILENT_NS = 3 * SECOND
AT_ONCE = 512  # intents that are taken before the core looks at anything else
MOST_A_SECOND = 20_000  # intents of one strategy
MOST_SHARES = 1 << 40


class Failed(Exception):
    """What a strategy's process has done wrong, in words."""


@dataclass
class _Place:
    """One slot's rings, if ``whole``; ``bell`` and ``process`` (which is attached) are descriptors, -1 for none."""

    folder: Path
    bell: int = -1
    whole: bool = False
    generation: int = 0
    events: RingFile = field(init=False)
    intents: RingFile = field(init=False)
    box: np.ndarray = field(default_factory=lambda: np.zeros(1, OUTBOX))
    process: int = -1
    taken: int = 0
    second: int = 0  # in which ``in_second`` intents came
    in_second: int = 0
    faults: int = 0
    fault: str = ""

    @property
    def attached(self) -> bool:
        return self.process >= 0

    def renew(self) -> None:
        """New rings: whoever holds the old ones speaks to nobody. OSError without room, and nobody may attach."""
        self.whole = False
        self.generation = max(self.generation + 1, time.time_ns() // 1_000_000)
        self.events = RingFile.create(self.folder / EVENTS, self.generation)
        self.intents = RingFile.create(self.folder / INTENTS, self.generation)
        self.taken = self.in_second = 0
        self.box = np.zeros(1, OUTBOX)
        cells = int(self.events.cells.ctypes.data)
        published, taken = self.events.address(PUBLISHED_AT), self.intents.address(TAKEN_AT)
        self.box[0] = (cells, self.events.capacity, published, taken, 0, 0, 0)
        self.whole = True

    def ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it rings already
            os.write(self.bell, b"\0")

    def silence(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the strategy's process may have done so
            os.read(self.bell, 1 << 16)


class PythonStrategies:
    """Of one core. What the methods return is to be journaled and stepped, in its order."""

    def __init__(self, folder: Path, pipeline: Pipeline, poll: epoll) -> None:
        self._folder, self._pipeline, self._poll = folder, pipeline, poll
        self._places: dict[int, _Place] = {}
        self._descriptors: dict[int, int] = {}  # to the slot

    def begin(self, ts: int) -> list[np.ndarray]:
        """After a start: no process is attached, so what runs outside is paused until one is."""
        slots = [slot for slot in self._pipeline.engine.manifests if self._is_outside(slot)]
        for slot in slots:
            self.open(slot)
        return [command_event(ts, Command.PAUSE, slot) for slot in slots if self._running(slot)]

    def open(self, slot: int) -> None:
        """Gives rings to a strategy that runs outside, whose manifest ``slot`` has just got."""
        self._close(slot)
        if self._is_outside(slot):
            self._places[slot] = _Place(folder_of(self._folder, slot))
            self._renew(slot)

    def _renew(self, slot: int) -> None:
        """New rings for a slot that nobody is attached to; a fault that says why, where there is no room for them."""
        place = self._places[slot]
        try:
            if place.bell < 0:
                self._furnish(slot, place)
            place.renew()
        except OSError as error:
            fault = f"gets no rings: {error}"
            if place.fault != fault:
                log.error("slot %d: the strategy's process %s", slot, fault)
            place.fault = fault

    def _furnish(self, slot: int, place: _Place) -> None:
        """What a process finds in its folder beside the rings. OSError without room."""
        engine, folder = self._pipeline.engine, place.folder
        folder.mkdir(parents=True, exist_ok=True)
        description = {"manifest": json.loads(engine.manifests[slot]), "instruments": engine.instruments, "slot": slot}
        replace_file(folder / DESCRIPTION, json.dumps(description).encode())
        _write_artifact(folder, engine.state["stores"][slot]["artifact"].tobytes())
        (folder / BELL).unlink(missing_ok=True)
        os.mkfifo(folder / BELL, 0o600)
        place.bell = os.open(folder / BELL, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._watch(place.bell, slot)

    def keep_artifact(self, slot: int, artifact: bytes) -> None:
        """Puts an artifact where the strategy's process reads it; before the blob is applied, which tells it so. Raises
        BadInput without room, with the one before in its place."""
        if not self._is_outside(slot) or len(artifact) > ARTIFACT_BYTES:
            return
        try:
            _write_artifact(folder_of(self._folder, slot), artifact)
        except OSError as error:
            raise BadInput(
                "no_room", "artifact", str(error), "room for the artifact of a strategy's process"
            ) from error

    def owns(self, descriptor: int) -> bool:
        return descriptor in self._descriptors

    def on_ready(self, descriptor: int, now: int, ts: int) -> list[np.ndarray]:
        """A bell rang, or a process ended. ``now`` is steady, ``ts`` the engine's time."""
        slot = self._descriptors[descriptor]
        place = self._places[slot]
        try:
            if descriptor == place.process:
                raise Failed("ended")
            place.silence()
            if not place.attached:
                self._attach(slot, place)
                return []
            return self._take(slot, place, now, ts)
        except Failed as failure:
            return self._fail(slot, place, str(failure), ts)

    def on_time(self, now: int, ts: int) -> list[np.ndarray]:
        """Looks after all that are attached, or have no rings; each half second will do."""
        inputs = []
        for slot, place in self._places.items():
            if place.attached:
                try:
                    _check_alive(place, now)
                except Failed as failure:
                    inputs += self._fail(slot, place, str(failure), ts)
            elif not place.whole:
                self._renew(slot)
        return inputs

    def before_start(self, slot: int) -> None:
        """Raises BadInput where nobody would decide; tells the process once more what stands."""
        place = self._places.get(slot)
        if place is None:
            return
        if not place.attached:
            raise BadInput("no_process", "strategy", slot, "a slot whose strategy's process is attached")
        self._pipeline.engine.attach(slot, place.box)

    def status(self, slot: int) -> dict[str, Any] | None:
        """None for a strategy that runs in the core."""
        place = self._places.get(slot)
        if place is None:
            return None
        return {
            "generation": place.generation if place.whole else 0,
            "attached": place.attached,
            "heard": int(place.box[0]["published"]),
            "intents": place.taken,
            "faults": place.faults,
            "fault": place.fault,
        }

    def _attach(self, slot: int, place: _Place) -> None:
        if not place.whole or place.intents.get(READY_AT) != place.generation:
            return
        process = int(place.intents.header[PROCESS_AT])
        try:
            place.process = os.pidfd_open(process)
        except OSError as error:
            raise Failed(f"says that it is process {process}, which there is not") from error
        self._watch(place.process, slot)
        self._pipeline.engine.attach(slot, place.box)
        log.info("slot %d: process %d is attached", slot, process)

    def _take(self, slot: int, place: _Place, now: int, ts: int) -> list[np.ndarray]:
        published = place.intents.get(PUBLISHED_AT)
        waiting = published - place.taken
        if not 0 <= waiting <= place.intents.capacity:
            raise Failed(f"says that it wanted {published} things, of which {place.taken} were taken")
        last = place.taken + min(waiting, AT_ONCE)
        records = place.intents.records(place.taken, last)
        _check_rate(place, len(records), now)
        _check_records(records, len(self._pipeline.engine.instruments))
        place.taken = last
        place.events.put(TAKEN_AT, last)
        if last < published:
            place.ring()  # the rest after everything else
        if not len(records) or not self._running(slot, flattening=True):
            return []  # what it wanted before it heard that it was paused
        records["ts_recv"] = np.minimum(records["ts_recv"], ts)
        return [intents_of(records, slot, ts)]

    def _fail(self, slot: int, place: _Place, fault: str, ts: int) -> list[np.ndarray]:
        place.fault, place.faults = fault, place.faults + 1
        log.error("slot %d: the strategy's process %s; the strategy is paused", slot, fault)
        self._release(slot, place)
        self._renew(slot)
        return [command_event(ts, Command.PAUSE, slot)] if self._running(slot) else []

    def _release(self, slot: int, place: _Place) -> None:
        self._pipeline.engine.detach(slot)
        if place.attached:
            self._unwatch(place.process)
            place.process = -1

    def _close(self, slot: int) -> None:
        place = self._places.pop(slot, None)
        if place is not None:
            self._release(slot, place)
            if place.bell >= 0:
                self._unwatch(place.bell)

    def _watch(self, descriptor: int, slot: int) -> None:
        self._descriptors[descriptor] = slot
        self._poll.register(descriptor, EPOLLIN)

    def _unwatch(self, descriptor: int) -> None:
        del self._descriptors[descriptor]
        self._poll.unregister(descriptor)
        os.close(descriptor)

    def _is_outside(self, slot: int) -> bool:
        return int(self._pipeline.engine.kernels[slot]) == OUTSIDE

    def _running(self, slot: int, *, flattening: bool = False) -> bool:
        state = int(self._pipeline.engine.state["slots"][slot]["state"])
        return state == StrategyState.RUNNING or (flattening and state == StrategyState.FLATTENING)


def _write_artifact(folder: Path, artifact: bytes) -> None:
    replace_file(folder / ARTIFACT, artifact.ljust(ARTIFACT_BYTES, b"\0"))


def _check_alive(place: _Place, now: int) -> None:
    lost, beat = int(place.box[0]["lost"]), place.intents.get(BEAT_AT)
    if lost:
        raise Failed(f"does not keep up: {lost} records found no room")
    if now - beat > SILENT_NS:
        raise Failed(f"has been silent for {(now - beat) / SECOND:.1f} s")


def _check_rate(place: _Place, count: int, now: int) -> None:
    second = now // SECOND
    if second != place.second:
        place.second, place.in_second = second, 0
    place.in_second += count
    if place.in_second > MOST_A_SECOND:
        raise Failed(f"floods: more than {MOST_A_SECOND} intents within a second")


def _check_records(records: np.ndarray, instruments: int) -> None:
    kinds, targets = records["kind"], records["kind"] == WANTED[0]
    named = (records["instrument"] >= 0) & (records["instrument"] < instruments)
    signals = kinds == WANTED[-1]
    whole = np.isin(kinds, WANTED) & (named | (signals & (records["instrument"] == -1)))
    whole &= ~targets | ((records["target"] >= -MOST_SHARES) & (records["target"] <= MOST_SHARES))
    if not whole.all():
        bad = records[~whole][0]
        shown = f"kind {bad['kind']}, instrument {bad['instrument']}, target {bad['target']}"
        raise Failed(f"writes what no strategy may: {shown}")
