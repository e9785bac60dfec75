"""``bench signals`` on a small synthetic day: its keys, and that its z-scores are the plain reference's. No figure is
judged here. Needs HELIOGRAPH_SHARED (default ../shared) for the generator."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

KEYS = {"bench", "ours", "peer", "ratio", "unit", "n", "commit", "machine", "messages", "moves"} | {
    "ns_per_pair_update",
    "ns_per_pair_update_by_mode",
    "pairs_per_message",
    "msgs_per_s",
    "largest_z_difference",
}


def test_the_benchmark_follows_pairs_like_the_reference(shared_data: Path, root: Path, tmp_path: Path) -> None:
    made = str(tmp_path / "day.itch")
    sizes = ["--messages", "60000", "--symbols", "20", "--seed", "7"]
    generator = str(shared_data.parent / "bench" / "gen_itch.py")
    subprocess.run([sys.executable, generator, "--out", made, *sizes], check=True, capture_output=True)
    command = [sys.executable, "-m", "engine", "bench", "signals", "--input", made, "--pairs", "40", "--rounds", "1"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer.keys() >= KEYS
    assert answer["ok"]
    assert answer["messages"] > 50_000
    assert answer["moves"] > 1_000
    # 20 symbols in 40 pairs: each is in four
    assert answer["pairs_per_message"] * answer["messages"] / answer["moves"] == pytest.approx(4, abs=0.1)
