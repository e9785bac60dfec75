"""From a market data message to encoded order bytes, with 300 pairs and all limits; one JSON line.

python tests/bench/bench_step.py [--pairs 300] [--symbols 500 --messages 3000000] [--input FILE] [--cpu N]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402
from engine.benchmarks.synthetic_day import add_day_arguments, synthetic_day  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--cpu", type=int)
    add_day_arguments(parser)
    arguments = parser.parse_args()
    bound = [] if arguments.cpu is None else ["--cpu", str(arguments.cpu)]
    with synthetic_day(arguments) as made:
        return engine(["bench", "step", "--input", str(made), "--pairs", str(arguments.pairs), *bound])


if __name__ == "__main__":
    sys.exit(main())
