"""A tick file into a dataset of the history store: read twice, so that a file with a fault leaves nothing behind."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from engine.errors import BadInput
from engine.history.quality import Finding
from engine.history.store import History
from engine.history.tables import conform, day_of
from engine.history.tick_quality import examine_ticks
from engine.ingestion.files import open_ticks

Spans = dict[tuple[str, str], tuple[int, int]]


class Loaded(NamedTuple):
    """What a file held and what of it was new. ``tables`` counts its rows, ``added`` those that were not there."""

    form: str
    sha256: str
    tables: dict[str, int]
    added: int
    quality: list[Finding]


def load_ticks(history: History, dataset: str, path: Path, day: int | None = None) -> Loaded:
    """Bring a file's rows into ``dataset`` and put its days into their lasting form.

    A file that was loaded before, wholly or in part, brings what is missing. Raises ``BadInput``, and changes nothing,
    for a file that cannot be read to its end, and for one whose symbols have rows of another file in its time.
    """
    file = open_ticks(path, day)
    source = f"file-{file.sha256[:32]}"
    tables: dict[str, int] = {}
    spans: Spans = {}
    quality: list[Finding] = []
    days: set[int] = set()
    for table, rows in file.batches:
        rows = conform(table, rows)
        tables[table] = tables.get(table, 0) + rows.num_rows
        quality += examine_ticks(table, rows)
        days.update(np.unique(day_of(rows["time"].to_numpy())).tolist())
        for symbol in rows["symbol"].unique().to_pylist():
            own = pc.min_max(rows.filter(pc.equal(rows["symbol"], symbol))["time"]).as_py()
            first, last = spans.get((table, symbol), (own["min"], own["max"]))
            spans[table, symbol] = min(first, own["min"]), max(last, own["max"])
    if not any(tables.values()):
        raise BadInput("empty", "file", path.name, "at least one row")
    if gaps := file.gaps():
        quality.append(Finding("gap", "", 0, f"{gaps} breaks in the sequence of updates"))
    _check_overlap(history, dataset, source, spans)
    added = sum(history.append(dataset, table, rows, source=source) for table, rows in open_ticks(path, day).batches)
    for one in sorted(days):
        history.close_day(dataset, one)
    return Loaded(file.form, file.sha256, tables, added, quality)


def _check_overlap(history: History, dataset: str, source: str, spans: Spans) -> None:
    for (table, symbol), (first, last) in spans.items():
        try:
            known = history.position(dataset, table, source) > 0
            there = 0 if known else history.rows(dataset, table, [symbol], first, last + 1).num_rows
        except BadInput as refused:
            if refused.code != "unknown_dataset":
                raise
            return
        if there:
            raise BadInput(
                "overlap",
                "dataset",
                f"{dataset}: {there} rows of {symbol or 'no symbol'} in table {table} are there in the file's time",
                "another dataset, or a file that begins where the rows end",
            )
