"""What one pair's update costs, and what the step does with 300 of them; one JSON line.

python tests/bench/bench_signals.py [--pairs 300] [--symbols 500 --messages 5000000] [--input FILE]
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
    add_day_arguments(parser)
    arguments = parser.parse_args()
    with synthetic_day(arguments) as made:
        return engine(["bench", "signals", "--input", str(made), "--pairs", str(arguments.pairs)])


if __name__ == "__main__":
    sys.exit(main())
