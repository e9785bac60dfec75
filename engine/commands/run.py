"""Runs an engine: the agent, which keeps the core running and links it to the control plane.

Prints {"ports": ..., "journal": ...} when the core is ready, and serves until SIGINT or SIGTERM. ``ports`` are those on
which the first venue's market data arrives (``itch``, ``itch_b``); with more venues ``others`` has theirs by name.
"""

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

from engine.live.agent import Agent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="JSON file; see engine.live.config.Config")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return asyncio.run(_serve(arguments.config))


async def _serve(config: Path) -> dict[str, Any]:
    return await Agent(config).run()
