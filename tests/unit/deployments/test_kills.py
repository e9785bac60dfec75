"""One person kills, two others re-arm: services, the database behind them, and what engines are told."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, InternalError, ProgrammingError, transaction

from control.accounts.models import User
from control.accounts.services import user_create
from control.audit.models import AuditRow
from control.deployments import kills as module
from control.deployments.kills import kill_ask_rearm, kill_give, kill_rearm, kills_reported
from control.deployments.models import Deployment, Kill, Node
from control.deployments.selectors import desired_for
from control.deployments.services import node_seen
from control.desks.models import Desk
from control.errors import Conflict, InvalidInput
from engine import messages

DESK, STRATEGY = "desk:Statistical arbitrage", "strategy:Pairs US"


@pytest.fixture
def second_officer(people: SimpleNamespace, desk: Desk) -> User:
    return user_create(
        actor=people.admin, username="rory", role="risk_officer", desks=[desk], password="correct horse battery staple"
    )


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(scope, kills recorded by then) of each kill, as it is sent."""
    log: list[tuple[str, int]] = []
    monkeypatch.setattr(module, "_send", lambda order: log.append((order.scope, Kill.objects.count())))
    return log


def told(node: Node) -> dict[str, tuple[str, list[str]]]:
    return {order.scope: (order.level, order.persons) for order in desired_for(node).kills}


@pytest.mark.parametrize("scope", ["firm", DESK, STRATEGY, "symbol:KO", "venue:SIM"])
def test_a_trader_kills_alone_and_every_node_is_told(
    people: SimpleNamespace, deployment: Deployment, node: Node, sent: Any, scope: str
) -> None:
    before = Node.objects.get(pk=node.pk).revision
    kill = kill_give(actor=people.trader, scope=scope, level="cancel", reason="runs away")
    assert sent == [(scope, 0)]  # before it was recorded
    assert told(node) == {scope: ("cancel", ["tess"])}
    assert desired_for(node).revision == before + 1
    row = AuditRow.objects.get(action="kill.give")
    assert (row.actor, row.detail["scope"], row.detail["epoch"]) == (people.trader, scope, kill.epoch)


def test_a_message_that_does_not_get_through_is_in_the_desired_state_all_the_same(
    people: SimpleNamespace, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise ConnectionError("no Valkey")

    monkeypatch.setattr(module, "get_channel_layer", broken)
    kill_give(actor=people.trader, scope="firm", level="pause")
    assert told(node) == {"firm": ("pause", ["tess"])}


@pytest.mark.parametrize("role", ["quant", "viewer", "admin"])
def test_others_kill_nothing_and_nothing_is_sent(people: SimpleNamespace, sent: Any, role: str) -> None:
    with pytest.raises(PermissionDenied, match="may not kill"):
        kill_give(actor=getattr(people, role), scope="firm", level="cancel")
    assert (sent, Kill.objects.count()) == ([], 0)


def test_a_desk_is_killed_by_those_who_sit_on_it(
    deployment: Deployment, outsider: Callable[[str], User], sent: Any
) -> None:
    for scope in (DESK, STRATEGY):
        with pytest.raises(PermissionDenied, match="on desk Statistical arbitrage"):
            kill_give(
                actor=outsider("trader") if scope == DESK else User.objects.get(username="other_trader"),
                scope=scope,
                level="cancel",
            )
    assert sent == []


@pytest.mark.parametrize(
    ("scope", "level"),
    [("desk:Nobody's", "cancel"), ("strategy:None", "cancel"), ("firm", "armed"), ("firm", "explode")]
    + [("symbol:", "cancel"), ("everything", "cancel"), ("symbol:KO", "disconnect"), ("symbol: KO", "pause")],
)
def test_what_names_nothing_is_refused(people: SimpleNamespace, sent: Any, scope: str, level: str) -> None:
    with pytest.raises(InvalidInput):
        kill_give(actor=people.trader, scope=scope, level=level)
    assert (sent, Kill.objects.count()) == ([], 0)


def test_two_others_rearm_and_the_engines_hear_both_names_and_a_newer_epoch(
    people: SimpleNamespace, second_officer: User, node: Node, sent: Any
) -> None:
    kill = kill_give(actor=people.trader, scope="firm", level="cancel")
    kill_ask_rearm(actor=people.risk_officer, scope="firm")
    assert told(node) == {"firm": ("cancel", ["tess"])}
    kill_rearm(actor=second_officer, scope="firm")
    assert told(node) == {"firm": ("armed", ["rhea", "rory"])}
    (order,) = desired_for(node).kills
    assert order.epoch > kill.epoch
    assert list(
        AuditRow.objects.filter(action__startswith="kill.").order_by("id").values_list("action", flat=True)
    ) == [
        "kill.give",
        "kill.ask_rearm",
        "kill.rearm",
    ]


def test_neither_the_killer_nor_one_person_alone_rearms(
    people: SimpleNamespace, second_officer: User, node: Node, sent: Any
) -> None:
    kill_give(actor=people.trader, scope="firm", level="cancel")
    with pytest.raises(Conflict, match="You killed"):
        kill_ask_rearm(actor=people.trader, scope="firm")
    with pytest.raises(Conflict, match="has to ask"):
        kill_rearm(actor=people.risk_officer, scope="firm")
    kill_ask_rearm(actor=people.risk_officer, scope="firm")
    with pytest.raises(Conflict, match="somebody else"):
        kill_rearm(actor=people.risk_officer, scope="firm")
    with pytest.raises(Conflict, match="You killed"):
        kill_rearm(actor=people.trader, scope="firm")
    assert told(node)["firm"][0] == "cancel"


def test_a_kill_that_comes_after_the_asking_has_to_be_asked_for_too(
    people: SimpleNamespace, second_officer: User, node: Node, sent: Any
) -> None:
    kill_give(actor=people.trader, scope="firm", level="pause")
    kill_ask_rearm(actor=people.risk_officer, scope="firm")
    kill_give(actor=people.trader, scope="firm", level="cancel")
    with pytest.raises(Conflict, match="has to ask"):
        kill_rearm(actor=second_officer, scope="firm")
    assert told(node)["firm"][0] == "cancel"


def test_whoever_raised_it_rearms_as_little_as_whoever_began(
    people: SimpleNamespace, second_officer: User, sent: Any
) -> None:
    kill_give(actor=people.trader, scope="firm", level="pause")
    kill_give(actor=people.risk_officer, scope="firm", level="cancel")
    for killer in (people.trader, people.risk_officer):
        with pytest.raises(Conflict, match="You killed"):
            kill_ask_rearm(actor=killer, scope="firm")
    kill_ask_rearm(actor=second_officer, scope="firm")


def test_the_highest_level_in_force_is_desired_and_of_each_scope_its_own(
    people: SimpleNamespace, node: Node, sent: Any
) -> None:
    kill_give(actor=people.trader, scope="firm", level="flatten")
    newest = kill_give(actor=people.risk_officer, scope="firm", level="pause")
    kill_give(actor=people.trader, scope="symbol:KO", level="reduce-only")
    orders = {order.scope: order for order in desired_for(node).kills}
    assert (orders["firm"].level, orders["firm"].epoch) == ("flatten", newest.epoch)
    assert orders["symbol:KO"].level == "reduce-only"


def test_killed_again_after_a_rearming_it_is_killed(
    people: SimpleNamespace, second_officer: User, node: Node, sent: Any
) -> None:
    kill_give(actor=people.trader, scope="firm", level="flatten")
    kill_ask_rearm(actor=people.risk_officer, scope="firm")
    kill_rearm(actor=second_officer, scope="firm")
    again = kill_give(actor=people.risk_officer, scope="firm", level="pause")
    (order,) = desired_for(node).kills
    assert (order.level, order.epoch, order.persons) == ("pause", again.epoch, ["rhea"])


def test_epochs_rise_and_are_above_what_an_engine_has_applied(people: SimpleNamespace, node: Node, sent: Any) -> None:
    ahead = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)
    node_seen(node=node, kill_epoch=ahead)
    epochs = [kill_give(actor=people.trader, scope="firm", level="pause").epoch for _ in range(3)]
    assert epochs == [ahead + 1, ahead + 2, ahead + 3]
    node_seen(node=node, kill_epoch=5)
    assert Node.objects.get(pk=node.pk).kill_epoch == ahead


# ---- what was done on an engine host ------------------------------------------------------------------


def host(level: str, epoch: int, *persons: str, scope: str = "firm") -> messages.KillReport:
    return messages.KillReport(1, 0, scope, level, epoch, list(persons), "host", "no link")


def test_a_kill_on_a_host_is_known_here_and_holds_for_every_node(people: SimpleNamespace, node: Node) -> None:
    for _ in range(2):
        with transaction.atomic():
            kills_reported(node=node, reports=[host("cancel", 50, "TESS")])
    kill = Kill.objects.get()
    assert (kill.killed_by, kill.host, kill.killed_by_name) == (people.trader, node, "TESS")
    assert told(node) == {"firm": ("cancel", ["TESS"])}
    with pytest.raises(Conflict, match="You killed"):
        kill_ask_rearm(actor=people.trader, scope="firm")


def test_a_rearming_on_a_host_ends_what_it_covers_and_nothing_newer(node: Node, people: SimpleNamespace) -> None:
    with transaction.atomic():
        kills_reported(node=node, reports=[host("cancel", 50, "root"), host("pause", 70, "root")])
        kills_reported(node=node, reports=[host("armed", 60, "ann", "bob")])
    assert {(kill.epoch, kill.in_force, kill.rearmed_names) for kill in Kill.objects.all()} == {
        (50, False, "ann and bob"),
        (70, True, ""),
    }
    assert told(node)["firm"][0] == "pause"


def test_an_engine_that_tells_of_a_kill_before_it_is_recorded_makes_no_second_one(
    people: SimpleNamespace, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(order: messages.KillOrder) -> None:
        with transaction.atomic():
            kills_reported(node=node, reports=[host(order.level, order.epoch, *order.persons)])

    monkeypatch.setattr(module, "_send", at_once)
    kill_give(actor=people.trader, scope="firm", level="cancel")
    assert Kill.objects.count() == 1
    assert AuditRow.objects.filter(action="kill.give").count() == 1


# ---- what the database itself refuses -----------------------------------------------------------------


def test_the_database_refuses_a_killer_who_rearms_and_one_person_for_two(
    people: SimpleNamespace, second_officer: User, sent: Any
) -> None:
    kill_give(actor=people.trader, scope="firm", level="cancel")
    now, rearmed = datetime.now(UTC), {"rearmed_names": "a and b", "rearm_epoch": 2**60}
    wrong = [
        {"rearm_asked_by": people.trader},
        {"rearm_asked_by": people.risk_officer, "rearmed_by": people.trader, "rearmed_at": now, **rearmed},
        {"rearm_asked_by": people.risk_officer, "rearmed_by": people.risk_officer, "rearmed_at": now, **rearmed},
        {"rearmed_by": people.risk_officer, "rearmed_at": now, **rearmed},
        {"rearmed_at": now, "rearmed_names": "", "rearm_epoch": 2**60},
        {"rearmed_at": now, "rearmed_names": "a and b", "rearm_epoch": 1},
    ]
    for change in wrong:
        with pytest.raises(IntegrityError), transaction.atomic():
            Kill.objects.update(**change)
    Kill.objects.update(rearm_asked_by=people.risk_officer, rearmed_by=second_officer, rearmed_at=now, **rearmed)


def test_the_database_keeps_a_kill_as_it_was_given(people: SimpleNamespace, sent: Any) -> None:
    kill_give(actor=people.trader, scope="firm", level="cancel")
    refused = (InternalError, ProgrammingError)
    for change in ({"level": "pause"}, {"killed_by": people.risk_officer}, {"epoch": 1}):
        with pytest.raises(refused), transaction.atomic():
            Kill.objects.update(**change)
    with pytest.raises(refused), transaction.atomic():
        Kill.objects.all().delete()
