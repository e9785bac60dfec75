"""Kills, on the engine host and with no control plane: through the core, or without it when it does not answer.

pause (nothing new is sent) < reduce-only < cancel < flatten < disconnect. The kill is latched, over restarts too, until
two other persons take it off (``python -m engine rearm``). Prints the proof: ``orders_before``, ``acknowledged``,
``unacknowledged``, ``ms``. Exit 1 when an order was not acknowledged, or when the scope covers no strategy here.
"""

import argparse
import getpass
from typing import Any, get_args

from engine.arguments import add_engine_config
from engine.live.config import load_config
from engine.live.kill import PATIENCE, WAIT, kill
from engine.live.scopes import EXPECTED
from engine.messages import KillLevelName, KillOrder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    levels = [name for name in get_args(KillLevelName) if name != "armed"]
    add_engine_config(parser)
    parser.add_argument("--scope", required=True, help=EXPECTED)
    parser.add_argument("--level", required=True, choices=levels)
    parser.add_argument("--person", default=getpass.getuser(), help="who kills (default: who is signed in here)")
    parser.add_argument("--reason", default="")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds that the core may be silent")
    parser.add_argument("--wait", type=float, default=WAIT, help="seconds that the venue may take")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    order = KillOrder(arguments.scope, arguments.level, 0, [arguments.person], arguments.reason)
    proof = kill(load_config(arguments.config), order, via="host", patience=arguments.patience, wait=arguments.wait)
    return proof.as_json()
