"""How the nodes are: the newest heartbeat, and what to make of its age."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from control.accounts.models import User
from control.deployments.models import Node
from control.deployments.selectors import nodes_visible_to
from control.monitoring.models import NodeStatus

OFFLINE_AFTER = timedelta(seconds=3)  # six heartbeats
FEED_STALE_AFTER_MS = 2_000


@dataclass(frozen=True)
class Health:
    """``state`` is a word for the page, ``reason`` says why; ``age`` is the newest heartbeat's, None for none yet.

    never_seen, offline (no heartbeat), core_down, venue_down, stale (no market data in a session), online.
    """

    state: str
    reason: str
    age: timedelta | None

    @property
    def alive(self) -> bool:
        """Whether commands reach the node's agent."""
        return self.state not in {"never_seen", "offline"}


def statuses_visible_to(user: User) -> QuerySet[NodeStatus]:
    return NodeStatus.objects.filter(node__in=nodes_visible_to(user)).select_related("node").order_by("node__name")


def nodes_with_health(user: User) -> list[tuple[Node, Health]]:
    """Every node the user may see with its health now; ``node.status`` is its newest heartbeat, where it has one."""
    return [(node, node_health(node)) for node in nodes_visible_to(user).select_related("status").order_by("name")]


def node_health(node: Node, now: datetime | None = None) -> Health:
    status: NodeStatus | None = getattr(node, "status", None)
    if status is None:
        return Health("never_seen", "No engine of this node has linked yet.", None)
    age = max((now or timezone.now()) - status.received_at, timedelta(0))
    return Health(*_judge(status, age), age)


def _judge(status: NodeStatus, age: timedelta) -> tuple[str, str]:
    if age > OFFLINE_AFTER:
        return "offline", f"No heartbeat for {age.total_seconds():.0f} s."
    if not status.core_alive:
        return "core_down", "The agent is there, its core is not."
    if not status.venue_connected:
        return "venue_down", f"No order session with {status.venue}."
    if status.session_phase == "open" and not 0 <= status.feed_age_ms <= FEED_STALE_AFTER_MS:
        return "stale", "No market data has come yet." if status.feed_age_ms < 0 else _feed_is(status.feed_age_ms)
    return "online", ""


def _feed_is(age_ms: int) -> str:
    return f"The newest market data is {age_ms / 1_000:.1f} s old."
