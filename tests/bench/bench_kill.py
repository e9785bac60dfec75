"""How long a kill of 10,000 working orders takes, from the command to the venue's last word; one JSON line.

python tests/bench/bench_kill.py [--orders 10000] [--rounds 5]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(["bench", "kill", *sys.argv[1:]]))
