"""Killing and re-arming: one person kills, two others re-arm.

A kill is sent first and recorded second: what it stops does not wait for a database. The record is part of every node's
desired state from then on, so a message that is lost heals with the next heartbeat. A re-arming is recorded first.

Locks are taken in one order: nodes by their key, then kills.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from control.accounts.models import User
from control.accounts.permissions import require
from control.audit.services import record
from control.deployments.models import Kill, KillLevel, Node
from control.deployments.services import node_changed
from control.desks.models import Desk
from control.errors import Conflict, InvalidInput
from engine import messages

logger = logging.getLogger(__name__)

KINDS = ("desk", "strategy", "symbol", "venue")
LONGEST_SCOPE = 120
LEVELS: list[Any] = list(KillLevel.values)  # type: ignore[attr-defined]  # Django makes it


def kill_give(*, actor: User, scope: str, level: str, reason: str = "") -> Kill:
    """Kill ``scope`` at ``level`` on every node. Raises ``PermissionDenied``, ``InvalidInput``, nothing sent."""
    if level not in LEVELS:
        raise InvalidInput("level", "level", f"{level!r} is none of {', '.join(LEVELS)}.")
    if level == KillLevel.DISCONNECT and scope.partition(":")[0] not in ("firm", "venue"):
        raise InvalidInput("level", "level", "The firm or a venue is disconnected; anything less is cancelled.")
    _require_for(actor, "deployments.give_kill", scope)
    order = messages.KillOrder(scope, cast(Any, level), next_epoch(), [actor.username], reason.strip()[:400])
    _send(order)
    return _record(actor, order)


@transaction.atomic
def _record(actor: User, order: messages.KillOrder) -> Kill:
    nodes = _nodes_locked()
    kill, _created = _created_or_known(order, killed_by=actor)
    detail = {"scope": order.scope, "level": order.level, "epoch": order.epoch, "reason": order.reason}
    record(actor=actor, action="kill.give", target=kill, detail=detail)
    _tell(nodes)
    return kill


@transaction.atomic
def kill_ask_rearm(*, actor: User, scope: str) -> list[Kill]:
    """The first of two persons: all that is in force of ``scope`` may be re-armed. Raises ``PermissionDenied``,
    ``Conflict`` (nothing is killed, one's own kill, asked for already)."""
    kills = _in_force_locked(actor, scope)
    if all(kill.rearm_asked_by_id for kill in kills):
        raise Conflict("state", "scope", f"{kills[0].rearm_asked_by} has asked to re-arm {scope} already.")
    for kill in kills:
        kill.rearm_asked_by, kill.rearm_asked_at = actor, timezone.now()
        kill.save(update_fields=["rearm_asked_by", "rearm_asked_at"])
    record(actor=actor, action="kill.ask_rearm", target=kills[0], detail=_detail(scope, kills))
    return kills


@transaction.atomic
def kill_rearm(*, actor: User, scope: str) -> list[Kill]:
    """The second person: ``scope`` is re-armed. Raises as ``kill_ask_rearm``, and ``Conflict`` when nobody else has
    asked for all that is in force."""
    nodes = _nodes_locked()
    kills = _in_force_locked(actor, scope)
    if not all(kill.rearm_asked_by_id for kill in kills):
        raise Conflict("not_asked", "scope", f"Somebody has to ask to re-arm {scope} first; two persons do that.")
    if any(kill.rearm_asked_by_id == actor.pk for kill in kills):
        raise Conflict("same_person", "scope", f"You asked to re-arm {scope}; somebody else has to agree.")
    epoch = next_epoch()
    for kill in kills:
        kill.rearmed_by, kill.rearmed_at, kill.rearm_epoch = actor, timezone.now(), epoch
        kill.rearmed_names = f"{kill.rearm_asked_by} and {actor}"
        kill.save(update_fields=["rearmed_by", "rearmed_at", "rearm_epoch", "rearmed_names"])
    detail = _detail(scope, kills) | {"epoch": epoch, "asked_by": str(kills[0].rearm_asked_by)}
    record(actor=actor, action="kill.rearm", target=kills[0], detail=detail)
    _tell(nodes)
    return kills


def kills_reported(*, node: Node, reports: Sequence[messages.KillReport]) -> None:
    """Take in what an engine says of its latches: what was done at its host becomes known here, and holds for all
    nodes. Runs inside ``batch_commit``'s transaction."""
    news = [one for one in reports if _is_news(one)]
    if not news:
        return
    nodes = _nodes_locked()
    for report in news:
        if report.level == "armed":
            _rearmed_at_host(node, report)
        else:
            _killed_at_host(node, report)
    _tell(nodes)


def _is_news(report: messages.KillReport) -> bool:
    if report.level == "armed":
        return Kill.objects.filter(scope=report.scope, rearmed_at__isnull=True, epoch__lt=report.epoch).exists()
    return not Kill.objects.filter(scope=report.scope, epoch=report.epoch).exists()


def _killed_at_host(node: Node, report: messages.KillReport) -> None:
    order = messages.KillOrder(report.scope, report.level, report.epoch, report.persons, report.reason)
    kill, created = _created_or_known(order, host=node, killed_by=_user(report.persons))
    if created:
        record(actor=f"node:{node.name}", action="kill.report", target=kill, detail=msgspec.to_builtins(report))


def _rearmed_at_host(node: Node, report: messages.KillReport) -> None:
    kills = Kill.objects.select_for_update(no_key=True).filter(
        scope=report.scope, rearmed_at__isnull=True, epoch__lt=report.epoch
    )
    for kill in kills:
        kill.rearmed_at, kill.rearm_epoch = timezone.now(), report.epoch
        kill.rearmed_names = " and ".join(report.persons)[:400] or "nobody"
        kill.save(update_fields=["rearmed_at", "rearm_epoch", "rearmed_names"])
        record(actor=f"node:{node.name}", action="kill.rearm_report", target=kill, detail=msgspec.to_builtins(report))


def _created_or_known(
    order: messages.KillOrder, *, killed_by: User | None, host: Node | None = None
) -> tuple[Kill, bool]:
    """The engine may tell of a kill before it is recorded: it was sent first."""
    return Kill.objects.get_or_create(
        scope=order.scope,
        epoch=order.epoch,
        defaults={
            "level": order.level,
            "reason": order.reason,
            "host": host,
            "killed_by": killed_by,
            "killed_by_name": " and ".join(order.persons)[:200],
        },
    )


# ---- what is in force ---------------------------------------------------------------------------------


def kills_for(kills: Iterable[Kill] | None = None) -> list[messages.KillOrder]:
    """The newest word about each scope that was ever killed, as engines are told it."""
    newest: dict[str, messages.KillOrder] = {}
    rows = Kill.objects.select_related("killed_by", "rearm_asked_by", "rearmed_by").order_by("epoch")
    for kill in rows if kills is None else kills:
        known = newest.get(kill.scope)
        order = _as_order(kill)
        if known is None or "armed" in (known.level, order.level):
            newest[kill.scope] = order if known is None or order.epoch > known.epoch else known
        else:
            level = max(known.level, order.level, key=LEVELS.index)
            newest[kill.scope] = msgspec.structs.replace(order, level=level)
    return sorted(newest.values(), key=lambda order: order.scope)


def _as_order(kill: Kill) -> messages.KillOrder:
    if kill.rearm_epoch is None:
        return messages.KillOrder(kill.scope, kill.level, kill.epoch, [kill.killed_by_name], kill.reason)
    persons = kill.rearmed_names.split(" and ")
    return messages.KillOrder(kill.scope, "armed", kill.rearm_epoch, persons, "")


def next_epoch() -> int:
    """Above every epoch that is known, from here or from an engine's heartbeat."""
    known = Kill.objects.aggregate(given=Max("epoch"), rearmed=Max("rearm_epoch"))
    reported = Node.objects.aggregate(epoch=Max("kill_epoch"))
    newest = max((known["given"] or 0), (known["rearmed"] or 0), (reported["epoch"] or 0))
    return max(time.time_ns() // 1_000_000, newest + 1)


# ---- helpers ------------------------------------------------------------------------------------------


def _require_for(actor: User, permission: str, scope: str) -> None:
    """By role; for a desk, or a strategy of some desks, by a seat on each of them. Raises ``InvalidInput`` for a scope
    that names nothing."""
    kind, _, name = scope.partition(":")
    if len(scope) > LONGEST_SCOPE or (scope != "firm" and (kind not in KINDS or not name or name != name.strip())):
        raise InvalidInput("scope", "scope", f"{scope!r} is none of firm, desk:NAME, strategy:NAME, symbol:S, venue:V.")
    require(actor, permission)
    if kind not in ("desk", "strategy"):
        return
    desks = Desk.objects.filter(name=name) if kind == "desk" else Desk.objects.filter(strategies__name=name).distinct()
    if not desks:
        raise InvalidInput("scope", "scope", f"There is no {kind} {name}.")
    for desk in desks:
        require(actor, permission, desk)


def _in_force_locked(actor: User, scope: str) -> list[Kill]:
    """The kills of ``scope`` that are in force, locked; every reason why ``actor`` re-arms none of them."""
    _require_for(actor, "deployments.rearm_kill", scope)
    kills = list(Kill.objects.select_for_update(no_key=True).filter(scope=scope, rearmed_at__isnull=True))
    if not kills:
        raise Conflict("state", "scope", f"{scope} is not killed.")
    names = {name.casefold() for kill in kills for name in kill.killed_by_name.split(" and ")}
    if actor.pk in {kill.killed_by_id for kill in kills} or actor.username.casefold() in names:
        raise Conflict("own_kill", "scope", f"You killed {scope}; two others have to re-arm it.")
    return kills


def _user(persons: Sequence[str]) -> User | None:
    return User.objects.filter(username__iexact=persons[0]).first() if len(persons) == 1 else None


def _detail(scope: str, kills: Sequence[Kill]) -> dict[str, object]:
    return {"scope": scope, "kills": [{"level": kill.level, "epoch": kill.epoch} for kill in kills]}


def _nodes_locked() -> list[Node]:
    return list(Node.objects.select_for_update(no_key=True).order_by("pk"))


def _tell(nodes: Iterable[Node]) -> None:
    for node in nodes:
        node_changed(node)


def _send(order: messages.KillOrder) -> None:
    """To every node's link, now. What does not get through is in the desired state."""
    event = {"type": "kill.given", "order": msgspec.structs.asdict(order)}
    for name in Node.objects.values_list("name", flat=True):
        try:
            async_to_sync(get_channel_layer().group_send)(f"node.{name}", event)
        except Exception:
            logger.exception("%s of %s is late at node %s", order.level, order.scope, name)
