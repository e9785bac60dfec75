"""The typed contract between an engine's agent and the control plane, over one WebSocket.

Text frames of JSON, tagged by ``type``. Prices and money are integers in 1/10,000 of the currency,
quantities are whole shares, times are ns UTC on the engine's clock (the session clock in simulations).

The agent opens ``/engine/link/`` with ``Authorization: Bearer <node token>``, sends ``Hello`` and is
answered by ``Welcome`` or by ``Refused`` and a close. Reports go up in batches cut from the journal: a
batch covers the records after ``first`` up to and including ``last``. Its key is (node, journal, last),
with the SHA-256 of its reports. The control plane refuses a batch whose ``first`` is not the ``last`` it
committed before, acknowledges after the commit, and answers a key it has already with the same
acknowledgement; the same key with another hash is an incident.
"""

from hashlib import sha256
from typing import Any, Literal, TypeAlias

import msgspec

from engine.core.events import PRICE_SCALE as PRICE_SCALE

Side = Literal["buy", "sell"]
DesiredState = Literal["running", "paused", "stopped", "flat"]
StrategyStateName = Literal["loading", "running", "paused", "flattening", "stopped", "faulted", "refused"]


class Message(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower):
    """Base of all messages; ``type`` is the lower-case class name."""


# ---- down: control plane to engine -----------------------------------------------------------------


class LimitEnvelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an approved version may do at most; 0 means none may pass."""

    max_order_qty: int  # shares
    max_order_notional: int  # 1/10,000 of the currency
    max_position_qty: int  # shares per symbol, long or short, working orders included
    max_gross_notional: int  # 1/10,000 of the currency, over all symbols of the strategy


class DataContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The history that a version is prepared from."""

    dataset: str
    data_hash: str


PlanKind = Literal["twap", "vwap", "pov", "shortfall"]


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How every parent of a deployment is worked, from when the session first lets it be; without one, at once.

    Shares of something are fractions from 0 to 1. ``engine.execution.plans`` says what may stand here.
    """

    kind: PlanKind
    minutes: float  # of session time
    min_slice: int  # shares
    max_slice: int
    rate: float = 0.0  # pov: of what the market trades
    curve: tuple[float, ...] = ()  # vwap: the volume that is expected in each of so many equal parts
    urgency: float = 0.0  # shortfall: kappa T, 0 an even pace (Almgren and Chriss 2000, equation 17)
    timing: float = 0.0  # of a slice, in which the moment of its release is random
    max_participation: float = 0.0  # of the market's volume; 0: no limit
    completes: bool = True  # what is left at the end is sent then, or is left
    seed: int = 0


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to run, and the hash of exactly that. An engine refuses what it cannot recompute."""

    deployment: str
    version: str
    strategy: str
    content_hash: str
    parameters: dict[str, Any]
    envelope: LimitEnvelope
    data: DataContract
    stage: Literal["sim"]
    capital: int  # 1/10,000 of the currency
    desk: str = ""  # whose it is: what kills name
    name: str = ""  # the strategy as people know it
    plan: Plan | None = None
    plan_hash: str = ""  # engine.content.plan_hash of it, "" without one


class Deployed(msgspec.Struct, frozen=True):
    manifest: Manifest
    desired: DesiredState


KillLevelName = Literal["armed", "pause", "reduce-only", "cancel", "flatten", "disconnect"]


class KillOrder(Message, frozen=True):
    """A kill, or with the level "armed" a re-arming, which names two persons. Sent as soon as it is given, and kept in
    Desired so that a lost one heals. ``epoch``: ms UTC, above every epoch before it.

    ``scope``: "firm", "desk:NAME", "strategy:NAME", "symbol:S" or "venue:V".
    """

    scope: str
    level: KillLevelName
    epoch: int
    persons: list[str]
    reason: str = ""


class Resolution(msgspec.Struct, frozen=True):
    """A person has looked at the break of ``symbol`` ("": of all) whose match number or order id is ``value``."""

    symbol: str
    value: int
    person: str
    reason: str = ""


class Welcome(Message, frozen=True):
    node: str
    committed: int  # last journal record that is in the database for this journal, 0 for none


class Desired(Message, frozen=True):
    """The whole desired state of a node; sent after Welcome, on each change and on each heartbeat."""

    revision: int
    deployments: list[Deployed]
    kills: list[KillOrder] = []  # the newest of each scope that was ever killed
    resolutions: list[Resolution] = []  # until the engine has reported them
    limits: str = ""  # the node's signed bundle (``engine.limits_bundle``), its newest; "" where it has none


class Acknowledge(Message, frozen=True):
    journal: str
    last: int


class Refused(Message, frozen=True):
    """Nothing was changed. ``fatal`` asks the agent to stop and show ``reason``."""

    code: str
    reason: str
    fatal: bool = False


# ---- up: engine to control plane -------------------------------------------------------------------


class Hello(Message, frozen=True):
    node: str
    journal: str
    build: str
    core_pid: int
    venue: str  # the first of ``venues``
    venues: list[str] = []  # all that it trades at


class VenueStatus(msgspec.Struct, frozen=True):
    """Where one venue of a node stands."""

    name: str
    dark: bool
    connected: bool  # its order session
    stale: bool  # its market data
    feed_age_ms: int  # -1 for none yet


class Applied(msgspec.Struct, frozen=True):
    """What the engine makes of one deployment."""

    deployment: str
    state: StrategyStateName
    reason: str = ""


class OpenBreak(msgspec.Struct, frozen=True):
    symbol: str  # "": nothing trades
    code: str
    value: int


class Latch(msgspec.Struct, frozen=True):
    """A scope that is killed at the engine, by whomever."""

    scope: str
    level: KillLevelName
    epoch: int


class LimitsUse(msgspec.Struct, frozen=True):
    """How much of a level's limits a node uses at worst: everything that works on the worse side is filled."""

    desk: str  # "": the firm
    position_qty: int  # shares of the symbol of which it is most
    gross_notional: int  # 1/10,000 of the currency, at the marks


class LimitsInForce(msgspec.Struct, frozen=True):
    """The bundle that the engine's step checks by, and what was used when it was asked."""

    number: int
    valid_until: int  # ns on the engine's clock
    uses: list[LimitsUse]


class Heartbeat(Message, frozen=True):
    """Each 500 ms."""

    revision: int  # the newest Desired that was applied
    core_alive: bool
    session_date: int  # yyyymmdd, 0 before the first session
    session_phase: str  # "closed", "pre_open", "open"
    session_time: int  # ns on the engine's clock
    feed_age_ms: int  # wall-clock age of the newest market data packet, -1 for none yet
    venue_connected: bool
    events: int  # journal records written
    anomalies: int
    deployments: list[Applied]
    breaks: list[OpenBreak] = []
    latches: list[Latch] = []
    kill_epoch: int = 0  # the newest that was applied
    limits: LimitsInForce | None = None  # None before the first bundle
    venues: list[VenueStatus] = []


class OrderReport(msgspec.Struct, frozen=True, tag="order", tag_field="kind"):
    record: int  # the journal record it was made from
    ts: int
    deployment: str
    order_id: int
    state: (
        str  # sent, accepted, suspended, partially_filled; filled, cancelled, rejected, replaced, expired, done_for_day
    )
    symbol: str
    side: Side
    price: int
    qty: int
    filled: int
    parent_id: int
    reason: str = ""
    venue: str = ""  # "": the only one of its node
    route: str = ""  # why the router sent it there: router_records.Reason


class FillReport(msgspec.Struct, frozen=True, tag="fill", tag_field="kind"):
    record: int
    ts: int
    deployment: str
    order_id: int
    execution_id: int  # the venue's match number
    trade_date: int  # yyyymmdd
    symbol: str
    side: Side
    price: int
    qty: int
    venue: str = ""


class BustReport(msgspec.Struct, frozen=True, tag="bust", tag_field="kind"):
    """The venue has undone an execution that a FillReport told of. A correction is a bust and then a fill again."""

    record: int
    ts: int
    deployment: str
    order_id: int
    execution_id: int
    trade_date: int  # yyyymmdd, of the execution
    symbol: str
    side: Side
    price: int
    qty: int
    venue: str = ""


class PositionReport(msgspec.Struct, frozen=True, tag="position", tag_field="kind"):
    record: int
    ts: int
    deployment: str
    symbol: str
    qty: int
    average_cost: int
    realised: int
    fees: int


class EquityReport(msgspec.Struct, frozen=True, tag="equity", tag_field="kind"):
    record: int
    ts: int
    deployment: str
    equity: int
    unrealised: int
    realised: int
    gross: int
    closing: bool  # the session's close; only these are kept


class SignalReport(msgspec.Struct, frozen=True, tag="signal", tag_field="kind"):
    record: int
    ts: int
    deployment: str
    pair: str  # "KO/PEP"
    z: float | None
    spread: float
    hedge_ratio: float
    stance: int  # +1 long the spread, -1 short, 0 flat


class RejectReport(msgspec.Struct, frozen=True, tag="reject", tag_field="kind"):
    """A pre-trade limit refused an order."""

    record: int
    ts: int
    deployment: str
    symbol: str
    limit: str
    level: str
    value: int
    order_value: int


class ScheduleReport(msgspec.Struct, frozen=True, tag="schedule", tag_field="kind"):
    """How far a parent that is worked by a plan has come, in shares."""

    record: int
    ts: int
    deployment: str
    symbol: str
    side: Side
    parent_id: int
    qty: int  # in all
    planned: int  # that the path asks for by now
    due: int  # of these, what slices and participation let be done
    done: int


class StateReport(msgspec.Struct, frozen=True, tag="state", tag_field="kind"):
    record: int
    ts: int
    deployment: str
    state: StrategyStateName
    reason: str = ""


class AnomalyReport(msgspec.Struct, frozen=True, tag="anomaly", tag_field="kind"):
    record: int
    ts: int
    code: str
    value: int
    ref: int


class BreakReport(msgspec.Struct, frozen=True, tag="break", tag_field="kind"):
    """What is held may not be what the venue says; the symbol ("": all) does not trade until somebody has looked."""

    record: int
    ts: int
    symbol: str
    code: str  # resolved, or what engine.core.events.Break says, in lower case
    value: int
    person: str = ""  # who resolved it; "by rule" when what caused it is gone


class KillReport(msgspec.Struct, frozen=True, tag="kill", tag_field="kind"):
    """A latch of the kill ladder has changed, by a command from wherever."""

    record: int
    ts: int
    scope: str
    level: KillLevelName  # that holds from here on
    epoch: int
    persons: list[str]
    via: str  # host, web
    reason: str = ""


OfDeployment: TypeAlias = (
    OrderReport
    | FillReport
    | BustReport
    | PositionReport
    | EquityReport
    | SignalReport
    | RejectReport
    | ScheduleReport
    | StateReport
)
Report: TypeAlias = OfDeployment | AnomalyReport | BreakReport | KillReport


class ReportBatch(Message, frozen=True):
    journal: str
    first: int  # exclusive
    last: int  # inclusive
    payload_hash: str
    reports: list[Report]


Down: TypeAlias = Welcome | Desired | KillOrder | Acknowledge | Refused
Up: TypeAlias = Hello | Heartbeat | ReportBatch

encode = msgspec.json.Encoder(order="deterministic").encode
decode_down = msgspec.json.Decoder(Down).decode
decode_up = msgspec.json.Decoder(Up).decode


def payload_hash(reports: list[Report]) -> str:
    """SHA-256 (hex) of the reports' canonical JSON."""
    return sha256(encode(reports)).hexdigest()


def batch(journal: str, first: int, last: int, reports: list[Report]) -> ReportBatch:
    return ReportBatch(journal, first, last, payload_hash(reports), reports)


def side_name(sign: int) -> Side:
    """The word for an order's or a fill's side, +1 or -1."""
    return "buy" if sign > 0 else "sell"
