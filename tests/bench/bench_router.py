"""The smart order router beside "send all to the best displayed", in basis points and ns; one JSON line.

python tests/bench/bench_router.py [--seed 1] [--every-ms 2500]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402

if __name__ == "__main__":
    sys.exit(engine(["bench", "router", *sys.argv[1:]]))
