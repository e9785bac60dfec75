"""WebSocket addresses: the browsers' live stream (web process) and the engines' link (link process)."""

from django.urls import path

from control.trading.consumers import DeploymentConsumer
from control.trading.link import EngineLinkConsumer

websocket_urlpatterns = [path("ws/live/deployment/<uuid:deployment>/", DeploymentConsumer.as_asgi())]
link_urlpatterns = [path("engine/link/", EngineLinkConsumer.as_asgi())]
