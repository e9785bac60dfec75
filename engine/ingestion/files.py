"""What a tick file is, told by its content and its name's end, and its rows."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.errors import BadInput
from engine.ingestion import actions, binance, itch, lean, lobster
from engine.ingestion.lean_daily import is_lean_daily
from engine.ingestion.rows import MOST_BYTES, Batch, members

FORMS = "a LEAN or LOBSTER .zip, an ITCH BinaryFILE (.itch, .itch50, also .gz), a Binance capture (.gz)"


class TickFile(NamedTuple):
    """A file that was told: its form, its hash, its batches (once), and what to say after they were read."""

    form: str
    sha256: str
    batches: Iterator[Batch]
    gaps: Callable[[], int]


def is_ticks(path: Path) -> bool:
    """Whether a file, by its name and outer form, holds rows of the tables and not daily bars."""
    name = path.name.lower()
    if not path.is_file():
        return False
    if name.endswith(".zip"):
        return not is_lean_daily(path)
    if actions.is_actions(path):
        return True
    return name.endswith((".itch", ".itch50", ".itch.gz", ".itch50.gz")) or (
        name.endswith(".gz") and not name.endswith(".csv.gz")
    )


def open_ticks(path: Path, day: int | None = None) -> TickFile:
    """A tick file. ``day`` (yyyymmdd) is needed for ITCH alone. Raises ``BadInput`` for a file of no known form."""
    if not path.is_file():
        raise BadInput("no_such_file", "file", path.name, FORMS)
    raw = path.read_bytes()
    if actions.is_actions(path):
        return TickFile("corporate actions", sha256(raw).hexdigest(), actions.read(path), int)
    digest = sha256(raw).hexdigest()
    content = _unpacked(raw, path.name)
    if content[:2] == b"PK":
        archive = members(content, path.name)
        if lean.is_lean(archive):
            return TickFile("lean", digest, lean.read(archive), int)
        if lobster.is_lobster(archive):
            return TickFile("lobster", digest, lobster.read(archive), int)
    elif ".itch" in path.name.lower():
        if day is None:
            raise BadInput("missing", "date", None, "--date yyyymmdd, for ITCH has none")
        return TickFile("itch", digest, itch.read(np.frombuffer(content, np.uint8), day), int)
    elif content[:1].isdigit() and b'{"' in content[:64]:
        capture = binance.Capture(BytesIO(content))
        return TickFile("binance", digest, capture.read(), lambda: capture.gaps)
    raise BadInput("unknown_form", "file", path.name, FORMS)


def _unpacked(raw: bytes, name: str) -> bytes:
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        with gzip.open(BytesIO(raw)) as stream:
            content = stream.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput("damaged", "file", f"{name}: {error}", "an intact gzip file") from error
    if len(content) > MOST_BYTES:
        raise BadInput("too_large", "file", name, f"at most {MOST_BYTES} bytes once unpacked")
    return content
