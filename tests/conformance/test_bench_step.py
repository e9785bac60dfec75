"""``bench step`` on a small synthetic day: its keys, and that each limit refuses what it is brought to refuse.

No figure is judged here. Needs HELIOGRAPH_SHARED (default ../shared) for the generator."""

import json
import subprocess
import sys
from pathlib import Path

from engine.core.limit_names import Limit

KEYS = {"bench", "ours", "peer", "ratio", "unit", "n", "commit", "machine", "orders", "p50_ns", "p99_ns", "p999_ns"} | {
    "max_ns",
    "msgs_per_s",
    "pairs_per_message",
    "checks_per_order",
    "rejects",
}


def test_the_benchmark_sends_orders_and_sees_every_limit_refuse(shared_data: Path, root: Path, tmp_path: Path) -> None:
    made = str(tmp_path / "day.itch")
    sizes = ["--messages", "700000", "--symbols", "20", "--seed", "7"]
    generator = str(shared_data.parent / "bench" / "gen_itch.py")
    subprocess.run([sys.executable, generator, "--out", made, *sizes], check=True, capture_output=True)
    command = [sys.executable, "-m", "engine", "bench", "step", "--input", made, "--pairs", "30"]
    done = subprocess.run([*command, "--folder", str(tmp_path)], cwd=root, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer.keys() >= KEYS
    assert answer["ok"]
    assert answer["rejects"].keys() == {limit.name.lower() for limit in Limit} - {"none"}
    assert all(refused > 0 for refused in answer["rejects"].values())
    assert answer["orders"] >= answer["n"] > 100  # a send has one order at least
    assert 0 < answer["p50_ns"] <= answer["p99_ns"] <= answer["p999_ns"] <= answer["max_ns"]
