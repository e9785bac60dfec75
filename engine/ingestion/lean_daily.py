"""LEAN daily archives, ``<symbol>.zip``: one csv without a header of day, open, high, low, close and volume.

Prices are in 1/10,000, as traded (Lean ``Data/equity/readme.md``).
"""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.errors import BadInput
from engine.history.ingest import Ingested, read_bars
from engine.history.quality import examine
from engine.history.rows import checked
from engine.history.store import BARS
from engine.ingestion.rows import members, numbers, read_member

COLUMNS = ("day", "open", "high", "low", "close", "volume")


def read_daily(path: Path) -> Ingested:
    """Daily bars of a LEAN archive, a csv or a Parquet file. Raises ``BadInput`` for one that is none."""
    return _read_archive(path) if path.name.lower().endswith(".zip") and path.is_file() else read_bars(path)


def is_lean_daily(path: Path) -> bool:
    """Whether the archive holds one csv of its own name."""
    names = members(path.read_bytes(), path.name).namelist()
    return names == [f"{path.name.lower().removesuffix('.zip')}.csv"]


def _read_archive(path: Path) -> Ingested:
    content = path.read_bytes()
    archive = members(content, path.name)
    [name] = archive.namelist()
    bars = numbers(read_member(archive, name), COLUMNS, name, text=("day",))
    days = np.array([_day(text, row) for row, text in enumerate(bars["day"], start=1)], np.int64)
    columns = {"date": days, "symbol": pa.repeat(path.name[: -len(".zip")].upper(), len(days))}
    table = checked(pa.table({**columns, **{name: bars[name] for name in COLUMNS[1:]}}).cast(BARS))
    return Ingested(table, 0, [], examine(table), "long", sha256(content).hexdigest())


def _day(text: str, row: int) -> int:
    day = text[:8]
    if not (day.isdigit() and text[8:] in ("", " 00:00")):
        raise BadInput("bad_date", f"row {row}", text, "yyyymmdd 00:00")
    return int(day)
