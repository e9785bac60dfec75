"""Wire to wire on loopback against a bare echo; one JSON line. Loopback figures are never a network's.

python tests/bench/bench_wire.py [--blocks 10] [--packets 2000] [--engine-cpu 0] [--venue-cpu 1]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402

if __name__ == "__main__":
    sys.exit(engine(["bench", "wire", *sys.argv[1:]]))
