"""Replays a journal from its first record and says whether it makes the same records again.

Prints ``events``, ``state_hash``, ``orders_hash`` (SHA-256 over all orders and cancels, 64 bytes each),
``seconds``, ``identical`` and, where it is not, ``first_divergence``. Exit code 1 when they differ.
"""

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

from engine.core.engine import Engine
from engine.core.events import Kind
from engine.live.journal import Reader
from engine.live.pipeline import Replay
from engine.live.scan import Walk
from engine.strategies.load import load_manifest

ORDERS = frozenset({Kind.ORDER_NEW, Kind.ORDER_CANCEL, Kind.MASS_CANCEL, Kind.ORDER_REPLACE})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("journal", type=Path, help="the journal's folder")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    reader, engine = Reader(arguments.journal), Engine(load_manifest)
    replay, walk, orders, position = Replay(engine), Walk(ORDERS), hashlib.sha256(), 0
    began = time.perf_counter()
    while len(records := reader.read(position, 1 << 20)):
        same = replay.take(records)
        orders.update(records[: replay.record - position][walk.rows(records[: replay.record - position])].tobytes())
        position = replay.record
        if not same:
            break
    answer: dict[str, Any] = {
        "ok": replay.divergence is None,
        "events": replay.record,
        "state_hash": engine.state_hash(),
        "orders_hash": orders.hexdigest(),
        "seconds": round(time.perf_counter() - began, 3),
        "identical": replay.divergence is None,
    }
    if replay.divergence:
        answer["first_divergence"] = {"seq": replay.divergence.record, "class": replay.divergence.kind}
    return answer
