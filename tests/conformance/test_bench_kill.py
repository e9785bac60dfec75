"""``bench kill`` with few orders: its keys, and that every order was acknowledged. No figure is judged here."""

import json
import subprocess
import sys
from pathlib import Path

KEYS = {
    "worst",
    "order_by_order_ms",
    "order_by_order_peer_ms",
    "bench",
    "ours",
    "peer",
    "ratio",
    "unit",
    "n",
    "commit",
    "machine",
    "ms_until_sent",
    "unacknowledged",
    "venues",
}


def test_the_benchmark_cancels_every_order(root: Path) -> None:
    command = [sys.executable, "-m", "engine", "bench", "kill", "--orders", "600", "--rounds", "1"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer.keys() >= KEYS
    assert (answer["ok"], answer["n"], answer["unacknowledged"]) == (True, 600, 0)
