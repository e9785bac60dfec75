"""The trail as a file: one JSON object a line, in the chain's order, checked without a database."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import BadInput


def write_rows(path: Path, rows: Iterator[dict[str, Any]]) -> int:
    """Write to a temporary name and rename, so that a file is there whole or not at all; returns the count."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with temporary.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n")
                count += 1
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise BadInput("file", "file", str(path), f"a path that can be written ({error.strerror})") from error
    return count


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows. Raises ``BadInput`` with the line for what is no JSON object."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield _row(line, f"{path}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("file", "file", str(path), f"a readable file of audit_export ({error})") from error


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput("line", where, line.strip()[:80], f"one JSON object a line ({error.msg})") from error
    if not isinstance(row, dict):
        raise BadInput("line", where, line.strip()[:80], "one JSON object a line")
    return row
