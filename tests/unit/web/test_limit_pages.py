"""The limits page: asking, agreeing, and telling a node its part."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control.accounts.models import User
from control.accounts.services import user_create
from control.deployments.models import Node
from control.desks.models import Desk
from control.limits.models import Allotment, Limit, LimitChange

pytestmark = pytest.mark.django_db
SignedIn = Callable[..., Client]
WANTED = {
    "desk": "",
    "max_order_qty": "1000",
    "max_order_notional": "250000",
    "max_position_qty": "9000",
    "max_gross_notional": "3000000.50",
    "reason": "the new desk",
}


@pytest.fixture
def second_officer(people: SimpleNamespace, desk: Desk) -> User:
    return user_create(actor=people.admin, username="rory", role="risk_officer", desks=[desk], password="x" * 20)


@pytest.fixture
def firm(people: SimpleNamespace, second_officer: User, signed_in: SignedIn) -> Limit:
    assert signed_in(people.risk_officer).post(reverse("limit-list"), WANTED).status_code == 302
    assert decide(signed_in(second_officer), "agree") == 302
    return Limit.objects.get()


def decide(client: Client, decision: str) -> int:
    return client.post(reverse("limit-decide", args=[LimitChange.objects.latest("asked_at").pk, decision])).status_code


def tell(client: Client, firm: Limit, node: Node, qty: int) -> Any:
    form = {"limit": firm.pk, "node": node.pk, "position_qty": qty, "gross_notional": "1000000"}
    return client.post(reverse("allotment-change"), form)


def test_a_limit_stands_on_the_page_once_a_second_officer_has_agreed(
    people: SimpleNamespace, second_officer: User, signed_in: SignedIn
) -> None:
    officer = signed_in(people.risk_officer)
    officer.post(reverse("limit-list"), WANTED)
    page = officer.get(reverse("limit-list")).content.decode()
    assert "waits for somebody else" in page
    assert "the new desk" in page
    decide(officer, "agree")
    assert Limit.objects.get().max_position_qty == 0
    decide(signed_in(second_officer), "agree")
    page = signed_in(people.viewer).get(reverse("limit-list")).content.decode()
    assert "9,000" in page
    assert "3,000,000.50" in page


def test_what_is_no_limit_stands_at_its_field(people: SimpleNamespace, signed_in: SignedIn) -> None:
    answer = signed_in(people.risk_officer).post(reverse("limit-list"), WANTED | {"max_order_qty": "-4"})
    assert answer.status_code == 422
    assert not LimitChange.objects.exists()


def test_a_node_is_told_its_part_and_more_than_there_is_is_refused_at_the_field(
    people: SimpleNamespace, firm: Limit, node: Node, signed_in: SignedIn
) -> None:
    officer = signed_in(people.risk_officer)
    assert tell(officer, firm, node, 5_000).status_code == 302
    answer = tell(officer, firm, node, 9_001)
    assert answer.status_code == 422
    assert "9,000 shares" in answer.content.decode()
    assert Allotment.objects.get().position_qty == 5_000
    assert "sim-1" in officer.get(reverse("limit-list")).content.decode()


@pytest.mark.parametrize("role", ["admin", "quant", "trader", "viewer"])
def test_others_read_and_write_nothing(
    people: SimpleNamespace, firm: Limit, node: Node, signed_in: SignedIn, role: str
) -> None:
    client = signed_in(getattr(people, role))
    page = client.get(reverse("limit-list")).content.decode()
    assert "Ask for this limit" not in page
    assert "Tell the node" not in page
    assert client.post(reverse("limit-list"), WANTED).status_code == 403
    assert tell(client, firm, node, 1).status_code == 403
    assert decide(client, "decline") == 403
    assert LimitChange.objects.count() == 1
    assert not Allotment.objects.exists()
