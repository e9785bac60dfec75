"""``make run``: services, then one process a line of the Procfile, in order; stopped in the reverse order.

The supervisor itself stays small: it loads neither Django nor the engine. What needs them (migrations, users,
the history, the demo) runs in short-lived processes of its own.
"""

import fcntl
import json
import os
import shlex
import signal
import socket
import string
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from honcho.environ import parse_procfile

from control.local.failures import Refusal, failed, refusal_in
from control.local.layout import ENGINE_SETTINGS, EXCHANGE_SETTINGS, ROOT, Layout, day_seconds, with_settings
from control.local.ports import LOOPBACK, PORTS, allocate
from control.local.postgres import Postgres, end_leftover
from control.local.processes import Child, end_all, leftovers, marked, say, write_atomically
from control.local.valkey import Valkey

START_SECONDS = 120.0  # for one process to be ready; a cold engine compiles first
RESTART_DELAYS = (0.2, 1.0, 2.0, 5.0, 10.0)  # seconds before the n-th restart in a row; the last one repeats
WARM = "warm"  # in a build's folder of compiled code: everything is there
STEADY_SECONDS = 30.0  # a process that lived so long starts its row of restarts again


class Stopped(Exception):
    """Somebody asked the run to end while it was starting."""


@dataclass
class Restarts:
    """When a process that died is started again."""

    count: int = 0
    due: float | None = None
    started: float = field(default_factory=time.monotonic)


class Stack:
    """Everything of one run. ``start()``, ``supervise()``, ``stop()``; a context manager that stops."""

    def __init__(self, layout: Layout, echo: bool = True, between: Mapping[str, list[str]] | None = None) -> None:
        """``between``: processes (name to command) that stand between exchange and engine."""
        self.layout = layout
        self.echo = echo
        self.between = dict(between or {})
        self.ports: dict[str, int] = {}
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None
        self.children: list[Child] = []
        self.stopping = False
        self._restarts: dict[str, Restarts] = {}
        self._lock: IO[str] | None = None
        self._began = time.monotonic()
        self.environ: dict[str, str] = {}

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ---- start -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring everything up; returns when every process is ready and ``run.json`` says so."""
        self._began = time.monotonic()
        day_seconds(os.environ)  # refused before anything is made, as a port is
        for variable in (EXCHANGE_SETTINGS, ENGINE_SETTINGS):
            with_settings({}, variable, os.environ)
        self.take_lock()
        self.clean_up()
        self.ports = allocate(os.environ)
        cache = _engine_cache(self.layout)
        self._start_services()
        setup = self.begin("setup")
        if (cache / WARM).exists():
            self._start_exchange_early()
            self.end(setup)
            self._start("web", "link", "worker", "beat")
        else:
            warm = self._step("warm", ["python", "-m", "engine", "warm"])
            self.end(setup)
            self._start("web", "link", "worker", "beat")
            self.end(warm)
            (cache / WARM).touch()
        if "exchange" not in [child.name for child in self.children]:
            self._start("exchange")
        self._wait_ready("exchange")
        for name in self.between:
            self._start(name)
            self._wait_ready(name)
        self._start("engine")
        for name in ("link", "web", "engine"):
            self._wait_ready(name)
        self._restarts = {child.name: Restarts() for child in self._all()}
        self._write_run_file()
        say("heliograph", f"ready after {time.monotonic() - self._began:.1f} s: {self.url}")

    def clean_up(self) -> None:
        """End what a killed run left behind, and say so."""
        left = dict(leftovers(self.layout.run_folder))
        names = {process.pid: name for name, process in left.items()}
        processes = {process.pid: process for process in (*left.values(), *marked(self.layout.var))}
        processes = {pid: p for pid, p in processes.items() if pid not in _ancestors() and names.get(pid) != "postgres"}
        if processes:
            found = ", ".join(f"{names.get(pid) or process.name()} ({pid})" for pid, process in processes.items())
            say("heliograph", f"an earlier run was killed and left processes: {found}; ending them")
            end_all(list(processes.values()), grace=5.0)
        elif self.layout.run_file.exists():
            say("heliograph", "an earlier run did not stop in order; going on from what it left in the databases")
        data = self.layout.var / "postgres" / "data"
        if data.exists():
            end_leftover(data.resolve())
        self.layout.run_file.unlink(missing_ok=True)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['PORT_WEB']}/"

    def take_lock(self) -> None:
        """One run a var folder; the lock goes with the process, however it ends."""
        self.layout.run_folder.mkdir(parents=True, exist_ok=True)
        lock = (self.layout.run_folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            where = self.layout.var
            raise Refusal("already_running", "HELIOGRAPH_VAR", where, "a folder that no other run is using") from error
        self._lock = lock

    def _start_services(self) -> None:
        urls = {}
        given = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL") if os.environ.get(name)}
        if "DATABASE_URL" not in given:
            self.postgres = Postgres(self.layout.var, self.ports["PORT_PG"], echo=False)
            self.postgres.start()
            urls["DATABASE_URL"] = self.postgres.url
            say("heliograph", f"PostgreSQL on port {self.ports['PORT_PG']}, data in {self.layout.var / 'postgres'}")
        if "REDIS_URL" not in given:
            self.valkey = Valkey(self.layout.var, self.ports["PORT_VALKEY"], echo=False)
            self.valkey.start()
            urls["REDIS_URL"] = self.valkey.url
            say("heliograph", f"Valkey on port {self.ports['PORT_VALKEY']}")
        ports = {name: str(port) for name, port in self.ports.items()}
        self.environ = self.layout.child_environ(**given, **urls, **ports)

    def begin(self, name: str, *arguments: str) -> Child:
        """Start one short command of ``control.local``; ``end`` waits for it."""
        return self._step(name, ["python", "-m", "control.local", name, *arguments])

    def end(self, step: Child) -> None:
        """Wait for a command that ``begin`` started. Raises ``Refusal`` with its last lines where it failed."""
        while step.alive:
            self.tend()
            self.pause(0.1)
        self.children.remove(step)
        step.stop()
        if step.returncode:
            raise failed(step.name, step.last_lines())

    def _step(self, name: str, argv: list[str]) -> Child:
        child = Child(
            name, argv, self.layout.run_folder, self.layout.log_folder, self.environ, cwd=ROOT, echo=self.echo
        )
        child.start()
        self.children.append(child)
        return child

    def _start(self, *names: str) -> None:
        commands = self._commands()
        for name in names:
            child = Child(
                name,
                commands[name],
                self.layout.run_folder,
                self.layout.log_folder,
                self.environ,
                cwd=ROOT,
                echo=self.echo,
                ready_word='"ports"' if name in ("exchange", "engine", *self.between) else "",
            )
            child.start()
            self.children.append(child)

    def _start_exchange_early(self) -> None:
        """Where an earlier run has left the history, the exchange need not wait for anybody."""
        symbols = self.layout.known_symbols()
        if symbols:
            self.layout.write_configs(self.ports, symbols, day_seconds(os.environ))
            self._start("exchange")

    def _commands(self) -> dict[str, list[str]]:
        """The Procfile's lines, with ports and folders filled in."""
        processes = parse_procfile((ROOT / "Procfile").read_text()).processes
        return {
            name: [string.Template(word).substitute(self.environ) for word in shlex.split(line)]
            for name, line in processes.items()
        } | self.between

    def _wait_ready(self, name: str) -> None:
        child = self.child(name)
        end = time.monotonic() + START_SECONDS
        while not self._ready(child):
            if not child.alive:
                raise failed(name, child.last_lines())
            if time.monotonic() > end:
                raise failed(name, f"not ready after {START_SECONDS:.0f} s; its log is {child.log_file}")
            self.pause(0.1)
        say("heliograph", f"{name} is ready, {time.monotonic() - self._began:.1f} s after the start")

    def _ready(self, child: Child) -> bool:
        if child.ready_word:
            return child.said_ready.is_set()
        if child.name == "web":
            return answers(self.url)
        return _accepts(self.ports["PORT_LINK"])

    def child(self, name: str) -> Child:
        return next(child for child in self.children if child.name == name)

    def _write_run_file(self) -> None:
        pids = {child.name: child.pid for child in self._all()}
        content = {
            "url": self.url,
            "dsn": self.environ["DATABASE_URL"],
            "redis": self.environ["REDIS_URL"],
            "pids": {"supervisor": os.getpid(), **pids},
            "journal": str(self.layout.journal),
            "exchange_record": str(self.layout.exchange_record),
            "ports": self.ports,
        }
        write_atomically(self.layout.run_file, json.dumps(content, indent=2))

    # ---- while it runs -----------------------------------------------------------------------------

    def supervise(self, seconds: float | None = None) -> None:
        """Keep every process running until somebody asks to stop, or for ``seconds``."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self.stopping and (end is None or time.monotonic() < end):
            self.tend()
            time.sleep(0.2)

    def tend(self) -> None:
        """Start again what has died; each time in a row a little later."""
        for child in self._all():
            restarts = self._restarts.get(child.name)
            if child.alive or restarts is None:
                continue  # a step is meant to end
            now = time.monotonic()
            if restarts.due is None:
                if now - restarts.started > STEADY_SECONDS:
                    restarts.count = 0
                delay = RESTART_DELAYS[min(restarts.count, len(RESTART_DELAYS) - 1)]
                restarts.due, restarts.count = now + delay, restarts.count + 1
                how = ", ".join(filter(None, [_how(child.returncode), refusal_in(child.last_lines(1))]))
                say("heliograph", f"{child.name} ended ({how}); starting it again in {delay:.1f} s")
            elif now >= restarts.due:
                restarts.due, restarts.started = None, now
                child.stop()  # its descendants and its log
                child.start()
                self._write_run_file()

    def request_stop(self, *_: object) -> None:
        """Signal handler: end the run."""
        if self.stopping:
            say("heliograph", "already stopping, in order; a moment")
        self.stopping = True

    def pause(self, seconds: float) -> None:
        """Sleep, unless somebody asked to stop: then raise ``Stopped``."""
        if self.stopping:
            raise Stopped
        time.sleep(seconds)

    # ---- stop --------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop everything that was started, last first."""
        self.stopping = True
        for child in reversed(self.children):
            if child.alive:
                say("heliograph", f"stopping {child.name}")
            if not child.stop():
                say("heliograph", f"{child.name} did not stop within {child.stop_seconds:.0f} s and was killed")
        self.children.clear()
        for service in (self.valkey, self.postgres):
            if service is not None and service.child is not None:
                say("heliograph", f"stopping {service.child.name}")
                service.stop()
        if self._lock is None:
            return  # refused: the folder, and what runs in it, is another run's
        end_all([process for process in marked(self.layout.var) if process.pid not in _ancestors()], grace=1.0)
        self.layout.run_file.unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    def _all(self) -> Iterator[Child]:
        for service in (self.postgres, self.valkey):
            if service is not None and service.child is not None:
                yield service.child
        yield from self.children


@contextmanager
def stop_on_signals(stack: Stack) -> Iterator[None]:
    """Ctrl-C, a closed terminal and SIGTERM end the run in order."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stack.request_stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _engine_cache(layout: Layout) -> Path:
    """Where this build of the engine keeps its compiled code. Asked of another process: the answer loads numba."""
    command = [sys.executable, "-c", "import engine; print(engine.numba_cache())"]
    done = subprocess.run(command, cwd=ROOT, env=layout.child_environ(), capture_output=True, text=True)
    if done.returncode:
        raise failed("engine", done.stderr.strip())
    return Path(done.stdout.strip())


def _ancestors() -> set[int]:
    """This process and those above it (make, a shell): never a leftover, whatever their environment says."""
    import psutil

    me = psutil.Process()
    return {me.pid, *(parent.pid for parent in me.parents())}


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2):
            return True
    except OSError:
        return False


def _how(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"by {signal.Signals(-returncode).name}"
    return f"exit {returncode}"


def stand_apart(day_seconds: str) -> None:
    """Sets the environment to a run beside any other: every port is any free one, and its services are its own."""
    os.environ.update(dict.fromkeys(PORTS, "0") | {"HELIOGRAPH_DAY_SECONDS": day_seconds})
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
