"""The live stream's publisher: in the link process, one numbered frame each 50 ms for a deployment with news.

PostgreSQL is the record and the stream is a hint: what was reported is published after its commit, and a
frame that is lost leaves a hole in the numbers, on which a page asks for a new snapshot. What is streamed
but not stored (equity between closes, heartbeats) is kept in Valkey, newest only, for snapshots.
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings

from control.trading import frames
from engine import messages

PERIOD = 0.05  # seconds a frame
logger = logging.getLogger(__name__)


def sequence_key(deployment: object) -> str:
    return f"heliograph:live:sequence:{deployment}"


def telemetry_key(deployment: object) -> str:
    return f"heliograph:live:telemetry:{deployment}"


class News:
    """What happened to one deployment since its last frame: everything that adds up, the newest of what replaces."""

    def __init__(self) -> None:
        self.fills: list[frames.Row] = []
        self.busts: list[frames.Row] = []
        self.rejects: list[frames.Row] = []
        self.positions: dict[str, frames.Row] = {}
        self.orders: dict[int, frames.Row] = {}
        self.schedules: dict[str, frames.Row] = {}
        self.signals: dict[tuple[str, int], frames.Row] = {}
        self.closes: list[list[Any]] = []
        self.equity: list[Any] | None = None
        self.engine: frames.Row | None = None

    def add(self, report: messages.OfDeployment) -> None:
        match report:
            case messages.FillReport():
                self.fills.append(frames.reported(report))
            case messages.BustReport():
                self.busts.append(frames.reported(report))
            case messages.PositionReport():
                self.positions[report.symbol] = frames.reported(report)
            case messages.OrderReport():
                self.orders[report.order_id] = frames.reported(report)
            case messages.SignalReport():
                self.signals[report.pair, report.ts] = frames.reported(report)
            case messages.ScheduleReport():
                self.schedules[report.symbol] = frames.reported(report)
            case messages.RejectReport():
                self.rejects.append(frames.reported(report))
            case messages.EquityReport():
                self.equity = frames.reported_equity(report)
                if report.closing:
                    self.closes.append(self.equity)

    def data(self) -> dict[str, Any]:
        """The frame's ``data``, without the keys that have no news."""
        equity = list(self.closes)
        if self.equity is not None and (not equity or equity[-1] is not self.equity):
            equity.append(self.equity)
        data = {
            "equity": equity,
            "fills": self.fills,
            "busts": self.busts,
            "positions": list(self.positions.values()),
            "orders": list(self.orders.values()),
            "schedules": list(self.schedules.values()),
            "signals": list(self.signals.values()),
            "rejects": self.rejects,
            "engine": self.engine,
        }
        return {key: value for key, value in data.items() if value}

    def telemetry(self) -> dict[str, str]:
        """What is kept in Valkey for snapshots."""
        kept = {"equity": self.equity, "engine": self.engine}
        return {key: json.dumps(value) for key, value in kept.items() if value is not None}


class FramePublisher:
    """Collects news and sends frames. All methods run on one event loop."""

    def __init__(self) -> None:
        self._layer = get_channel_layer()
        self._valkey = redis.asyncio.from_url(settings.REDIS_URL)
        self._news: dict[str, News] = {}
        self._flushing: asyncio.Task[None] | None = None

    def reports(self, reports: Iterable[messages.OfDeployment]) -> None:
        """Publish reports that are committed."""
        for report in reports:
            if not isinstance(report, messages.StateReport):
                self._of(report.deployment).add(report)

    def heartbeat(self, heartbeat: messages.Heartbeat, deployments: Iterable[str]) -> None:
        """Publish a heartbeat to the pages of ``deployments``."""
        now = time.time_ns() // 1_000_000
        for deployment in deployments:
            self._of(deployment).engine = frames.engine_row(heartbeat, deployment, now)

    def link_down(self, deployments: Iterable[str]) -> None:
        for deployment in deployments:
            self._of(deployment).engine = {"link": "down", "received": time.time_ns() // 1_000_000}

    async def drain(self) -> None:
        """Wait until what is collected is sent."""
        while self._flushing is not None:
            await asyncio.shield(self._flushing)

    async def close(self) -> None:
        await self.drain()
        await self._valkey.aclose()

    def _of(self, deployment: str) -> News:
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_until_quiet())
        return self._news.setdefault(deployment, News())

    async def _flush_until_quiet(self) -> None:
        try:
            while True:
                await asyncio.sleep(PERIOD)
                if not self._news:
                    return
                news, self._news = self._news, {}
                try:
                    await self._send(news)
                except (redis.RedisError, OSError):
                    # Pages notice the missing number, or the silence; the record is not touched by this.
                    logger.exception("%d live frames were not published", len(news))
        finally:
            self._flushing = None

    async def _send(self, news: dict[str, News]) -> None:
        async with self._valkey.pipeline(transaction=True) as pipe:
            for deployment in news:
                pipe.incr(sequence_key(deployment))
            for deployment, one in news.items():
                for field, value in one.telemetry().items():
                    pipe.hset(telemetry_key(deployment), field, value)
            sequences = (await pipe.execute())[: len(news)]
        for (deployment, one), sequence in zip(news.items(), sequences, strict=True):
            text = frames.frame("delta", deployment, sequence, one.data())
            message = {"type": "live.frame", "seq": sequence, "text": text}
            await self._layer.group_send(frames.group(deployment), message)


_publishers: WeakKeyDictionary[asyncio.AbstractEventLoop, FramePublisher] = WeakKeyDictionary()


def publisher() -> FramePublisher:
    """The publisher of the running event loop (a server process has one)."""
    loop = asyncio.get_running_loop()
    if loop not in _publishers:
        _publishers[loop] = FramePublisher()
    return _publishers[loop]
