"""``bench books`` on a small synthetic day: its keys, and that all content equals the reference book's half way and
at the end. No figure is judged here. Needs HELIOGRAPH_SHARED (default ../shared), for the generator and the peer."""

import json
import subprocess
import sys
from pathlib import Path

KEYS = {"bench", "ours", "peer", "ratio", "unit", "n", "commit", "machine", "messages", "msgs_per_s"} | {
    "python_floor_msgs_per_s",
    "live_path_msgs_per_s",
    "live_path_ratio",
    "peak_rss_mb",
}


def test_the_benchmark_books_a_small_day_like_the_reference(shared_data: Path, root: Path, tmp_path: Path) -> None:
    made = str(tmp_path / "day.itch")
    sizes = ["--messages", "60000", "--symbols", "20", "--seed", "7"]
    generator = str(shared_data.parent / "bench" / "gen_itch.py")
    subprocess.run([sys.executable, generator, "--out", made, *sizes], check=True, capture_output=True)
    command = [sys.executable, "-m", "engine", "bench", "books", "--input", made, "--rounds", "2"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer.keys() >= KEYS
    assert answer["ok"]
    assert [check["equal"] for check in answer["checks"]] == [True, True]
    assert answer["checks"][0]["orders"] > 500
    assert answer["checks"][1] == answer["checks"][1] | {"messages": answer["messages"], "orders": 0}
