"""``bench replay-venue`` on GOOG's real day: both venues say the same of it. No figure is judged here. Needs
HELIOGRAPH_SHARED (default ../shared)."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"bench", "ours", "peer", "ratio", "unit", "n", "orders", "fills", "equal", "commit", "machine"}


def test_the_compiled_and_the_plain_venue_give_a_market_maker_the_same_fills_of_a_real_morning():
    command = [sys.executable, "-m", "engine", "bench", "replay-venue", "--peer-messages", "1500", "--every-ms", "500"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    answer = json.loads(ended.stdout.splitlines()[-1])
    assert set(answer) >= KEYS
    assert answer["equal"]
    assert answer["fills"] > 100
    assert answer["dropped"] == 0
