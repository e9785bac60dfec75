"""The journal on this machine's disk; one JSON line.

python tests/bench/bench_journal.py [--folder DIR] [--records N]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402

if __name__ == "__main__":
    sys.exit(engine(["bench", "journal", *sys.argv[1:]]))
