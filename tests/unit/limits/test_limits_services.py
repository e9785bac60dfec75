"""Limits, and the parts of them that nodes have: who may loosen, and when room is free for another node."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils import timezone

from control.accounts.models import User
from control.accounts.services import user_create
from control.audit.models import AuditRow
from control.deployments.models import Node
from control.deployments.selectors import desired_for
from control.deployments.services import node_register
from control.desks.models import Desk, Membership
from control.errors import Conflict, InvalidInput
from control.limits import services
from control.limits.models import Allotment, Limit, LimitChange
from control.limits.selectors import limits_visible_to
from control.limits.services import (
    NANOSECONDS_A_DAY,
    allotment_set,
    allotments_reported,
    bundle_renew,
    limit_agree,
    limit_ask,
    limit_decline,
)
from control.monitoring.models import NodeStatus
from engine.limits_bundle import load_or_make_key, verify
from engine.messages import LimitsInForce, LimitsUse

pytestmark = pytest.mark.django_db
VALUES = {
    "max_order_qty": 1_000,
    "max_order_notional": Decimal(100_000),
    "max_position_qty": 9_000,
    "max_gross_notional": Decimal(900_000),
}
NOW = 1_357_137_000 * 10**9


@pytest.fixture(autouse=True)
def signer(settings: Any, tmp_path: Any) -> None:
    settings.LIMITS_KEY = tmp_path / "limits.key"


@pytest.fixture
def second(admin_user: User, desk: Desk) -> User:
    return user_create(actor=admin_user, username="rory", role="risk_officer", desks=[desk], password="x" * 20)


@pytest.fixture
def firm(people: SimpleNamespace, second: User) -> Limit:
    limit_agree(actor=second, change=limit_ask(actor=people.risk_officer, desk=None, values=VALUES))
    return Limit.objects.get(desk=None)


@pytest.fixture
def nodes(admin_user: User) -> list[Node]:
    made = []
    for name in ("a", "b", "c"):
        node_register(actor=admin_user, name=name)
        node = Node.objects.get(name=name)
        NodeStatus.objects.create(
            node=node,
            received_at=timezone.now(),
            revision=0,
            core_alive=True,
            session_time=NOW,
            feed_age_ms=0,
            venue_connected=True,
            events=0,
            anomalies=0,
        )
        made.append(Node.objects.get(name=name))
    return made


def told(actor: User, firm: Limit, node: Node, qty: int, notional: int | None = None) -> Allotment:
    return allotment_set(
        actor=actor,
        limit=firm,
        node=node,
        position_qty=qty,
        gross_notional=Decimal(notional if notional is not None else qty * 100),
    )


def bundle(node: Node) -> Any:
    document = desired_for(node).limits
    from django.conf import settings

    return verify(document.encode(), node.name, load_or_make_key(settings.LIMITS_KEY).public_key()).bundle


def says(node: Node, *, number: int | None = None, qty: int = 0, notional: int = 0) -> None:
    """The node's heartbeat: it goes by its newest bundle, or by number ``number``, and uses that at worst."""
    newest = number if number is not None else bundle(node).number
    allotments_reported(node=node, in_force=LimitsInForce(newest, 0, [LimitsUse("", qty, notional * 10_000)]))


# ---- who ---------------------------------------------------------------------------------------------


def test_a_looser_limit_is_in_force_only_when_another_has_agreed(people: SimpleNamespace, second: User) -> None:
    change = limit_ask(actor=people.risk_officer, desk=None, values=VALUES)
    assert Limit.objects.get().max_position_qty == 0
    with pytest.raises(Conflict, match="somebody else"):
        limit_agree(actor=people.risk_officer, change=change)
    limit_agree(actor=second, change=change)
    assert Limit.objects.get().max_position_qty == 9_000
    with pytest.raises(Conflict, match="decided already"):
        limit_decline(actor=second, change=change)


def test_the_database_refuses_one_person_for_both(people: SimpleNamespace) -> None:
    change = limit_ask(actor=people.risk_officer, desk=None, values=VALUES)
    with pytest.raises(IntegrityError, match="limit_change_by_two_persons"), transaction.atomic():
        LimitChange.objects.filter(pk=change.pk).update(
            decided_by=people.risk_officer, decided_at=timezone.now(), agreed=True
        )


def test_a_tighter_limit_is_in_force_at_once_and_told_to_every_node(
    people: SimpleNamespace, firm: Limit, nodes: list[Node]
) -> None:
    told(people.risk_officer, firm, nodes[0], 1_000)
    limit_ask(actor=people.risk_officer, desk=None, values=VALUES | {"max_order_qty": 10})
    assert bundle(nodes[0]).firm.max_order_qty == 10
    assert AuditRow.objects.filter(action="limit.ask").count() == 2


def test_a_declined_change_changes_nothing(people: SimpleNamespace, second: User, firm: Limit) -> None:
    change = limit_ask(actor=people.risk_officer, desk=None, values=VALUES | {"max_position_qty": 10_000})
    with pytest.raises(Conflict, match="waits for a second person"):
        limit_ask(actor=second, desk=None, values=VALUES | {"max_position_qty": 9_001})
    limit_decline(actor=people.risk_officer, change=change)
    assert Limit.objects.get(pk=firm.pk).max_position_qty == 9_000


def test_a_limit_is_tightened_by_one_person_while_a_looser_one_waits_which_is_declined(
    people: SimpleNamespace, second: User, firm: Limit
) -> None:
    looser = limit_ask(actor=people.risk_officer, desk=None, values=VALUES | {"max_position_qty": 90_000})
    limit_ask(actor=second, desk=None, values=VALUES | {"max_position_qty": 100})
    assert Limit.objects.get(pk=firm.pk).max_position_qty == 100
    looser.refresh_from_db()
    assert (looser.agreed, looser.decided_by) == (False, second)
    assert AuditRow.objects.get(action="limit.decline").object_id == str(looser.pk)


def test_a_tighter_limit_that_is_refused_leaves_the_looser_one_waiting(
    people: SimpleNamespace, second: User, firm: Limit, nodes: list[Node]
) -> None:
    told(people.risk_officer, firm, nodes[0], 5_000)
    looser = limit_ask(actor=people.risk_officer, desk=None, values=VALUES | {"max_position_qty": 90_000})
    with pytest.raises(Conflict, match="hold 5,000 shares"):
        limit_ask(actor=second, desk=None, values=VALUES | {"max_position_qty": 100})
    looser.refresh_from_db()
    assert looser.agreed is None


@pytest.mark.parametrize("role", ["admin", "quant", "trader", "viewer"])
def test_only_risk_officers_touch_limits(people: SimpleNamespace, firm: Limit, nodes: list[Node], role: str) -> None:
    actor = getattr(people, role)
    with pytest.raises(PermissionDenied):
        limit_ask(actor=actor, desk=None, values=VALUES)
    with pytest.raises(PermissionDenied):
        told(actor, firm, nodes[0], 1)
    assert not Allotment.objects.exists()


@pytest.mark.parametrize("value", [-1, 1.5, "9", None, 10**13])
def test_what_is_no_limit_is_refused(people: SimpleNamespace, value: Any) -> None:
    with pytest.raises(InvalidInput):
        limit_ask(actor=people.risk_officer, desk=None, values=VALUES | {"max_position_qty": value})
    assert not LimitChange.objects.exists()


# ---- how much ----------------------------------------------------------------------------------------


def test_nodes_never_hold_more_than_the_limit_together(people: SimpleNamespace, firm: Limit, nodes: list[Node]) -> None:
    told(people.risk_officer, firm, nodes[0], 5_000)
    told(people.risk_officer, firm, nodes[1], 4_000)
    with pytest.raises(Conflict, match="0 shares"):
        told(people.risk_officer, firm, nodes[2], 1)
    with pytest.raises(IntegrityError, match="nodes may hold"), transaction.atomic():
        Allotment.objects.filter(node=nodes[1]).update(held_position_qty=4_001)


def test_what_a_node_was_told_to_give_up_is_free_when_it_has_said_so(
    people: SimpleNamespace, firm: Limit, nodes: list[Node]
) -> None:
    a, b, _ = nodes
    told(people.risk_officer, firm, a, 9_000)
    before = bundle(a).number
    told(people.risk_officer, firm, a, 3_000)
    with pytest.raises(Conflict, match="0 shares"):
        told(people.risk_officer, firm, b, 6_000)
    says(a, number=before, qty=0)  # it has not heard yet
    with pytest.raises(Conflict, match="0 shares"):
        told(people.risk_officer, firm, b, 6_000)
    says(a)
    told(people.risk_officer, firm, b, 6_000)
    assert (bundle(a).firm.max_long_qty, bundle(b).firm.max_long_qty) == (3_000, 6_000)


def test_what_a_node_still_uses_is_not_free_whatever_it_goes_by(
    people: SimpleNamespace, firm: Limit, nodes: list[Node]
) -> None:
    a, b, _ = nodes
    told(people.risk_officer, firm, a, 9_000)
    told(people.risk_officer, firm, a, 3_000)
    says(a, qty=7_000, notional=700_000)
    with pytest.raises(Conflict, match="2,000 shares"):
        told(people.risk_officer, firm, b, 2_001)
    says(a, qty=2_500)
    told(people.risk_officer, firm, b, 6_000)


def test_a_node_that_says_nothing_keeps_what_it_has(people: SimpleNamespace, firm: Limit, nodes: list[Node]) -> None:
    a, b, _ = nodes
    told(people.risk_officer, firm, a, 9_000)
    told(people.risk_officer, firm, a, 0)
    allotments_reported(node=a, in_force=None)
    assert Allotment.objects.get(node=a).held_position_qty == 9_000
    with pytest.raises(Conflict, match="0 shares"):
        told(people.risk_officer, firm, b, 1)


def test_a_limit_does_not_sink_below_what_nodes_hold(people: SimpleNamespace, firm: Limit, nodes: list[Node]) -> None:
    told(people.risk_officer, firm, nodes[0], 5_000)
    with pytest.raises(Conflict, match="hold 5,000 shares"):
        limit_ask(actor=people.risk_officer, desk=None, values=VALUES | {"max_position_qty": 4_999})
    assert Limit.objects.get(pk=firm.pk).max_position_qty == 9_000
    assert LimitChange.objects.count() == 1  # the refused one has left nothing


# ---- bundles -----------------------------------------------------------------------------------------


def test_a_bundle_is_renewed_while_linked_when_half_of_its_time_is_over(
    people: SimpleNamespace, firm: Limit, nodes: list[Node], settings: Any
) -> None:
    (a, *_), settings.LIMITS_VALID_DAYS = nodes, 2
    told(people.risk_officer, firm, a, 5_000)
    first = bundle(a)
    bundle_renew(node=a, session_time=NOW + NANOSECONDS_A_DAY - 1)
    assert bundle(a) == first
    bundle_renew(node=a, session_time=NOW + NANOSECONDS_A_DAY)
    renewed = bundle(a)
    assert (renewed.number, renewed.valid_until) == (first.number + 1, NOW + 3 * NANOSECONDS_A_DAY)
    assert (renewed.firm, renewed.desks) == (first.firm, first.desks)


def test_a_node_without_a_part_of_the_firms_limit_has_no_bundle(nodes: list[Node]) -> None:
    bundle_renew(node=nodes[0], session_time=NOW)
    assert desired_for(nodes[0]).limits == ""


def test_a_desks_limit_lets_nothing_pass_on_nodes_without_a_part_of_it(
    people: SimpleNamespace, second: User, firm: Limit, nodes: list[Node], desk: Desk
) -> None:
    a, b, _ = nodes
    limit_agree(actor=second, change=limit_ask(actor=people.risk_officer, desk=desk, values=VALUES))
    for node in (a, b):
        told(people.risk_officer, firm, node, 1_000)
    told(people.risk_officer, Limit.objects.get(desk=desk), a, 500)
    rows = [{one.name: one.limits.max_long_qty for one in bundle(node).desks} for node in (a, b)]
    told_again = {one.name: one.limits.max_long_qty for one in bundle(b).desks}
    assert rows[0] == {"": 1_000, desk.name: 500}
    assert told_again == {"": 1_000, desk.name: 0}


def test_a_desks_limit_that_is_asked_for_and_declined_changes_nothing_for_the_desk(
    people: SimpleNamespace, second: User, firm: Limit, nodes: list[Node], desk: Desk
) -> None:
    told(people.risk_officer, firm, nodes[0], 1_000)
    before = bundle(nodes[0]).desks
    change = limit_ask(actor=people.risk_officer, desk=desk, values=VALUES)
    told(people.risk_officer, firm, nodes[0], 1_000)
    assert bundle(nodes[0]).desks == before
    limit_decline(actor=second, change=change)
    told(people.risk_officer, firm, nodes[0], 1_000)
    assert bundle(nodes[0]).desks == before
    assert list(limits_visible_to(people.risk_officer)) == [firm]


def desk_limits(asking: User, agreeing: User, count: int) -> list[LimitChange]:
    """Limits of ``count`` new desks, all in force."""
    changes = []
    for number in range(count):
        desk = Desk.objects.create(name=f"desk {number}", slug=f"desk-{number}")
        for user in (asking, agreeing):
            Membership.objects.create(desk=desk, user=user)
        changes.append(limit_agree(actor=agreeing, change=limit_ask(actor=asking, desk=desk, values=VALUES)))
    return changes


def test_as_many_desks_get_limits_as_a_node_holds_and_one_more_is_refused(
    people: SimpleNamespace, second: User, firm: Limit, nodes: list[Node], desk: Desk
) -> None:
    told(people.risk_officer, firm, nodes[0], 1_000)
    last = desk_limits(people.risk_officer, second, 7)[-1]
    with pytest.raises(Conflict, match="7 other desks"):
        limit_ask(actor=people.risk_officer, desk=desk, values=VALUES)
    assert not Limit.objects.filter(desk=desk).exists()
    limit_ask(actor=second, desk=last.limit.desk, values=VALUES | {"max_order_qty": 9})
    told(people.risk_officer, firm, nodes[0], 10)
    issued = bundle(nodes[0])
    assert (len(issued.desks), issued.firm.max_long_qty) == (8, 10)


def test_a_desk_whose_limit_was_declined_leaves_its_place_to_another(
    people: SimpleNamespace, second: User, firm: Limit, desk: Desk
) -> None:
    desk_limits(people.risk_officer, second, 6)
    first = Desk.objects.create(name="first", slug="first")
    Membership.objects.create(desk=first, user=people.risk_officer)
    waiting = limit_ask(actor=people.risk_officer, desk=first, values=VALUES)
    with pytest.raises(Conflict, match="7 other desks"):
        limit_ask(actor=people.risk_officer, desk=desk, values=VALUES)
    limit_decline(actor=people.risk_officer, change=waiting)
    assert limit_ask(actor=people.risk_officer, desk=desk, values=VALUES).agreed is None


def test_a_bundle_that_a_node_would_refuse_is_not_issued_and_who_asked_is_told(
    people: SimpleNamespace, second: User, firm: Limit, nodes: list[Node], monkeypatch: Any
) -> None:
    told(people.risk_officer, firm, nodes[0], 1_000)
    monkeypatch.setattr(services, "DESK_LIMITS", 8)  # as if nobody had counted
    with pytest.raises(Conflict, match="at most 8 desks"):
        desk_limits(people.risk_officer, second, 8)
    assert LimitChange.objects.filter(limit__desk__isnull=False, agreed=True).count() == 7
    assert len(bundle(nodes[0]).desks) == 8


def test_a_heartbeat_with_an_impossible_time_gets_no_bundle_and_goes_on(
    people: SimpleNamespace, firm: Limit, nodes: list[Node], caplog: Any
) -> None:
    told(people.risk_officer, firm, nodes[0], 1_000)
    before = bundle(nodes[0])
    bundle_renew(node=nodes[0], session_time=1 << 62)
    assert "the limits of a are not renewed: a would refuse" in caplog.text
    assert bundle(nodes[0]) == before
