"""Decodes a BinaryFILE (ITCH) or a pcap capture (ITCH over MoldUDP64, OUCH over SoupBinTCP), plain or gzipped.

Counts messages by protocol and name, and says whether encoding them again from the decoded fields gives the same
bytes. ``ok`` is false (exit 1) when it does not or when a message is bad.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.protocols.capture import Found, decode_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--jsonl", action="store_true", help="print every message, one JSON object a line")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises BadInput when the file cannot be read."""
    counts: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    equal = True
    try:
        for found in decode_file(arguments.file, skipped):
            counts[f"{found.protocol}.{found.name}"] += 1
            equal = equal and found.equal
            if found.reason:
                bad[found.reason] += 1
            if arguments.jsonl:
                sys.stdout.write(_line(found))
    except OSError as error:
        raise BadInput("unreadable", "FILE", arguments.file, error.strerror or "a readable file") from error
    return {
        "ok": equal and not bad,
        "messages": sum(count for name, count in counts.items() if name.startswith(("itch.", "ouch."))),
        "counts": dict(sorted(counts.items())),
        "reencoded_equal": equal,
        "bad": dict(bad),
        "skipped": dict(skipped),
    }


def _line(found: Found) -> str:
    row: dict[str, Any] = {"protocol": found.protocol, "message": found.name}
    if found.reason:
        row["bad"] = found.reason
    if found.content is not None:
        row |= msgspec.to_builtins(found.content)
    return msgspec.json.encode(row).decode() + "\n"
