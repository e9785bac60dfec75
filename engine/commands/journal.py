"""Looks into a journal: ``journal dump JOURNAL [--jsonl] [--after N] [--limit N] [--kinds FILL,POSITION]``.

With --jsonl each record is one JSON line with the names of its kind. The last line counts the records by
kind and names the segments' builds. ``journal verify JOURNAL`` compares every record with its checksum.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from engine.core.events import Kind
from engine.errors import BadInput
from engine.live.journal import Reader
from engine.live.record_json import record_fields
from engine.live.scan import Blob, Walk


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["dump", "verify"])
    parser.add_argument("journal", type=Path, help="the journal's folder")
    parser.add_argument("--jsonl", action="store_true", help="print the records")
    parser.add_argument("--after", type=int, default=0, help="only records behind this number")
    parser.add_argument("--limit", type=int, default=0, help="print at most this many (0: all)")
    parser.add_argument("--kinds", default="", help="comma-separated names of kinds to print (default: all)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.action == "verify":
        return _verify(Reader(arguments.journal))
    kinds = _kinds(arguments.kinds)
    reader, walk, counts = Reader(arguments.journal), Walk(frozenset(Kind) - {Kind.BLOB, Kind.CELL}), Counter[str]()
    position = printed = 0
    while len(records := reader.read(position, 65_536)):
        for found in walk.feed(position + 1, records):
            number, record = (found.number, found.header) if isinstance(found, Blob) else found
            kind = Kind(int(record[0]["kind"]))
            counts[kind.name] += 1
            wanted = arguments.jsonl and number > arguments.after and kind in kinds
            if wanted and (not arguments.limit or printed < arguments.limit):
                print(json.dumps({"record": number, **record_fields(record[0])}))
                printed += 1
        position += len(records)
    builds = list(dict.fromkeys(origin.build for origin in reader.origins))
    return {"journal": reader.journal, "events": position, "kinds": dict(counts), "builds": builds}


def _verify(reader: Reader) -> dict[str, Any]:
    verified = reader.verify()
    events = reader.last
    return {"ok": verified == events, "journal": reader.journal, "events": events, "verified": verified}


def _kinds(names: str) -> frozenset[Kind]:
    if not names:
        return frozenset(Kind)
    try:
        return frozenset(Kind[name.strip().upper()] for name in names.split(","))
    except KeyError as error:
        raise BadInput("kind", "kinds", error.args[0], ", ".join(kind.name for kind in Kind)) from error
