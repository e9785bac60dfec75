"""The compiled replay venue on a real day with a market maker in it, beside the plain one; one JSON line.

python tests/bench/bench_replay_venue.py [--every-ms 1000] [--latency-us 500]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402

if __name__ == "__main__":
    sys.exit(engine(["bench", "replay-venue", *sys.argv[1:]]))
