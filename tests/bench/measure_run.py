"""What a platform that is running costs: processor time and memory of all its processes together.

    python tests/bench/measure_run.py [--var var] [--seconds 60]

Not part of ``make bench``: it measures what `make run` has started. One JSON line: ``cores`` (processor seconds per
second, children that came and went are not counted), ``pss_mb`` (summed proportional set size).
"""

import argparse
import json
import time
from pathlib import Path

import psutil


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--var", type=Path, default=Path("var"))
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    pids = json.loads((arguments.var / "run.json").read_text())["pids"]
    before = {process: _spent(process) for pid in pids.values() for process in _family(pid)}
    time.sleep(arguments.seconds)
    running = [process for process in before if process.is_running()]
    spent = {process: _spent(process) - before[process] for process in running}
    memory = sum(process.memory_full_info().pss for process in running)
    line = {
        "bench": "run",
        "cores": round(sum(spent.values()) / arguments.seconds, 3),
        "pss_mb": round(memory / 1e6),
        "processes": len(running),
        "seconds": arguments.seconds,
    }
    print(json.dumps(line))


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
