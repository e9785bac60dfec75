"""Arguments of commands: what cannot be taken is answered like all bad input."""

import argparse
import os
from pathlib import Path
from typing import NoReturn

from engine import PACKAGE
from engine.errors import BadInput


class Parser(argparse.ArgumentParser):
    """Raises BadInput ``usage`` instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise BadInput("usage", "arguments", message, " ".join(self.format_usage().split()))


def add_engine_config(parser: argparse.ArgumentParser) -> None:
    """``--config``, which engine is meant: without it that of `make run` on this host."""
    local = PACKAGE.parent / (os.environ.get("HELIOGRAPH_VAR") or "var") / "config" / "engine.json"
    said = "the engine's (default: that of `make run`); see engine.live.config.Config"
    parser.add_argument("--config", type=Path, default=local, metavar="FILE", help=said)
