"""The engines' link: one WebSocket a node, ``/engine/link/``, in a process of its own.

The token in ``Authorization: Bearer`` names the node; without a good one the handshake is refused (HTTP
403). The agent says Hello and is answered with Welcome and the desired state; each heartbeat is answered
with the desired state, so that a lost message heals itself; each report batch is acknowledged after its
commit. A node has one link. The newest wins, since a half-open connection of a dead agent must not lock its
successor out: the older one is told so (Refused, fatal: an agent that still lives must not fight) and closed.

Close codes: 4400 a message that is none or comes out of turn, 4403 a fatal refusal, 4408 no Hello in time,
4409 a gap and 1011 a fault here: connect again, Welcome says where to go on.
"""

import asyncio
import logging
import time
from itertools import groupby
from typing import Any

import msgspec
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from control.deployments.selectors import deployments_of, desired_for, node_by_token
from control.monitoring.services import heartbeat_record
from control.trading import services
from control.trading.publisher import publisher
from engine import messages
from engine.ledger import LinkRefused

HELLO_WITHIN = 10.0  # seconds
GATHER = 0.2  # seconds between commits under load: a transaction costs more than the rows in it
MOST_WAITING = 64  # batches
MALFORMED, FATAL, NO_HELLO, GAP, INTERNAL = 4400, 4403, 4408, 4409, 1011
logger = logging.getLogger(__name__)


class EngineLinkConsumer(AsyncWebsocketConsumer):
    hello: messages.Hello | None = None
    link: services.Link | None = None
    over = False  # refused and closed: what is still under way from the agent is not read

    async def connect(self) -> None:
        self.deployments: set[str] = set()  # live: their pages hear this node's heartbeats
        self.known: set[str] = set()  # every deployment of the node, as far as it was asked for
        self.waiting: list[messages.ReportBatch] = []
        self.committing: asyncio.Task[None] | None = None
        self.committed_at = 0.0
        token = _bearer(self.scope["headers"])
        node = await database_sync_to_async(node_by_token)(token) if token else None
        if node is None:
            await self._turn_away("a wrong token" if token else "no token")
            return
        self.node = node
        self.group = f"node.{node.name}"
        await self.accept()
        await self.channel_layer.group_add(self.group, self.channel_name)
        self._no_hello = asyncio.get_running_loop().call_later(HELLO_WITHIN, self._late)

    async def disconnect(self, code: int) -> None:
        if not hasattr(self, "group"):
            return  # refused at the handshake
        self.over = True
        self._no_hello.cancel()
        if self.committing is not None:
            await asyncio.wait([self.committing])
        await self.channel_layer.group_discard(self.group, self.channel_name)
        if self.link is not None:
            publisher().link_down(self.deployments)
            logger.info("link of node %s closed (%s)", self.node.name, code)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.over:
            return
        try:
            message = messages.decode_up(text_data if text_data is not None else bytes_data or b"")
        except msgspec.DecodeError as error:
            await self._refuse(LinkRefused("malformed", str(error)), MALFORMED)
            return
        try:
            await self._take(message)
        except LinkRefused as refused:
            await self._refused(refused)

    async def _take(self, message: messages.Up) -> None:
        match message:
            case messages.Hello() if self.link is None:
                await self._hello(message)
            case messages.Heartbeat() if self.link is not None:
                await self._heartbeat(message, self.link)
            case messages.ReportBatch() if self.link is not None:
                await self._batch(message)
            case _:
                expected = "Hello first, and once"
                raise LinkRefused("out_of_turn", f"{type(message).__name__} out of turn; expected {expected}.")

    async def _hello(self, hello: messages.Hello) -> None:
        self.link = await database_sync_to_async(services.link_open)(node=self.node, hello=hello)
        self.hello = hello
        self._no_hello.cancel()
        await self.channel_layer.group_send(self.group, {"type": "link.opened", "epoch": self.link.epoch})
        await self._send(messages.Welcome(self.node.name, self.link.committed))
        await self._send_desired()
        logger.info("link of node %s open, journal %s from %d", hello.node, hello.journal, self.link.committed)

    async def _heartbeat(self, heartbeat: messages.Heartbeat, link: services.Link) -> None:
        desired = await database_sync_to_async(heartbeat_record)(
            node=self.node, epoch=link.epoch, hello=self.hello, heartbeat=heartbeat
        )
        await self._send(desired)
        before, self.deployments = self.deployments, _named(desired)
        # Those that this heartbeat ended hear of it too.
        publisher().heartbeat(heartbeat, before | self.deployments)

    async def _batch(self, batch: messages.ReportBatch) -> None:
        """Commit at once after a quiet while, together with what else has come by then under load."""
        if len(self.waiting) >= MOST_WAITING and self.committing is not None:
            await asyncio.wait([self.committing])  # nothing more is read until there is room
        self.waiting.append(batch)
        if self.committing is None:
            self.committing = asyncio.create_task(self._commit_waiting())

    async def _commit_waiting(self) -> None:
        try:
            while self.waiting and not self.over:
                await asyncio.sleep(self.committed_at + GATHER - time.monotonic())
                batches, self.waiting = self.waiting, []
                await self._commit(batches)
                self.committed_at = time.monotonic()
        except LinkRefused as refused:
            await self._refused(refused)
        except Exception:
            # Not acknowledged, so nothing is lost: the agent connects again and sends it again.
            logger.exception("batches of node %s were not committed", self.node.name)
            await self._close(INTERNAL)
        finally:
            self.committing = None

    async def _commit(self, batches: list[messages.ReportBatch]) -> None:
        assert self.link is not None
        for _journal, same in groupby(batches, key=lambda batch: batch.journal):
            together = list(same)
            new = await database_sync_to_async(services.batches_commit)(
                node=self.node, batches=together, epoch=self.link.epoch
            )
            for batch in together:
                await self._send(messages.Acknowledge(batch.journal, batch.last))
                reports = [report for batch in new for report in batch.reports]
            await self._publish([one for one in reports if isinstance(one, messages.OfDeployment)])

    async def _publish(self, reports: list[messages.OfDeployment]) -> None:
        ours = await self._ours({one.deployment for one in reports})
        publisher().reports(one for one in reports if one.deployment in ours)

    async def _ours(self, named: set[str]) -> set[str]:
        """Those of ``named`` that are this node's: nobody streams to the pages of another's deployment."""
        if named - self.known:
            self.known = await database_sync_to_async(deployments_of)(self.node)
        return named & self.known

    async def desired_changed(self, event: dict[str, Any]) -> None:
        """A service has changed what the node should do."""
        if self.link is not None and not self.over:
            await self._send_desired()

    async def kill_given(self, event: dict[str, Any]) -> None:
        """A kill, as soon as it is given: the record follows it, and the desired state repeats it."""
        if self.link is not None and not self.over:
            await self._send(messages.KillOrder(**event["order"]))

    async def link_opened(self, event: dict[str, Any]) -> None:
        """A link of this node was opened: this one, or one that replaces it."""
        if self.link is not None and not self.over and event["epoch"] > self.link.epoch:
            refused = LinkRefused("replaced", f"A newer link of node {self.node.name} is open.", fatal=True)
            await self._refuse(refused, FATAL)

    async def _send_desired(self) -> None:
        desired = await database_sync_to_async(desired_for)(self.node)
        self.deployments |= _named(desired)
        await self._send(desired)

    async def _send(self, message: messages.Down) -> None:
        if not self.over:
            await self.send(messages.encode(message).decode())

    async def _refused(self, refused: LinkRefused) -> None:
        logger.warning("node %s refused: %s", self.node.name, refused.reason)
        await self._refuse(refused, FATAL if refused.fatal else GAP if refused.code == "gap" else MALFORMED)

    async def _refuse(self, refused: LinkRefused, code: int) -> None:
        await self._send(refused.as_message())
        await self._close(code)

    async def _close(self, code: int) -> None:
        self.over = True
        await self.close(code)

    async def _turn_away(self, why: str) -> None:
        """No connection without a node's token; who tried is written down, counted by address."""
        address = str((self.scope.get("client") or ["unknown"])[0])
        logger.warning("engine link refused: %s came with %s", address, why)
        await database_sync_to_async(services.link_refuse)(
            code="link_refused", subject=address, message=f"{address} tried to link an engine with {why}."
        )
        await self.close()

    def _late(self) -> None:
        refused = LinkRefused("no_hello", f"No Hello within {HELLO_WITHIN:g} s.")
        self._closing = asyncio.ensure_future(self._refuse(refused, NO_HELLO))


def _bearer(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The token of ``Authorization: Bearer <token>``, or None."""
    for name, value in headers:
        if name.lower() == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() or None if scheme.lower() == "bearer" else None
    return None


def _named(desired: messages.Desired) -> set[str]:
    return {deployed.manifest.deployment for deployed in desired.deployments}
