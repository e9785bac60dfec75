"""What the readers of tick files share: session times, columns of numbers, tables of rows."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from io import BytesIO
from typing import Any
from zipfile import BadZipFile, ZipFile
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray

from engine.dates import as_date
from engine.errors import BadInput
from engine.history.tables import TABLES, TEXT

NEW_YORK = ZoneInfo("America/New_York")
MOST_BYTES = 4 << 30  # of one decompressed member: more is a mistake or a bomb
BATCH = 250_000  # rows
Batch = tuple[str, pa.Table]


def local_midnight(day: int, zone: ZoneInfo = NEW_YORK) -> int:
    """Midnight of a day (yyyymmdd) in a time zone, ns UTC. Raises ``BadInput`` for what is no day."""
    try:
        date = as_date(day)
    except ValueError:
        raise BadInput("bad_date", "date", day, "yyyymmdd") from None
    return int(datetime(date.year, date.month, date.day, tzinfo=zone).timestamp()) * 10**9


def rows_of(table: str, symbol: str, time: NDArray[np.int64], *, begin: int = 1, **columns: Any) -> pa.Table:
    """Rows of one symbol; what is not given is 0 or empty. ``begin`` is the seq of the first."""
    count = len(time)
    arrays: list[pa.Array] = []
    for name in TABLES[table].names:
        if name == "time":
            arrays.append(pa.array(time))
        elif name == "symbol":
            arrays.append(pa.repeat(symbol, count))
        elif name == "seq":
            arrays.append(pa.array(np.arange(begin, begin + count)))
        elif name in TEXT:
            arrays.append(pa.repeat("", count))
        else:
            arrays.append(pa.array(np.broadcast_to(np.asarray(columns.get(name, 0), np.int64), count)))
    return pa.table(arrays, schema=TABLES[table])


def batches(table: str, rows: pa.Table) -> Iterator[Batch]:
    """Rows in batches."""
    for start in range(0, rows.num_rows, BATCH):
        yield table, rows.slice(start, BATCH)


def members(content: bytes, name: str) -> ZipFile:
    """An archive. Raises ``BadInput`` for one that is damaged or unreasonably large."""
    try:
        archive = ZipFile(BytesIO(content))
    except BadZipFile as error:
        raise BadInput("damaged", "file", f"{name}: {error}", "an intact zip archive") from error
    if sum(one.file_size for one in archive.infolist()) > MOST_BYTES:
        raise BadInput("too_large", "file", name, f"at most {MOST_BYTES} bytes once unpacked")
    return archive


def read_member(archive: ZipFile, member: str) -> bytes:
    """A member's bytes. Raises ``BadInput`` where they are damaged."""
    try:
        return archive.read(member)
    except (BadZipFile, OSError, EOFError) as error:
        raise BadInput("damaged", "file", f"{member}: {error}", "an intact zip archive") from error


def numbers(content: bytes, columns: Iterable[str], name: str, text: Iterable[str] = ()) -> dict[str, NDArray]:
    """Columns of a csv without a header: int64, or float64 where a column is called ``seconds``, or text.

    Raises ``BadInput`` that says what was wrong and where.
    """
    names = list(columns)
    if not content.strip():
        raise BadInput("empty", "file", name, "at least one row")
    types = {one: pa.string() if one in set(text) else pa.int64() for one in names}
    if "seconds" in types:
        types["seconds"] = pa.decimal128(18, 9)
    try:
        table = csv.read_csv(
            BytesIO(content),
            csv.ReadOptions(column_names=names, use_threads=False),
            convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise BadInput("damaged", "file", f"{name}: {error}", f"{len(names)} columns: {', '.join(names)}") from error
    for one in names:
        if table[one].null_count:
            row = int(np.flatnonzero(table[one].is_null().to_numpy())[0]) + 1
            raise BadInput("missing_value", f"row {row}", one, "a number in every column")
    return {one: table[one].to_numpy() for one in names}
