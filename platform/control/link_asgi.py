"""The link process: engines report here and hear what to do, apart from pages and dashboards.

It also publishes the live stream, since it is where reports are committed.
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control.settings")
os.environ.setdefault("DATABASE_POOL", "1")

import django  # noqa: E402

django.setup()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from control.lifespan import lifespan  # noqa: E402
from control.trading.routing import link_urlpatterns  # noqa: E402

application = ProtocolTypeRouter({"websocket": URLRouter(link_urlpatterns), "lifespan": lifespan})
