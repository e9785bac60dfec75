"""The pairs strategy over the 20-symbol panel, all years: pairs formed anew, and formations remembered.

    PYTHONPATH=. python tests/bench/bench_backtest.py

One JSON line. ``ours`` is the run with remembered formations, ``peer`` the same run that has to form them, both in
seconds, in this order: compile, form, remember. Fails when the two do not give the same result.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from engine.backtest import BacktestResult, run_backtest  # noqa: E402
from engine.backtest.runner import warm  # noqa: E402
from engine.benchmarks.surroundings import commit, machine  # noqa: E402
from engine.content import content_hash  # noqa: E402
from engine.history import open_history  # noqa: E402
from engine.history.ingest import read_bars  # noqa: E402
from engine.history.panel import PANEL, PANEL_DATASET, skfolio_panel_path  # noqa: E402
from engine.messages import DataContract, LimitEnvelope, Manifest  # noqa: E402

REPEATS = 5


def main() -> int:
    warm()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        history = open_history(root / "history")
        history.append_bars(PANEL_DATASET, read_bars(skfolio_panel_path()).bars, PANEL)
        meta = history.describe(PANEL_DATASET)
        data, envelope = DataContract(PANEL_DATASET, meta.data_hash), LimitEnvelope(*[1 << 40] * 4)
        manifest = Manifest(
            "", "", "pairs", content_hash("pairs", {}, envelope, data), {}, envelope, data, "sim", 10**10
        )
        formed, cold = _timed(manifest, root, "cold")
        runs = [_timed(manifest, root, f"cached-{repeat}") for repeat in range(REPEATS)]
    cached = sorted(seconds for _, seconds in runs)[REPEATS // 2]
    same = {result.result_sha256 for result, _ in runs} == {formed.result_sha256}
    line = {
        "bench": "backtest",
        "ok": same,
        "ours": round(cached, 3),
        "peer": round(cold, 3),
        "ratio": round(cold / cached, 2),
        "unit": "s",
        "n": meta.rows,
        "bars_per_s": round(meta.rows / cached),
        "trades": formed.statistics["trades"],
        "result_sha256": formed.result_sha256,
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(line))
    return 0 if same else 1


def _timed(manifest: Manifest, root: Path, out: str) -> tuple[BacktestResult, float]:
    started = time.perf_counter()
    result = run_backtest(manifest, root / "history", root / out, cache=root / "formations")
    return result, time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
