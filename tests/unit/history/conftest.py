"""Every store that the contract tests run against: embedded, kdb+ through its double, and a real q at ``KDB_URL``."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.history import History, open_history
from engine.history.kdb import KdbHistory
from kdb_double.server import KdbDouble

REAL = os.environ.get("KDB_URL_OF_TESTS", "")  # tests/conftest.py takes it out of KDB_URL


@pytest.fixture(scope="session")
def double() -> Iterator[KdbDouble]:
    """The double with the store's functions."""
    with KdbDouble() as running:
        yield running


@pytest.fixture(params=["embedded", "kdb double", *(["kdb"] if REAL else [])])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    """An empty store. A real q has to be started for tests, which remove what it has: see deploy/kdb/README.md."""
    if request.param == "embedded":
        yield open_history(tmp_path)
        return
    store = KdbHistory(REAL if request.param == "kdb" else request.getfixturevalue("double").url)
    store._call(".hg.reset", None)
    yield store
    store.close()
