"""A break is open until the engine says that it is resolved; a risk officer asks for that, with a reason."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from control.audit.models import AuditRow
from control.deployments.models import Node
from control.deployments.selectors import desired_for
from control.errors import Conflict, InvalidInput
from control.monitoring.services import heartbeat_record
from control.trading import services
from control.trading.breaks import break_resolve
from control.trading.models import BreakResolution, Incident
from engine import messages

OPEN = 1_357_137_000_000_000_000


@pytest.fixture
def tell(link: services.Link, node: Node) -> Callable[..., None]:
    at = [0]

    def commit(code: str, value: int, symbol: str = "KO", person: str = "") -> None:
        first, at[0] = at[0], at[0] + 10
        report = messages.BreakReport(first + 1, OPEN, symbol, code, value, person)
        services.batch_commit(node=node, batch=messages.batch("journal-1", first, first + 10, [report]))

    return commit


@pytest.fixture
def broken(tell: Callable[..., None]) -> Incident:
    tell("unknown_bust", 99)
    return Incident.objects.get(code="position_break")


def beat(node: Node, link: services.Link, revision: int, breaks: list[messages.OpenBreak]) -> messages.Desired:
    hello = messages.Hello(node=node.name, journal="journal-1", build="b" * 64, core_pid=1, venue="SIM")
    heartbeat = messages.Heartbeat(revision, True, 20130102, "open", OPEN, 5, True, 100, 0, [], breaks)
    return heartbeat_record(node=node, epoch=link.epoch, hello=hello, heartbeat=heartbeat)


def test_a_break_is_an_open_incident_that_names_the_symbol(broken: Incident) -> None:
    assert broken.open
    assert (broken.subject, broken.detail["value"]) == ("KO", 99)
    assert "KO does not trade on sim-1" in broken.message


def test_the_engines_word_closes_it_and_the_next_one_opens_it_again(tell: Any, broken: Incident) -> None:
    tell("resolved", 99, person="ada")
    broken.refresh_from_db()
    assert not broken.open
    assert broken.closed_at is not None
    assert AuditRow.objects.get(action="break.resolved").detail["person"] == "ada"
    tell("unknown_execution", 100)
    broken.refresh_from_db()
    assert (broken.open, broken.closed_at, broken.occurrences) == (True, None, 2)


def test_breaks_of_two_symbols_and_of_everything_are_three(tell: Any, broken: Incident) -> None:
    tell("unknown_bust", 5, symbol="PEP")
    tell("unknown_execution", 6, symbol="")
    tell("resolved", 5, symbol="PEP")
    assert set(Incident.objects.filter(open=True).values_list("subject", flat=True)) == {"KO", "every symbol"}


def test_a_risk_officers_request_reaches_the_engine_and_leaves_an_audit_row(
    node: Node, broken: Incident, people: SimpleNamespace
) -> None:
    before = Node.objects.get(pk=node.pk).revision
    break_resolve(actor=people.risk_officer, incident=broken, comment=" The venue paid twice. ")
    desired = desired_for(node)
    assert desired.resolutions == [messages.Resolution("KO", 99, "rhea", "The venue paid twice.")]
    assert desired.revision == before + 1
    row = AuditRow.objects.get(action="break.resolve")
    assert (row.actor, row.detail["comment"]) == (people.risk_officer, "The venue paid twice.")


def test_the_request_is_over_once_the_engine_has_resolved_it(
    tell: Any, node: Node, broken: Incident, people: SimpleNamespace
) -> None:
    break_resolve(actor=people.risk_officer, incident=broken, comment="Looked at it.")
    tell("resolved", 99, person="rhea")
    assert desired_for(node).resolutions == []
    assert BreakResolution.objects.get().done_at is not None


@pytest.mark.parametrize("role", ["quant", "trader", "viewer", "admin"])
def test_nobody_but_a_risk_officer_resolves(broken: Incident, people: SimpleNamespace, role: str) -> None:
    with pytest.raises(PermissionDenied, match="may not resolve a break"):
        break_resolve(actor=getattr(people, role), incident=broken, comment="Looked at it.")
    assert not BreakResolution.objects.exists()


def test_what_is_refused_changes_nothing(tell: Any, node: Node, broken: Incident, people: SimpleNamespace) -> None:
    officer = people.risk_officer
    with pytest.raises(InvalidInput, match="Say what was found"):
        break_resolve(actor=officer, incident=broken, comment="  ")
    break_resolve(actor=officer, incident=broken, comment="Looked at it.")
    with pytest.raises(Conflict, match="already"):
        break_resolve(actor=officer, incident=broken, comment="Looked at it again.")
    tell("resolved", 99)
    with pytest.raises(Conflict, match="resolved already"):
        break_resolve(actor=officer, incident=broken, comment="And again.")
    assert BreakResolution.objects.count() == 1


def test_a_break_that_was_lost_with_a_journal_is_closed_once_the_engine_has_heard_of_the_request(
    node: Node, link: services.Link, broken: Incident, people: SimpleNamespace
) -> None:
    resolution = break_resolve(actor=people.risk_officer, incident=broken, comment="Looked at it.")
    beat(node, link, resolution.revision - 1, [])
    broken.refresh_from_db()
    assert broken.open
    beat(node, link, resolution.revision, [])
    broken.refresh_from_db()
    assert not broken.open


def test_a_newer_break_needs_another_look(
    tell: Any, node: Node, link: services.Link, broken: Incident, people: SimpleNamespace
) -> None:
    resolution = break_resolve(actor=people.risk_officer, incident=broken, comment="Looked at it.")
    tell("unknown_bust", 100)
    beat(node, link, resolution.revision, [messages.OpenBreak("KO", "unknown_bust", 100)])
    broken.refresh_from_db()
    assert broken.open
    assert desired_for(node).resolutions == []
    break_resolve(actor=people.risk_officer, incident=broken, comment="That too.")
    assert [one.value for one in desired_for(node).resolutions] == [100]
