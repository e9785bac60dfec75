"""Child processes of a local run: started so that they cannot outlive it, logged, stopped, recognised later.

A child leads its own session, so that Ctrl-C in a terminal reaches only the supervisor, which then stops
everything in order. The kernel signals a child when the supervisor dies (``PR_SET_PDEATHSIG``), so that
kill -9 leaves nothing running. What that misses is found at the next start through the pid files.
"""

import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from control.local.placement import run_as

PR_SET_PDEATHSIG = 1
LOG_BYTES = 16 * 1024 * 1024
MARK = "HELIOGRAPH_RUN"  # in the environment of every descendant: the var folder it belongs to

_libc = ctypes.CDLL(None, use_errno=True)
_printing = threading.Lock()


def say(name: str, line: str) -> None:
    """One prefixed line on stderr; lines of different processes never mix."""
    with _printing:
        sys.stderr.write(f"{name:>9} | {line}\n")
        sys.stderr.flush()


@dataclass
class Child:
    """One supervised process.

    ``stop_signal`` asks it to finish; ``death_signal`` is what the kernel sends it if the supervisor dies.
    ``user`` is an ordinary account to run as (only root may set it). A line of its output that contains
    ``ready_word`` sets ``said_ready``.
    """

    name: str
    argv: Sequence[str]
    run_folder: Path
    log_folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    user: str | None = None
    stop_signal: int = signal.SIGTERM
    death_signal: int = signal.SIGKILL
    stop_seconds: float = 15.0
    echo: bool = True
    ready_word: str = ""
    said_ready: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[bytes] | None = None
    _pump: threading.Thread | None = None

    @property
    def pid_file(self) -> Path:
        return self.run_folder / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        return self.log_folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def returncode(self) -> int | None:
        return self.process.poll() if self.process else None

    def start(self) -> None:
        """Start it and note its pid. Call from the main thread: the death signal follows the thread."""
        self.said_ready.clear()
        death_signal = self.death_signal

        def die_with_parent() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)

        self.process = subprocess.Popen(
            list(self.argv),
            cwd=self.cwd,
            env={**self.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
            **run_as(self.user),
        )
        self._note_pid()
        assert self.process.stdout is not None
        self._pump = threading.Thread(target=self._copy_log, args=(self.process.stdout,), daemon=True)
        self._pump.start()

    def stop(self) -> bool:
        """Ask it to finish, wait, and end it and its descendants if it does not. True if it went by itself."""
        if self.process is None:
            return True
        descendants = _descendants(self.process.pid)
        went = True
        if self.alive:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                went = False
                self.process.kill()
                self.process.wait()
        end_all(descendants, grace=2.0)
        if self._pump is not None:
            self._pump.join(2.0)
        self.pid_file.unlink(missing_ok=True)
        return went

    def last_lines(self, count: int = 15) -> str:
        """The end of its log, to show when it failed."""
        if self._pump is not None and not self.alive:
            self._pump.join(1.0)
        if not self.log_file.exists():
            return ""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-count:])

    def _note_pid(self) -> None:
        assert self.process is not None
        started = psutil.Process(self.process.pid).create_time()
        note = {"pid": self.process.pid, "started": started, "argv": list(self.argv)}
        write_atomically(self.pid_file, json.dumps(note))

    def _copy_log(self, source: IO[bytes]) -> None:
        with source, RotatingLog(self.log_file) as log:
            for raw in iter(source.readline, b""):
                log.write(raw)
                line = raw.decode(errors="replace").rstrip()
                if self.ready_word and self.ready_word in line:
                    self.said_ready.set()
                if self.echo and not line.startswith('{"'):  # answers for programs stay in the log
                    say(self.name, line)


class RotatingLog:
    """A log file that keeps one generation before the current one: bounded on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("ab")

    def __enter__(self) -> "RotatingLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, line: bytes) -> None:
        if self.file.tell() > LOG_BYTES:
            self.file.close()
            self.path.replace(self.path.with_suffix(".log.1"))
            self.file = self.path.open("ab")
        self.file.write(line)
        self.file.flush()


def leftovers(run_folder: Path) -> list[tuple[str, psutil.Process]]:
    """Processes of an earlier run that still live, by pid file: same pid, start time and command line."""
    found = []
    for pid_file in sorted(run_folder.glob("*.pid")):
        try:
            note = json.loads(pid_file.read_text())
            process = psutil.Process(note["pid"])
            ours = abs(process.create_time() - note["started"]) < 1.0 and _same_command(process, note["argv"])
        except (ValueError, KeyError, psutil.Error):
            ours = False
        if ours:
            found.append((pid_file.stem, process))
        else:
            pid_file.unlink(missing_ok=True)
    return found


def marked(var: Path) -> list[psutil.Process]:
    """Every process whose environment says that it belongs to the run in ``var`` (not this one)."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == str(var):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or another user's: not ours
    return found


def end_all(processes: Sequence[psutil.Process], grace: float) -> None:
    """Ask the processes to end, wait ``grace`` seconds, kill the rest."""
    for process in processes:
        _signal(process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=grace)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, timeout=5.0)


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write under another name, then rename: a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    temporary.replace(path)


def secret(path: Path) -> str:
    """The random secret kept in ``path`` (mode 0600), made at the first call."""
    if not path.exists():
        write_atomically(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def wait_until(check: Callable[[], bool], seconds: float, step: float = 0.05) -> bool:
    """Whether ``check`` comes true within ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        if check():
            return True
        if time.monotonic() > end:
            return False
        time.sleep(step)


def _same_command(process: psutil.Process, argv: Sequence[str]) -> bool:
    """A server may rewrite its title, and a script gets its interpreter in front: compare loosely but surely."""
    command = process.cmdline()
    return Path(argv[0]).name in " ".join(command[:2])


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return
