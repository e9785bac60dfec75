"""What engines are still asked to resolve, as part of their desired state."""

from control.deployments.models import Node
from control.trading.models import BreakResolution
from engine import messages


def resolutions_for(node: Node) -> list[messages.Resolution]:
    """What the node's engine is still asked to resolve."""
    waiting = BreakResolution.objects.filter(incident__node=node, done_at__isnull=True)
    return [
        messages.Resolution(one.incident.detail["symbol"], one.value, one.requested_by.username, one.comment)
        for one in waiting.select_related("incident", "requested_by").order_by("pk")
    ]
