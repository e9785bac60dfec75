"""How long the engine takes to start: a live core with everything compiled, and ``engine warm`` from nothing.

*Warm* runs once, in an empty cache folder of its own; everything else then finds its cache there. *Start* is from the
start of a core's process, as the agent starts it, until it answers on its control socket, with a new journal; before
that it has loaded all compiled code. *Run* is the same for ``python -m engine run``, agent and core. The peer is what
no engine on numba can do without: a process that imports it, whose byte code is or is not there as this environment has
it. Times are wall time, the median of ``--rounds``; processor seconds say what it costs whatever else the machine does.
"""

import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine import CACHE, PACKAGE
from engine.benchmarks.surroundings import commit, machine
from engine.live.control import connect
from engine.live.supervisor import core_process

PATIENCE = 120.0
POLL = 0.002


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="starts, of which the median counts")
    parser.add_argument("--starts-only", action="store_true", help="from this build's own cache, without compiling")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    rounds = max(arguments.rounds, 1)
    with tempfile.TemporaryDirectory(prefix="bench-start-") as folder:
        cache = str(CACHE) if arguments.starts_only else f"{folder}/cache"
        environment = {**os.environ, "HELIOGRAPH_CACHE": cache, "PYTHONPATH": str(PACKAGE.parent)}
        warmed = {} if arguments.starts_only else _warm(environment)
        _start(Path(folder) / "first", environment, _core)  # writes the byte code of what it imports
        starts, processors = zip(
            *(_start(Path(folder) / f"core-{one}", environment, _core) for one in range(rounds)), strict=True
        )
        runs = [_start(Path(folder) / f"run-{one}", environment, _agent)[0] for one in range(rounds)]
        imports = [_import_numba(environment) for _ in range(rounds)]
    ours, peer = statistics.median(starts), statistics.median(imports)
    return {
        "bench": "start",
        "ok": True,
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(ours / peer, 2),
        "unit": "s",
        "n": rounds,
        "commit": commit(),
        "machine": machine(),
        "start_s": round(ours, 3),
        "start_processor_s": round(statistics.median(processors), 3),
        "run_s": round(statistics.median(runs), 3),
        "import_numba_s": round(peer, 3),
        **warmed,
        "start_s_of_runs": [round(one, 3) for one in starts],
    }


def _warm(environment: dict[str, str]) -> dict[str, Any]:
    before, started = _processor(), time.perf_counter()
    command = [sys.executable, "-m", "engine", "warm"]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    return {
        "warm_s": round(time.perf_counter() - started, 1),
        "warm_processor_s": round(_processor() - before, 1),
        "functions": json.loads(output.splitlines()[-1])["functions"],
    }


def _processor() -> float:
    """Processor seconds of all processes that this one has waited for, and of those that they have."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _import_numba(environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import numba"], env=environment, check=True)
    return time.perf_counter() - started


def _start(folder: Path, environment: dict[str, str], ready: Any) -> tuple[float, float]:
    """(seconds, processor seconds) until a process with a configuration of its own in ``folder`` is ready."""
    folder.mkdir()
    started = time.perf_counter()
    with ready(_configuration(folder), folder, environment) as process:
        seconds = time.perf_counter() - started
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()  # proc(5): utime, stime
        return seconds, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _process(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


@contextmanager
def _core(config: Path, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command, inherited = core_process(config)
    own = {name: environment[name] for name in ("HELIOGRAPH_CACHE", "PYTHONPATH")}
    with _process(command, {**inherited, **own}, folder) as process:
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up and process.poll() is None:
            try:
                with connect(folder / "engine") as client:
                    client.send(b"S")
                    client.recv(1 << 16)
            except OSError:
                time.sleep(POLL)
            else:
                yield process
                return
        raise RuntimeError(f"the core did not start: {(folder / 'log').read_text()}")


@contextmanager
def _agent(config: Path, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "engine", "run", "--config", str(config)]
    with _process(command, environment, folder) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError(f"the engine did not start: {(folder / 'log').read_text()}")
        yield process


def _configuration(folder: Path) -> Path:
    """An engine on twenty symbols, whose exchange and control plane are not there."""
    (folder / "account.json").write_text(json.dumps({"username": "BENCH", "password": "bench"}))
    (folder / "token").write_text("bench\n")
    config = {
        "node": "bench",
        "var": str(folder / "engine"),
        "link": "ws://127.0.0.1:9/engine/link/",  # the discard port: nobody listens
        "token_file": str(folder / "token"),
        "venues": [
            {
                "name": "SIM",
                "itch_bind": "127.0.0.1:0",
                "ports_file": str(folder / "ports.json"),
                "clock_file": str(folder / "clock.json"),
                "account_file": str(folder / "account.json"),
            }
        ],
        "symbols": [f"SYM{number}" for number in range(20)],
        "history": str(folder / "history"),
    }
    path = folder / "engine.json"
    path.write_text(json.dumps(config))
    return path
