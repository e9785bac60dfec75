"""The live page in a real Chromium: fills as they happen, holes in the stream, a lost connection, no other host."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import settings
from playwright.sync_api import Page, expect

from control.accounts.models import User
from control.deployments.models import Deployment, Node
from control.deployments.services import deployment_pause
from control.trading import services
from control.trading.publisher import FramePublisher, sequence_key
from engine import messages

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
OPEN = 1_357_137_000_000_000_000  # 2013-01-02 14:30 UTC
SECOND = 1_000_000_000


class Engine:
    """What the link process does with an engine's reports: commit, then publish."""

    def __init__(self, node: Node, deployment: Deployment) -> None:
        self.node, self.name, self.record = node, str(deployment.pk), 0
        hello = messages.Hello(node=node.name, journal="journal-1", build="b" * 64, core_pid=1, venue="SIM")
        services.link_open(node=node, hello=hello)

    def fill(self, number: int) -> messages.FillReport:
        at = OPEN + number * SECOND
        return messages.FillReport(1, at, self.name, number, number, 20130102, "KO", "buy", 371_200 + number, 100)

    def equity(self, number: int) -> messages.EquityReport:
        amount = 10_000_000_000 + number * 10_000
        return messages.EquityReport(1, OPEN + number * SECOND, self.name, amount, 0, number * 10_000, 0, False)

    def report(self, *reports: messages.Report, publish: bool = True) -> None:
        last = self.record + len(reports)
        batch = messages.batch("journal-1", self.record, last, list(reports))
        services.batch_commit(node=self.node, batch=batch)
        self.record = last
        if publish:
            self.publish(lambda publisher: publisher.reports(reports))

    def heartbeat(self, state: messages.StrategyStateName = "running") -> None:
        applied = [messages.Applied(self.name, state)]
        beat = messages.Heartbeat(1, True, 20130102, "open", OPEN, 20, True, 100, 0, applied)
        self.publish(lambda publisher: publisher.heartbeat(beat, [self.name]))

    def publish(self, what: Callable[[FramePublisher], None]) -> None:
        async def send() -> None:
            publisher = FramePublisher()
            what(publisher)
            await publisher.close()

        # A thread of its own: playwright's loop runs in this one.
        thread = threading.Thread(target=lambda: asyncio.run(send()))
        thread.start()
        thread.join()


@pytest.fixture
def engine(node: Node, deployment: Deployment) -> Engine:
    return Engine(node, deployment)


@pytest.fixture
def live(
    engine: Engine, page_of: Callable[[User], Page], people: SimpleNamespace, server: Any, deployment: Deployment
) -> Page:
    """The live page, started from a snapshot with one fill, and one heartbeat later."""
    engine.report(engine.fill(1), engine.equity(1))
    page = page_of(people.viewer)
    page.hosts = set()  # type: ignore[attr-defined]
    page.on("request", lambda request: page.hosts.add(urlsplit(request.url).netloc))  # type: ignore[attr-defined]
    page.goto(f"{server.url}/deployments/{deployment.pk}/")
    expect(_rows(page)).to_have_count(1)
    engine.heartbeat()
    expect(page.locator("#live-connection")).to_have_text("Live")
    return page


def _rows(page: Page) -> Any:
    return page.locator("#live-fills tr")


def test_fills_appear_as_they_happen_and_flash(live: Page, engine: Engine) -> None:
    expect(_rows(live)).to_have_count(1)
    assert live.locator("#live-fills tr.is-new").count() == 0  # what is in the snapshot is not new
    live.evaluate(
        """() => {
            window.flashed = 0;
            document.getElementById("live-fills").addEventListener("animationstart", () => (window.flashed += 1));
        }"""
    )
    engine.report(engine.fill(2), engine.equity(2))
    expect(_rows(live)).to_have_count(2)
    expect(_rows(live).first).to_contain_text("37.12")
    expect(_rows(live).first).to_contain_text("2013-01-02 14:30:02.000")
    live.wait_for_function("window.flashed > 0")
    expect(live.locator("#live-fills tr.is-new")).to_have_count(0)
    assert live.errors == []  # type: ignore[attr-defined]


def test_tiles_and_chart_follow_the_stream(live: Page, engine: Engine) -> None:
    engine.report(engine.equity(150))
    expect(live.locator('[data-tile="profit"] .tile-value')).to_have_text("+150.00")
    expect(live.locator('[data-tile="equity"] .tile-note')).to_have_text("1,000,150.00")
    live.wait_for_function("window.heliographCharts.chart('live-equity').data[0].y.at(-1) === 1000150")
    expect(live.locator('[data-tile="engine"]')).to_contain_text("Running")
    expect(live.locator('[data-clock="exchange"]')).to_have_text("2013-01-02 14:30:00")


def test_a_chart_holds_no_more_than_its_window(live: Page, engine: Engine) -> None:
    live.evaluate(
        """() => {
            const row = (_, i) => [1400000000000 + i * 1000, "1000000.0000", "0", "0", "0"];
            const rows = Array.from({length: 3000}, row);
            window.heliographLive.delta({equity: rows}, Date.now());
        }"""
    )
    live.wait_for_function("window.heliographCharts.chart('live-equity').data[0].x.length === 2000")


def test_a_hole_in_the_numbers_is_filled_by_a_new_snapshot(live: Page, engine: Engine, deployment: Deployment) -> None:
    engine.report(engine.fill(2), publish=False)  # committed, and its frame is lost
    redis.from_url(settings.REDIS_URL).incr(sequence_key(deployment.pk))
    engine.report(engine.fill(3))
    expect(_rows(live)).to_have_count(3)
    assert live.evaluate("window.heliographLive.stream.resyncs") == 1


def test_a_lost_connection_is_shown_and_heals_by_itself(live: Page, engine: Engine, server: Any) -> None:
    server.stop()
    expect(live.locator("#live-connection")).to_contain_text("Reconnecting")
    expect(live.locator("#live")).to_have_class("is-stale")
    engine.report(engine.fill(2))
    server.start()
    expect(_rows(live)).to_have_count(2)
    engine.heartbeat()
    expect(live.locator("#live-connection")).to_have_text("Live")
    expect(live.locator("#live")).not_to_have_class("is-stale")


def test_silence_greys_the_page_and_says_how_old_it_is(live: Page, engine: Engine) -> None:
    expect(live.locator("#live-connection")).to_contain_text("Stale, ")
    expect(live.locator("#live-connection")).to_contain_text(" s old")
    expect(live.locator("#live")).to_have_class("is-stale")
    engine.heartbeat()
    expect(live.locator("#live-connection")).to_have_text("Live")


def test_a_reload_starts_from_what_is_stored(live: Page, engine: Engine) -> None:
    engine.report(engine.fill(2))
    live.reload()
    expect(_rows(live)).to_have_count(2)


def test_nothing_comes_from_another_host(live: Page, server: Any) -> None:
    live.wait_for_load_state("networkidle")
    assert live.hosts == {urlsplit(server.url).netloc}  # type: ignore[attr-defined]


def test_buttons_follow_the_state_without_a_reload(
    live: Page, engine: Engine, people: SimpleNamespace, page_of: Callable[[User], Page], deployment: Deployment
) -> None:
    page = page_of(people.trader)
    page.goto(live.url)
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    expect(_rows(page)).to_have_count(1)
    engine.heartbeat()
    expect(page.locator("#live-connection")).to_have_text("Live")
    deployment_pause(actor=people.trader, deployment=deployment)
    engine.heartbeat("paused")
    expect(page.get_by_role("button", name="Resume", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_have_count(0)


def test_a_dangerous_button_asks_before_it_acts(
    engine: Engine, page_of: Callable[[User], Page], people: SimpleNamespace, server: Any, deployment: Deployment
) -> None:
    page = page_of(people.trader)
    page.goto(f"{server.url}/deployments/{deployment.pk}/")
    page.get_by_role("button", name="Stop", exact=True).click()
    dialog = page.locator("dialog#stop")
    expect(dialog).to_contain_text("Stop Pairs US v1 on sim-1")
    page.get_by_role("button", name="Leave it as it is").locator("visible=true").click()
    deployment.refresh_from_db()
    assert deployment.desired == "running"
    page.get_by_role("button", name="Stop", exact=True).click()
    dialog.get_by_role("button", name="Stop Pairs US v1 on sim-1").click()
    expect(page.locator(".notice--success")).to_contain_text("is being stopped")
    deployment.refresh_from_db()
    assert deployment.desired == "stopped"
