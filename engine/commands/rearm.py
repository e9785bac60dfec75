"""Takes a kill off again. Two persons do that, neither of whom killed; the core checks their names against the latch.

Only a core that runs is re-armed. Trading goes on by what is desired of each strategy.
"""

import argparse
from typing import Any

from engine.arguments import add_engine_config
from engine.errors import MissingPrerequisite
from engine.live.config import load_config
from engine.live.kill import PATIENCE, CoreSilent, kill
from engine.live.scopes import EXPECTED
from engine.messages import KillOrder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_engine_config(parser)
    parser.add_argument("--scope", required=True, help=EXPECTED)
    parser.add_argument("--person", action="append", required=True, help="twice: the two persons who re-arm")
    parser.add_argument("--reason", default="")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds that the core may be silent")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    order = KillOrder(arguments.scope, "armed", 0, arguments.person, arguments.reason)
    try:
        proof = kill(load_config(arguments.config), order, via="host", patience=arguments.patience, wait=0.0)
    except CoreSilent as error:
        raise MissingPrerequisite(str(error), f"python -m engine run --config {arguments.config}") from error
    return {"ok": True, "scope": proof.scope, "epoch": proof.epoch, "ms": proof.ms}
