"""The day over four venues as a benchmark, short: its line, and that both sides' records agree."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"bench", "ours", "peer", "ratio", "unit", "n", "commit", "machine", "messages", "msgs_per_s", "orders", "fills"}
KEYS |= {"rejects", "routes", "reconciliation", "memory_mb", "histogram_ns", "p50_ns", "p99_ns", "p999_ns", "venues"}


@pytest.mark.usefixtures("shared_data")
def test_a_short_day_over_four_venues_is_reconciled(tmp_path: Path) -> None:
    options = ["--minutes", "0.3", "--symbols", "30", "--pairs", "20", "--rate", "4000", "--entry", "1.0"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/bench/bench_session.py"), *options, "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    line = json.loads(done.stdout.splitlines()[-1])
    assert line.keys() >= KEYS
    assert line["ok"], line["reconciliation"]
    assert line["fills"] == line["reconciliation"]["executions"] > 0
    assert set(line["fills_by_venue"]) >= {"SIM", "EAST", "INVERT"}
