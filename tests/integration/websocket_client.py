"""A WebSocket's client end, against an ASGI application in this process (channels.testing would need daphne)."""

from typing import Any

from asgiref.testing import ApplicationCommunicator

PATIENCE = 10.0  # seconds: how long a test waits for what must come


class Socket(ApplicationCommunicator):
    """``path`` under ``application``; ``headers`` are pairs of bytes, ``scope`` is what middleware would add."""

    def __init__(self, application: Any, path: str, *, headers: list[tuple[bytes, bytes]] = [], **scope: Any) -> None:  # noqa: B006
        self.opened = False
        request = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": headers,
            "subprotocols": [],
            "client": ("192.0.2.7", 40_000),
        }
        super().__init__(application, request | scope)

    async def connect(self) -> bool:
        """Whether the application has accepted the handshake."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(PATIENCE)
        self.opened = answer["type"] == "websocket.accept"
        return self.opened

    async def say(self, text: str | bytes) -> None:
        kind = "text" if isinstance(text, str) else "bytes"
        await self.send_input({"type": "websocket.receive", kind: text})

    async def hear(self) -> str:
        """The next text frame."""
        answer = await self.receive_output(PATIENCE)
        assert answer["type"] == "websocket.send", answer
        return answer["text"]

    async def closed_with(self) -> int:
        """The code with which the application has closed."""
        answer = await self.receive_output(PATIENCE)
        assert answer["type"] == "websocket.close", answer
        return answer["code"]

    async def leave(self) -> None:
        """Disconnect and let the application end."""
        await self.send_input({"type": "websocket.disconnect", "code": 1005})
        await self.wait(PATIENCE)
