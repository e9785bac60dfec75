"""What all pre-trade checks of one order cost, beside the same checks in plain Python; one JSON line.

python tests/bench/bench_limits.py [--orders 100000] [--instruments 500]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402

if __name__ == "__main__":
    sys.exit(engine(["bench", "limits", *sys.argv[1:]]))
