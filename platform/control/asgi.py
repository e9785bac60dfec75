"""The web process: pages, dashboards, admin, static files and the browsers' live stream.

The engines' link runs in a process of its own (``control.link_asgi``), apart from the dashboards.
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control.settings")
os.environ.setdefault("DATABASE_POOL", "1")

from django.core.asgi import get_asgi_application  # noqa: E402

http_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from control.lifespan import lifespan  # noqa: E402
from control.trading.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
        "lifespan": lifespan,
    }
)
