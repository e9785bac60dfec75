"""Lets a level that repeated executions have stopped trade on: ``reenable [--config FILE] --level L --person ID``.

For the core that runs with that configuration. The person's number (their id in the control plane) is journaled with
the command and kept in the state; the level's executions are counted anew, and its drawdown from here.
"""

import argparse
from typing import Any

from engine.arguments import add_engine_config
from engine.core.events import Command
from engine.core.limit_names import Level
from engine.errors import BadInput, MissingPrerequisite
from engine.live.config import load_config
from engine.live.control import ask_core, command_packets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_engine_config(parser)
    parser.add_argument("--level", required=True, choices=[level.name.lower() for level in Level])
    parser.add_argument("--person", type=int, required=True, help="who does this: a number above 0")
    parser.add_argument("--desk", type=int, default=0, help="index among the bundle's desks")
    parser.add_argument("--slot", type=int, default=0, help="the strategy's slot in the engine")
    parser.add_argument("--symbol", help="of the configuration's symbols")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises BadInput, MissingPrerequisite when no core runs."""
    config, level = load_config(arguments.config), Level[arguments.level.upper()]
    if arguments.person <= 0:
        raise BadInput("person", "--person", arguments.person, "a person's number, above 0")
    index = arguments.desk
    if level is Level.SYMBOL:
        if arguments.symbol not in config.symbols:
            raise BadInput("symbol", "--symbol", arguments.symbol, "one of the configuration's symbols")
        index = config.symbols.index(arguments.symbol)
    packets = command_packets(
        Command.REENABLE, arguments.slot, level=int(level), argument=index, person=arguments.person
    )
    try:
        ask_core(config.folder, packets)
    except OSError as error:
        raise MissingPrerequisite("core", f"python -m engine run --config {arguments.config}") from error
    return {"ok": True, "level": arguments.level, "person": arguments.person}
