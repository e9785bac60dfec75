"""The browsers' live stream: permission for each object, a snapshot, then numbered frames without a hole."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from django.contrib.auth.models import AnonymousUser
from websocket_client import Socket

from control.accounts.models import User
from control.accounts.services import user_set_active
from control.deployments.models import Deployment, Node
from control.trading import consumers, services
from control.trading.publisher import FramePublisher
from control.trading.routing import websocket_urlpatterns
from engine import messages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("database_thread")]
OPEN = 1_357_137_000_000_000_000  # 2013-01-02 14:30 UTC


@pytest.fixture
def reports(deployment: Deployment) -> list[messages.Report]:
    """A session's end: a fill, the position, equity before and at the close, a signal."""
    name = str(deployment.pk)
    return [
        messages.FillReport(1, OPEN, name, 1, 77, 20130102, "KO", "buy", 371_200, 100),
        messages.PositionReport(1, OPEN, name, "KO", 100, 371_200, 0, 3_000),
        messages.SignalReport(2, OPEN + 1_000_000, name, "KO/PEP", 2.5, 0.01, 1.5, -1),
        messages.EquityReport(3, OPEN + 1_000_000, name, 10_000_010_000, 5_000, 5_000, 37_120_000, True),
        messages.EquityReport(4, OPEN + 2_000_000, name, 10_000_020_000, 15_000, 5_000, 37_120_000, False),
    ]


@pytest.fixture
def committed(node: Node, reports: list[messages.Report]) -> list[messages.Report]:
    hello = messages.Hello(node=node.name, journal="journal-1", build="b" * 64, core_pid=1, venue="SIM")
    services.link_open(node=node, hello=hello)
    services.batch_commit(node=node, batch=messages.batch("journal-1", 0, 5, reports))
    return reports


@pytest_asyncio.fixture
async def publisher() -> AsyncIterator[FramePublisher]:
    made = FramePublisher()
    yield made
    await made.close()


class Page:
    """A browser's end of the WebSocket."""

    def __init__(self, user: Any, deployment: Any) -> None:
        self.socket = Socket(URLRouter(websocket_urlpatterns), f"/ws/live/deployment/{deployment}/", user=user)

    async def connect(self) -> bool:
        return await self.socket.connect()

    async def frame(self) -> dict[str, Any]:
        return json.loads(await self.socket.hear())


@pytest_asyncio.fixture
async def page(deployment: Deployment) -> AsyncIterator[Callable[..., Page]]:
    made: list[Page] = []

    def make(user: Any, of: Any = deployment.pk) -> Page:
        made.append(Page(user, of))
        return made[-1]

    yield make
    for one in made:
        await one.socket.leave()


def in_thread(call: Callable[[], Any]) -> Awaitable[Any]:
    return database_sync_to_async(call)()


async def test_only_who_may_see_the_deployment_is_let_in(
    page: Callable[..., Page], people: SimpleNamespace, outsider: Callable[[str], User]
) -> None:
    stranger = await in_thread(lambda: outsider("trader"))
    assert not await page(AnonymousUser()).connect()
    assert not await page(stranger).connect()
    assert not await page(people.trader, uuid4()).connect()
    assert await page(people.viewer).connect()


async def test_an_address_that_there_is_not_is_refused_at_the_handshake(people: SimpleNamespace) -> None:
    for path in ("/ws/nothing/", "/ws/live/deployment/xx/"):
        socket = Socket(URLRouter(websocket_urlpatterns), path, user=people.viewer)
        assert not await socket.connect()
        await socket.leave()


@pytest.mark.parametrize("nonsense", ["", "garbage", "[]", '{"resync": 1}', "9" * 100_000, "[" * 100_000, b"\x00\xff"])
async def test_nonsense_from_a_page_is_answered_and_ends_nothing(
    page: Callable[..., Page], people: SimpleNamespace, nonsense: str | bytes
) -> None:
    one = page(people.viewer)
    assert await one.connect()
    assert (await one.frame())["kind"] == "snapshot"
    await one.socket.say(nonsense)
    assert (await one.frame())["error"]["code"] == "unknown"
    await one.socket.say('{"resync": true}')
    assert (await one.frame())["kind"] == "snapshot"


async def test_the_page_starts_from_what_is_stored_and_the_newest_telemetry(
    page: Callable[..., Page],
    people: SimpleNamespace,
    deployment: Deployment,
    committed: list[messages.Report],
    publisher: FramePublisher,
) -> None:
    publisher.reports(committed)
    await publisher.drain()
    one = page(people.viewer)
    assert await one.connect()
    snapshot = await one.frame()
    assert (snapshot["kind"], snapshot["channel"]) == ("snapshot", f"deployment.{deployment.pk}")
    opening = OPEN // 1_000_000
    assert snapshot["data"] == {
        "equity": [
            [opening + 1, "1000001.0000", "0.5000", "0.5000", "3712.0000"],
            [opening + 2, "1000002.0000", "1.5000", "0.5000", "3712.0000"],
        ],
        "fills": [
            {"ts": opening, "execution_id": 77, "order_id": 1, "symbol": "KO", "side": "buy", "price": "37.1200"}
            | {"qty": 100, "revision": 1, "busted": False}
        ],
        "positions": [
            {"ts": opening, "symbol": "KO", "qty": 100, "average_cost": "37.1200", "realised": "0.0000"}
            | {"fees": "0.3000"}
        ],
        "orders": [],
        "signals": [{"ts": opening + 1, "pair": "KO/PEP", "z": 2.5, "spread": 0.01, "hedge_ratio": 1.5, "stance": -1}],
        "rejects": [],
        "schedules": [],
        "engine": {},
    }


async def test_frames_follow_the_snapshot_without_a_hole_and_have_its_form(
    page: Callable[..., Page],
    people: SimpleNamespace,
    deployment: Deployment,
    committed: list[messages.Report],
    publisher: FramePublisher,
) -> None:
    one = page(people.viewer)
    assert await one.connect()
    snapshot = await one.frame()
    for number in (1, 2):
        publisher.reports(committed)
        await publisher.drain()
        delta = await one.frame()
        assert (delta["kind"], delta["seq"]) == ("delta", snapshot["seq"] + number)
    stored = snapshot["data"]
    # What has just been reported is the newest of its execution, and stands.
    assert [fill | {"revision": 1, "busted": False} for fill in delta["data"]["fills"]] == stored["fills"]
    assert delta["data"]["positions"] == stored["positions"]
    assert delta["data"]["signals"] == stored["signals"]
    assert delta["data"]["equity"][0] == stored["equity"][0]
    assert "orders" not in delta["data"]


async def test_news_of_one_period_is_one_frame(
    page: Callable[..., Page],
    people: SimpleNamespace,
    deployment: Deployment,
    reports: list[messages.Report],
    publisher: FramePublisher,
) -> None:
    one = page(people.viewer)
    assert await one.connect()
    snapshot = await one.frame()
    name = str(deployment.pk)
    for equity in range(5):
        publisher.reports([messages.EquityReport(1, OPEN + equity, name, equity * 10_000, 0, 0, 0, False)])
    publisher.reports([reports[0]])
    beat = messages.Heartbeat(1, True, 20130102, "open", OPEN, 5, True, 9, 0, [messages.Applied(name, "running")])
    publisher.heartbeat(beat, [name])
    await publisher.drain()
    delta = await one.frame()
    assert delta["seq"] == snapshot["seq"] + 1
    assert [point[1] for point in delta["data"]["equity"]] == ["4.0000"]
    assert len(delta["data"]["fills"]) == 1
    engine = delta["data"]["engine"]
    assert (engine["link"], engine["state"], engine["session_time"]) == ("up", "running", OPEN // 1_000_000)


async def test_a_page_that_missed_a_number_asks_for_a_new_snapshot(
    page: Callable[..., Page],
    people: SimpleNamespace,
    committed: list[messages.Report],
    publisher: FramePublisher,
) -> None:
    one = page(people.viewer)
    assert await one.connect()
    first = await one.frame()
    publisher.reports(committed)
    await publisher.drain()
    await one.frame()
    await one.socket.say('{"resync": true}')
    again = await one.frame()
    assert (again["kind"], again["seq"]) == ("snapshot", first["seq"] + 1)
    await one.socket.say("what?")
    assert (await one.frame())["error"]["expected"] == '{"resync": true}'


async def test_who_may_no_longer_see_it_is_closed(
    page: Callable[..., Page],
    people: SimpleNamespace,
    reports: list[messages.Report],
    publisher: FramePublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumers, "RECHECK", 0.0)
    one = page(people.viewer)
    assert await one.connect()
    await one.frame()
    await in_thread(lambda: user_set_active(actor=people.admin, user=people.viewer, active=False))
    publisher.reports(reports)
    await publisher.drain()
    assert await one.socket.closed_with() == 4403
