"""From journal records to the reports that the control plane commits.

What a report says depends on the journal alone: cut again after a restart, a batch is the same batch.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from engine.core.carry import decode_carried
from engine.core.events import BlobType, Break, Kind, Restatement, Session
from engine.core.limit_names import Level, Limit
from engine.core.orders import OrderState
from engine.core.router_records import Reason
from engine.core.signature import Signature, decode_signature
from engine.core.state import ORDERS, Anomaly, Phase, StrategyState
from engine.core.venues import decode_venues
from engine.live.scan import Blob, Walk
from engine.live.scopes import LEVEL_NAMES
from engine.messages import (
    AnomalyReport,
    BreakReport,
    BustReport,
    EquityReport,
    FillReport,
    KillReport,
    Manifest,
    OrderReport,
    PositionReport,
    RejectReport,
    Report,
    Side,
    SignalReport,
    StateReport,
    StrategyStateName,
    side_name,
)
from engine.strategies.load import decode_manifest
from engine.strategies.registry import strategy as registered

MICRO = 1_000_000
ORDERS_KEPT = 2 * ORDERS

STATE_NAMES: dict[int, StrategyStateName] = {
    int(StrategyState.LOADING): "loading",
    int(StrategyState.RUNNING): "running",
    int(StrategyState.PAUSED): "paused",
    int(StrategyState.FLATTENING): "flattening",
    int(StrategyState.STOPPED): "stopped",
    int(StrategyState.FAULTED): "faulted",
}
REPORTED_STATES = {
    int(OrderState.PENDING_NEW): "sent",
    int(OrderState.LIVE): "accepted",
    int(OrderState.PARTIALLY_FILLED): "partially_filled",
    int(OrderState.PENDING_CANCEL): "accepted",
    int(OrderState.PENDING_REPLACE): "accepted",
    int(OrderState.SUSPENDED): "suspended",
}
PHASES = {
    int(Session.START_OF_MESSAGES): Phase.PRE_OPEN,
    int(Session.OPEN): Phase.OPEN,
    int(Session.CLOSE): Phase.CLOSED,
}
# OUCH 5.0 section 3.4, "Cancel Order Reasons"
CANCEL_REASONS = {
    "D": "regulatory restriction",
    "E": "closed",
    "I": "immediate or cancel",
    "K": "market collars",
    "Q": "self-match prevention",
    "S": "supervisory",
    "T": "end of day",
    "U": "requested",
    "X": "post-only would trade",
    "Z": "system cancel",
}
WANTED = frozenset(
    {
        Kind.SESSION,
        Kind.ACCEPTED,
        Kind.REPLACED,
        Kind.RESTATED,
        Kind.ORDER_NEW,
        Kind.ORDER_REPLACE,
        Kind.ROUTE,
        Kind.FILL_BUSTED,
        Kind.BREAK,
        Kind.KILL,
        Kind.LIMIT_REJECT,
        Kind.FILL,
        Kind.POSITION,
        Kind.SIGNAL,
        Kind.EQUITY,
        Kind.ORDER_DONE,
        Kind.ANOMALY,
        Kind.STRATEGY_STATE,
    }
)


@dataclass
class _Order:
    deployment: str
    symbol: str
    side: Side
    price: int
    qty: int
    parent_id: int
    trade_date: int
    filled: int = 0
    state: str = "sent"
    before: int = 0  # executed by those it replaces
    venue: str = ""
    route: str = ""


@dataclass
class Deployment:
    """What the journal says of the deployment in one slot."""

    slot: int
    manifest: Manifest
    state: StrategyStateName = "loading"
    artifact: bytes = b""
    pairs: tuple[str, ...] = ()
    held: dict[str, SignalReport] = field(default_factory=dict)  # the newest signal of each pair with a stance


class Reporter:
    """Reads a journal's records in order and turns them into reports.

    ``slots`` and the session fields say what the journal knows up to the last record taken.
    """

    def __init__(self) -> None:
        self.slots: dict[int, Deployment] = {}
        self.instruments: list[str] = []
        self.venues: list[str] = []
        self.session_date = 0
        self.anomalies = 0
        self._walk = Walk(WANTED)
        self._signature = Signature([], "")  # of the command that was given last
        self._orders: OrderedDict[int, _Order] = OrderedDict()
        self._phases: dict[int, Phase] = {}  # by venue
        self._route = ""  # of the order that comes next
        self._makers: dict[int, Callable[[int, Any], list[Report]]] = {
            Kind.SESSION: self._session,
            Kind.ACCEPTED: self._accepted,
            Kind.REPLACED: self._replaced,
            Kind.RESTATED: self._restated,
            Kind.ORDER_NEW: self._order_new,
            Kind.ORDER_REPLACE: self._order_replace,
            Kind.ROUTE: self._routed,
            Kind.FILL_BUSTED: self._fill_busted,
            Kind.BREAK: self._break,
            Kind.KILL: self._kill,
            Kind.LIMIT_REJECT: self._limit_reject,
            Kind.FILL: self._fill,
            Kind.POSITION: self._position,
            Kind.SIGNAL: self._signal,
            Kind.EQUITY: self._equity,
            Kind.ORDER_DONE: self._order_done,
            Kind.ANOMALY: self._anomaly,
            Kind.STRATEGY_STATE: self._strategy_state,
        }

    @property
    def at_boundary(self) -> bool:
        """Whether the last record taken was a whole one, no blob being open."""
        return not self._walk.inside_blob

    def take(self, first: int, records: np.ndarray) -> list[Report]:
        """Reports of ``records`` (EVENT[n]), the first of which has number ``first``."""
        reports: list[Report] = []
        for found in self._walk.feed(first, records):
            if isinstance(found, Blob):
                reports += self._blob(found)
            else:
                number, record = found
                reports += self._makers[int(record[0]["kind"])](number, record[0])
        return reports

    def deployment(self, identifier: str) -> Deployment | None:
        """The newest one of that name, None when the journal has none."""
        found = [deployment for deployment in self.slots.values() if deployment.manifest.deployment == identifier]
        return found[-1] if found else None

    def _blob(self, blob: Blob) -> list[Report]:
        if blob.blob_type is BlobType.INSTRUMENTS:
            self.instruments = json.loads(blob.payload)
        elif blob.blob_type is BlobType.VENUES:
            self.venues = [venue.name for venue in decode_venues(blob.payload)]
        elif blob.blob_type is BlobType.SYMBOL_CHANGE:
            change = json.loads(blob.payload)
            if 0 <= change["instrument"] < len(self.instruments) and change["symbol"] not in self.instruments:
                self.instruments[change["instrument"]] = change["symbol"]  # else the engine has refused it
        elif blob.blob_type is BlobType.MANIFEST:
            manifest = decode_manifest(blob.payload)
            self.slots.pop(blob.strategy, None)
            self.slots[blob.strategy] = Deployment(blob.strategy, manifest)
            return [StateReport(blob.number, int(blob.header[0]["ts_event"]), manifest.deployment, "loading")]
        elif blob.blob_type is BlobType.CARRIED:
            return self._carried(blob)
        elif blob.blob_type is BlobType.SIGNATURE:
            self._signature = decode_signature(blob.payload)
        elif blob.blob_type is BlobType.ARTIFACT and blob.strategy in self.slots:
            deployment = self.slots[blob.strategy]
            deployment.artifact = blob.payload
            names = registered(deployment.manifest.strategy).pair_names(blob.payload, self.instruments)
            deployment.pairs = tuple(names)
            return self._dropped(blob, deployment)
        return []

    def _dropped(self, blob: Blob, deployment: Deployment) -> list[Report]:
        """A pair that is not formed again ends its stance: its legs close at the next opportunity."""
        ts = int(blob.header[0]["ts_event"])
        gone = [deployment.held.pop(pair) for pair in sorted(deployment.held.keys() - set(deployment.pairs))]
        return [msgspec.structs.replace(last, record=blob.number, ts=ts, z=None, stance=0) for last in gone]

    def _carried(self, blob: Blob) -> list[Report]:
        """Open orders of an earlier journal are known here too; every strategy comes up paused."""
        for order in decode_carried(blob.payload).orders:
            slot = self.slots.get(order.strategy)
            self._orders[order.order_id] = _Order(
                deployment=slot.manifest.deployment if slot else "",
                symbol=self.instruments[order.instrument],
                side=side_name(order.side),
                price=order.price,
                qty=order.qty,
                parent_id=order.parent,
                trade_date=order.trade_date,
                venue=self.venues[order.venue] if order.venue < len(self.venues) else "",
                filled=order.filled,
                state=REPORTED_STATES[order.state],
            )
        ts = int(blob.header[0]["ts_event"])
        for slot in self.slots.values():
            slot.state = "paused"
        return [StateReport(blob.number, ts, slot.manifest.deployment, "paused") for slot in self.slots.values()]

    def _name(self, record: Any) -> str:
        slot = self.slots.get(int(record["strategy"]))
        return slot.manifest.deployment if slot else ""

    def _symbol(self, record: Any) -> str:
        instrument = int(record["instrument"])
        return self.instruments[instrument] if 0 <= instrument < len(self.instruments) else ""

    def _session(self, number: int, record: Any) -> list[Report]:
        if int(record["code"]) == Session.START_OF_MESSAGES:
            self.session_date = int(record["date"])
        if int(record["code"]) in PHASES:
            self._phases[int(record["venue"])] = PHASES[int(record["code"])]
        return []

    @property
    def phase(self) -> Phase:
        """Of all venues together."""
        return max(self._phases.values(), default=Phase.CLOSED)

    def _routed(self, number: int, record: Any) -> list[Report]:
        self._route = Reason(int(record["reason"])).name.lower()
        return []

    def _venue(self, record: Any) -> str:
        venue = int(record["venue"])
        return self.venues[venue] if 0 <= venue < len(self.venues) else ""

    def _order_report(self, number: int, record: Any, reason: str = "") -> list[Report]:
        order_id = int(record["order_id"])
        order = self._orders.get(order_id)
        if order is None:
            return []
        return [
            OrderReport(
                record=number,
                ts=int(record["ts_event"]),
                deployment=order.deployment,
                order_id=order_id,
                state=order.state,
                symbol=order.symbol,
                side=order.side,
                price=order.price,
                qty=order.qty,
                filled=order.filled,
                parent_id=order.parent_id,
                reason=reason,
                venue=order.venue,
                route=order.route,
            )
        ]

    def _order_new(self, number: int, record: Any) -> list[Report]:
        return self._order_sent(number, record, int(record["qty"]), int(record["ref"]))

    def _order_replace(self, number: int, record: Any) -> list[Report]:
        """The order that is to replace another: its shares are those that would be open."""
        origin = self._orders.get(int(record["ref"]))
        if origin is None:
            return self._order_sent(number, record, int(record["qty"]), 0)
        origin_filled = origin.before + origin.filled
        reports = self._order_sent(number, record, int(record["qty"]) - origin_filled, origin.parent_id)
        self._orders[int(record["order_id"])].before = origin_filled
        return reports

    def _order_sent(self, number: int, record: Any, qty: int, parent_id: int) -> list[Report]:
        if len(self._orders) >= ORDERS_KEPT:
            self._orders.popitem(last=False)
        self._orders[int(record["order_id"])] = _Order(
            deployment=self._name(record),
            symbol=self._symbol(record),
            side=side_name(record["side"]),
            price=int(record["price"]),
            qty=qty,
            parent_id=parent_id,
            trade_date=self.session_date,
            venue=self._venue(record),
            route=self._route,
        )
        self._route = ""
        return self._order_report(number, record)

    def _replaced(self, number: int, record: Any) -> list[Report]:
        """The venue's word of what is open; that the origin is done comes with its ORDER_DONE."""
        order = self._orders.get(int(record["order_id"]))
        if order is None:
            return []
        order.state = "partially_filled" if order.filled else "accepted"
        order.price, order.qty = int(record["price"]), int(record["qty"]) + order.filled
        return self._order_report(number, record)

    def _restated(self, number: int, record: Any) -> list[Report]:
        order = self._orders.get(int(record["order_id"]))
        if order is None or int(record["reason"]) not in (Restatement.SUSPENDED, Restatement.RESUMED):
            return []
        suspended = int(record["reason"]) == Restatement.SUSPENDED
        order.state = "suspended" if suspended else "partially_filled" if order.filled else "accepted"
        return self._order_report(number, record)

    def _accepted(self, number: int, record: Any) -> list[Report]:
        order = self._orders.get(int(record["order_id"]))
        if order is None or order.state != "sent":
            return []
        order.state = "accepted"
        return self._order_report(number, record)

    def _fill(self, number: int, record: Any) -> list[Report]:
        order_id, qty = int(record["order_id"]), int(record["qty"])
        order = self._orders.get(order_id)
        fill = FillReport(
            record=number,
            ts=int(record["ts_event"]),
            deployment=self._name(record),
            order_id=order_id,
            execution_id=int(record["ref"]),
            trade_date=order.trade_date if order else self.session_date,
            symbol=self._symbol(record),
            side=side_name(record["side"]),
            price=int(record["price"]),
            qty=qty,
            venue=self._venue(record),
        )
        if order is None:
            return [fill]
        order.filled += qty
        if order.filled < order.qty:
            order.state = "partially_filled"
            return [fill, *self._order_report(number, record)]
        return [fill]  # the order's last report comes with ORDER_DONE

    def _fill_busted(self, number: int, record: Any) -> list[Report]:
        order_id, qty = int(record["order_id"]), int(record["qty"])
        order = self._orders.get(order_id)
        if order is not None:
            order.filled -= qty
            order.qty -= qty
        bust = BustReport(
            record=number,
            ts=int(record["ts_event"]),
            deployment=self._name(record),
            order_id=order_id,
            execution_id=int(record["ref"]),
            trade_date=order.trade_date if order else self.session_date,
            symbol=self._symbol(record),
            side=side_name(record["side"]),
            price=int(record["price"]),
            qty=qty,
            venue=self._venue(record),
        )
        return [bust, *self._order_report(number, record)]

    def _break(self, number: int, record: Any) -> list[Report]:
        code, value = Break(int(record["code"])), int(record["value"])
        person = ", ".join(self._signature.persons) if code is Break.RESOLVED else ""
        return [BreakReport(number, int(record["ts_event"]), self._symbol(record), code.name.lower(), value, person)]

    def _kill(self, number: int, record: Any) -> list[Report]:
        given = self._signature
        level, epoch = LEVEL_NAMES[int(record["code"])], int(record["epoch"])
        ts = int(record["ts_event"])
        return [KillReport(number, ts, given.scope, level, epoch, given.persons, given.via, given.reason)]

    def _order_done(self, number: int, record: Any) -> list[Report]:
        order = self._orders.get(int(record["order_id"]))
        if order is None:
            return []
        order.state = OrderState(int(record["order_state"])).name.lower()
        order.filled = int(record["filled"])
        reason = int(record["reason"])
        if order.state in ("cancelled", "expired"):
            return self._order_report(
                number, record, CANCEL_REASONS.get(chr(reason), "") if reason else "never arrived"
            )
        if order.state == "rejected":
            return self._order_report(number, record, f"venue code {reason}" if reason else "never arrived")
        return self._order_report(number, record)

    def _limit_reject(self, number: int, record: Any) -> list[Report]:
        return [
            RejectReport(
                record=number,
                ts=int(record["ts_event"]),
                deployment=self._name(record),
                symbol=self._symbol(record),
                limit=Limit(int(record["code"])).name.lower(),
                level=Level(int(record["level"])).name.lower(),
                value=int(record["value"]),
                order_value=int(record["order_value"]),
            )
        ]

    def _position(self, number: int, record: Any) -> list[Report]:
        values = (int(record[name]) for name in ("position", "average_cost", "realised", "fees"))
        return [PositionReport(number, int(record["ts_event"]), self._name(record), self._symbol(record), *values)]

    def _equity(self, number: int, record: Any) -> list[Report]:
        return [
            EquityReport(
                record=number,
                ts=int(record["ts_event"]),
                deployment=self._name(record),
                equity=int(record["equity"]),
                unrealised=int(record["unrealised"]),
                realised=int(record["realised"]),
                gross=int(record["gross"]),
                closing=bool(record["flags"] == 1),
            )
        ]

    def _signal(self, number: int, record: Any) -> list[Report]:
        slot, pair = self.slots.get(int(record["strategy"])), int(record["pair"])
        if slot is None or not 0 <= pair < len(slot.pairs):
            return []
        report = SignalReport(
            record=number,
            ts=int(record["ts_event"]),
            deployment=slot.manifest.deployment,
            pair=slot.pairs[pair],
            z=int(record["z_micro"]) / MICRO,
            spread=int(record["spread_micro"]) / MICRO,
            hedge_ratio=int(record["hedge_micro"]) / MICRO,
            stance=int(record["side"]),
        )
        if report.stance:
            slot.held[report.pair] = report
        else:
            slot.held.pop(report.pair, None)
        return [report]

    def _strategy_state(self, number: int, record: Any) -> list[Report]:
        slot = self.slots.get(int(record["strategy"]))
        if slot is None:
            return []
        slot.state = STATE_NAMES[int(record["code"])]
        reason = "the kernel raised an exception" if slot.state == "faulted" else ""
        return [StateReport(number, int(record["ts_event"]), slot.manifest.deployment, slot.state, reason)]

    def _anomaly(self, number: int, record: Any) -> list[Report]:
        self.anomalies += 1
        code = int(record["code"])
        name = Anomaly(code).name.lower() if code in set(Anomaly) else f"anomaly_{code}"
        return [AnomalyReport(number, int(record["ts_event"]), name, int(record["value"]), int(record["ref"]))]
