"""Every write that the engine link asks for: opening a link, committing a batch, refusing what is wrong.

Each is one transaction. The consumer (``link.py``) answers the engine only after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from control.audit.services import record
from control.deployments.models import Node
from control.deployments.services import node_attach
from control.trading import incidents
from control.trading.fold import fold
from control.trading.models import Journal, ReportBatch
from engine import messages
from engine.ledger import (
    IncidentRefused,
    LinkRefused,
    StoredBatch,
    batch_subject,
    batches_that_are_news,
)

Batches = Sequence[messages.ReportBatch]


@dataclass(frozen=True)
class Link:
    """An open link: the node's epoch that it holds, and how far its journal is committed."""

    epoch: int
    committed: int


@transaction.atomic
def link_open(*, node: Node, hello: messages.Hello) -> Link:
    """Make ``hello``'s agent the node's one link; whichever link was open before is fenced by the epoch.

    The newest wins, since a half-open connection of a dead agent must not lock out its successor. Raises
    ``LinkRefused`` when ``hello`` names another node than the token does.
    """
    if hello.node != node.name:
        raise LinkRefused("wrong_node", f"This token is node {node.name}'s, not {hello.node}'s.", fatal=True)
    # Locks in batch_commit's order: the journal, then the node.
    journal, _created = Journal.objects.update_or_create(
        node=node,
        journal=hello.journal,
        defaults={"venue": hello.venue, "build": hello.build, "linked_at": timezone.now()},
    )
    epoch = node_attach(node=node, journal=hello.journal, build=hello.build)
    return Link(epoch, journal.committed)


def batch_commit(*, node: Node, batch: messages.ReportBatch, epoch: int | None = None) -> int:
    """Fold ``batch`` into the database; returns the record to acknowledge. Raises as ``batches_commit``."""
    batches_commit(node=node, batches=[batch], epoch=epoch)
    return batch.last


def batches_commit(*, node: Node, batches: Batches, epoch: int | None = None) -> Batches:
    """Fold ``batches`` of one journal, in their order, into the database; returns those that were news.

    One transaction for all where nothing is wrong. Otherwise one for each, up to the first that is refused, so
    that what was refused has changed nothing and what came before it is kept.

    A batch whose key (node, journal, last) is stored already, with the same hash, changes nothing. Raises
    ``LinkRefused``: ``journal_unknown`` (no Hello named it), ``gap`` (``first`` is not what was committed last;
    nothing is lost, send from there), ``fenced`` (``epoch`` is not the node's newest), and with an incident
    ``hash_mismatch`` (the reports are not what the hash says), ``batch_contradicted`` (the key is stored with
    another hash), ``report_invalid`` (a value that no row can hold).
    """
    try:
        with transaction.atomic():
            return _commit(node, batches, epoch)
    except (LinkRefused, DataError, IntegrityError, ValueError, OverflowError) as error:
        if len(batches) > 1:
            return [new for one in batches for new in batches_commit(node=node, batches=[one], epoch=epoch)]
        refusal = _refusal(node, batches[0], error)
        if refusal is error:
            raise
        raise refusal from error


def _refusal(node: Node, batch: messages.ReportBatch, error: Exception) -> Exception:
    """What is raised for ``error``, written down where it is an incident. The transaction is rolled back by now."""
    if isinstance(error.__cause__, psycopg.errors.UniqueViolation):
        return error  # another node's link wrote the same execution this instant: the agent sends it again
    if not isinstance(error, LinkRefused):
        reason = f"Batch {batch.last} of journal {batch.journal} holds a value that cannot be stored: {error}"
        error = IncidentRefused("report_invalid", batch_subject(batch), reason)
    if isinstance(error, IncidentRefused):
        _write_down(node, batch, error)
    return error


def _commit(node: Node, batches: Batches, epoch: int | None) -> Batches:
    journal = _journal_locked(node, batches[0].journal, epoch)
    new = batches_that_are_news(batches, journal.journal, journal.committed, lambda batch: _stored(node, batch))
    if new:
        _store(journal, new)
    return new


def _journal_locked(node: Node, name: str, epoch: int | None) -> Journal:
    rows = Journal.objects.select_for_update(of=("self",)).select_related("node")
    journal = rows.filter(node=node, journal=name).first()
    if journal is None:
        raise LinkRefused("journal_unknown", f"No Hello of node {node.name} named journal {name}.", fatal=True)
    if epoch is not None and journal.node.epoch != epoch:
        raise LinkRefused("fenced", f"A newer link of node {node.name} is open.", fatal=True)
    return journal


def _store(journal: Journal, new: Batches) -> None:
    ReportBatch.objects.bulk_create(
        ReportBatch(
            node=journal.node,
            journal=batch.journal,
            first=batch.first,
            last=batch.last,
            payload_hash=batch.payload_hash,
            reports=len(batch.reports),
        )
        for batch in new
    )
    fold(journal, [report for batch in new for report in batch.reports])
    Journal.objects.filter(pk=journal.pk).update(committed=new[-1].last)


def _stored(node: Node, batch: messages.ReportBatch) -> StoredBatch | None:
    found = ReportBatch.objects.filter(node=node, journal=batch.journal, last=batch.last).first()
    return StoredBatch(found.first, found.payload_hash) if found else None


@transaction.atomic
def _write_down(node: Node, batch: messages.ReportBatch, refused: IncidentRefused) -> None:
    incidents.record(
        code=refused.code,
        subject=refused.subject,
        node=node,
        message=refused.reason,
        detail={"first": batch.first, "last": batch.last, "payload_hash": batch.payload_hash},
    )


@transaction.atomic
def link_refuse(*, code: str, subject: str, message: str, node: Node | None = None) -> None:
    """Write down that a connection was turned away; the first of a kind also goes into the trail."""
    incident, first = incidents.record(code=code, subject=subject, message=message, node=node)
    if first:
        record(
            actor=f"node:{node.name}" if node else f"address:{subject}",
            action="node.link_refuse",
            target=incident,
            detail={"code": code, "message": message},
        )
