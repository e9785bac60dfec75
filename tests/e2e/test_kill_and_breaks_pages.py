"""The kill ladder, a break and the limits, clicked through by the people whose step it is, in a real Chromium."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from control.accounts.models import User
from control.accounts.services import user_create
from control.deployments.models import Deployment, Kill, Node
from control.desks.models import Desk
from control.limits.models import Allotment, Limit
from control.monitoring.models import NodeStatus
from control.trading import incidents
from control.trading.models import BreakResolution

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("HELIOGRAPH_SHOTS")  # a folder for pictures of each step, to look at


@pytest.fixture
def second(people: SimpleNamespace, desk: Desk) -> User:
    return user_create(actor=people.admin, username="rory", role="risk_officer", desks=[desk], password="x" * 20)


@pytest.fixture
def running(deployment: Deployment, node: Node) -> Deployment:
    """The node has said something a moment ago."""
    NodeStatus.objects.create(
        node=node,
        received_at=timezone.now(),
        venue="SIM",
        revision=1,
        core_alive=True,
        session_phase="open",
        session_time=1_357_137_000 * 10**9,
        feed_age_ms=20,
        venue_connected=True,
        events=100,
        anomalies=0,
    )
    return deployment


@pytest.fixture
def opened(page_of: Callable[[User], Page], context: BrowserContext, server: Any) -> Callable[[User, str], Page]:
    """A page at ``path`` as ``user``; the one before is left, as when another person sits down."""

    def make(user: User, path: str) -> Page:
        for page in context.pages:
            page.close()
        context.clear_cookies()
        page = page_of(user)
        page.goto(server.url + path)
        return page

    return make


def shot(page: Page, name: str) -> None:
    assert page.errors == []  # type: ignore[attr-defined]
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def test_a_trader_kills_and_two_risk_officers_rearm(
    people: SimpleNamespace, second: User, running: Deployment, opened: Callable[[User, str], Page]
) -> None:
    page = opened(people.trader, "/kills/")
    shot(page, "kill-1-trader-before")
    page.get_by_label("What").select_option("firm")
    page.get_by_label("Reason").fill("it buys and buys")
    page.get_by_role("button", name="Kill", exact=True).click()
    dialog = page.locator("#give")
    expect(dialog).to_be_visible()
    shot(page, "kill-2-trader-dialog")
    dialog.get_by_role("button", name="Let it trade").click()
    expect(dialog).to_be_hidden()
    assert not Kill.objects.exists()
    page.get_by_role("button", name="Kill", exact=True).click()
    expect(dialog.get_by_text("Cancel working orders: on every node at once")).to_be_visible()
    dialog.get_by_role("button", name="Kill the firm").click()
    expect(page.get_by_text("It was sent to every node at once")).to_be_visible()
    expect(page.get_by_text("two others re-arm it")).to_be_visible()
    shot(page, "kill-3-trader-after")

    page = opened(people.risk_officer, "/")
    expect(page.get_by_text("Killed.")).to_be_visible()
    shot(page, "kill-4-officer-overview")
    page.goto(page.url + "kills/")
    page.get_by_role("button", name="Ask to re-arm the firm").first.click()
    page.locator("dialog[open]").get_by_role("button", name="Ask to re-arm the firm").click()
    expect(page.get_by_text("waits for somebody else")).to_be_visible()
    shot(page, "kill-5-officer-asked")

    page = opened(second, "/kills/")
    page.get_by_role("button", name="Re-arm the firm").first.click()
    shot(page, "kill-6-second-dialog")
    page.locator("dialog[open]").get_by_role("button", name="Re-arm the firm").click()
    expect(page.get_by_text("Nothing is killed")).to_be_visible()
    shot(page, "kill-7-rearmed")
    assert not Kill.objects.get().in_force


def test_a_viewer_sees_what_is_killed_and_can_do_nothing(
    people: SimpleNamespace, running: Deployment, opened: Callable[[User, str], Page]
) -> None:
    page = opened(people.trader, "/kills/")
    page.get_by_label("What").select_option("symbol")
    page.get_by_role("button", name="Kill", exact=True).click()
    page.locator("#give").get_by_role("button", name="Kill a symbol").click()
    expect(page.get_by_text("Which symbol?")).to_be_visible()
    shot(page, "kill-8-no-symbol")
    page.get_by_label("Symbol").fill("ko")
    page.get_by_role("button", name="Kill", exact=True).click()
    page.locator("#give").get_by_role("button", name="Kill symbol KO").click()
    expect(page.get_by_text("two others re-arm it")).to_be_visible()
    page = opened(people.viewer, "/kills/")
    expect(page.locator("table").get_by_text("symbol KO").first).to_be_visible()
    assert page.locator("main button, main dialog").count() == 0
    shot(page, "kill-9-viewer")


def test_a_break_is_resolved_by_a_risk_officer_who_says_what_was_found(
    people: SimpleNamespace, running: Deployment, node: Node, opened: Callable[[User, str], Page]
) -> None:
    detail = {"symbol": "KO", "code": "unknown_bust", "value": 99}
    incidents.record(
        code="position_break",
        subject="KO",
        node=node,
        message="KO does not trade on sim-1: the venue has busted execution 99, which is not known here.",
        detail=detail,
        opens=True,
    )
    page = opened(people.viewer, "/")
    expect(page.get_by_text("A risk officer resolves it.")).to_be_visible()
    shot(page, "break-1-viewer")
    page = opened(people.risk_officer, f"/deployments/{running.pk}/")
    page.get_by_role("button", name="Resolve the break of KO").first.click()
    dialog = page.locator("dialog[open]")
    shot(page, "break-2-officer-dialog")
    dialog.get_by_role("button", name="Resolve the break of KO").click()
    assert not BreakResolution.objects.exists()  # nothing was said of what was found
    dialog.get_by_label("What was found").fill("the venue's drop copy agrees with our position")
    dialog.get_by_role("button", name="Resolve the break of KO").click()
    expect(page.get_by_text("has asked the engine to resolve it")).to_be_visible()
    shot(page, "break-3-officer-asked")
    assert BreakResolution.objects.get().comment == "the venue's drop copy agrees with our position"


def test_limits_are_asked_for_agreed_to_and_split(
    people: SimpleNamespace,
    second: User,
    running: Deployment,
    opened: Callable[[User, str], Page],
    settings: Any,
    tmp_path: Path,
) -> None:
    settings.LIMITS_KEY = tmp_path / "limits.key"
    page = opened(people.risk_officer, "/limits/")
    shot(page, "limits-1-empty")
    for label, value in (
        ("Largest order", "1000"),
        ("Largest order value", "250000"),
        ("Largest position", "9000"),
        ("Largest gross exposure", "3000000"),
        ("Reason", "first limits"),
    ):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Ask for this limit").click()
    expect(page.get_by_text("waits for somebody else")).to_be_visible()
    shot(page, "limits-2-asked")
    page = opened(second, "/limits/")
    page.get_by_role("button", name="Agree").click()
    shot(page, "limits-3-dialog")
    page.locator("dialog[open]").get_by_role("button", name="Agree to the change of the firm").click()
    expect(page.get_by_text("Nothing waits")).to_be_visible()
    page.get_by_label("Position a symbol").fill("5000")
    page.get_by_label("Gross exposure", exact=True).fill("1000000")
    page.get_by_role("button", name="Tell the node").click()
    expect(page.locator("table").get_by_text("sim-1")).to_be_visible()
    shot(page, "limits-4-told")
    page.get_by_label("Position a symbol").fill("9001")
    page.get_by_label("Gross exposure", exact=True).fill("1")
    page.get_by_role("button", name="Tell the node").click()
    expect(page.get_by_text("9,000 shares")).to_be_visible()
    shot(page, "limits-5-refused")
    assert Limit.objects.get().max_position_qty == 9_000
    assert Allotment.objects.get().position_qty == 5_000
    page = opened(people.viewer, "/limits/")
    assert page.locator("main form").count() == 0
    shot(page, "limits-6-viewer")
