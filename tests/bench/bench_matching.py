"""The matching engine against the plain one; one JSON line.

python tests/bench/bench_matching.py [--messages 2000000] [--symbols 100] [--rounds 7] [--prefix 4000]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(["bench", "matching", *sys.argv[1:]]))
