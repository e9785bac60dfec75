"""Writes what a journal holds into the history as it happens: off the core's path, from the journal alone.

A position is a journal record's number. Rows bear it as their ``seq``, and the history takes of one journal (its
``source``) no number twice; so after whatever ended this writer, it begins again at the trading day that was being
written, makes the same rows, and nothing is lost or doubled. One block of records is held in memory at a time.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.files import replace_file
from engine.history import History
from engine.live.history_tables import Known, Rows
from engine.live.journal import Reader

log = logging.getLogger("engine.agent")

BLOCK = 65_536  # records
CHECKPOINT = "history.json"


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to begin reading a journal again, and what was known there."""

    journal: str
    record: int
    known: Known
    finished: tuple[str, ...] = ()  # journals that were written to their end, and replaced


class HistoryWriter:
    """Of one engine, which keeps its checkpoint in ``folder``. ``journals`` names those that there are, oldest first;
    the last one is still written."""

    def __init__(self, history: History, dataset: str, folder: Path, journals: Callable[[], list[Path]]) -> None:
        self._history, self._dataset, self._path = history, dataset, folder / CHECKPOINT
        self._journals = journals
        self._reader: Reader | None = None
        self._rows = Rows(Known())
        self._at = 0
        self._checkpoint = self._read()

    def catch_up(self) -> int:
        """Writes all that has been journaled since; how many records that was. An error leaves the history as it is at
        the end of some block, and the next call begins again at the checkpoint."""
        taken = 0
        for folder in self._journals():
            try:
                taken += self._follow(folder)
            except BaseException:
                self._reader = None
                raise
        return taken

    def _follow(self, folder: Path) -> int:
        reader = Reader(folder) if self._reader is None or self._reader.directory != folder else self._reader
        if reader.journal in self._checkpoint.finished:
            return 0
        if reader is not self._reader:
            self._begin(reader)
        first = self._at
        while len(records := reader.read(self._at, BLOCK)):
            for table, rows in self._rows.take(self._at + 1, records).items():
                if rows.num_rows:
                    self._history.append(self._dataset, table, rows, source=reader.journal)
            self._at += len(records)
            self._advance(reader.journal)
        if folder != self._journals()[-1]:
            finished = (*self._checkpoint.finished, reader.journal)
            self._write(Checkpoint(reader.journal, self._at, self._rows.known, finished))
        return self._at - first

    def _begin(self, reader: Reader) -> None:
        """At the checkpoint, if it is this journal's; what was made of the day before it is made again, and not
        taken."""
        same = self._checkpoint.journal == reader.journal
        known = msgspec.convert(msgspec.to_builtins(self._checkpoint.known), Known) if same else Known()
        self._reader, self._rows = reader, Rows(known)
        self._at = self._checkpoint.record if same else 0

    def _advance(self, journal: str) -> None:
        """The earliest of the venues' trading days is where to begin again; days before it get their lasting form."""
        if not self._rows.started:
            return
        record, known = min(self._rows.started.values(), key=lambda each: each[0])
        if (journal, record - 1) != (self._checkpoint.journal, self._checkpoint.record):
            self._write(Checkpoint(journal, record - 1, known, self._checkpoint.finished))

    def _read(self) -> Checkpoint:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Checkpoint)
        except FileNotFoundError:
            return Checkpoint("", 0, Known())

    def _write(self, checkpoint: Checkpoint) -> None:
        replace_file(self._path, msgspec.json.encode(checkpoint))
        self._checkpoint = checkpoint
