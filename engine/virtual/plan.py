"""What one seed draws: the market, the limits, how good the wires are, and everything that goes wrong, and when."""

from random import Random

import msgspec

from engine.messages import LimitEnvelope
from engine.simulation.faults import Faults
from engine.simulation.latency import Delay, Latencies
from engine.virtual.agenda import SECOND

MILLISECOND = 1_000_000
MICROSECOND = 1_000
DAY_SECONDS = 4.0
STRATEGIES = 2  # of each engine
LEAD_NS = SECOND  # before the venues' start-of-day messages
# What can go wrong and how often: the share of sessions in which it does.
KINDS = {
    "crash": 1.0,
    "drop": 0.6,
    "double": 0.6,
    "reorder": 0.6,
    "reject": 0.3,
    "slow_ack": 0.4,
    "disconnect": 0.6,
    "hang": 0.2,
    "clock_jump": 0.4,
    "slow_disk": 0.4,
    "full_disk": 0.3,
    "link_cut": 0.7,
    "link_double": 0.5,
    "ledger_down": 0.3,
    "agent_crash": 0.4,
}
LONGEST_HANG, LONGEST_FULL, LONGEST_DOWN = 0.8, 1.5, 2.0  # seconds


class Span(msgspec.Struct, frozen=True):
    """Steady time, ns."""

    first: int
    last: int


class StrategyPlan(msgspec.Struct, frozen=True):
    """One of the strategies that trade the same symbols, and what it may do."""

    envelope: LimitEnvelope
    orders_per_s: int  # of session time: at most so many at one moment
    leg_notional: int  # in the currency
    lookback: int


class VenuePlan(msgspec.Struct, frozen=True):
    seed: int
    faults: Faults
    latencies: Latencies
    wire: Delay


class HostPlan(msgspec.Struct, frozen=True):
    """What happens to one engine and its venues. Times are steady, ns."""

    prices: list[float]  # of each symbol, in the currency
    venues: list[VenuePlan]
    envelope: LimitEnvelope  # of all strategies together
    strategies: list[StrategyPlan]
    crashes: list[int]
    cuts: list[int]  # of connections to a venue
    jumps: list[tuple[int, int]]  # (when, by how much) of the engine's wall clock
    disk_mean_ns: int  # that a journal segment takes to make
    disk_full: list[Span]
    link_cuts: list[int]
    link_double: float  # share of frames to the ledger that arrive twice, the second time later
    agent_crashes: list[int]
    snapshot_records: int


class Plan(msgspec.Struct, frozen=True):
    seed: int
    kinds: frozenset[str]
    opens_at: int  # steady time of the opening
    closes_at: int
    ledger_down: list[Span]
    hosts: list[HostPlan]


def draw_plan(seed: int, venues: int, symbols: int) -> Plan:
    """``symbols`` at each of ``venues``, which are one engine's or several engines'."""
    random = Random(f"{seed}:plan")
    kinds = frozenset(kind for kind, share in KINDS.items() if random.random() < share)
    opens = LEAD_NS + SECOND + round(DAY_SECONDS * 0.05 * SECOND)
    closes = opens + round(DAY_SECONDS * 0.9 * SECOND)
    down = _spans(random, opens, closes, 1, LONGEST_DOWN) if "ledger_down" in kinds else []
    hosts = []
    while venues:
        of_one = random.randint(1, venues)
        hosts.append(_host(random, kinds, opens, closes, symbols, of_one))
        venues -= of_one
    return Plan(seed, kinds, opens, closes, down, hosts)


def _host(random: Random, kinds: frozenset[str], opens: int, closes: int, symbols: int, venues: int) -> HostPlan:
    def times(kind: str, least: int, most: int) -> list[int]:
        if kind not in kinds:
            return []
        return sorted(
            random.randrange(opens - SECOND // 4, closes + SECOND // 4) for _ in range(random.randint(least, most))
        )

    envelope = _envelope(random)
    jumps = [(when, int(random.uniform(-0.4, 0.4) * SECOND)) for when in times("clock_jump", 1, 3)]
    return HostPlan(
        prices=[random.uniform(15.0, 60.0) for _ in range(symbols)],
        venues=[_venue(random, kinds) for _ in range(venues)],
        envelope=envelope,
        strategies=[_strategy(random, envelope) for _ in range(STRATEGIES)],
        crashes=times("crash", 1, 3),
        cuts=times("disconnect", 1, 3),
        jumps=jumps,
        disk_mean_ns=random.randint(5, 120) * MILLISECOND if "slow_disk" in kinds else 0,
        disk_full=_spans(random, opens, closes, random.randint(1, 2), LONGEST_FULL) if "full_disk" in kinds else [],
        link_cuts=times("link_cut", 1, 6),
        link_double=random.uniform(0.02, 0.2) if "link_double" in kinds else 0.0,
        agent_crashes=times("agent_crash", 1, 2),
        snapshot_records=random.choice([300, *[1_000_000] * 5]),  # 300: before the opening,
    )


def _venue(random: Random, kinds: frozenset[str]) -> VenuePlan:
    return VenuePlan(
        seed=random.randrange(1 << 30),
        faults=_faults(random, kinds),
        latencies=Latencies(
            order=Delay(random.uniform(0, 200), random.uniform(0, 300)),
            report=Delay(random.uniform(0, 200), random.uniform(0, 300)),
            market_data=Delay(random.uniform(0, 50), random.uniform(0, 100)),
        ),
        wire=Delay(random.uniform(5, 100), random.choice([5.0, 50.0, 1_000.0])),
    )


def _envelope(random: Random) -> LimitEnvelope:
    """Of sizes that are met again and again: an order is some dozens of shares."""
    most = random.randint(40, 150)
    return LimitEnvelope(
        max_order_qty=most,
        max_order_notional=random.randint(1_500, 6_000) * 10_000,
        max_position_qty=random.randint(most, 2 * most),
        max_gross_notional=random.randint(15_000, 60_000) * 10_000,
    )


def _strategy(random: Random, firm: LimitEnvelope) -> StrategyPlan:
    share = random.uniform(0.5, 1.2)
    envelope = LimitEnvelope(**{name: int(getattr(firm, name) * share) for name in LimitEnvelope.__struct_fields__})
    return StrategyPlan(envelope, random.randint(2, 6), random.randint(500, 1_500), random.randint(10, 25))


def _faults(random: Random, kinds: frozenset[str]) -> Faults:
    def share(kind: str, most: float) -> float:
        return random.uniform(most / 10, most) if kind in kinds else 0.0

    return Faults(
        drop=share("drop", 0.1),
        double=share("double", 0.1),
        reorder=share("reorder", 0.1),
        reorder_by=random.randint(1, 4),
        reject=share("reject", 0.05),
        slow_ack=share("slow_ack", 0.1),
        slow_ack_ms=random.uniform(1.0, 60.0),
        hang_every=random.uniform(2.0, 6.0) if "hang" in kinds else 0.0,
        hang_seconds=random.uniform(0.05, LONGEST_HANG),
    )


def _spans(random: Random, opens: int, closes: int, count: int, longest: float) -> list[Span]:
    firsts = sorted(random.randrange(opens, closes) for _ in range(count))
    return [Span(first, first + int(random.uniform(0.05, longest) * SECOND)) for first in firsts]
