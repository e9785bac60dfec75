"""Changes positions without an execution, on the core that runs with ``--config FILE``; journaled like every input.

    adjust --config FILE split --symbol KO --ratio 2:1            two new shares for one old, before the opening
    adjust --config FILE dividend --symbol KO --amount 4400       0.44 a share, on the ex-date
    adjust --config FILE shares --symbol KO --slot 0 --qty -100 --price 500000 --person 7

Prices and amounts are whole numbers in 1/10,000. A change of symbol stands in the configuration
(``symbol_changes``) and is made when the core starts.
"""

import argparse
from typing import Any

from engine.arguments import add_engine_config
from engine.core.capacities import STRATEGIES
from engine.core.events import Action, Kind
from engine.errors import BadInput, MissingPrerequisite
from engine.live.config import load_config
from engine.live.control import ask_core, record_packets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_engine_config(parser)
    actions = parser.add_subparsers(dest="action", required=True)
    split, dividend, shares = (actions.add_parser(name) for name in ("split", "dividend", "shares"))
    for one in (split, dividend, shares):
        one.add_argument("--symbol", required=True)
    split.add_argument("--ratio", required=True, metavar="NEW:OLD")
    dividend.add_argument("--amount", type=int, required=True)
    shares.add_argument("--slot", type=int, required=True)
    shares.add_argument("--qty", type=int, required=True, help="signed")
    shares.add_argument("--price", type=int, required=True)
    shares.add_argument("--person", type=int, required=True)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises BadInput, MissingPrerequisite when no core runs."""
    config = load_config(arguments.config)
    if arguments.symbol not in config.symbols:
        raise BadInput("symbol", "--symbol", arguments.symbol, "one of the configuration's symbols")
    packets = _packets(arguments, config.symbols.index(arguments.symbol))
    try:
        ask_core(config.folder, packets)
    except OSError as error:
        raise MissingPrerequisite("core", f"python -m engine run --config {arguments.config}") from error
    return {"ok": True, "action": arguments.action, "symbol": arguments.symbol}


def _packets(arguments: argparse.Namespace, instrument: int) -> list[bytes]:
    if arguments.action == "split":
        new, _, old = arguments.ratio.partition(":")
        if not (new.isdecimal() and old.isdecimal() and 0 < int(new) < 10_000 and 0 < int(old) < 10_000):
            raise BadInput("ratio", "--ratio", arguments.ratio, "NEW:OLD, whole numbers from 1 to 9999")
        ratio = {"numerator": int(new), "denominator": int(old)}
        return record_packets(Kind.CORPORATE_ACTION, instrument, code=int(Action.SPLIT), **ratio)
    if arguments.action == "dividend":
        if not 0 < arguments.amount < 1 << 31:
            raise BadInput("amount", "--amount", arguments.amount, "a whole number above 0, in 1/10,000")
        return record_packets(Kind.CORPORATE_ACTION, instrument, code=int(Action.DIVIDEND), amount=arguments.amount)
    fits = {
        "--slot": (arguments.slot, 0 <= arguments.slot < STRATEGIES),
        "--qty": (arguments.qty, 0 < abs(arguments.qty) < 1 << 31),
        "--price": (arguments.price, 0 <= arguments.price < 1 << 31),
        "--person": (arguments.person, arguments.person > 0),
    }
    for option, (value, right) in fits.items():
        if not right:
            raise BadInput("range", option, value, "a slot, shares, a price and a person's number")
    side = 1 if arguments.qty > 0 else -1
    numbers = {"price": arguments.price, "qty": abs(arguments.qty), "person": arguments.person}
    return record_packets(Kind.ADJUSTMENT, instrument, side, strategy=arguments.slot, **numbers)
