"""What a node's newest heartbeat, and its age, say of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from control.accounts.models import User
from control.deployments.models import Node
from control.monitoring.models import NodeStatus
from control.monitoring.selectors import node_health, nodes_with_health
from control.monitoring.services import heartbeat_record
from engine import messages

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HELLO = messages.Hello(node="sim-1", journal="journal-1", build="b" * 64, core_pid=1, venue="SIM")


def heartbeat(**changed: Any) -> messages.Heartbeat:
    fields = {
        "revision": 0,
        "core_alive": True,
        "session_date": 20130102,
        "session_phase": "open",
        "session_time": 1_357_137_000_000_000_000,
        "feed_age_ms": 12,
        "venue_connected": True,
        "events": 1_000,
        "anomalies": 0,
        "deployments": [],
    }
    return messages.Heartbeat(**(fields | changed))


def state_of(node: Node, age: float = 0.2, **changed: Any) -> str:
    heartbeat_record(node=node, epoch=node.epoch, hello=HELLO, heartbeat=heartbeat(**changed))
    NodeStatus.objects.update(received_at=NOW - timedelta(seconds=age))
    return node_health(Node.objects.select_related("status").get(pk=node.pk), NOW).state


def test_a_node_without_a_heartbeat_was_never_seen(node: Node, admin_user: User) -> None:
    [(found, health)] = nodes_with_health(admin_user)
    assert (found, health.state, health.age, health.alive) == (node, "never_seen", None, False)


@pytest.mark.parametrize(
    ("age", "changed", "state"),
    [
        (0.2, {}, "online"),
        (2.9, {}, "online"),
        (3.1, {}, "offline"),
        (0.2, {"core_alive": False}, "core_down"),
        (0.2, {"venue_connected": False}, "venue_down"),
        (0.2, {"feed_age_ms": 2_500}, "stale"),
        (0.2, {"feed_age_ms": -1}, "stale"),
        (0.2, {"feed_age_ms": 60_000, "session_phase": "closed"}, "online"),
    ],
)
def test_health_follows_from_the_newest_heartbeat_and_its_age(
    node: Node, age: float, changed: dict[str, Any], state: str
) -> None:
    assert state_of(node, age, **changed) == state


def test_one_row_a_node_holds_the_newest_heartbeat(node: Node) -> None:
    state_of(node, events=1)
    state_of(node, events=2, session_date=0)
    status = NodeStatus.objects.get()
    assert (status.events, status.session_date, status.journal) == (2, None, "journal-1")
    state_of(node, session_date=20130103)
    assert NodeStatus.objects.get().session_date == date(2013, 1, 3)


def test_a_fenced_link_changes_nothing_and_still_hears_the_desired_state(node: Node) -> None:
    answer = heartbeat_record(node=node, epoch=node.epoch + 1, hello=HELLO, heartbeat=heartbeat())
    assert answer.revision == node.revision
    assert not NodeStatus.objects.exists()


def test_a_status_names_each_venue_and_what_is_wrong_there(node: Node) -> None:
    venues = [
        messages.VenueStatus("SIM", dark=False, connected=True, stale=False, feed_age_ms=3),
        messages.VenueStatus("EAST", dark=False, connected=False, stale=True, feed_age_ms=9_000),
        messages.VenueStatus("DARK", dark=True, connected=True, stale=True, feed_age_ms=9_000),
    ]
    heartbeat_record(node=node, epoch=node.epoch, hello=HELLO, heartbeat=heartbeat(venues=venues))
    status = NodeStatus.objects.get(node=node)
    assert status.venue_names == ["SIM", "EAST", "DARK"]
    assert status.venues_shown == "SIM, EAST (no order session), DARK (stale)"


def test_a_node_of_one_venue_that_does_not_list_it_is_shown_with_it(node: Node) -> None:
    heartbeat_record(node=node, epoch=node.epoch, hello=HELLO, heartbeat=heartbeat())
    assert NodeStatus.objects.get(node=node).venues_shown == "SIM"
