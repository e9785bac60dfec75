"""How long things take between a venue and its clients: a fixed part and an exponential one, drawn from a seed.

Each way has its own ``Delay`` and its own ``Passage``, a queue in which nothing overtakes anything.
"""

import math
from collections import deque
from random import Random
from typing import Generic, TypeVar

import msgspec

from engine.errors import BadInput

Item = TypeVar("Item")
MICROSECOND = 1_000
NEVER = 1 << 62
MOST_US = 60_000_000.0


class Delay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Microseconds: at least ``fixed_us``, on average ``fixed_us + mean_us``."""

    fixed_us: float = 0.0
    mean_us: float = 0.0

    def draw(self, random: Random) -> int:
        """One delay, ns."""
        variable = -self.mean_us * math.log1p(-random.random()) if self.mean_us else 0.0
        return int((self.fixed_us + variable) * MICROSECOND)


class Latencies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    order: Delay = Delay()  # from a client's order to the matching engine
    report: Delay = Delay()  # from the matching engine to the client
    market_data: Delay = Delay()

    def check(self) -> None:
        """Raises ``BadInput``."""
        for name in self.__struct_fields__:
            delay: Delay = getattr(self, name)
            for part in delay.__struct_fields__:
                value = getattr(delay, part)
                if not 0 <= value <= MOST_US:
                    raise BadInput("out_of_range", f"latency.{name}.{part}", value, "0 to 60,000,000 microseconds")


class Passage(Generic[Item]):
    """What is under way. ``random`` is the passage's own, so that one way's draws do not move another's."""

    def __init__(self, delay: Delay, random: Random) -> None:
        self._delay, self._random = delay, random
        self._under_way: deque[tuple[int, Item]] = deque()
        self._latest = 0

    @property
    def latest(self) -> int:
        """When what was sent last arrives."""
        return self._latest

    def __len__(self) -> int:
        return len(self._under_way)

    def send(self, item: Item, now: int, extra: int = 0) -> None:
        """``extra``: ns on top of what is drawn. What was sent earlier arrives no later."""
        self._latest = max(self._latest, now + self._delay.draw(self._random) + extra)
        self._under_way.append((self._latest, item))

    def next_arrival(self) -> int:
        return self._under_way[0][0] if self._under_way else NEVER

    def arrived(self, now: int) -> list[Item]:
        """Takes out what has arrived at ``now``."""
        found = []
        while self._under_way and self._under_way[0][0] <= now:
            found.append(self._under_way.popleft()[1])
        return found
