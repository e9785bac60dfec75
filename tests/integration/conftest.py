"""The control plane's people, versions and nodes are the same here as in the unit tests."""

from collections.abc import AsyncIterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest_asyncio
from channels.db import database_sync_to_async
from django.db import connections

_spec = spec_from_file_location("control_fixtures", Path(__file__).parent.parent / "unit" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
globals().update({name: value for name, value in vars(_fixtures).items() if not name.startswith("_")})


@pytest_asyncio.fixture
async def database_thread() -> AsyncIterator[None]:
    """Consumers reach the database in a thread of their own, whose connection would outlive the test's database."""
    yield
    await database_sync_to_async(connections.close_all)()
