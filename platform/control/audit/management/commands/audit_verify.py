"""``audit_verify [--file F]``: walk the hash chain and name the first link that does not hold.

``first_broken`` is that link's sequence number (null when all hold), ``row`` the id of the row found
there, ``reason`` what is wrong. ``unsealed`` counts rows that the sealer has not chained yet. With
``--file`` no database is asked.
"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from control.audit.chain import verify
from control.audit.export import read_rows
from control.audit.selectors import verify_table
from control.command import JsonCommand


class Command(JsonCommand):
    help = "Verify the audit trail's hash chain, in the database or in an exported file."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--file", type=Path, help="a file of audit_export, checked without a database")

    def run(self, *, file: Path | None, **_: Any) -> dict[str, Any]:
        if file is not None:
            verdict, unsealed = verify(read_rows(file)), 0
        else:
            verdict, unsealed = verify_table()
        broken = verdict.broken
        return {
            "ok": broken is None,
            "rows": verdict.rows,
            "first_broken": broken.sequence if broken else None,
            "row": broken.row_id if broken else None,
            "reason": broken.reason if broken else None,
            "head": verdict.head,
            "unsealed": unsealed,
        }
