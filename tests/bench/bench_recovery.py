"""From kill -9 to trading again with a million journaled events; one JSON line.

python tests/bench/bench_recovery.py [--events 1000000] [--rounds 3]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402

if __name__ == "__main__":
    sys.exit(engine(["bench", "recovery", *sys.argv[1:]]))
