"""Virtual time: what happens when. It passes from one thing to the next, and stands still within each."""

import heapq
from collections.abc import Callable

SECOND = 1_000_000_000
START_NS = SECOND  # of steady time, so that 0 can stand for never
WALL_NS = 1_700_000_000 * SECOND  # wall time at steady time 0

Action = Callable[[], None]


class Agenda:
    """``now`` is steady time, ns, the same on every host. Of two things at one time the one that was planned first
    happens first."""

    def __init__(self) -> None:
        self.now = START_NS
        self._due: list[tuple[int, int, Action]] = []
        self._planned = 0

    def at(self, when: int, action: Action) -> None:
        self._planned += 1
        heapq.heappush(self._due, (max(when, self.now), self._planned, action))

    def after(self, delay: int, action: Action) -> None:
        self.at(self.now + delay, action)

    def every(self, interval: int, action: Action) -> None:
        """From now on."""

        def again() -> None:
            action()
            self.after(interval, again)

        self.after(0, again)

    def run(self, until: int, done: Callable[[], bool] = lambda: False) -> bool:
        """Lets everything happen up to the time ``until``, or until ``done``; whether it was."""
        while self._due and self._due[0][0] <= until:
            self.now, _, action = heapq.heappop(self._due)
            action()
            if done():
                return True
        self.now = max(self.now, until)
        return False


class VirtualClocks:
    """The two clocks of one host (`engine.core.clock.HostClocks`). The wall clock can be set to another time."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda, self._jumped = agenda, 0

    def jump(self, by: int) -> None:
        self._jumped += by

    def monotonic_ns(self) -> int:
        return self._agenda.now

    def time_ns(self) -> int:
        return WALL_NS + self._agenda.now + self._jumped
