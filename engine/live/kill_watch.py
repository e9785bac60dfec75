"""Kills that come over the link, brought to the core at once and until they are so: the agent's part of the ladder.

Each is given through ``engine.live.kill``, in a thread and over a connection of its own, so that neither a core that
hangs nor a deployment that is being prepared holds it up. What the core has already changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from engine.errors import BadInput
from engine.live.config import Config
from engine.live.journal import JournalDamaged
from engine.live.kill import CoreSilent, kill
from engine.live.scopes import LEVELS, scope_of
from engine.messages import KillOrder

log = logging.getLogger("engine.agent")

TICK = 0.02  # seconds
TRY_AGAIN = 1.0  # seconds after one that failed


class KillWatch:
    """``give`` what comes; ``run`` serves for good. ``status`` is the core's newest, None before the first."""

    def __init__(self, config: Config, status: Callable[[], dict[str, Any] | None]) -> None:
        self._config, self._status = config, status
        self._given: dict[str, KillOrder] = {}
        self._settled: dict[str, int] = {}  # by scope: the epoch that needs nothing more

    def give(self, orders: list[KillOrder]) -> None:
        """Takes those that are newer than what is known of their scope."""
        for order in orders:
            known = self._given.get(order.scope)
            if known is None or order.epoch > known.epoch:
                self._given[order.scope] = order

    async def run(self) -> None:
        while True:
            for order in self.due():
                await self._bring(order)
            await asyncio.sleep(TICK)

    def due(self) -> list[KillOrder]:
        """What the core does not have yet, as far as its status says; the hardest first."""
        waiting = [
            one for one in self._given.values() if one.epoch > max(self._settled.get(one.scope, 0), self._at(one))
        ]
        return sorted(waiting, key=lambda one: -LEVELS[one.level])

    def _at(self, order: KillOrder) -> int:
        """The epoch of that latch at the core."""
        status = self._status()
        if status is None:
            return 0
        try:
            key = list(scope_of(order.scope, self._config.symbols, self._config.venue_names))
        except BadInput:
            return order.epoch  # a symbol or a venue that this node does not trade
        return max((latch["epoch"] for latch in status["latches"] if latch["key"] == key), default=0)

    async def _bring(self, order: KillOrder) -> None:
        try:
            proof = await asyncio.to_thread(kill, self._config, order, via="web")
        except BadInput as error:
            log.error("%s of %s is refused: %s", order.level, order.scope, error)
        except (CoreSilent, JournalDamaged) as error:
            log.error("%s of %s: %s", order.level, order.scope, error)
            await asyncio.sleep(TRY_AGAIN)
            return
        else:
            log.warning("%s of %s by %s: %s", order.level, order.scope, " and ".join(order.persons), proof.as_json())
        self._settled[order.scope] = order.epoch
