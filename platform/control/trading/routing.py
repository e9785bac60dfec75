"""WebSocket addresses: the browsers' live stream (web process) and the engines' link (link process)."""

from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path, re_path

from control.trading.consumers import DeploymentConsumer
from control.trading.link import EngineLinkConsumer


class NoSuchAddress(AsyncWebsocketConsumer):
    """Refuses the handshake (HTTP 403); without a route the server would answer as if it had failed (HTTP 500)."""

    async def connect(self) -> None:
        await self.close()


_REST = re_path("", NoSuchAddress.as_asgi())
websocket_urlpatterns = [path("ws/live/deployment/<uuid:deployment>/", DeploymentConsumer.as_asgi()), _REST]
link_urlpatterns = [path("engine/link/", EngineLinkConsumer.as_asgi()), _REST]
