"""Every store that the contract tests run against."""

from pathlib import Path

import pytest

from engine.history import History, open_history


@pytest.fixture(params=["embedded"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    """An empty store."""
    return open_history(tmp_path)
