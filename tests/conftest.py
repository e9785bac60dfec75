"""Services for tests: one embedded PostgreSQL and one Valkey a session, in a temporary var folder.

They start when the first test asks for them (``django_db`` or the ``valkey`` fixture), so that tests of the
engine need neither. ``DATABASE_URL`` and ``REDIS_URL`` replace them. Addresses are set before Django reads its
settings, which is why this stands at import time and ``DJANGO_SETTINGS_MODULE`` is not in pyproject.toml.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import django
import hypothesis
import pytest

from control.local.ports import free_port
from control.local.postgres import Postgres
from control.local.valkey import Valkey

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(tempfile.mkdtemp(prefix="heliograph-tests-"))
VAR.chmod(0o711)  # as root, PostgreSQL runs as an ordinary account and has to get through
SHARED_DATA_MISSING = "HELIOGRAPH_SHARED (default ../shared)"
EMBEDDED_POSTGRES = "DATABASE_URL" not in os.environ
EMBEDDED_VALKEY = "REDIS_URL" not in os.environ


def _reserve_addresses() -> None:
    if EMBEDDED_POSTGRES:
        os.environ["DATABASE_URL"] = Postgres(VAR, free_port()).url
    if EMBEDDED_VALKEY:
        os.environ["REDIS_URL"] = Valkey(VAR, free_port()).url


if "KDB_URL" in os.environ:  # for the tests of the stores; everything else runs on the embedded one
    os.environ["KDB_URL_OF_TESTS"] = os.environ.pop("KDB_URL")
os.environ["HELIOGRAPH_VAR"] = str(VAR)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control.settings")
_reserve_addresses()
django.setup()  # test modules and fixtures import models
pytest_plugins = ["control_fixtures"]
# A first call compiles, and the machine may be busy: how long an example takes says nothing about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/", 1)[0])


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a running PostgreSQL."""
    url = os.environ["DATABASE_URL"]
    if not EMBEDDED_POSTGRES:
        yield url
        return
    server = Postgres(VAR, _port(url), durable=False, echo=False)
    server.start()
    yield url
    server.destroy()


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a running Valkey."""
    url = os.environ["REDIS_URL"]
    if not EMBEDDED_VALKEY:
        yield url
        return
    server = Valkey(VAR, _port(url), durable=False, echo=False)
    server.start()
    yield url
    server.destroy()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres: str, valkey: str) -> None:
    """pytest-django asks for this before it makes the test database: the services run from here on."""


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of test data (``HELIOGRAPH_SHARED``); tests that need it and miss it are skipped and counted."""
    folder = Path(os.environ.get("HELIOGRAPH_SHARED") or ROOT.parent / "shared") / "data"
    if not folder.is_dir():
        pytest.skip(f"{SHARED_DATA_MISSING} has no data folder")
    return folder


def _skips(session: pytest.Session) -> tuple[int, list[str]]:
    """How many tests missed the shared data, and every other skip."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    reasons = [f"{report.nodeid}: {report.longrepr[2]}" for report in skipped]
    others = [reason for reason in reasons if SHARED_DATA_MISSING not in reason]
    return len(reasons) - len(others), others


def pytest_sessionfinish(session: pytest.Session) -> None:
    shutil.rmtree(VAR, ignore_errors=True)
    _, unexpected = _skips(session)
    if unexpected and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missing, unexpected = _skips(terminalreporter._session)  # type: ignore[arg-type]
    if missing:
        terminalreporter.write_line(f"{missing} tests need the shared test data and missed it: set HELIOGRAPH_SHARED")
    for reason in unexpected:
        terminalreporter.write_line(f"skipped without being expected to be (CI fails on this): {reason}")
