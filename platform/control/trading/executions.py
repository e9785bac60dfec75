"""Folding fills and busts, in the order of their journal records, into rows that are written once.

An execution's story is fill, bust, fill of the next revision, bust, ... Whatever journal tells it, and however often,
each chapter is stored once. What contradicts the stored story, or leaves one of its chapters out, is an incident and
changes nothing.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from control.money import money
from control.trading import incidents
from control.trading.frames import moment
from control.trading.models import BustsTold, Fill, FillBust, Journal
from engine import messages
from engine.dates import as_date

Key: TypeAlias = tuple[str, dt.date, int, str]  # venue, trade date, match number, side: one execution
Told: TypeAlias = messages.FillReport | messages.BustReport
_COMPARED = ("deployment", "order_id", "symbol", "price", "qty")


@dataclass
class _Story:
    fills: dict[int, Fill] = field(default_factory=dict)  # by revision
    busted: set[int] = field(default_factory=set)


def fold_executions(journal: Journal, reports: Iterable[Told]) -> None:
    """Write the fills and busts of one journal that follow those folded before."""
    told = sorted(reports, key=lambda report: report.record)
    if not told:
        return
    stories = _stories(journal, told)
    busts_told = _busts_told(journal, told)
    fills: list[Fill] = []
    busts: list[FillBust] = []
    for report in told:
        key = _key(journal, report)
        revision = (busts_told[key].count if key in busts_told else 0) + 1
        if isinstance(report, messages.FillReport):
            fills += _fill(journal, stories[key], report, revision)
        else:
            busts += _bust(journal, stories[key], report, revision)
            _count(journal, busts_told, key)
    Fill.objects.bulk_create(fills, batch_size=1_000)
    FillBust.objects.bulk_create(busts, batch_size=1_000)
    BustsTold.objects.bulk_create(
        busts_told.values(),
        update_conflicts=True,
        unique_fields=["journal", "venue", "trade_date", "execution_id", "side"],
        update_fields=["count"],
    )


def _fill(journal: Journal, story: _Story, report: messages.FillReport, revision: int) -> list[Fill]:
    """The row to be written, if there is one."""
    fill = _as_fill(venue_of(journal, report), report, revision)
    stored = story.fills.get(revision)
    if stored is None and (revision == 1 or revision - 1 in story.busted):
        story.fills[revision] = fill
        return [fill]
    if stored is None or _compared(stored) != _compared(fill):
        _contradicted(journal, report, revision, stored)
    return []


def _bust(journal: Journal, story: _Story, report: messages.BustReport, revision: int) -> list[FillBust]:
    stored = story.fills.get(revision)
    if stored is None:
        _incident(journal, report, revision, "bust_unknown", "was busted, and is not known", {})
    elif _compared(stored) != _compared(_as_fill(venue_of(journal, report), report, revision)):
        _contradicted(journal, report, revision, stored)
    elif revision not in story.busted:
        story.busted.add(revision)
        return [FillBust(fill=stored, ts=moment(report.ts))]
    return []


def _contradicted(journal: Journal, report: Told, revision: int, stored: Fill | None) -> None:
    kept = dict(zip(_COMPARED, map(str, _compared(stored)), strict=True)) if stored else None
    _incident(journal, report, revision, "execution_contradicted", "was reported again, otherwise", {"stored": kept})


def _incident(
    journal: Journal, report: Told, revision: int, code: str, what: str, detail: dict[str, dict[str, str] | None]
) -> None:
    incidents.record(
        code=code,
        subject=f"{venue_of(journal, report)}/{report.trade_date}/{report.execution_id}/{report.side}/{revision}",
        node=journal.node,
        deployment=report.deployment,
        message=f"Execution {report.execution_id} of {report.trade_date} {what}.",
        detail={**detail, "reported": msgspec.to_builtins(report), "revision": revision},
    )


def venue_of(journal: Journal, report: Told) -> str:
    """A node of one venue does not name it in each report."""
    return report.venue or journal.venue


def _stories(journal: Journal, told: list[Told]) -> dict[Key, _Story]:
    stories: dict[Key, _Story] = defaultdict(_Story)
    venues = {venue_of(journal, report) for report in told}
    rows = Fill.objects.filter(venue__in=venues, **_named(told)).select_related("bust")
    for fill in rows:
        story = stories[fill.venue, fill.trade_date, fill.execution_id, fill.side]
        story.fills[fill.revision] = fill
        if fill.busted:
            story.busted.add(fill.revision)
    return stories


def _busts_told(journal: Journal, told: list[Told]) -> dict[Key, BustsTold]:
    rows = BustsTold.objects.filter(journal=journal, **_named(told))
    return {(row.venue, row.trade_date, row.execution_id, row.side): row for row in rows}


def _count(journal: Journal, busts_told: dict[Key, BustsTold], key: Key) -> None:
    if key not in busts_told:
        venue, trade_date, execution_id, side = key
        busts_told[key] = BustsTold(
            journal=journal, venue=venue, trade_date=trade_date, execution_id=execution_id, side=side, count=0
        )
    busts_told[key].count += 1


def _named(told: list[Told]) -> dict[str, Any]:
    return {
        "trade_date__in": {as_date(report.trade_date) for report in told},
        "execution_id__in": {report.execution_id for report in told},
    }


def _key(journal: Journal, report: Told) -> Key:
    return venue_of(journal, report), as_date(report.trade_date), report.execution_id, report.side


def _as_fill(venue: str, report: Told, revision: int) -> Fill:
    return Fill(
        deployment_id=report.deployment,
        venue=venue,
        trade_date=as_date(report.trade_date),
        execution_id=report.execution_id,
        order_id=report.order_id,
        symbol=report.symbol,
        side=report.side,
        revision=revision,
        price=money(report.price),
        qty=report.qty,
        ts=moment(report.ts),
    )


def _compared(fill: Fill) -> tuple[Any, ...]:
    return str(fill.deployment_id), fill.order_id, fill.symbol, fill.price, fill.qty
