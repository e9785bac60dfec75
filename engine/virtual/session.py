"""One session: a trading day of every host under one seed, with what the seed has go wrong; then quiet, then the check.

The counts say whether the session counts: enough of the market, of orders and fills, a crash, three kinds of fault.
"""

import shutil
from collections import Counter
from hashlib import sha256
from pathlib import Path

import msgspec

from engine.core.events import Kind
from engine.errors import BadInput
from engine.live.journal import JournalDamaged, Reader
from engine.live.scan import Walk
from engine.virtual.agenda import SECOND, Agenda
from engine.virtual.agent_host import AgentHost
from engine.virtual.check import check_host, check_ledger
from engine.virtual.engine_host import EngineHost
from engine.virtual.memory_ledger import MemoryLedger
from engine.virtual.plan import Plan, draw_plan
from engine.virtual.truth import Watch
from engine.virtual.venue_host import ACCOUNT

SYMBOLS = 14  # at each venue
SETTLE_NS = 30 * SECOND  # behind the close, until everything has come to rest
LOOK_NS = WATCH_NS = SECOND // 20
LEAST_EVENTS, LEAST_ORDERS, LEAST_FILLS, LEAST_KINDS = 5_000, 200, 50, 3
MARKET = frozenset(Kind(kind) for kind in range(int(Kind.ADD), int(Kind.SESSION) + 1)) - {Kind.BAR}


class Outcome(msgspec.Struct, frozen=True):
    """``problems`` is empty where everything agrees. ``digest`` is of the venues' records and the journals."""

    seed: int
    problems: list[str]
    market_events: int = 0
    orders: int = 0
    fills: int = 0
    crashes: int = 0
    faults: dict[str, int] = {}
    digest: str = ""

    @property
    def counted(self) -> bool:
        """Whether enough happened for the session to say anything."""
        enough = self.market_events >= LEAST_EVENTS and self.orders >= LEAST_ORDERS and self.fills >= LEAST_FILLS
        return enough and self.crashes > 0 and len(self.faults) >= LEAST_KINDS


class Session:
    """``folder`` is the session's own."""

    def __init__(self, seed: int, folder: Path, venues: int) -> None:
        self.plan: Plan = draw_plan(seed, venues, SYMBOLS)
        self.agenda, self.ledger = Agenda(), MemoryLedger()
        self.engines: list[EngineHost] = []
        self.agents: list[AgentHost] = []
        for index, host in enumerate(self.plan.hosts):
            symbols = [f"{chr(65 + index)}{number}" for number in range(SYMBOLS)]
            place = folder / f"node{index}"
            place.mkdir(parents=True)
            engine = EngineHost(self.agenda, place, f"node{index}", symbols, self.plan, host)
            self.engines.append(engine)
            self.agents.append(AgentHost(self.agenda, engine, self.ledger, self.plan))
        self.watches = [Watch(engine) for engine in self.engines]
        for watch in self.watches:
            self.agenda.every(WATCH_NS, watch.look)

    def run(self) -> list[str]:
        """The day, and what comes after it until all is quiet; what does not agree then."""
        for engine in self.engines:
            engine.start()
        self.agenda.run(self.plan.closes_at + SECOND)
        for agent in self.agents:
            agent.flush()
        give_up = self.agenda.now + SETTLE_NS
        while not self._quiet() and self.agenda.now < give_up:
            self.agenda.run(self.agenda.now + LOOK_NS)
        return ([] if self._quiet() else ["the session did not come to rest"]) + self.check()

    def check(self) -> list[str]:
        """What does not agree; to be asked for when all is quiet."""
        problems: list[str] = []
        truths = [watch.read() for watch in self.watches]
        for engine, agent, watch in zip(self.engines, self.agents, self.watches, strict=True):
            found = [*check_host(engine, watch.truth, watch.lines), *agent.refusals]
            problems += [f"{engine.name}: {problem}" for problem in found]
        return problems + check_ledger(self.engines, truths, self.ledger)

    def _quiet(self) -> bool:
        venues = all(venue.finished for engine in self.engines for venue in engine.venues)
        cores = all(engine.idle and _caught_up(engine) for engine in self.engines)
        return venues and cores and all(agent.drained for agent in self.agents)

    def outcome(self, problems: list[str]) -> Outcome:
        market, orders, fills, digest = 0, 0, 0, sha256()
        for engine in self.engines:
            for venue in engine.venues:
                digest.update(venue.record.path.read_bytes())
            kinds: Counter[int] = Counter()
            for records in _journal(engine):
                digest.update(records.tobytes())
                kinds.update(records["kind"].tolist())
            market += sum(kinds[int(kind)] for kind in MARKET)
            orders += kinds[int(Kind.ORDER_NEW)] + kinds[int(Kind.ORDER_REPLACE)]
            fills += kinds[int(Kind.FILL)]
        return Outcome(
            seed=self.plan.seed,
            problems=problems,
            market_events=market,
            orders=orders,
            fills=fills,
            crashes=sum(engine.killed for engine in self.engines),
            faults={kind: count for kind, count in sorted(self.faults().items()) if count},
            digest=digest.hexdigest(),
        )

    def faults(self) -> Counter[str]:
        """What went wrong, by kind, how often."""
        found: Counter[str] = Counter()
        for engine, agent in zip(self.engines, self.agents, strict=True):
            for venue in engine.venues:
                found.update(venue.venue.counts)
            found["crashes"] += engine.killed
            found["cut_connections"] += engine.cuts
            found["clock_jumps"] += engine.jumped
            found["slow_disk"] += engine.disk.stalls
            found["full_disk"] += engine.disk.refusals
            found["ends_without_room"] += engine.ends
            found["cut_links"] += agent.cuts
            found["agent_crashes"] += agent.killed
            found["doubled_batches"] += agent.doubled
        return found

    def close(self) -> None:
        for watch in self.watches:
            watch.close()
        for engine in self.engines:
            engine.close()


def _caught_up(engine: EngineHost) -> bool:
    """Whether the core has taken the whole of its account's stream, and the whole feed of the day."""
    assert engine.core is not None
    for link, venue in zip(engine.core.venues, engine.venues, strict=True):
        stream = venue.record.streams[ACCOUNT.username]
        if not link.orders.up or link.orders.sequence != stream.next_sequence - 1:
            return False
    return True


def _journal(engine: EngineHost):
    reader, walk, position = Reader(engine.config.journal), Walk(frozenset(Kind) - {Kind.BLOB, Kind.CELL}), 0
    while len(records := reader.read(position)):
        position += len(records)
        yield records[walk.rows(records)]


def run_seed(seed: int, folder: Path, *, venues: int) -> Outcome:
    """Runs one session in ``folder``, which is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    session = Session(seed, folder, venues)
    try:
        problems = session.run()
        return session.outcome(problems)
    except (JournalDamaged, BadInput, AssertionError, ValueError) as error:
        return Outcome(seed, [f"{type(error).__name__}: {error}"], crashes=1)
    finally:
        session.close()
        shutil.rmtree(folder, ignore_errors=True)
