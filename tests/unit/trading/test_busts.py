"""Fills that the venue undoes or corrects: each chapter of an execution's story is stored once, whoever tells it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, transaction

from control.deployments.models import Deployment, Node
from control.trading import services
from control.trading.models import Fill, FillBust, Incident
from control.trading.snapshots import snapshot_rows
from engine import messages

OPEN = 1_357_137_000_000_000_000
Make = Callable[..., Any]


@pytest.fixture
def tell(link: services.Link, node: Node) -> Make:
    """Commits reports as the next batch of a journal, which is opened where it is new."""
    at = {"journal-1": 0}

    def commit(*reports: messages.Report, journal: str = "journal-1") -> None:
        if journal not in at:
            hello = messages.Hello(node=node.name, journal=journal, build="b" * 64, core_pid=1, venue="SIM")
            services.link_open(node=node, hello=hello)
            at[journal] = 0
        first, at[journal] = at[journal], at[journal] + 10
        services.batch_commit(node=node, batch=messages.batch(journal, first, first + 10, list(reports)))

    return commit


@pytest.fixture
def bust(fill: Make) -> Make:
    """The bust of what ``fill`` makes."""

    def make(**changed: Any) -> messages.BustReport:
        told = fill(**changed)
        return messages.BustReport(**{name: getattr(told, name) for name in messages.BustReport.__struct_fields__})

    return make


def story() -> list[tuple[int, Decimal, bool]]:
    """(revision, price, busted) of each stored fill."""
    rows = Fill.objects.select_related("bust").order_by("execution_id", "revision")
    return [(fill.revision, fill.price.normalize(), fill.busted) for fill in rows]


def test_a_correction_is_a_bust_and_a_fill_of_the_next_revision(tell: Make, fill: Make, bust: Make) -> None:
    tell(fill())
    tell(bust(record=2), fill(record=3, price=371_100))
    assert story() == [(1, Decimal("37.12"), True), (2, Decimal("37.11"), False)]
    assert not Incident.objects.exists()


def test_the_order_of_the_journal_decides_and_not_that_of_the_kinds(tell: Make, fill: Make, bust: Make) -> None:
    tell(fill(record=1), bust(record=2), fill(record=3, price=371_100), bust(record=4, price=371_100))
    assert story() == [(1, Decimal("37.12"), True), (2, Decimal("37.11"), True)]


def test_another_journal_that_tells_the_whole_story_again_adds_nothing(tell: Make, fill: Make, bust: Make) -> None:
    told = [fill(record=1), bust(record=2), fill(record=3, price=371_100)]
    tell(*told)
    for one in told:  # in batches of one: what a journal has told of before is remembered
        tell(one, journal="journal-2")
    assert story() == [(1, Decimal("37.12"), True), (2, Decimal("37.11"), False)]
    assert not Incident.objects.exists()


def test_equal_match_numbers_of_two_venues_are_two_executions(tell: Make, fill: Make, bust: Make) -> None:
    tell(fill(record=1, venue="SIM"), fill(record=2, venue="EAST", price=371_100))
    tell(bust(record=11, venue="EAST", price=371_100))
    rows = Fill.objects.select_related("bust").order_by("venue")
    assert [(row.venue, row.busted) for row in rows] == [("EAST", True), ("SIM", False)]
    assert not Incident.objects.exists()


def test_another_journal_goes_on_where_the_first_one_ended(tell: Make, fill: Make, bust: Make) -> None:
    tell(fill(record=1), bust(record=2))
    tell(fill(record=1), bust(record=2), fill(record=3, price=371_100), journal="journal-2")
    assert story() == [(1, Decimal("37.12"), True), (2, Decimal("37.11"), False)]


def test_a_correction_to_what_it_was_is_still_a_revision(tell: Make, fill: Make, bust: Make) -> None:
    tell(fill(record=1), bust(record=2), fill(record=3))
    assert story() == [(1, Decimal("37.12"), True), (2, Decimal("37.12"), False)]


def test_a_bust_of_what_is_not_known_is_an_incident_and_stores_nothing(tell: Make, fill: Make, bust: Make) -> None:
    tell(bust(record=1), fill(record=2, execution_id=78))
    assert not FillBust.objects.exists()
    assert Fill.objects.get().execution_id == 78
    assert Incident.objects.get().code == "bust_unknown"


def test_a_second_bust_of_one_execution_is_an_incident(tell: Make, fill: Make, bust: Make) -> None:
    tell(fill(record=1), bust(record=2), bust(record=3))
    assert FillBust.objects.count() == 1
    assert Incident.objects.get().code == "bust_unknown"


@pytest.mark.parametrize("changed", [{"price": 371_100}, {"qty": 50}, {"order_id": 9}])
def test_a_bust_that_contradicts_its_fill_is_an_incident_and_the_fill_stands(
    tell: Make, fill: Make, bust: Make, changed: dict[str, int]
) -> None:
    tell(fill(record=1), bust(record=2, **changed))
    assert story() == [(1, Decimal("37.12"), False)]
    assert Incident.objects.get().code == "execution_contradicted"


def test_what_follows_a_contradicted_bust_is_not_counted_twice(tell: Make, fill: Make, bust: Make) -> None:
    tell(fill(record=1), bust(record=2, qty=50), fill(record=3, price=371_100))
    assert story() == [(1, Decimal("37.12"), False)]
    assert Incident.objects.filter(code="execution_contradicted").count() == 2


def test_both_sides_of_a_trade_among_own_orders_are_busted_apart(tell: Make, fill: Make, bust: Make) -> None:
    tell(fill(record=1, side="buy"), fill(record=2, side="sell", order_id=2), bust(record=3, side="sell", order_id=2))
    assert {(one.side, one.busted) for one in Fill.objects.select_related("bust")} == {("buy", False), ("sell", True)}


def test_the_database_keeps_busts_and_one_a_fill(tell: Make, fill: Make, bust: Make) -> None:
    tell(fill(record=1), bust(record=2))
    with pytest.raises(ProgrammingError, match="Cannot update or delete"), transaction.atomic():
        FillBust.objects.all().delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        FillBust.objects.create(fill=Fill.objects.get(), ts="2013-01-02T14:30Z")


def test_pages_start_with_busted_fills_marked(tell: Make, fill: Make, bust: Make, deployment: Deployment) -> None:
    tell(fill(record=1), bust(record=2), fill(record=3, price=371_100))
    rows = snapshot_rows(deployment.pk)["fills"]
    assert [(row["revision"], row["busted"], row["price"]) for row in rows] == [
        (1, True, "37.1200"),
        (2, False, "37.1100"),
    ]
