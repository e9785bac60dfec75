"""The agent beside a core: it cuts reports from the journal and ships them to the ledger, over a link that breaks."""

from random import Random

from engine import engine_build
from engine.errors import BadInput
from engine.live.journal import Reader
from engine.live.link import BatchSource, Link, LinkState
from engine.messages import Heartbeat, Hello
from engine.simulation.latency import Delay, Passage
from engine.virtual.agenda import SECOND, Agenda
from engine.virtual.engine_host import EngineHost
from engine.virtual.memory_ledger import LedgerConnection, MemoryLedger
from engine.virtual.plan import MILLISECOND, Plan, Span

TICK_NS = 50 * MILLISECOND
RECONNECT_NS = SECOND // 5
WAY = Delay(500.0, 2_000.0)  # to the ledger, and back


class AgentHost:
    """``cuts`` counts links that broke, ``killed`` the agent's own ends, ``doubled`` frames that arrived twice."""

    def __init__(self, agenda: Agenda, engine: EngineHost, ledger: MemoryLedger, plan: Plan) -> None:
        self.cuts = self.killed = self.doubled = 0
        self.refusals: list[str] = []
        self._agenda, self._engine, self._ledger = agenda, engine, ledger
        self._down: list[Span] = plan.ledger_down
        self._random = Random(f"{plan.seed}:{engine.name}:agent")
        self._source: BatchSource | None = None
        self._link: Link | None = None
        self._end: LedgerConnection | None = None
        self._up: Passage[bytes] = Passage(WAY, self._random)
        self._back: Passage[bytes] = Passage(WAY, self._random)
        self._connect_at = 0
        for when in engine.plan.link_cuts:
            agenda.at(when, self._cut)
        for when in engine.plan.agent_crashes:
            agenda.at(when, self._kill)
        agenda.every(TICK_NS, self._tick)

    @property
    def drained(self) -> bool:
        """Whether everything that the journal has is in the ledger, and the agent knows it."""
        return self._link is not None and self._link.drained

    def flush(self) -> None:
        """From now on records that make no report are shipped too."""
        self._flushing = True

    _flushing = False

    def _tick(self) -> None:
        if self._reachable() and self._link is not None:
            self._link.flush = self._flushing
            self._ship(self._link.on_time(self._agenda.now))
        elif self._link is not None:
            self._cut()
        elif self._reachable() and self._engine.core is not None and self._agenda.now >= self._connect_at:
            self._connect()

    def _reachable(self) -> bool:
        return not any(span.first <= self._agenda.now < span.last for span in self._down)

    def _connect(self) -> None:
        journal = self._engine.config.journal
        self._source = self._source or BatchSource(lambda: Reader(journal))
        venues = self._engine.config.venue_names
        hello = Hello(self._engine.name, self._source.reader.journal, engine_build(), 1, venues[0], venues)
        self._link, self._end = Link(hello, self._source, self._heartbeat), LedgerConnection(self._ledger)
        self._up, self._back = Passage(WAY, self._random), Passage(WAY, self._random)
        self._ship(self._link.connected(self._agenda.now))

    def _ship(self, frames: list[bytes]) -> None:
        link = self._link
        for frame in frames:
            self._up.send(frame, self._agenda.now)
            self._agenda.at(self._up.latest, lambda: self._arrives(link))

    def _arrives(self, link: Link | None) -> None:
        """A frame reaches the ledger. What was under way when the link broke never does."""
        if link is not self._link:
            return
        for frame in self._up.arrived(self._agenda.now):
            self._take(link, frame)
            if b'"type":"reportbatch"' in frame and self._random.random() < self._engine.plan.link_double:
                self.doubled += 1
                later = int(self._random.uniform(0.0, 2.0) * TICK_NS)
                self._agenda.after(later, lambda frame=frame: self._take(link, frame))  # type: ignore[misc]

    def _take(self, link: Link | None, frame: bytes) -> None:
        if link is not self._link or self._end is None or self._end.closed or not self._reachable():
            return
        for answer in self._end.receive(frame):
            self._back.send(answer, self._agenda.now)
            self._agenda.at(self._back.latest, lambda: self._answered(link))

    def _answered(self, link: Link | None) -> None:
        if link is None or link is not self._link:
            return
        for frame in self._back.arrived(self._agenda.now):
            try:
                self._ship(link.receive(frame, self._agenda.now))
            except BadInput as error:
                self.refusals.append(str(error))
        self.refusals += [f"{one.code}: {one.reason}" for one in link.incidents]
        if link.refusal is not None:
            self.refusals.append(f"{link.refusal.code}: {link.refusal.reason}")
        if link.state not in (LinkState.UP, LinkState.GREETING):
            self._lost()

    def _cut(self) -> None:
        """The link breaks, with whatever is under way in both directions."""
        if self._link is not None:
            self.cuts += 1
            self._lost()

    def _kill(self) -> None:
        """The agent's process is gone: what it had read is read again by the next one."""
        self.killed += 1
        if self._link is not None:
            self._lost()
        self._source = None

    def _lost(self) -> None:
        assert self._link is not None
        self._link.lost()
        self._link = self._end = None
        self._connect_at = self._agenda.now + RECONNECT_NS

    def _heartbeat(self, revision: int) -> Heartbeat:
        core = self._engine.core
        assert self._source is not None
        return Heartbeat(
            revision=revision,
            core_alive=core is not None,
            session_date=int(core.engine.state["date"]) if core else 0,
            session_phase="open",
            session_time=core.pipeline.last_ts if core else 0,
            feed_age_ms=-1,
            venue_connected=any(venue.orders.up for venue in core.venues) if core else False,
            events=self._source.reader.last,
            anomalies=0,
            deployments=[],
        )
