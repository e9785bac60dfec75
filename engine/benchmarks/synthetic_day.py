"""The synthetic ITCH day that benchmarks run on: made by the shared benchmarks' generator, thrown away afterwards."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.benchmarks.surroundings import peer_script


def add_day_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--messages", type=int, default=5_000_000)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--input", type=Path, help="a file that is there already")


@contextmanager
def synthetic_day(arguments: argparse.Namespace) -> Iterator[Path]:
    """The file that ``--input`` names, or one that is made for the time being."""
    if arguments.input:
        yield arguments.input
        return
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "synthetic.itch"
        sizes = ["--messages", str(arguments.messages), "--symbols", str(arguments.symbols), "--seed", "7"]
        command = [sys.executable, str(peer_script("gen_itch.py")), "--out", str(made), *sizes]
        subprocess.run(command, check=True, stdout=sys.stderr)
        yield made
