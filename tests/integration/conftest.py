"""What tests of whole processes and sockets share."""

from collections.abc import AsyncIterator

import pytest_asyncio
from channels.db import database_sync_to_async
from django.db import connections


@pytest_asyncio.fixture
async def database_thread() -> AsyncIterator[None]:
    """Consumers reach the database in a thread of their own, whose connection would outlive the test's database."""
    yield
    await database_sync_to_async(connections.close_all)()
