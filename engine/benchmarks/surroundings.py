"""What every benchmark says of where it ran, and where it finds its peers."""

import os
import platform
import resource
import subprocess
from pathlib import Path

from engine import PACKAGE
from engine.errors import MissingPrerequisite


def commit() -> str:
    """The checkout's commit, with ``+`` for uncommitted changes; empty where there is no repository."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=PACKAGE.parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()


def machine() -> str:
    """Processor, number of CPUs, Python."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        model = platform.machine()
    return f"{model}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def file_system(folder: Path) -> str:
    """Name of the file system that ``folder``, which is there, lies on (Linux: proc(5), mountinfo)."""
    resolved, found = folder.resolve(), ("", "")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        point = mount.split()[4].encode().decode("unicode_escape")  # a space in a path is written as \\040
        if resolved.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, source.split()[0])
    return found[1]


def shared_file(place: str) -> Path:
    """A file of the shared folder (``HELIOGRAPH_SHARED``, default ../shared). MissingPrerequisite without it."""
    folder = Path(os.environ.get("HELIOGRAPH_SHARED") or PACKAGE.parent.parent / "shared")
    file = folder / place
    if not file.is_file():
        raise MissingPrerequisite(str(file), "export HELIOGRAPH_SHARED=<the folder that holds bench/ and data/>")
    return file


def peer_script(name: str) -> Path:
    """A script of the shared benchmarks."""
    return shared_file(f"bench/{name}")


def peak_rss_mb() -> int:
    """The most memory that this process held at once so far, in MB of 2**20 bytes."""
    return -(-resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
