"""Folding a batch of reports into rows. Runs inside ``batch_commit``'s transaction, never by itself.

Orders and positions are the newest report; fills and busts (``executions``), signals and closing equity are added
once. What cannot be folded (a deployment that is not this node's, an execution that contradicts the stored one)
becomes an incident and holds nothing else up.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import msgspec
from django.db.models import Model

from control.deployments.kills import kills_reported
from control.deployments.models import Node
from control.deployments.selectors import deployments_of
from control.deployments.services import deployments_reported
from control.money import money
from control.trading import breaks, incidents
from control.trading.executions import fold_executions
from control.trading.frames import moment
from control.trading.models import EquityPoint, Journal, Order, Position, Reject, ScheduledParent, SignalPoint
from engine import messages


def fold(journal: Journal, reports: Iterable[messages.Report]) -> None:
    """Write what ``reports`` (in journal order) say.

    Raises ``ValueError`` for a date that is none, and the database's ``DataError`` and ``IntegrityError`` for
    values that no row can hold.
    """
    node = journal.node
    by_kind: dict[type, list[Any]] = defaultdict(list)
    for report in reports:
        by_kind[type(report)].append(report)
    _anomalies(node, journal.journal, by_kind.pop(messages.AnomalyReport, []))
    breaks.fold_breaks(node, by_kind.pop(messages.BreakReport, []))
    kills_reported(node=node, reports=by_kind.pop(messages.KillReport, []))
    ours = _ours(node, journal.journal, by_kind)
    _orders(ours[messages.OrderReport])
    fold_executions(journal, [*ours[messages.FillReport], *ours[messages.BustReport]])
    _positions(ours[messages.PositionReport])
    _equity(ours[messages.EquityReport])
    _signals(ours[messages.SignalReport])
    _rejects(ours[messages.RejectReport])
    _schedules(ours[messages.ScheduleReport])
    _states(node, ours[messages.StateReport])


def _ours(node: Node, journal: str, by_kind: dict[type, list[Any]]) -> dict[type, list[Any]]:
    """The reports about deployments of ``node``; an incident for each other deployment that is named."""
    named = {report.deployment for reports in by_kind.values() for report in reports}
    if not named:
        return defaultdict(list)
    known = deployments_of(node)
    for stranger in sorted(named - known):
        strange = [one for reports in by_kind.values() for one in reports if one.deployment == stranger]
        incidents.record(
            code="unknown_deployment",
            subject=f"{journal}/{stranger}",
            node=node,
            message=f"Node {node.name} reported about {stranger}, which is no deployment of it.",
            detail={"reports": msgspec.to_builtins(strange[:20]), "count": len(strange)},
        )
    kept = {kind: [one for one in reports if one.deployment in known] for kind, reports in by_kind.items()}
    return defaultdict(list, kept)


def _newest(reports: list[Any], key: Callable[[Any], Hashable]) -> list[Any]:
    """One report a key: PostgreSQL refuses to update a row twice in one statement."""
    return list({key(report): report for report in reports}.values())


def _upsert(model: type[Model], rows: list[Any], unique: list[str], update: list[str]) -> None:
    if rows:
        model._default_manager.bulk_create(
            rows, update_conflicts=True, unique_fields=unique, update_fields=update, batch_size=1_000
        )


def _orders(reports: list[messages.OrderReport]) -> None:
    first_ts: dict[tuple[str, int], int] = {}
    for report in reports:
        first_ts.setdefault((report.deployment, report.order_id), report.ts)
    rows = [
        Order(
            deployment_id=report.deployment,
            order_id=report.order_id,
            parent_id=report.parent_id,
            symbol=report.symbol,
            side=report.side,
            state=report.state,
            price=money(report.price),
            qty=report.qty,
            filled=report.filled,
            reason=report.reason[:200],
            venue=report.venue,
            route=report.route,
            sent_at=moment(first_ts[report.deployment, report.order_id]),
            ts=moment(report.ts),
        )
        for report in _newest(reports, lambda one: (one.deployment, one.order_id))
    ]
    _upsert(Order, rows, ["deployment", "order_id"], ["state", "price", "qty", "filled", "reason", "ts"])


def _positions(reports: list[messages.PositionReport]) -> None:
    rows = [
        Position(
            deployment_id=report.deployment,
            symbol=report.symbol,
            qty=report.qty,
            average_cost=money(report.average_cost),
            realised=money(report.realised),
            fees=money(report.fees),
            ts=moment(report.ts),
        )
        for report in _newest(reports, lambda one: (one.deployment, one.symbol))
    ]
    _upsert(Position, rows, ["deployment", "symbol"], ["qty", "average_cost", "realised", "fees", "ts"])


def _schedules(reports: list[messages.ScheduleReport]) -> None:
    fields = ["parent_id", "side", "qty", "planned", "due", "done"]
    rows = [
        ScheduledParent(
            deployment_id=report.deployment,
            symbol=report.symbol,
            ts=moment(report.ts),
            **{name: getattr(report, name) for name in fields},
        )
        for report in _newest(reports, lambda one: (one.deployment, one.symbol))
    ]
    _upsert(ScheduledParent, rows, ["deployment", "symbol"], [*fields, "ts"])


def _equity(reports: list[messages.EquityReport]) -> None:
    rows = [
        EquityPoint(
            deployment_id=report.deployment,
            ts=moment(report.ts),
            equity=money(report.equity),
            unrealised=money(report.unrealised),
            realised=money(report.realised),
            gross=money(report.gross),
        )
        for report in _newest([one for one in reports if one.closing], lambda one: (one.deployment, one.ts))
    ]
    _upsert(EquityPoint, rows, ["deployment", "ts"], ["equity", "unrealised", "realised", "gross"])


def _signals(reports: list[messages.SignalReport]) -> None:
    rows = [
        SignalPoint(
            deployment_id=report.deployment,
            ts=moment(report.ts),
            pair=report.pair,
            z=report.z,
            spread=report.spread,
            hedge_ratio=report.hedge_ratio,
            stance=report.stance,
        )
        for report in _newest(reports, lambda one: (one.deployment, one.pair, one.ts))
    ]
    _upsert(SignalPoint, rows, ["deployment", "pair", "ts"], ["z", "spread", "hedge_ratio", "stance"])


def _rejects(reports: list[messages.RejectReport]) -> None:
    Reject.objects.bulk_create(
        Reject(
            deployment_id=report.deployment,
            ts=moment(report.ts),
            symbol=report.symbol,
            limit=report.limit,
            level=report.level,
            value=report.value,
            order_value=report.order_value,
        )
        for report in reports
    )


def _states(node: Node, reports: list[messages.StateReport]) -> None:
    newest = _newest(reports, lambda one: one.deployment)
    if newest:
        deployments_reported(
            node=node, applied=[messages.Applied(one.deployment, one.state, one.reason) for one in newest]
        )


def _anomalies(node: Node, journal: str, reports: list[messages.AnomalyReport]) -> None:
    """A counted incident a journal and kind of anomaly; ``detail`` holds the newest."""
    by_code: dict[str, list[messages.AnomalyReport]] = defaultdict(list)
    for report in reports:
        by_code[report.code].append(report)
    for code, same in by_code.items():
        incidents.record(
            code="anomaly",
            subject=f"{journal}/{code}",
            node=node,
            message=f"The engine counted an anomaly: {code}.",
            detail=msgspec.to_builtins(same[-1]),
            occurrences=len(same),
        )
