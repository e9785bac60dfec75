"""Our daily SMA case beside vectorbt's and backtrader's: the same trades, the same final equity to the cent.

    make bench-peers            # or: PYTHONPATH=. python tests/bench/peers/bench_peers.py [--record]

Each peer runs in a virtual environment of its own under ``HELIOGRAPH_VAR/peers``, made when it is not there:
the peers are no dependency, and their licences (Commons Clause, GPL) keep them out.
``--record`` writes what they printed to ``daily_sma.json``, which CI compares with. One JSON line; exit 1 where one
differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT))

from engine.benchmarks.daily_panel import generated_closes, panel_digest, write_panel  # noqa: E402
from engine.benchmarks.surroundings import commit, machine  # noqa: E402

RECORD = HERE / "daily_sma.json"
FILLS = {"vectorbt": "close", "backtrader": "next-open"}
BARS = 20 * 8_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true")
    record = parser.parse_args().record
    closes = generated_closes()
    with tempfile.TemporaryDirectory() as folder:
        panel = Path(folder) / "panel.csv"
        write_panel(panel, closes)
        peers = {peer: _peer(peer, panel) for peer in FILLS}
        our_run(panel, "close", Path(folder) / "compiled")
        ours = {peer: our_run(panel, fill, Path(folder) / peer) for peer, fill in FILLS.items()}
    now = datetime.now(UTC)
    recorded = {"recorded": f"{now:%Y-%m-%d}", "panel_sha256": panel_digest(closes), "peers": peers}
    if record:
        RECORD.write_text(json.dumps(recorded, indent=1) + "\n")
    same = {peer: differences(ours[peer], peers[peer]) == [] for peer in FILLS}
    line = {
        "bench": "peers",
        "ok": all(same.values()),
        "same": same,
        "ours": ours,
        "peers": peers,
        "ratio": {peer: round(peers[peer]["seconds"] / ours[peer]["seconds"], 3) for peer in FILLS},
        "unit": "s",
        "n": BARS,
        "date": f"{now:%Y-%m-%d}",
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(line))
    return 0 if line["ok"] else 1


def differences(ours: dict, peer: dict) -> list[str]:
    """What is not the same; the final equity to the cent."""
    cents = [round(Decimal(str(one["final_equity"])), 2) for one in (ours, peer)]
    found = [] if cents[0] == cents[1] else [f"final equity {cents[0]}, {cents[1]}"]
    return found + [name for name in ("orders", "trades_sha256") if ours[name] != peer[name]]


def our_run(panel: Path, fill: str, out: Path) -> dict:
    """The same case through ``python -m engine backtest``."""
    command = [sys.executable, "-m", "engine", "backtest", "--strategy", "sma", "--json", "--fill", fill]
    command += ["--data", f"csv:{panel}", "--commission", "0.0005", "--capital", "100000000", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    printed = json.loads(done.stdout.splitlines()[-1])
    trades = pq.read_table(printed["trades_file"]).to_pylist()
    lines = sorted(
        f"{trade['date']},{trade['symbol']},{trade['side']},{trade['qty']},{int(trade['price'] * 10_000)}"
        for trade in trades
    )
    return {
        "orders": len(trades),
        "final_equity": printed["final_equity"],
        "trades_sha256": sha256("\n".join(lines).encode()).hexdigest(),
        "seconds": round(printed["run_s"], 4),
    }


def _peer(peer: str, panel: Path) -> dict:
    home = Path(os.environ.get("HELIOGRAPH_VAR", "var")).resolve() / "peers" / peer
    python = home / "bin" / "python"
    stamp, wanted = home / "installed.txt", (HERE / f"requirements-{peer}.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / f"requirements-{peer}.txt")]
        subprocess.run(install, check=True, stdout=sys.stderr)
        stamp.write_text(wanted)
    command = [str(python), str(HERE / "daily_sma.py"), peer, str(panel)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
