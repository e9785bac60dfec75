"""Books against the pure-Python floor on the synthetic day that the issue names; one JSON line.

python tests/bench/bench_books.py [--symbols 8000 --messages 10000000] [--input FILE]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.__main__ import main as engine  # noqa: E402
from engine.benchmarks.surroundings import peer_script  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5_000_000)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--input", type=Path, help="a file that is there already")
    arguments = parser.parse_args()
    if arguments.input:
        return engine(["bench", "books", "--input", str(arguments.input)])
    with tempfile.TemporaryDirectory() as folder:
        made = f"{folder}/synthetic.itch"
        sizes = ["--messages", str(arguments.messages), "--symbols", str(arguments.symbols), "--seed", "7"]
        script = str(peer_script("gen_itch.py"))
        subprocess.run([sys.executable, script, "--out", made, *sizes], check=True, stdout=sys.stderr)
        return engine(["bench", "books", "--input", made])


if __name__ == "__main__":
    sys.exit(main())
