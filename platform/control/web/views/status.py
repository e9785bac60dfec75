"""What the top line of every page shows of the engines: exchange clock and data age."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from control.monitoring.models import NodeStatus
from control.monitoring.selectors import statuses_visible_to
from control.web.views.access import page


@never_cache
@page()
def status(request: HttpRequest) -> JsonResponse:
    """The node that was heard of last: ``{"node": {name, session_time ms, phase, age_ms} | null}``."""
    newest = statuses_visible_to(request.user).order_by("-received_at").first()
    return JsonResponse({"node": None if newest is None else _row(newest)})


def _row(newest: NodeStatus) -> dict[str, Any]:
    since = int((timezone.now() - newest.received_at).total_seconds() * 1000)
    return {
        "name": newest.node.name,
        "session_time": newest.session_time // 1_000_000,
        "phase": newest.session_phase,
        "age_ms": -1 if newest.feed_age_ms < 0 else newest.feed_age_ms + max(since, 0),
    }
