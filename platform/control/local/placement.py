"""Where an embedded server keeps its data, and as whom it runs.

PostgreSQL refuses to run as root. Started by root it runs as an ordinary account, and both its binaries and
its data must then lie where that account can go; a clone under /root is no such place. The data then goes
to /var/lib/heliograph/<hash of the var folder>, linked from ``var/``.
"""

import os
import pwd
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

from control.local.failures import missing

SHARED_HOME = Path("/var/lib/heliograph")
ORDINARY = "nobody"


def service_user() -> str | None:
    """The account for servers that refuse root; None when this process is no root and they run as itself."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(ORDINARY)
    except KeyError as error:
        raise missing(f"the account {ORDINARY}", f"useradd --system --no-create-home {ORDINARY}") from error
    return ORDINARY


def run_as(user: str | None) -> dict[str, Any]:
    """What ``subprocess`` needs to run something as ``user``, in its own group alone (None: as we are)."""
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def reachable(path: Path, user: str | None) -> bool:
    """Whether ``user`` can enter (a folder) or run (a file) ``path``."""
    if user is None:
        return os.access(path, os.X_OK)
    test = shutil.which("test") or "/usr/bin/test"
    done = subprocess.run([test, "-x", str(path)], cwd="/", **run_as(user))
    return done.returncode == 0


def data_home(var: Path, name: str, user: str | None) -> Path:
    """The folder for a server's data, made and owned as it must be; ``var/<name>`` is it or links to it.

    A folder outside ``var`` that nothing links to any more belonged to a var that was deleted: it is removed.
    """
    inside = var / name
    if inside.is_symlink() and inside.exists():
        return inside.resolve()
    if user is None or (inside.is_dir() and reachable(inside, user)):
        inside.mkdir(mode=0o700, parents=True, exist_ok=True)
        return inside
    var.mkdir(parents=True, exist_ok=True)
    if reachable(var, user):
        inside.mkdir(mode=0o700, exist_ok=True)
        _give(inside, user)
        return inside
    outside = SHARED_HOME / sha256(str(var).encode()).hexdigest()[:12] / name
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir(parents=True)
    SHARED_HOME.chmod(0o755)
    outside.parent.chmod(0o755)
    _give(outside, user)
    inside.unlink(missing_ok=True)
    inside.symlink_to(outside)
    return outside


def remove_home(var: Path, name: str) -> None:
    """Delete a server's data, inside ``var`` or linked from it."""
    inside = var / name
    if inside.is_symlink():
        target = inside.resolve()
        shutil.rmtree(target, ignore_errors=True)
        if SHARED_HOME in target.parents and target.parent.exists() and not any(target.parent.iterdir()):
            target.parent.rmdir()
        inside.unlink()
    else:
        shutil.rmtree(inside, ignore_errors=True)


def give_file(path: Path, user: str | None) -> None:
    """Let the account that a server runs as own a file."""
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)


def _give(folder: Path, user: str) -> None:
    folder.chmod(0o700)
    give_file(folder, user)
