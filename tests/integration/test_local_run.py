"""``python -m control.local``: what it refuses, as a program sees it."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any


def local(root: Path, var: Path, command: str, **environ: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON object on the last line of stdout, stderr."""
    engine = ["PORT_ITCH", "PORT_OUCH", "PORT_ENGINE_ITCH", "PORT_ENGINE_ITCH_B"]
    zero = dict.fromkeys(["PORT_WEB", "PORT_LINK", "PORT_PG", "PORT_VALKEY", *engine], "0")
    embedded = {"DATABASE_URL": "", "REDIS_URL": ""}  # pytest's own services are not for this
    path = os.pathsep.join([str(root), str(root / "platform")])
    done = subprocess.run(
        [sys.executable, "-m", "control.local", command],
        cwd=root,
        env={**os.environ, **zero, **embedded, "PYTHONPATH": path, "HELIOGRAPH_VAR": str(var), **environ},
        capture_output=True,
        text=True,
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_a_taken_port_stops_the_run_before_anything_starts(root: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        code, answer, stderr = local(root, tmp_path / "var", "run", PORT_OUCH=str(taken))
    assert code == 2
    assert answer["error"]["code"] == "port_taken"
    assert answer["error"]["field"] == "PORT_OUCH"
    assert answer["error"]["value"] == str(taken)
    assert "PORT_OUCH" in stderr
    assert not (tmp_path / "var" / "postgres").exists()


def test_a_second_run_in_one_folder_is_refused_and_harms_nothing(root: Path, tmp_path: Path) -> None:
    run_folder = tmp_path / "var" / "run"
    run_folder.mkdir(parents=True)
    (tmp_path / "var" / "run.json").write_text("{}")
    with (run_folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in ("run", "clean"):
            code, answer, _ = local(root, tmp_path / "var", command)
            assert code == 2
            assert answer["error"]["code"] == "already_running"
    assert (tmp_path / "var" / "run.json").exists()


def test_clean_removes_the_var_folder(root: Path, tmp_path: Path) -> None:
    (tmp_path / "var" / "log").mkdir(parents=True)
    code, answer, _ = local(root, tmp_path / "var", "clean")
    assert (code, answer) == (0, {"removed": str(tmp_path / "var")})
    assert not (tmp_path / "var").exists()
