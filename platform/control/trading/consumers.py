"""The browsers' live stream of one deployment: a snapshot, then numbered frames.

A page sends ``{"resync": true}`` when a number is missing, and is answered with a new snapshot. Whether the
user may see the deployment is asked at the start, at each snapshot, and each half minute in between.

Who is not signed in, or may not see the deployment, or names one that is not there, is refused at the
handshake (HTTP 403); who may no longer see it is closed with code 4403.
"""

import json
import time
from typing import Any

import redis.asyncio
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from control.accounts.models import User
from control.deployments.selectors import deployments_visible_to
from control.trading import frames
from control.trading.publisher import sequence_key, telemetry_key
from control.trading.snapshots import snapshot_rows, with_telemetry

RECHECK = 30.0  # seconds
NOT_ALLOWED = 4403
LONGEST_MESSAGE = 100  # characters


class DeploymentConsumer(AsyncWebsocketConsumer):
    valkey: redis.asyncio.Redis | None = None  # set once the connection is accepted

    async def connect(self) -> None:
        self.deployment = self.scope["url_route"]["kwargs"]["deployment"]
        self.group = frames.group(self.deployment)
        self.covered = 0  # the sequence number that the last snapshot holds
        if not self.scope["user"].is_authenticated or not await self._allowed():
            await self.close(NOT_ALLOWED)
            return
        await self.accept()
        self.valkey = redis.asyncio.from_url(settings.REDIS_URL)
        # Before the snapshot is read: a frame in between waits its turn, and is dropped if it is covered.
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self._snapshot(self.valkey)

    async def disconnect(self, code: int) -> None:
        if self.valkey is not None:
            await self.channel_layer.group_discard(self.group, self.channel_name)
            await self.valkey.aclose()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.valkey is None:
            return  # refused; what still arrives is not read
        if _is_resync(text_data or ""):
            if await self._allowed():
                await self._snapshot(self.valkey)
            else:
                await self.close(NOT_ALLOWED)
        else:
            expected = '{"resync": true}'
            await self.send(json.dumps({"error": {"code": "unknown", "field": "", "expected": expected}}))

    async def live_frame(self, event: dict[str, Any]) -> None:
        """A frame of the publisher."""
        if time.monotonic() > self.checked + RECHECK and not await self._allowed():
            await self.close(NOT_ALLOWED)
        elif event["seq"] > self.covered:
            await self.send(event["text"])

    async def _allowed(self) -> bool:
        self.checked = time.monotonic()
        return await database_sync_to_async(_may_see)(self.scope["user"].pk, self.deployment)

    async def _snapshot(self, valkey: redis.asyncio.Redis) -> None:
        # The number first: what is committed after it is in the rows too, and comes again in a later frame.
        sequence = int(await valkey.get(sequence_key(self.deployment)) or 0)
        telemetry = await valkey.hgetall(telemetry_key(self.deployment))
        rows = await database_sync_to_async(snapshot_rows)(self.deployment)
        self.covered = sequence
        await self.send(frames.frame("snapshot", self.deployment, sequence, with_telemetry(rows, telemetry)))


def _is_resync(text: str) -> bool:
    """Whether it is the one message that pages send. Anything longer is not parsed at all."""
    try:
        wanted = json.loads(text) if len(text) <= LONGEST_MESSAGE else None
    except ValueError:
        return False
    return isinstance(wanted, dict) and wanted.get("resync") is True


def _may_see(user_id: int, deployment: Any) -> bool:
    # Read anew: the user of the scope is the one of the handshake.
    user = User.objects.filter(pk=user_id).first()
    return user is not None and deployments_visible_to(user).filter(pk=deployment).exists()
