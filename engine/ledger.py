"""How a ledger counts everything once: which report batches are news, and which chapter of an execution's story a
report tells. Nothing is stored here: the control plane keeps rows in PostgreSQL, a simulation keeps them in memory, and
both decide by this.

An execution's story is fill, bust, fill of the next revision, bust, ... Whatever journal tells it, and however often,
each chapter is stored once. What contradicts the stored story, or leaves one of its chapters out, changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

from engine.messages import BustReport, FillReport, Refused, ReportBatch, payload_hash

Told: TypeAlias = FillReport | BustReport
Key: TypeAlias = tuple[str, int, int, str]  # venue, trade date (yyyymmdd), match number, side: one execution


class LinkRefused(Exception):
    """What the link will not take: a code for the agent, a sentence, and whether it must stop."""

    def __init__(self, code: str, reason: str, *, fatal: bool = False) -> None:
        self.code, self.reason, self.fatal = code, reason, fatal
        super().__init__(reason)

    def as_message(self) -> Refused:
        return Refused(self.code, self.reason, self.fatal)


class IncidentRefused(LinkRefused):
    """A refusal that somebody has to look at, about ``subject``."""

    def __init__(self, code: str, subject: str, reason: str) -> None:
        self.subject = subject
        super().__init__(code, reason, fatal=True)


# ---- batches ---------------------------------------------------------------------------------------------


class StoredBatch(NamedTuple):
    first: int
    payload_hash: str


def batches_that_are_news(
    batches: Sequence[ReportBatch], journal: str, committed: int, stored: Callable[[ReportBatch], StoredBatch | None]
) -> list[ReportBatch]:
    """Those of ``batches``, in their order, that go on where ``journal`` is ``committed``; those that are stored
    already with the same content change nothing. ``stored`` finds a batch by its key.

    Raises ``LinkRefused`` ``gap`` (nothing is lost, send from there), and ``IncidentRefused``: ``hash_mismatch`` (the
    reports are not what the hash says), ``batch_contradicted`` (the key is stored with another content).
    """
    new: list[ReportBatch] = []
    reached = committed
    for batch in batches:
        if payload_hash(batch.reports) != batch.payload_hash:
            reason = f"The reports of {batch_name(batch)} are not what its hash says."
            raise IncidentRefused("hash_mismatch", batch_subject(batch), reason)
        if batch.last <= committed:
            _check_known(batch, committed, stored(batch))
        elif batch.journal != journal or batch.first != reached:
            raise _gap(batch, reached)
        else:
            new.append(batch)
            reached = batch.last
    return new


def _check_known(batch: ReportBatch, committed: int, stored: StoredBatch | None) -> None:
    """A batch from the committed part of the journal: the same one is fine, another one is an incident."""
    if stored is None:
        raise _gap(batch, committed)
    if stored != (batch.first, batch.payload_hash):
        reason = f"{batch_name(batch)} is committed with other content."
        raise IncidentRefused("batch_contradicted", batch_subject(batch), reason)


def _gap(batch: ReportBatch, committed: int) -> LinkRefused:
    return LinkRefused("gap", f"{batch_name(batch)}, from {batch.first}, does not follow record {committed}.")


def batch_name(batch: ReportBatch) -> str:
    return f"Batch {batch.last} of journal {batch.journal}"


def batch_subject(batch: ReportBatch) -> str:
    return f"{batch.journal}/{batch.last}"


# ---- executions ------------------------------------------------------------------------------------------


class Verdict(Enum):
    NEW = "new"  # to be stored
    KNOWN = "known"  # stored already, the same
    CONTRADICTED = "contradicted"  # stored otherwise, or a chapter before it is missing
    UNKNOWN = "unknown"  # a bust of what was never told


class Content(NamedTuple):
    """What two tellings of one execution must agree on."""

    deployment: str
    order_id: int
    symbol: str
    price: int  # 1/10,000
    qty: int


@dataclass
class Story:
    """One execution as it is stored."""

    fills: dict[int, Content] = field(default_factory=dict)  # by revision, from 1
    busted: set[int] = field(default_factory=set)

    def fill(self, revision: int, told: Content) -> Verdict:
        stored = self.fills.get(revision)
        if stored is None and (revision == 1 or revision - 1 in self.busted):
            self.fills[revision] = told
            return Verdict.NEW
        return Verdict.KNOWN if stored == told else Verdict.CONTRADICTED

    def bust(self, revision: int, told: Content) -> Verdict:
        stored = self.fills.get(revision)
        if stored is None:
            return Verdict.UNKNOWN
        if stored != told:
            return Verdict.CONTRADICTED
        if revision in self.busted:
            return Verdict.KNOWN
        self.busted.add(revision)
        return Verdict.NEW


class Chapter(NamedTuple):
    report: Told
    key: Key
    revision: int
    verdict: Verdict


def tell(
    reports: Iterable[Told], venue: str, stories: Mapping[Key, Story], busts_told: Counter[Key]
) -> Iterator[Chapter]:
    """The fills and busts of one journal, in its order, each with what is to become of it. ``venue`` is that of reports
    which name none. ``stories`` (an entry for each key) and ``busts_told``, how often this journal has told of a bust,
    go on with them."""
    for report in reports:
        key = key_of(report, venue)
        revision, content = busts_told[key] + 1, content_of(report)
        if isinstance(report, FillReport):
            verdict = stories[key].fill(revision, content)
        else:
            verdict = stories[key].bust(revision, content)
            busts_told[key] += 1
        yield Chapter(report, key, revision, verdict)


def key_of(report: Told, venue: str) -> Key:
    """A node of one venue does not name it in each report."""
    return report.venue or venue, report.trade_date, report.execution_id, report.side


def content_of(report: Told) -> Content:
    return Content(report.deployment, report.order_id, report.symbol, report.price, report.qty)
