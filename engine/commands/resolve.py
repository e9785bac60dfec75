"""Resolves a break: a person has looked at it, and the symbol trades again. Journaled with that person's name.

A break that came since is another one: name it with ``--value`` (its match number or order id), or resolve it again.
"""

import argparse
import getpass
from contextlib import closing
from typing import Any

from engine.arguments import add_engine_config
from engine.core.events import Command
from engine.core.signature import Signature
from engine.errors import BadInput, MissingPrerequisite
from engine.live.config import load_config
from engine.live.control import ask, connect
from engine.live.kill import PATIENCE
from engine.live.person_commands import break_scope, signed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_engine_config(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--symbol", help="the one that does not trade")
    which.add_argument("--all", dest="symbol", action="store_const", const="", help="the break that stops everything")
    parser.add_argument("--value", type=int, help="the break's match number or order id (default: the open one's)")
    parser.add_argument("--person", default=getpass.getuser(), help="who has looked (default: who is signed in here)")
    parser.add_argument("--reason", default="")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    try:
        with closing(connect(load_config(arguments.config).folder)) as connection:
            connection.settimeout(PATIENCE)
            value = _open_value(ask(connection, b"S")["status"]["breaks"], arguments.symbol, arguments.value)
            signature = Signature([arguments.person], "host", break_scope(arguments.symbol), arguments.reason)
            ask(connection, signed(Command.RESOLVE_BREAK, signature, ref=value))
    except OSError as error:
        raise MissingPrerequisite(
            f"a core that answers ({error})", f"python -m engine run --config {arguments.config}"
        ) from error
    return {"ok": True, "symbol": arguments.symbol, "value": value, "person": arguments.person}


def _open_value(breaks: list[dict[str, Any]], symbol: str, value: int | None) -> int:
    open_ = {one["symbol"]: one["value"] for one in breaks}
    if symbol not in open_:
        raise BadInput("no_break", "symbol", symbol, f"one of {sorted(open_)}" if open_ else "a break; there is none")
    return int(open_[symbol]) if value is None else value
