"""A trading day live over four venues: 505 symbols, 300 pairs; one JSON line.

python tests/bench/bench_session.py [--minutes 30] [--rate 50000] [--pairs 300] [--entry 2.0]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402

if __name__ == "__main__":
    sys.exit(engine(["bench", "session", *sys.argv[1:]]))
