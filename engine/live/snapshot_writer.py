"""Snapshots of a core that runs: the engine's state, and where the venues' streams stand.

The latter comes from the journal, which is followed meanwhile: a snapshot after a busy day has little left to read.
"""

from engine import engine_build
from engine.live.config import Config
from engine.live.journal import Reader
from engine.live.pipeline import Pipeline
from engine.live.recovery import InputState, InputTracker, Snapshot, write_snapshot

FOLLOWED_AT_ONCE = 1 << 17  # journal records


class SnapshotWriter:
    """``inputs``: where the streams stand at the end of the pipeline's journal, by venue."""

    def __init__(self, config: Config, pipeline: Pipeline, inputs: list[InputState]) -> None:
        self._config, self._pipeline = config, pipeline
        self._tracker, self._followed = InputTracker(inputs), pipeline.writer.last
        self._reader: Reader | None = None
        self._newest = self._followed

    @property
    def due(self) -> bool:
        """Whether ``snapshot_records`` have been journaled since the newest one."""
        return self._pipeline.writer.last - self._newest >= self._config.snapshot_records

    def follow(self) -> bool:
        """Reads the journal a little further; False at its end."""
        if self._reader is None:
            self._reader = Reader(self._config.journal)
        records = self._reader.read(self._followed, FOLLOWED_AT_ONCE)
        self._tracker.take(records)
        self._followed += len(records)
        return len(records) > 0

    def write(self) -> None:
        writer = self._pipeline.writer
        while self.follow():
            continue
        state = self._pipeline.engine.snapshot()
        snapshot = Snapshot(writer.journal, writer.last, engine_build(), self._tracker.states, state)
        write_snapshot(self._config.snapshots, snapshot)
        self._newest = writer.last
