"""`python -m engine bench quality` with its defaults; one JSON line."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402

if __name__ == "__main__":
    sys.exit(engine(["bench", "quality", *sys.argv[1:]]))
