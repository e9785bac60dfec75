"""Breaks: what an engine holds of a symbol may not be what the venue says that it holds.

The engine reports one, and trades that symbol no more; here it is an incident that is open until the engine reports
that it is resolved. A risk officer asks for that (``break_resolve``): the request is part of the node's desired state
until the engine has done it, and names the break that the person saw.
"""

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from control.accounts.models import User
from control.accounts.permissions import require
from control.audit.services import record
from control.deployments.models import Node
from control.deployments.services import node_changed
from control.errors import Conflict, InvalidInput
from control.trading import incidents
from control.trading.models import BreakResolution, Incident
from control.trading.selectors import POSITION_BREAK
from engine import messages

EVERYTHING = "every symbol"
RESOLVED = "resolved"
_WHY = {
    "unknown_execution": "an execution of an order that is not known",
    "unknown_bust": "a bust of an execution that is not known",
    "unknown_order": "an order of our account that is not known",
    "missing_order": "not knowing an order that it had accepted",
    "missing_reports": "reports that it cannot send again",
    "position_differs": "a position other than the one that is stated",
}


def fold_breaks(node: Node, reports: Iterable[messages.BreakReport]) -> None:
    """Take in what a node reports, in its order. Runs inside ``batch_commit``'s transaction."""
    for report in reports:
        if report.code == RESOLVED:
            _resolved(node, report)
        else:
            _opened(node, report)


def _opened(node: Node, report: messages.BreakReport) -> None:
    subject = report.symbol or EVERYTHING
    why = _WHY.get(report.code, report.code)
    incidents.record(
        code=POSITION_BREAK,
        subject=subject,
        node=node,
        message=f"{subject} does not trade on {node.name}: the venue told of {why} ({report.value}).",
        detail={"symbol": report.symbol, "code": report.code, "value": report.value, "ts": report.ts},
        opens=True,
    )


def _resolved(node: Node, report: messages.BreakReport) -> None:
    incident = _of(node, report.symbol).first()
    if incident is not None and incident.open:
        _close(node, incident, report.person)


def _close(node: Node, incident: Incident, person: str) -> None:
    incidents.close(incident)
    BreakResolution.objects.filter(incident=incident, done_at__isnull=True).update(done_at=timezone.now())
    detail = {"symbol": incident.detail["symbol"], "value": incident.detail["value"], "person": person}
    record(actor=f"node:{node.name}", action="break.resolved", target=incident, detail=detail)


def _of(node: Node, symbol: str) -> QuerySet[Incident]:
    return Incident.objects.filter(code=POSITION_BREAK, node=node, subject=symbol or EVERYTHING)


@transaction.atomic
def break_resolve(*, actor: User, incident: Incident, comment: str) -> BreakResolution:
    """Ask the engine to let the symbol trade again: somebody has looked, and says why that is right.

    Raises ``PermissionDenied``, ``InvalidInput`` (no comment), ``Conflict`` (not an open break, asked for already).
    """
    require(actor, "trading.resolve_incident")
    if not comment.strip():
        raise InvalidInput("comment_missing", "comment", "Say what was found: a break is not resolved without it.")
    if incident.code != POSITION_BREAK or incident.node_id is None:
        raise Conflict("no_break", "incident", f"{incident} is no break.")
    node = Node.objects.select_for_update(no_key=True).get(pk=incident.node_id)
    incident = Incident.objects.select_for_update(no_key=True).get(pk=incident.pk)
    if not incident.open:
        raise Conflict("state", "incident", f"The break of {incident.subject} on {node} is resolved already.")
    try:
        with transaction.atomic():
            resolution = BreakResolution.objects.create(
                incident=incident,
                value=incident.detail["value"],
                comment=comment.strip(),
                revision=node.revision + 1,
                requested_by=actor,
            )
    except IntegrityError as error:
        raise Conflict("state", "incident", f"The engine was asked to resolve {incident.subject} already.") from error
    detail = {"node": node.name, **incident.detail, "comment": resolution.comment}
    record(actor=actor, action="break.resolve", target=incident, detail=detail)
    node_changed(node)
    return resolution


def breaks_seen(*, node: Node, heartbeat: messages.Heartbeat) -> None:
    """What the engine no longer knows, though it was asked to resolve it, is resolved: it was lost with a journal, or
    the engine host resolved it. A break that is another one by now needs another look. The request is done with."""
    waiting = BreakResolution.objects.filter(
        incident__node=node, done_at__isnull=True, revision__lte=heartbeat.revision
    )
    if not heartbeat.core_alive or not waiting.exists():
        return
    now = {one.symbol: one.value for one in heartbeat.breaks}
    for resolution in waiting.select_related("incident"):
        symbol = resolution.incident.detail["symbol"]
        if symbol not in now:
            _close(node, resolution.incident, resolution.requested_by.username)
        elif now[symbol] != resolution.value:
            BreakResolution.objects.filter(pk=resolution.pk).update(done_at=timezone.now())
