"""The kill page, the banner on every page, and the buttons of a break."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from control.accounts.models import User
from control.accounts.services import user_create
from control.deployments.models import Deployment, Kill, Node
from control.desks.models import Desk
from control.trading import incidents
from control.trading.models import BreakResolution, Incident

pytestmark = pytest.mark.django_db

SignedIn = Callable[..., Client]


@pytest.fixture
def second_officer(people: SimpleNamespace, desk: Desk) -> User:
    return user_create(
        actor=people.admin, username="rory", role="risk_officer", desks=[desk], password="correct horse battery staple"
    )


@pytest.fixture
def broken(node: Node) -> Incident:
    detail = {"symbol": "KO", "code": "unknown_bust", "value": 99}
    made, _ = incidents.record(
        code="position_break", subject="KO", node=node, message="KO does not trade.", detail=detail, opens=True
    )
    return made


def _give(client: Client, **changed: str) -> int:
    return client.post(reverse("kill-list"), {"scope": "firm", "level": "cancel", **changed}).status_code


def _step(client: Client, step: str, scope: str = "firm") -> int:
    return client.post(reverse("kill-rearm", args=[step]), {"scope": scope}).status_code


def test_a_kill_stands_on_every_page_until_two_others_have_rearmed_it(
    people: SimpleNamespace, second_officer: User, deployment: Deployment, signed_in: SignedIn
) -> None:
    assert _give(signed_in(people.trader), reason="runs away") == 302
    for address in ("home", "deployment-list", "audit-list"):
        page = signed_in(people.risk_officer).get(reverse(address)).content.decode()
        assert "the firm" in page
        assert "Orders cancelled" in page
    _step(signed_in(people.risk_officer), "ask")
    _step(signed_in(people.risk_officer), "rearm")
    assert Kill.objects.get().in_force
    _step(signed_in(second_officer), "rearm")
    assert not Kill.objects.get().in_force
    assert "<strong>Killed.</strong>" not in signed_in(people.viewer).get("/").content.decode()


def test_each_person_is_offered_their_own_step(
    people: SimpleNamespace, second_officer: User, signed_in: SignedIn
) -> None:
    _give(signed_in(people.trader))
    pages = {
        user: lambda user=user: signed_in(user).get(reverse("kill-list")).content.decode()
        for user in (people.trader, people.risk_officer, second_officer)
    }
    assert "two others re-arm it" in pages[people.trader]()
    assert "Ask to re-arm the firm</button></td>" in pages[people.risk_officer]()
    _step(signed_in(people.risk_officer), "ask")
    assert "waits for somebody else" in pages[people.risk_officer]()
    assert 'data-dialog="rearm-' in pages[second_officer]()


def test_a_symbol_is_named_by_hand_and_one_without_a_name_is_refused(
    people: SimpleNamespace, signed_in: SignedIn
) -> None:
    client = signed_in(people.trader)
    assert _give(client, scope="symbol") == 422
    assert not Kill.objects.exists()
    assert _give(client, scope="symbol", symbol="ko") == 302
    assert Kill.objects.get().scope == "symbol:KO"


def test_who_may_not_kill_sees_the_page_without_the_form_and_is_refused(
    people: SimpleNamespace, signed_in: SignedIn
) -> None:
    for role in ("quant", "viewer", "admin"):
        client = signed_in(getattr(people, role))
        assert 'id="kill"' not in client.get(reverse("kill-list")).content.decode()
        assert _give(client) == 403
        assert _step(client, "ask") == 403
    assert not Kill.objects.exists()


def test_an_unknown_step_is_not_found(people: SimpleNamespace, signed_in: SignedIn) -> None:
    assert _step(signed_in(people.trader), "explode") == 404


def test_a_break_stands_on_overview_and_deployment_with_a_button_for_risk_officers(
    people: SimpleNamespace, deployment: Deployment, broken: Incident, signed_in: SignedIn
) -> None:
    for address in (reverse("home"), reverse("deployment-detail", args=[deployment.pk])):
        assert "Resolve the break of KO" in signed_in(people.risk_officer).get(address).content.decode()
        trader = signed_in(people.trader).get(address).content.decode()
        assert "KO does not trade." in trader
        assert "Resolve the break" not in trader


def test_resolving_from_the_page_asks_the_engine_and_comes_back_to_it(
    people: SimpleNamespace, deployment: Deployment, broken: Incident, signed_in: SignedIn
) -> None:
    address, back = reverse("break-resolve", args=[broken.pk]), reverse("deployment-detail", args=[deployment.pk])
    assert signed_in(people.trader).post(address, {"comment": "x"}).status_code == 403
    officer = signed_in(people.risk_officer)
    answer = officer.post(address, {"comment": "The venue paid twice.", "next": back})
    assert (answer.status_code, answer["Location"]) == (302, back)
    assert BreakResolution.objects.get().requested_by == people.risk_officer
    assert "rhea has asked the engine" in officer.get(back).content.decode()
    elsewhere = officer.post(address, {"comment": "again", "next": "https://elsewhere.example/"})
    assert elsewhere["Location"] == reverse("home")
