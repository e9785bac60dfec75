"""Market data through the step against the bar venue; and in lockstep with it a strategy that runs outside.

What such a strategy wants reaches the step ``reaction_ns`` after the record on which it decided. So the step may run
ahead of the strategy by that much and no more: whatever the strategy makes of a record cannot arrive before. Both see
what they would have seen one record at a time, whatever the machine does.
"""

from collections.abc import Iterator

import numpy as np

from engine.core.engine import Engine
from engine.core.events import EVENT, Kind
from engine.core.intents import intents_of
from engine.core.outbox import OUTBOX
from engine.core.state import OUTPUTS
from engine.simulation.bar_venue import replay
from engine.strategies.python import Driver, PythonStrategy

LOG_RECORDS = 1 << 18
KEPT = (Kind.FILL, Kind.EQUITY, Kind.SIGNAL, Kind.LEG, Kind.LIMIT_REJECT, Kind.ANOMALY)
CAPACITY = 1 << 16  # records that wait for the strategy; of one event there are far fewer than half
NEVER = np.iinfo(np.int64).max


class Replay:
    """Steps events (EVENT, ``ts_recv`` ascending) and answers every order; ``run`` may be called again and again.

    Orders are executed ``inside`` (1/10,000) better than the touch.
    """

    def __init__(self, engine: Engine, inside: int = 0) -> None:
        self.engine = engine
        self._inside = inside
        self.box = np.zeros(1, OUTBOX)  # of nobody
        self._out, self._answers = np.zeros(2 * OUTPUTS, EVENT), np.zeros(1, EVENT)
        self._log, self._kept = np.zeros(LOG_RECORDS, EVENT), np.zeros(128, np.uint8)
        self._kept[list(KEPT)] = 1

    def run(self, events: np.ndarray) -> Iterator[np.ndarray]:
        """Yields the kept outputs, copied, piece by piece."""
        taken = 0
        while taken < len(events):
            stepped, records = self.step(events, taken, 0, NEVER)
            taken += stepped
            yield records

    def step(self, events: np.ndarray, start: int, reaction_ns: int, arrival: int) -> tuple[int, np.ndarray]:
        """Steps ``events[start:]`` as far as ``bar_venue.replay`` goes; (how many, what is kept of the outputs)."""
        engine = self.engine
        stepped, logged = replay(
            engine.record,
            engine.kernels,
            events,
            start,
            self._out,
            self._answers,
            self._log,
            self._kept,
            self._inside,
            self.box,
            reaction_ns,
            arrival,
        )
        return stepped, self._log[:logged].copy()


class Lockstep(Replay):
    """The same with the strategy of slot 0 outside; its manifest must be loaded, its artifact must not."""

    def __init__(self, engine: Engine, strategy: PythonStrategy, reaction_ns: int, inside: int = 0) -> None:
        super().__init__(engine, inside)
        self._reaction_ns = reaction_ns
        self._cells, self._words = np.zeros(CAPACITY, EVENT), np.zeros(2, np.int64)
        self._rows = self._cells.view("V64").view(np.int64).reshape(CAPACITY, 8)
        self._pending = np.empty(0, EVENT)  # what it wants and has not arrived yet
        published, taken = self._words.ctypes.data, self._words.ctypes.data + self._words.itemsize
        self.box[0] = (self._cells.ctypes.data, CAPACITY, published, taken, 0, 0, 0)
        self._driver = Driver(strategy, lambda: engine.state["stores"][0]["artifact"].tobytes())
        engine.attach(0, self.box)

    def run(self, events: np.ndarray) -> Iterator[np.ndarray]:
        """At the end what the strategy still wants has arrived too. Raises StrategyFailed."""
        taken = 0
        self._hear()
        while taken < len(events) or len(self._pending):
            arrival = int(self._pending[0]["ts_recv"]) if len(self._pending) else NEVER
            upcoming = int(events[taken]["ts_recv"]) if taken < len(events) else NEVER
            if upcoming <= arrival and taken < len(events):
                stepped, records = self.step(events, taken, self._reaction_ns, arrival)
                taken += stepped
            else:
                before = int(np.searchsorted(self._pending["ts_recv"], upcoming))
                stepped, records = self.step(self._pending[:before], 0, self._reaction_ns, NEVER)
                self._pending = self._pending[stepped:]
            yield records
            self._hear()

    def _hear(self) -> None:
        """Hands the strategy what was posted to it, and takes what it wants."""
        box = self.box[0]
        first, last = int(box["taken"]), int(box["published"])
        if first == last:
            return
        rows = self._rows[np.arange(first, last) & (CAPACITY - 1)].tolist()
        box["taken"] = self._words[1] = last
        self._driver.take(rows)
        wanted = self._driver.intents()
        if len(wanted):
            arriving = intents_of(wanted, 0, wanted["ts_recv"] + self._reaction_ns)
            self._pending = np.concatenate([self._pending.view("V64"), arriving.view("V64")]).view(EVENT)
