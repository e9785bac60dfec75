"""Start and end of a server process. uvicorn asks for it; ``ProtocolTypeRouter`` has none of its own."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.db import connections

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def lifespan(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer startup and shutdown; at shutdown the database pools are closed."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            for connection in connections.all(initialized_only=True):
                if connection.settings_dict["OPTIONS"].get("pool"):
                    connection.close_pool()
            await send({"type": "lifespan.shutdown.complete"})
            return
