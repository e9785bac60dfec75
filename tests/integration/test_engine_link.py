"""The engines' link over a WebSocket: who may connect, what is answered, and when."""

from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from channels.db import database_sync_to_async
from websocket_client import Socket

from control.audit.models import AuditRow
from control.deployments.kills import kill_give
from control.deployments.models import Deployment, Kill, Node
from control.deployments.services import deployment_create, deployment_pause, node_renew_token
from control.link_asgi import application
from control.monitoring.models import NodeStatus
from control.strategies.models import StrategyVersion
from control.trading.models import Fill, Incident, Journal
from engine import messages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("database_thread")]
JOURNAL = "journal-1"
OPEN = 1_357_137_000_000_000_000  # 2013-01-02 14:30 UTC


class Setup(NamedTuple):
    node: Node
    token: str
    deployment: Deployment
    people: SimpleNamespace


@pytest.fixture
def setup(people: SimpleNamespace, approved: StrategyVersion, node: Node) -> Setup:
    token = node_renew_token(actor=people.admin, node=node)
    deployment = deployment_create(actor=people.trader, version=approved, node=node, capital=1_000_000)
    return Setup(node, token, deployment, people)


class Agent:
    """An agent's end of the WebSocket."""

    def __init__(self, token: str | None) -> None:
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        self.socket = Socket(application, "/engine/link/", headers=headers)

    async def connect(self) -> bool:
        return await self.socket.connect()

    async def say(self, message: messages.Up) -> None:
        await self.socket.say(messages.encode(message))

    async def hear(self) -> Any:
        return messages.decode_down(await self.socket.hear())

    async def hear_of(self, kind: type) -> Any:
        """The next message of a kind; the desired state may come at any time and is passed over."""
        while not isinstance(message := await self.hear(), kind):
            pass
        return message

    async def closed_with(self) -> int:
        return await self.socket.closed_with()

    async def greet(self, node: str = "sim-1", journal: str = JOURNAL) -> tuple[messages.Welcome, messages.Desired]:
        assert await self.connect()
        await self.say(messages.Hello(node=node, journal=journal, build="b" * 64, core_pid=1, venue="SIM"))
        return await self.hear(), await self.hear()


@pytest_asyncio.fixture
async def agent(setup: Setup) -> AsyncIterator[Callable[..., Agent]]:
    """Makes agents; disconnects them at the end."""
    made: list[Agent] = []

    def make(token: str | None = setup.token) -> Agent:
        made.append(Agent(token))
        return made[-1]

    yield make
    for one in made:
        await one.socket.leave()


def fill(setup: Setup, execution_id: int = 77) -> messages.FillReport:
    name = str(setup.deployment.pk)
    return messages.FillReport(1, OPEN, name, 1, execution_id, 20130102, "KO", "buy", 371_200, 100)


def heartbeat(*applied: messages.Applied, revision: int = 1) -> messages.Heartbeat:
    return messages.Heartbeat(revision, True, 20130102, "open", OPEN, 5, True, 1_000, 0, list(applied))


def read(query: Callable[[], Any]) -> Awaitable[Any]:
    return database_sync_to_async(query)()


@pytest.mark.parametrize("token", [None, "", "not-the-token"])
async def test_without_the_nodes_token_the_handshake_is_refused_and_written_down(
    agent: Callable[..., Agent], token: str | None
) -> None:
    for _ in range(2):
        assert not await agent(token).connect()
    incident = await read(Incident.objects.get)
    assert (incident.code, incident.occurrences) == ("link_refused", 2)
    assert await read(AuditRow.objects.filter(action="node.link_refuse").count) == 1
    assert not await read(Journal.objects.exists)


async def test_hello_is_answered_with_the_committed_record_and_the_desired_state(
    agent: Callable[..., Agent], setup: Setup
) -> None:
    welcome, desired = await agent().greet()
    assert welcome == messages.Welcome("sim-1", 0)
    [deployed] = desired.deployments
    assert (deployed.manifest.deployment, deployed.desired) == (str(setup.deployment.pk), "running")
    assert deployed.manifest.content_hash == (await read(lambda: Deployment.objects.get().version)).content_hash


async def test_a_batch_is_acknowledged_after_its_commit_and_again_when_it_comes_again(
    agent: Callable[..., Agent], setup: Setup
) -> None:
    one = agent()
    await one.greet()
    for _ in range(2):
        await one.say(messages.batch(JOURNAL, 0, 5, [fill(setup)]))
        assert await one.hear() == messages.Acknowledge(JOURNAL, 5)
        assert await read(Fill.objects.count) == 1


async def test_after_a_reconnection_welcome_says_where_to_go_on(agent: Callable[..., Agent], setup: Setup) -> None:
    first = agent()
    await first.greet()
    await first.say(messages.batch(JOURNAL, 0, 5, [fill(setup)]))
    await first.hear()
    welcome, _desired = await agent().greet()
    assert welcome.committed == 5
    other, _desired = await agent().greet(journal="journal-2")
    assert other.committed == 0


async def test_a_gap_is_refused_and_the_link_closed_for_a_new_start(agent: Callable[..., Agent], setup: Setup) -> None:
    one = agent()
    await one.greet()
    await one.say(messages.batch(JOURNAL, 3, 5, [fill(setup)]))
    await one.say(messages.batch(JOURNAL, 0, 3, []))  # under way already: not read any more
    refused = await one.hear()
    assert (refused.code, refused.fatal) == ("gap", False)
    assert await one.closed_with() == 4409
    assert not await read(Fill.objects.exists)
    assert (await read(Journal.objects.get)).committed == 0


async def test_the_same_key_with_other_content_is_refused_for_good(agent: Callable[..., Agent], setup: Setup) -> None:
    one = agent()
    await one.greet()
    await one.say(messages.batch(JOURNAL, 0, 5, [fill(setup)]))
    await one.hear()
    await one.say(messages.batch(JOURNAL, 0, 5, [fill(setup, execution_id=78)]))
    refused = await one.hear()
    assert (refused.code, refused.fatal) == ("batch_contradicted", True)
    assert await one.closed_with() == 4403
    assert (await read(Incident.objects.get)).code == "batch_contradicted"


async def test_a_heartbeat_is_kept_and_answered_with_the_desired_state(
    agent: Callable[..., Agent], setup: Setup
) -> None:
    one = agent()
    await one.greet()
    await one.say(heartbeat(messages.Applied(str(setup.deployment.pk), "running")))
    desired = await one.hear()
    assert desired.deployments[0].desired == "running"
    assert (await read(NodeStatus.objects.get)).events == 1_000
    assert (await read(Deployment.objects.get)).state == "running"


async def test_a_change_of_the_desired_state_is_pushed_to_the_link(agent: Callable[..., Agent], setup: Setup) -> None:
    one = agent()
    _welcome, before = await one.greet()
    await read(lambda: deployment_pause(actor=setup.people.trader, deployment=setup.deployment))
    pushed = await one.hear()
    assert pushed.revision > before.revision
    assert pushed.deployments[0].desired == "paused"


async def test_the_newest_link_of_a_node_replaces_the_one_before(agent: Callable[..., Agent], setup: Setup) -> None:
    older, newer = agent(), agent()
    await older.greet()
    await newer.greet()
    refused = await older.hear()
    assert (refused.code, refused.fatal) == ("replaced", True)
    assert await older.closed_with() == 4403
    await newer.say(messages.batch(JOURNAL, 0, 5, [fill(setup)]))
    assert await newer.hear() == messages.Acknowledge(JOURNAL, 5)


async def test_a_hello_of_another_node_is_refused(agent: Callable[..., Agent]) -> None:
    one = agent()
    assert await one.connect()
    await one.say(messages.Hello(node="sim-2", journal=JOURNAL, build="b" * 64, core_pid=1, venue="SIM"))
    refused = await one.hear()
    assert (refused.code, refused.fatal) == ("wrong_node", True)
    assert await one.closed_with() == 4403


async def test_what_is_no_message_or_out_of_turn_is_refused(agent: Callable[..., Agent]) -> None:
    for sent, code in ((b"{", "malformed"), (messages.encode(heartbeat()), "out_of_turn")):
        one = agent()
        assert await one.connect()
        await one.socket.say(sent)
        assert (await one.hear()).code == code
        assert await one.closed_with() == 4400


async def test_who_says_no_hello_is_closed(agent: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control.trading.link.HELLO_WITHIN", 0.05)
    one = agent()
    assert await one.connect()
    assert (await one.hear()).code == "no_hello"
    assert await one.closed_with() == 4408


async def test_a_kill_reaches_the_engine_before_the_desired_state_repeats_it(
    agent: Callable[..., Agent], setup: Setup
) -> None:
    one = agent()
    await one.greet()
    kill = await read(lambda: kill_give(actor=setup.people.trader, scope="firm", level="cancel", reason="runs away"))
    order, desired = await one.hear(), await one.hear()
    assert order == messages.KillOrder("firm", "cancel", kill.epoch, ["tess"], "runs away")
    assert desired.kills == [order]
    await one.say(heartbeat())
    assert (await one.hear()).kills == [order]


async def test_breaks_kills_and_busts_are_committed_and_acknowledged_like_fills(
    agent: Callable[..., Agent], setup: Setup
) -> None:
    one, told = agent(), fill(setup)
    await one.greet()
    bust = messages.BustReport(2, OPEN, told.deployment, 1, 77, 20130102, "KO", "buy", 371_200, 100)
    reports = [
        told,
        bust,
        messages.BreakReport(3, OPEN, "KO", "unknown_bust", 99),
        messages.KillReport(4, OPEN, "symbol:KO", "pause", 50, ["root"], "host"),
    ]
    await one.say(messages.batch(JOURNAL, 0, 5, reports))
    assert await one.hear_of(messages.Acknowledge) == messages.Acknowledge(JOURNAL, 5)
    assert await read(lambda: Fill.objects.select_related("bust").get().busted)
    assert await read(lambda: Incident.objects.get(open=True).subject) == "KO"
    assert await read(lambda: Kill.objects.get().scope) == "symbol:KO"
