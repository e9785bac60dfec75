"""Every page: anonymous is sent to the login, a role without the permission gets 403, a stranger to the desk too."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from control.accounts.models import Role, User
from control.accounts.roles import role_allows
from control.backtests.models import Study
from control.deployments.models import Deployment
from control.web import urls

pytestmark = pytest.mark.django_db

# Pages about no single object, and the permission that opens them ("" for everyone who is signed in).
LISTS = {
    "home": "",
    "status": "",
    "strategy-list": "strategies.view_strategy",
    "strategy-new": "strategies.create_strategy",
    "approval-list": "approvals.view_approval",
    "backtest-list": "backtests.view_backtestrun",
    "backtest-compare": "backtests.view_backtestrun",
    "deployment-list": "deployments.view_deployment",
    "node-list": "deployments.view_node",
    "limit-list": "limits.view_limit",
    "kill-list": "deployments.view_kill",
    "dataset-list": "marketdata.view_dataset",
    "audit-list": "audit.view_auditrow",
}
# Pages and actions about an object of a desk: (name, which object, GET)
OBJECTS = {
    "strategy-detail": ("strategy", True),
    "version-new": ("strategy", True),
    "version-detail": ("version", True),
    "version-submit": ("version", False),
    "version-withdraw": ("version", False),
    "version-retire": ("version", False),
    "version-backtest": ("version", False),
    "version-decide": ("version", False),
    "backtest-detail": ("backtest", True),
    "backtest-status": ("backtest", True),
    "backtest-cancel": ("backtest", False),
    "backtest-note": ("backtest", False),
    "backtest-file": ("backtest", False),
    "study-new": ("version", True),
    "study-detail": ("study", True),
    "study-stop": ("study", False),
    "deployment-detail": ("deployment", True),
    "deployment-command": ("deployment", False),
    "dash-page": ("deployment", True),
    "dash-call": ("deployment", True),
}
OPEN = {"theme-css", "mark", "favicon"}  # the sign-in page needs them
ELSEWHERE = {"dash-suite", "kill-rearm", "break-resolve", "limit-decide", "allotment-change"}  # tested where they are


def _address(name: str, deployment: Deployment) -> str:
    objects = {
        "strategy": deployment.strategy.pk,
        "version": deployment.version.pk,
        "backtest": deployment.version.backtests.get().pk,
        "deployment": deployment.pk,
        "study": _study(deployment).pk,
    }
    arguments = {"pk": objects[OBJECTS[name][0]]}
    arguments |= {
        "version-decide": {"decision": "approve"},
        "deployment-command": {"command": "stop"},
        "backtest-file": {"form": "pdf"},
    }.get(name, {})
    arguments |= {"dash-page": {"name": "live"}, "dash-call": {"name": "live", "rest": "_dash-layout"}}.get(name, {})
    return reverse(name, kwargs=arguments)


def _study(deployment: Deployment) -> Study:
    version = deployment.version
    made, _new = Study.objects.get_or_create(
        version=version, kind="grid", space={"lookback": [20]}, requested_by=version.created_by
    )
    return made


def _ask(client: Client, name: str, address: str) -> int:
    return (client.get if OBJECTS[name][1] else client.post)(address).status_code


def test_every_address_is_named_in_these_tests() -> None:
    assert {pattern.name for pattern in urls.urlpatterns} == {*LISTS, *OBJECTS, *OPEN, *ELSEWHERE}


@pytest.mark.parametrize("name", LISTS)
def test_anonymous_is_sent_to_the_login(client: Client, name: str) -> None:
    address = reverse(name)
    answer = client.get(address)
    assert (answer.status_code, answer["Location"]) == (302, f"{reverse('login')}?next={address}")


def test_anonymous_reaches_no_object(client: Client, deployment: Deployment) -> None:
    assert {name: _ask(client, name, _address(name, deployment)) for name in OBJECTS} == dict.fromkeys(OBJECTS, 302)
    assert client.get("/dash/_dash-component-suites/dash/deps/react.js").status_code == 302


@pytest.mark.parametrize("role", Role.values)
def test_a_role_opens_exactly_the_pages_it_may(
    people: SimpleNamespace, deployment: Deployment, signed_in: Callable[..., Client], role: str
) -> None:
    client = signed_in(getattr(people, role))
    answers = {name: client.get(reverse(name)).status_code for name in LISTS}
    assert answers == {name: 200 if not needs or role_allows(role, needs) else 403 for name, needs in LISTS.items()}


@pytest.mark.parametrize("role", ["quant", "trader", "risk_officer", "viewer"])
def test_who_does_not_sit_on_the_desk_is_refused_its_objects(
    deployment: Deployment, outsider: Callable[[str], User], signed_in: Callable[..., Client], role: str
) -> None:
    client = signed_in(outsider(role))
    assert {name: _ask(client, name, _address(name, deployment)) for name in OBJECTS} == dict.fromkeys(OBJECTS, 403)
    deployment.refresh_from_db()
    assert deployment.desired == "running"


def test_lists_hold_only_what_is_of_ones_desk(
    people: SimpleNamespace,
    deployment: Deployment,
    outsider: Callable[[str], User],
    signed_in: Callable[..., Client],
) -> None:
    for name in ("home", "strategy-list", "approval-list", "backtest-list", "deployment-list"):
        assert "Pairs US" in signed_in(people.viewer).get(reverse(name)).content.decode(), name
    stranger = signed_in(outsider("viewer"))
    stranger_sees = [name for name in LISTS if b"Pairs US" in stranger.get(reverse(name)).content]
    assert stranger_sees == []


def test_what_does_not_exist_is_not_found(people: SimpleNamespace, signed_in: Callable[..., Client]) -> None:
    client = signed_in(people.viewer)
    nobody = "00000000-0000-4000-8000-000000000000"
    for address in ("/strategies/999999/", f"/versions/{nobody}/", f"/deployments/{nobody}/", f"/dash/none/{nobody}/"):
        assert client.get(address).status_code == 404
    assert client.post(f"/deployments/{nobody}/explode/").status_code == 404


def test_a_null_character_in_a_filter_finds_nothing_and_breaks_nothing(
    people: SimpleNamespace, signed_in: Callable[..., Client]
) -> None:
    for name in ("actor", "action", "object"):
        answer = signed_in(people.risk_officer).get(reverse("audit-list"), {name: "a\0b"})
        assert answer.status_code == 200


def test_the_rail_shows_what_the_role_may_open(people: SimpleNamespace, signed_in: Callable[..., Client]) -> None:
    audit = reverse("audit-list")
    assert f'href="{audit}"' in signed_in(people.risk_officer).get("/").content.decode()
    assert f'href="{audit}"' not in signed_in(people.viewer).get("/").content.decode()
