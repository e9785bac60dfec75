"""Folding fills and busts, in the order of their journal records, into rows that are written once.

``engine.ledger`` decides what is news; what contradicts the stored story is an incident and changes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from control.money import money, money_units
from control.trading import incidents
from control.trading.frames import moment
from control.trading.models import BustsTold, Fill, FillBust, Journal
from engine import messages
from engine.dates import as_date, as_yyyymmdd
from engine.ledger import Chapter, Content, Key, Story, Told, Verdict, tell

Revision = tuple[Key, int]


def fold_executions(journal: Journal, reports: Iterable[Told]) -> None:
    """Write the fills and busts of one journal that follow those folded before."""
    told = sorted(reports, key=lambda report: report.record)
    if not told:
        return
    rows = _stored(journal, told)
    stories, counted = _stories(rows), _busts_told(journal, told)
    before = dict(counted)
    fills: list[Fill] = []
    busts: list[FillBust] = []
    for chapter in tell(told, journal.venue, stories, counted):
        at = chapter.key, chapter.revision
        if chapter.verdict is not Verdict.NEW:
            _not_written(journal, chapter, stories[chapter.key].fills.get(chapter.revision))
        elif isinstance(chapter.report, messages.FillReport):
            rows[at] = _as_fill(chapter)
            fills.append(rows[at])
        else:
            busts.append(FillBust(fill=rows[at], ts=moment(chapter.report.ts)))
    Fill.objects.bulk_create(fills, batch_size=1_000)
    FillBust.objects.bulk_create(busts, batch_size=1_000)
    _count(journal, {key: count for key, count in counted.items() if count != before.get(key, 0)})


def _not_written(journal: Journal, chapter: Chapter, stored: Content | None) -> None:
    if chapter.verdict is Verdict.UNKNOWN:
        _incident(journal, chapter, "bust_unknown", "was busted, and is not known", {})
    elif chapter.verdict is Verdict.CONTRADICTED:
        kept = _shown(stored) if stored else None
        _incident(journal, chapter, "execution_contradicted", "was reported again, otherwise", {"stored": kept})


def _shown(stored: Content) -> dict[str, str]:
    return {name: str(value) for name, value in (stored._asdict() | {"price": money(stored.price)}).items()}


def _incident(
    journal: Journal, chapter: Chapter, code: str, what: str, detail: dict[str, dict[str, str] | None]
) -> None:
    report, revision = chapter.report, chapter.revision
    incidents.record(
        code=code,
        subject=f"{chapter.key[0]}/{report.trade_date}/{report.execution_id}/{report.side}/{revision}",
        node=journal.node,
        deployment=report.deployment,
        message=f"Execution {report.execution_id} of {report.trade_date} {what}.",
        detail={**detail, "reported": msgspec.to_builtins(report), "revision": revision},
    )


def _stored(journal: Journal, told: list[Told]) -> dict[Revision, Fill]:
    venues = {report.venue or journal.venue for report in told}
    rows = Fill.objects.filter(venue__in=venues, **_named(told)).select_related("bust")
    return {(_key(fill), fill.revision): fill for fill in rows}


def _stories(rows: dict[Revision, Fill]) -> dict[Key, Story]:
    stories: dict[Key, Story] = defaultdict(Story)
    for (key, revision), fill in rows.items():
        stories[key].fills[revision] = Content(
            str(fill.deployment_id), fill.order_id, fill.symbol, money_units(fill.price), fill.qty
        )
        if fill.busted:
            stories[key].busted.add(revision)
    return stories


def _busts_told(journal: Journal, told: list[Told]) -> Counter[Key]:
    rows = BustsTold.objects.filter(journal=journal, **_named(told))
    return Counter({_key(row): row.count for row in rows})


def _count(journal: Journal, counts: dict[Key, int]) -> None:
    BustsTold.objects.bulk_create(
        [
            BustsTold(
                journal=journal,
                venue=venue,
                trade_date=as_date(date),
                execution_id=execution,
                side=side,
                count=count,
            )
            for (venue, date, execution, side), count in counts.items()
        ],
        update_conflicts=True,
        unique_fields=["journal", "venue", "trade_date", "execution_id", "side"],
        update_fields=["count"],
    )


def _named(told: list[Told]) -> dict[str, Any]:
    return {
        "trade_date__in": {as_date(report.trade_date) for report in told},
        "execution_id__in": {report.execution_id for report in told},
    }


def _key(row: Fill | BustsTold) -> Key:
    return row.venue, as_yyyymmdd(row.trade_date), row.execution_id, row.side


def _as_fill(chapter: Chapter) -> Fill:
    report = chapter.report
    return Fill(
        deployment_id=report.deployment,
        venue=chapter.key[0],
        trade_date=as_date(report.trade_date),
        execution_id=report.execution_id,
        order_id=report.order_id,
        symbol=report.symbol,
        side=report.side,
        revision=chapter.revision,
        price=money(report.price),
        qty=report.qty,
        ts=moment(report.ts),
    )
