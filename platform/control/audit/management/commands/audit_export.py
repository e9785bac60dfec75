"""``audit_export FILE``: the sealed trail as JSONL, for ``audit_verify --file``."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from control.audit.export import write_rows
from control.audit.selectors import sealed_rows
from control.command import JsonCommand


class Command(JsonCommand):
    help = "Write the sealed audit trail to a file, one JSON object a line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def run(self, *, file: Path, **_: Any) -> dict[str, Any]:
        return {"rows": write_rows(file, sealed_rows()), "file": str(file)}
