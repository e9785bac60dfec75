"""Books against the pure-Python floor on the synthetic day that the issue names; one JSON line.

python tests/bench/bench_books.py [--symbols 8000 --messages 10000000] [--input FILE]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402
from engine.benchmarks.synthetic_day import add_day_arguments, synthetic_day  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_day_arguments(parser)
    with synthetic_day(parser.parse_args()) as made:
        return engine(["bench", "books", "--input", str(made)])


if __name__ == "__main__":
    sys.exit(main())
