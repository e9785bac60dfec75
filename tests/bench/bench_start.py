"""Start of the engine with everything compiled, and compiling from nothing; one JSON line.

python tests/bench/bench_start.py [--rounds N]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402

if __name__ == "__main__":
    sys.exit(engine(["bench", "start", *sys.argv[1:]]))
