"""Children cannot outlive the supervisor, and what does is recognised later."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from control.local.processes import MARK, Child, leftovers, marked, secret, wait_until, write_atomically

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def child(folder: Path, *argv: str, **options: object) -> Child:
    return Child("sleeper", argv or SLEEP, folder / "run", folder / "log", dict(os.environ), echo=False, **options)


def test_a_child_leads_its_own_session_and_leaves_no_pid_file_when_stopped(tmp_path: Path) -> None:
    sleeper = child(tmp_path)
    sleeper.start()
    assert os.getsid(sleeper.pid) == sleeper.pid
    assert sleeper.pid_file.exists()
    assert sleeper.stop()
    assert not psutil.pid_exists(sleeper.pid)
    assert not sleeper.pid_file.exists()


def test_a_child_that_ignores_the_request_is_killed_with_its_descendants(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True); time.sleep(60)"
    )
    stubborn = child(tmp_path, sys.executable, "-c", code, stop_seconds=0.5)
    stubborn.start()
    assert wait_until(lambda: stubborn.last_lines().isdigit(), 10)
    grandchild = int(stubborn.last_lines())
    assert not stubborn.stop()
    assert wait_until(lambda: not _runs(stubborn.pid) and not _runs(grandchild), 5)


def test_a_child_dies_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from control.local.processes import Child
folder = Path({str(tmp_path)!r})
sleeper = Child("sleeper", {SLEEP!r}, folder / "run", folder / "log", echo=False)
sleeper.start()
print(sleeper.pid, flush=True)
time.sleep(60)
"""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    supervisor = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environ)
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    assert _runs(pid)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    supervisor.stdout.close()
    assert wait_until(lambda: not _runs(pid), 5)


def test_a_leftover_is_found_by_its_pid_file_and_a_reused_pid_is_not(tmp_path: Path) -> None:
    sleeper = child(tmp_path)
    sleeper.start()
    assert [(name, process.pid) for name, process in leftovers(tmp_path / "run")] == [("sleeper", sleeper.pid)]
    note = json.loads(sleeper.pid_file.read_text())
    sleeper.pid_file.write_text(json.dumps(note | {"started": note["started"] - 3600}))
    assert leftovers(tmp_path / "run") == []
    assert not sleeper.pid_file.exists()
    sleeper.stop()


def test_a_run_is_told_apart_by_the_mark_in_its_environment(tmp_path: Path) -> None:
    sleeper = child(tmp_path)
    sleeper.environ = {**os.environ, MARK: str(tmp_path)}
    sleeper.start()
    assert wait_until(lambda: [process.pid for process in marked(tmp_path)] == [sleeper.pid], 5)
    assert marked(tmp_path / "other") == []
    sleeper.stop()


def test_a_word_in_the_output_says_that_a_child_is_ready(tmp_path: Path) -> None:
    server = child(tmp_path, sys.executable, "-c", "print('{\"ports\": {}}', flush=True)", ready_word='"ports"')
    server.start()
    assert server.said_ready.wait(10)
    assert server.stop()


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "postgres"
    first = secret(path)
    assert len(first) >= 32
    assert secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
