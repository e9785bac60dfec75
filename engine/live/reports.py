"""From journal records to the reports that the control plane commits.

What a report says depends on the journal alone: cut again after a restart, a batch is the same batch.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from engine.core.breaks import BY_RULE
from engine.core.carry import decode_carried
from engine.core.events import BlobType, Break, Kind, Session
from engine.core.limit_names import Level, Limit
from engine.core.signature import Signature, decode_signature
from engine.core.state import Anomaly, Phase
from engine.live.journal_names import STATE_NAMES, Deployment, JournalNames
from engine.live.order_reports import OrderReports
from engine.live.scan import Blob, Walk
from engine.live.scopes import LEVEL_NAMES
from engine.messages import (
    AnomalyReport,
    BreakReport,
    EquityReport,
    KillReport,
    PositionReport,
    RejectReport,
    Report,
    ScheduleReport,
    SignalReport,
    StateReport,
    side_name,
)
from engine.strategies.load import decode_manifest
from engine.strategies.registry import strategy as registered

MICRO = 1_000_000
RULE = "by rule"  # in a person's place: what caused a break is gone

PHASES = {
    int(Session.START_OF_MESSAGES): Phase.PRE_OPEN,
    int(Session.OPEN): Phase.OPEN,
    int(Session.CLOSE): Phase.CLOSED,
}


class Reporter:
    """Reads a journal's records in order and turns them into reports.

    ``names`` and the session say what the journal knows up to the last record taken.
    """

    def __init__(self) -> None:
        self.names = JournalNames()
        self.anomalies = 0
        self._signature = Signature([], "")  # of the command that was given last
        self._missing: dict[tuple[int, int], list[int]] = {}  # (strategy, instrument): target, position
        self._phases: dict[int, Phase] = {}  # by venue
        self._orders = OrderReports(self.names)
        self._makers: dict[int, Callable[[int, Any], list[Report]]] = self._orders.makers | {
            Kind.SESSION: self._session,
            Kind.BREAK: self._break,
            Kind.KILL: self._kill,
            Kind.LIMIT_REJECT: self._limit_reject,
            Kind.POSITION: self._position,
            Kind.TARGET: self._target,
            Kind.SCHEDULE: self._schedule,
            Kind.SIGNAL: self._signal,
            Kind.EQUITY: self._equity,
            Kind.ANOMALY: self._anomaly,
            Kind.STRATEGY_STATE: self._strategy_state,
        }
        self._walk = Walk(frozenset(Kind(kind) for kind in self._makers))

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
        found = [deployment for deployment in self.names.slots.values() if deployment.manifest.deployment == identifier]
        return found[-1] if found else None

    def _blob(self, blob: Blob) -> list[Report]:
        self.names.learn(blob)
        if blob.blob_type is BlobType.MANIFEST:
            manifest = decode_manifest(blob.payload)
            self.names.slots.pop(blob.strategy, None)
            self._missing = {key: value for key, value in self._missing.items() if key[0] != blob.strategy}
            self.names.slots[blob.strategy] = Deployment(blob.strategy, manifest)
            return [StateReport(blob.number, int(blob.header[0]["ts_event"]), manifest.deployment, "loading")]
        elif blob.blob_type is BlobType.CARRIED:
            return self._carried(blob)
        elif blob.blob_type is BlobType.SIGNATURE:
            self._signature = decode_signature(blob.payload)
        elif blob.blob_type is BlobType.ARTIFACT and blob.strategy in self.names.slots:
            deployment = self.names.slots[blob.strategy]
            deployment.artifact = blob.payload
            names = registered(deployment.manifest.strategy).pair_names(blob.payload, self.names.instruments)
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
            self._orders.carry(order)
        ts = int(blob.header[0]["ts_event"])
        for slot in self.names.slots.values():
            slot.state = "paused"
        return [StateReport(blob.number, ts, slot.manifest.deployment, "paused") for slot in self.names.slots.values()]

    def _session(self, number: int, record: Any) -> list[Report]:
        if int(record["code"]) == Session.START_OF_MESSAGES:
            self.names.session_date = int(record["date"])
        if int(record["code"]) in PHASES:
            self._phases[int(record["venue"])] = PHASES[int(record["code"])]
        return []

    @property
    def session_date(self) -> int:
        return self.names.session_date

    @property
    def phase(self) -> Phase:
        """Of all venues together."""
        return max(self._phases.values(), default=Phase.CLOSED)

    def _break(self, number: int, record: Any) -> list[Report]:
        code, value = Break(int(record["code"])), int(record["value"])
        person = ", ".join(self._signature.persons) if code is Break.RESOLVED else ""
        if int(record["flags"]) == BY_RULE:
            person = RULE
        return [
            BreakReport(number, int(record["ts_event"]), self.names.symbol(record), code.name.lower(), value, person)
        ]

    def _kill(self, number: int, record: Any) -> list[Report]:
        given = self._signature
        level, epoch = LEVEL_NAMES[int(record["code"])], int(record["epoch"])
        ts = int(record["ts_event"])
        return [KillReport(number, ts, given.scope, level, epoch, given.persons, given.via, given.reason)]

    def _limit_reject(self, number: int, record: Any) -> list[Report]:
        return [
            RejectReport(
                record=number,
                ts=int(record["ts_event"]),
                deployment=self.names.name(record),
                symbol=self.names.symbol(record),
                limit=Limit(int(record["code"])).name.lower(),
                level=Level(int(record["level"])).name.lower(),
                value=int(record["value"]),
                order_value=int(record["order_value"]),
            )
        ]

    def _position(self, number: int, record: Any) -> list[Report]:
        self._of_parent(record)[1] = int(record["position"])
        values = (int(record[name]) for name in ("position", "average_cost", "realised", "fees"))
        return [
            PositionReport(number, int(record["ts_event"]), self.names.name(record), self.names.symbol(record), *values)
        ]

    def _of_parent(self, record: Any) -> list[int]:
        return self._missing.setdefault((int(record["strategy"]), int(record["instrument"])), [0, 0])

    def _target(self, number: int, record: Any) -> list[Report]:
        self._of_parent(record)[0] = int(record["target"])
        return []

    def _schedule(self, number: int, record: Any) -> list[Report]:
        target, position = self._of_parent(record)
        done = int(record["done"])
        return [
            ScheduleReport(
                record=number,
                ts=int(record["ts_event"]),
                deployment=self.names.name(record),
                symbol=self.names.symbol(record),
                side=side_name(record["side"]),
                parent_id=int(record["parent_id"]),
                qty=done + abs(target - position),
                planned=int(record["planned"]),
                due=int(record["due"]),
                done=done,
            )
        ]

    def _equity(self, number: int, record: Any) -> list[Report]:
        return [
            EquityReport(
                record=number,
                ts=int(record["ts_event"]),
                deployment=self.names.name(record),
                equity=int(record["equity"]),
                unrealised=int(record["unrealised"]),
                realised=int(record["realised"]),
                gross=int(record["gross"]),
                closing=bool(record["flags"] == 1),
            )
        ]

    def _signal(self, number: int, record: Any) -> list[Report]:
        slot, pair = self.names.slots.get(int(record["strategy"])), int(record["pair"])
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
        slot = self.names.slots.get(int(record["strategy"]))
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
