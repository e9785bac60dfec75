"""Folding a batch of reports into rows. Runs inside ``batch_commit``'s transaction, never by itself.

Orders and positions are the newest report; fills, signals and closing equity are added once. What cannot
be folded (a deployment that is not this node's, an execution that contradicts the stored one) becomes an
incident and holds nothing else up.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import msgspec
from django.db.models import Model

from control.deployments.models import Node
from control.deployments.selectors import deployments_of
from control.deployments.services import deployments_reported
from control.money import money
from control.trading import incidents
from control.trading.frames import moment
from control.trading.models import EquityPoint, Fill, Order, Position, Reject, SignalPoint
from engine import messages
from engine.dates import as_date


def fold(node: Node, venue: str, journal: str, reports: Iterable[messages.Report]) -> None:
    """Write what ``reports`` (in journal order) say.

    Raises ``ValueError`` for a date that is none, and the database's ``DataError`` and ``IntegrityError`` for
    values that no row can hold.
    """
    by_kind: dict[type, list[Any]] = defaultdict(list)
    for report in reports:
        by_kind[type(report)].append(report)
    _anomalies(node, journal, by_kind.pop(messages.AnomalyReport, []))
    ours = _ours(node, journal, by_kind)
    _orders(ours[messages.OrderReport])
    _fills(node, venue, ours[messages.FillReport])
    _positions(ours[messages.PositionReport])
    _equity(ours[messages.EquityReport])
    _signals(ours[messages.SignalReport])
    _rejects(ours[messages.RejectReport])
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
            sent_at=moment(first_ts[report.deployment, report.order_id]),
            ts=moment(report.ts),
        )
        for report in _newest(reports, lambda one: (one.deployment, one.order_id))
    ]
    _upsert(Order, rows, ["deployment", "order_id"], ["state", "price", "qty", "filled", "reason", "ts"])


def _fills(node: Node, venue: str, reports: list[messages.FillReport]) -> None:
    """Each execution once, whatever journal reports it; a contradiction is an incident and changes nothing."""
    if not reports:
        return
    stored = {
        _execution_key(fill): fill
        for fill in Fill.objects.filter(
            venue=venue,
            trade_date__in={as_date(report.trade_date) for report in reports},
            execution_id__in={report.execution_id for report in reports},
        )
    }
    new = []
    for report in reports:
        fill = _fill(venue, report)
        before = stored.setdefault(_execution_key(fill), fill)
        if before is fill:
            new.append(fill)
        elif _execution(before) != _execution(fill):
            incidents.record(
                code="execution_contradicted",
                subject=f"{venue}/{report.trade_date}/{report.execution_id}/{report.side}",
                node=node,
                deployment=report.deployment,
                message=f"Execution {report.execution_id} of {report.trade_date} was reported again, otherwise.",
                detail={"stored": _as_text(before), "reported": msgspec.to_builtins(report)},
            )
    Fill.objects.bulk_create(new, batch_size=1_000)


def _fill(venue: str, report: messages.FillReport) -> Fill:
    return Fill(
        deployment_id=report.deployment,
        venue=venue,
        trade_date=as_date(report.trade_date),
        execution_id=report.execution_id,
        order_id=report.order_id,
        symbol=report.symbol,
        side=report.side,
        price=money(report.price),
        qty=report.qty,
        ts=moment(report.ts),
    )


def _execution_key(fill: Fill) -> tuple[dt.date, int, str]:
    return fill.trade_date, fill.execution_id, fill.side


def _execution(fill: Fill) -> tuple[Any, ...]:
    return str(fill.deployment_id), fill.order_id, fill.symbol, fill.price, fill.qty


def _as_text(fill: Fill) -> dict[str, str]:
    names = ("deployment", "order_id", "symbol", "price", "qty")
    return {name: str(value) for name, value in zip(names, _execution(fill), strict=True)}


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
