"""Writing what nodes say of themselves."""

import msgspec
from django.db import transaction
from django.utils import timezone

from control.deployments.models import Node
from control.deployments.selectors import desired_for
from control.deployments.services import deployments_reported, node_seen
from control.limits.services import allotments_reported, bundle_renew
from control.monitoring.models import NodeStatus
from control.trading.breaks import breaks_seen
from engine import messages
from engine.dates import as_date


@transaction.atomic
def heartbeat_record(
    *, node: Node, epoch: int, hello: messages.Hello, heartbeat: messages.Heartbeat
) -> messages.Desired:
    """Keep the newest heartbeat and what the engine makes of its deployments; returns the desired state.

    No audit row by itself: a heartbeat is telemetry. Changes of a deployment's state have theirs. A link that
    is not the node's newest (``epoch``) changes nothing.
    """
    if Node.objects.values_list("epoch", flat=True).get(pk=node.pk) == epoch:
        node_seen(node=node, kill_epoch=heartbeat.kill_epoch)
        breaks_seen(node=node, heartbeat=heartbeat)
        deployments_reported(node=node, applied=heartbeat.deployments)
        allotments_reported(node=node, in_force=heartbeat.limits)
        NodeStatus.objects.update_or_create(node=node, defaults=_fields(hello, heartbeat))
        bundle_renew(node=node, session_time=heartbeat.session_time)
    return desired_for(node)


def _fields(hello: messages.Hello, heartbeat: messages.Heartbeat) -> dict[str, object]:
    return {
        "received_at": timezone.now(),
        "journal": hello.journal,
        "build": hello.build,
        "venue": hello.venue,
        "revision": heartbeat.revision,
        "core_alive": heartbeat.core_alive,
        "session_date": as_date(heartbeat.session_date) if heartbeat.session_date else None,
        "session_phase": heartbeat.session_phase,
        "session_time": heartbeat.session_time,
        "feed_age_ms": heartbeat.feed_age_ms,
        "venue_connected": heartbeat.venue_connected,
        "events": heartbeat.events,
        "anomalies": heartbeat.anomalies,
        "breaks": [one.symbol for one in heartbeat.breaks],
        "limits_number": heartbeat.limits.number if heartbeat.limits else 0,
        "limits_until": heartbeat.limits.valid_until if heartbeat.limits else 0,
        "venues": [msgspec.to_builtins(one) for one in heartbeat.venues],
        "latches": [{"scope": one.scope, "level": one.level} for one in heartbeat.latches],
    }
