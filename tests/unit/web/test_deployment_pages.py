"""The live page's frame and buttons, the backtest's pages, nodes: names, consequences, notices, CSRF."""

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control.backtests.models import BacktestRun
from control.deployments.models import Deployment, Node
from control.marketdata.models import Dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def described(deployment: Deployment) -> Dataset:
    """The deployment's dataset, as an adjusted panel of survivors."""
    return Dataset.objects.create(
        name=deployment.version.dataset,
        adjusted=True,
        survivors_only=True,
        opens_known=False,
        first="2013-01-02",
        last="2013-01-07",
        symbols=["KO", "PEP"],
        rows=8,
        data_hash=deployment.version.data_hash,
    )


def _page(client: Client, deployment: Deployment) -> str:
    return client.get(reverse("deployment-detail", args=[deployment.pk])).content.decode()


def test_live_and_backtest_pages_say_what_the_panel_is(
    people: SimpleNamespace, deployment: Deployment, described: Dataset, signed_in: Callable[..., Client]
) -> None:
    client = signed_in(people.viewer)
    run = deployment.version.backtests.get()
    for page in (_page(client, deployment), client.get(reverse("backtest-detail", args=[run.pk])).content.decode()):
        assert "adjusted for splits and dividends" in page
        assert "Survivors only" in page


def test_a_dangerous_button_asks_with_name_and_consequence(
    people: SimpleNamespace, deployment: Deployment, signed_in: Callable[..., Client]
) -> None:
    page = _page(signed_in(people.trader), deployment)
    dialog = re.search(r'<dialog class="confirm" id="flatten">.*?</dialog>', page, re.DOTALL)
    assert dialog
    asked = re.sub(r"<[^>]+>", "", dialog.group())
    assert "Flatten Pairs US v1 on sim-1" in asked
    assert "0 working orders cancelled, 0 positions closed at the market" in asked
    assert 'data-dialog="flatten"' in page
    assert 'data-dialog="flatten"' not in _page(signed_in(people.viewer), deployment)


def test_pause_and_stop_set_what_is_wanted(
    people: SimpleNamespace, deployment: Deployment, signed_in: Callable[..., Client]
) -> None:
    client = signed_in(people.trader)
    for command, desired in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        answer = client.post(reverse("deployment-command", args=[deployment.pk, command]))
        assert answer.status_code == 302
        deployment.refresh_from_db()
        assert deployment.desired == desired


def test_a_command_by_who_may_not_changes_nothing(
    people: SimpleNamespace, deployment: Deployment, signed_in: Callable[..., Client]
) -> None:
    for role in ("viewer", "quant", "admin"):
        client = signed_in(getattr(people, role))
        assert client.post(reverse("deployment-command", args=[deployment.pk, "stop"])).status_code == 403
    deployment.refresh_from_db()
    assert deployment.desired == "running"


def test_the_live_page_stands_in_our_frame_and_names_its_socket(
    people: SimpleNamespace, deployment: Deployment, signed_in: Callable[..., Client]
) -> None:
    client = signed_in(people.viewer)
    page = _page(client, deployment)
    assert 'class="rail"' in page
    assert 'id="react-entry-point"' in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    layout = client.get(f"/dash/live/{deployment.pk}/_dash-layout").json()
    assert layout["props"]["data-live"] == f"/ws/live/deployment/{deployment.pk}/"
    assert "'type': 'Interval'" not in str(layout)


def test_a_dash_callback_needs_the_csrf_token(
    people: SimpleNamespace, deployment: Deployment, signed_in: Callable[..., Client]
) -> None:
    client = signed_in(people.viewer, csrf=True)
    _page(client, deployment)
    address, body = f"/dash/live/{deployment.pk}/_dash-update-component", json.dumps({"output": "none"})
    assert client.post(address, body, content_type="application/json").status_code == 403
    token = client.cookies["csrftoken"].value
    allowed = {"content_type": "application/json", "headers": {"X-CSRFToken": token}}
    assert client.post(address.replace("_dash-update-component", "_none"), body, **allowed).status_code != 403


def test_the_page_address_of_dash_leads_into_the_frame(
    people: SimpleNamespace, deployment: Deployment, signed_in: Callable[..., Client]
) -> None:
    answer = signed_in(people.viewer).get(f"/dash/live/{deployment.pk}/")
    assert answer["Location"] == reverse("deployment-detail", args=[deployment.pk])


@pytest.mark.parametrize(
    ("state", "extra", "said"),
    [
        ("queued", {}, "Queued. A Celery worker"),
        ("running", {"progress": 0.4, "progress_note": "Forming pairs as of 20130102"}, "Forming pairs as of 20130102"),
        ("failed", {"error": "BadInput: data_hash"}, "BadInput: data_hash"),
        ("cancelled", {}, "The run was stopped before it had a result"),
    ],
)
def test_a_run_without_a_result_says_where_it_stands(
    people: SimpleNamespace,
    deployment: Deployment,
    signed_in: Callable[..., Client],
    state: str,
    extra: dict[str, Any],
    said: str,
) -> None:
    run = deployment.version.backtests.get()
    lease = {"worker": "w", "lease_until": run.dispatched_at} if state == "running" else {}
    BacktestRun.objects.filter(pk=run.pk).update(state=state, **extra, **lease)
    client = signed_in(people.quant)
    page = client.get(reverse("backtest-detail", args=[run.pk])).content.decode()
    assert said in page
    status = client.get(reverse("backtest-status", args=[run.pk])).json()
    assert status["state"] == state
    assert status["ended"] is (state in {"failed", "cancelled"})
    assert ('data-dialog="cancel"' in page) is not status["ended"]


def test_a_result_whose_files_are_gone_is_an_error_state_not_a_crash(
    people: SimpleNamespace, deployment: Deployment, signed_in: Callable[..., Client]
) -> None:
    run = deployment.version.backtests.get()
    layout = signed_in(people.viewer).get(f"/dash/backtest/{run.pk}/_dash-layout")
    assert layout.status_code == 200
    assert "No result files" in layout.content.decode()


def test_a_nodes_token_is_shown_once_and_never_kept(people: SimpleNamespace, signed_in: Callable[..., Client]) -> None:
    client = signed_in(people.admin)
    answer = client.post(reverse("node-list"), {"name": "sim-2"})
    token = answer.context["token"]
    assert token in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"
    assert token not in client.get(reverse("node-list")).content.decode()
    assert Node.objects.get().token_hash != token


def test_only_an_admin_registers_nodes(people: SimpleNamespace, signed_in: Callable[..., Client]) -> None:
    assert signed_in(people.trader).post(reverse("node-list"), {"name": "sim-2"}).status_code == 403
    assert Node.objects.count() == 0
    answer = signed_in(people.admin).post(reverse("node-list"), {"name": "not a name"})
    assert "is no node name" in str(answer.context["form"].errors["name"])
