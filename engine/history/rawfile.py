"""Files into columns of text: csv (plain, gzip, xz) and Parquet, with the row that each value stands in.

Rows are numbered as the file's reader sees them: in csv the header is row 1; in Parquet the first row is row 1.
What makes a file unusable as a whole raises ``BadInput``; a csv row with too few or too many values is reported.
"""

import gzip
import lzma
import zlib
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine.errors import BadInput

MOST_BYTES = 2 << 30  # of decompressed text: more is a mistake or a bomb, and would not fit the parser's memory
FORMS = ".csv, .csv.gz, .csv.xz or .parquet"


class RowError(msgspec.Struct, frozen=True):
    """A fault of one row: its number in the file, the column's name as the file has it, and what is wrong."""

    row: int
    column: str
    reason: str


class RawFile(NamedTuple):
    """Columns as text under their names of the file, the row number of each value [n], and rows of wrong length."""

    columns: dict[str, pa.StringArray]
    rows: NDArray[np.int64]
    errors: list[RowError]
    sha256: str


def read_raw(path: Path | str) -> RawFile:
    """Read a file. Raises ``BadInput`` for one that is missing, empty, damaged, of another form or not UTF-8."""
    path = Path(path)
    if not path.is_file():
        raise BadInput("no_such_file", "file", path.name, f"a file of form {FORMS}")
    content = path.read_bytes()
    digest = sha256(content).hexdigest()
    if not content:
        raise BadInput("empty", "file", path.name, "a header and at least one row")
    name = path.name.lower()
    if name.endswith(".parquet"):
        columns, rows, errors = _read_parquet(content, path.name)
    elif name.endswith((".csv", ".csv.gz", ".csv.xz")):
        columns, rows, errors = _read_csv(_checked_text(_decompressed(content, name), path.name), path.name)
    else:
        raise BadInput("unknown_form", "file", path.name, FORMS)
    if not len(rows) and not errors:
        raise BadInput("empty", "file", path.name, "at least one row below the header")
    return RawFile(columns, rows, errors, digest)


def _decompressed(content: bytes, name: str) -> bytes:
    try:
        if name.endswith(".gz"):
            with gzip.open(BytesIO(content)) as stream:
                text = stream.read(MOST_BYTES + 1)
        elif name.endswith(".xz"):
            with lzma.open(BytesIO(content)) as stream:
                text = stream.read(MOST_BYTES + 1)
        else:
            text = content
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise BadInput("damaged", "file", f"{name}: {error}", "an intact compressed file") from error
    if len(text) > MOST_BYTES:
        raise BadInput("too_large", "file", name, f"at most {MOST_BYTES} bytes of text")
    return text


def _checked_text(content: bytes, name: str) -> bytes:
    """The text without a byte order mark. Raises ``BadInput`` naming row and byte of what is not UTF-8."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode()
        at = content.find(b"\0")
    except UnicodeDecodeError as error:
        at = error.start
    if at >= 0:
        row = content.count(b"\n", 0, at) + 1
        raise BadInput("encoding", f"row {row}", f"byte 0x{content[at]:02x} of {name}", "text in UTF-8")
    if not content.strip():
        raise BadInput("empty", "file", name, "a header and at least one row")
    return content if content.endswith(b"\n") else content + b"\n"  # a header alone needs its line's end


def _read_csv(content: bytes, name: str) -> tuple[dict[str, pa.StringArray], NDArray[np.int64], list[RowError]]:
    wrong: list[csv.InvalidRow] = []

    def skip(row: csv.InvalidRow) -> str:
        wrong.append(row)
        return "skip"

    reading = csv.ReadOptions(use_threads=False)  # rows have numbers only when they are read in order
    parsing = csv.ParseOptions(invalid_row_handler=skip, ignore_empty_lines=False)
    try:
        header = csv.open_csv(BytesIO(content), read_options=reading, parse_options=parsing).schema.names
        wrong.clear()
        _distinct(header)
        converting = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
        table = csv.read_csv(BytesIO(content), reading, parsing, converting)
    except pa.ArrowInvalid as error:
        raise BadInput("damaged", "file", f"{name}: {error}", "a csv file with commas") from error
    errors = [
        RowError(row.number, "", f"{row.actual_columns} values, the header has {row.expected_columns}") for row in wrong
    ]
    skipped = np.array([row.number for row in wrong], np.int64)
    rows = np.setdiff1d(np.arange(2, 2 + table.num_rows + len(wrong)), skipped)
    columns = {column: _trimmed(table[column]) for column in header}
    blank = np.logical_and.reduce([pc.equal(values, "").to_numpy(zero_copy_only=False) for values in columns.values()])
    if blank.any():
        columns = {column: values.filter(pa.array(~blank)) for column, values in columns.items()}
    return columns, rows[~blank], errors


def _read_parquet(content: bytes, name: str) -> tuple[dict[str, pa.StringArray], NDArray[np.int64], list[RowError]]:
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise BadInput("damaged", "file", f"{name}: {error}", "an intact Parquet file") from error
    _distinct(table.column_names)
    columns = {}
    for column in table.column_names:
        try:
            columns[column] = _trimmed(pc.fill_null(table[column].cast(pa.string()), ""))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            kind = table.schema.field(column).type
            raise BadInput("bad_column", column, kind, "text, numbers or dates") from error
    return columns, np.arange(1, table.num_rows + 1), []


def _trimmed(values: pa.ChunkedArray) -> pa.StringArray:
    trimmed = pc.utf8_trim_whitespace(values)
    return trimmed.combine_chunks() if isinstance(trimmed, pa.ChunkedArray) else trimmed


def _distinct(header: list[str]) -> None:
    seen: set[str] = set()
    for position, column in enumerate(header, start=1):
        if not column.strip():
            raise BadInput("unnamed_column", "header", f"column {position}", "a name for every column")
        if column.strip().lower() in seen:
            raise BadInput("duplicate_column", "header", column, "each column once")
        seen.add(column.strip().lower())
