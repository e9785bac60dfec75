"""The hash chain, without a database: the same code checks the table and an exported file.

``hash`` is the SHA-256 of the canonical JSON (sorted keys, no spaces, UTF-8) of everything else in the
row, ``previous_hash`` included, so a row that is changed, removed, added or moved breaks its link.
"""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

GENESIS = "0" * 64

Row = dict[str, Any]


class Break(NamedTuple):
    """The first link that does not hold: its place in the chain, the row there, and what is wrong."""

    sequence: int
    row_id: int | None
    reason: str


class Verdict(NamedTuple):
    rows: int  # links that hold
    head: str  # hash of the last one that holds
    broken: Break | None


def link_hash(row: Row) -> str:
    """Hex SHA-256 of the row without its own ``hash``."""
    content = {name: value for name, value in row.items() if name != "hash"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(canonical.encode()).hexdigest()


def verify(rows: Iterable[Row]) -> Verdict:
    """Walk the rows, which come in order of sequence, up to the first link that does not hold."""
    place, head = 0, GENESIS
    for row in rows:
        reason = _fault(row, place + 1, head)
        if reason:
            return Verdict(place, head, Break(place + 1, row.get("id"), reason))
        place, head = place + 1, row["hash"]
    return Verdict(place, head, None)


def _fault(row: Row, expected: int, head: str) -> str:
    """What is wrong with this link, or an empty string."""
    if row.get("sequence") != expected:
        return f"link {expected} is missing; the next one found is {row.get('sequence')}"
    if row.get("previous_hash") != head:
        return "previous_hash is not the hash of the link before"
    if row.get("hash") != link_hash(row):
        return "the content does not give the stored hash"
    return ""
