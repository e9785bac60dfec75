"""Every write about limits, allotments and bundles.

A limit is loosened by two persons and tightened by one, also while a looser one waits. Asking alone changes nothing.
Room moves from one node to another in three steps: the first is told less, it says that it goes by that and uses no
more, then the other may be told more. A node that says nothing keeps what it has.

Locks are taken in one order: nodes by their key, then changes, then limits.
"""

import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max, Sum
from django.utils import timezone

from control.accounts.models import User
from control.accounts.permissions import require
from control.audit.services import record
from control.deployments.models import Node
from control.deployments.services import node_changed
from control.desks.models import Desk
from control.errors import Conflict, InvalidInput, Problem, invalid
from control.limits.models import MEASURES, Allotment, Bundle, Limit, LimitChange
from control.limits.selectors import limits_set, newest_bundle
from control.money import money, money_units
from engine import messages
from engine.errors import BadInput
from engine.limits_bundle import (
    DESKS,
    DeskLimits,
    bundle_within,
    decode_bundle,
    limits_within,
    load_or_make_key,
    sign,
    write_public_key,
)

logger = logging.getLogger(__name__)

MOST = 10**12
DESK_LIMITS = DESKS - 1  # that a bundle holds beside the one of all other desks
NANOSECONDS_A_DAY = 86_400 * 1_000_000_000
Values = Mapping[str, Any]


# ---- limits ------------------------------------------------------------------------------------------


@transaction.atomic
def limit_ask(*, actor: User, desk: Desk | None, values: Values, reason: str = "") -> LimitChange:
    """New values (``MEASURES``) for the firm's or a desk's limit: in force at once where none is above the present one,
    which declines a change that waits; otherwise when a second person agrees. Raises ``PermissionDenied``,
    ``InvalidInput``, ``Conflict`` (a change waits, nodes hold more than that, or too many desks have limits)."""
    require(actor, "limits.ask_limitchange", desk)
    checked = _checked(values)
    nodes = _nodes_locked()
    waiting = LimitChange.objects.select_for_update(of=("self",)).filter(limit__desk=desk, agreed__isnull=True).first()
    limit = _limit_locked(desk)
    tightens = all(checked[name] <= getattr(limit, name) for name in MEASURES)
    if tightens and waiting is not None:
        _decline(waiting, actor)
    try:
        with transaction.atomic():
            change = LimitChange.objects.create(
                limit=limit, reason=reason.strip()[:400], tightens=tightens, asked_by=actor, **checked
            )
    except IntegrityError as error:
        raise Conflict("state", "limit", f"A change of {limit} waits for a second person already.") from error
    record(actor=actor, action="limit.ask", target=change, detail=_words(checked) | {"limit": str(limit)}, desk=desk)
    if tightens:
        _decide(change, actor, agreed=True)
        _put_in_force(change, nodes)
    return change


@transaction.atomic
def limit_agree(*, actor: User, change: LimitChange) -> LimitChange:
    """The second person: the change is in force. Raises ``PermissionDenied``, ``Conflict`` (one's own, decided)."""
    nodes = _nodes_locked()
    change = _open_locked(actor, change)
    if change.asked_by_id == actor.pk:
        raise Conflict("same_person", "change", f"You asked to change {change.limit}; somebody else has to agree.")
    _decide(change, actor, agreed=True)
    detail = {name: str(getattr(change, name)) for name in MEASURES} | {"limit": str(change.limit)}
    record(actor=actor, action="limit.agree", target=change, detail=detail, desk=change.limit.desk)
    _put_in_force(change, nodes)
    return change


@transaction.atomic
def limit_decline(*, actor: User, change: LimitChange) -> LimitChange:
    """Nothing changes; who asked may take it back so. Raises ``PermissionDenied``, ``Conflict`` (decided)."""
    change = _open_locked(actor, change)
    _decline(change, actor)
    return change


def _decline(change: LimitChange, actor: User) -> None:
    _decide(change, actor, agreed=False)
    record(
        actor=actor, action="limit.decline", target=change, detail={"limit": str(change.limit)}, desk=change.limit.desk
    )


def _limit_locked(desk: Desk | None) -> Limit:
    """The firm's or a desk's; made where there is room for one more. Raises ``Conflict``."""
    open_or_agreed = (
        LimitChange.objects.exclude(agreed=False).filter(limit__desk__isnull=False).exclude(limit__desk=desk)
    )
    if desk is not None and open_or_agreed.values("limit").distinct().count() >= DESK_LIMITS:
        raise Conflict(
            "too_many_desks",
            "desk",
            f"{DESK_LIMITS} other desks have limits of their own, or wait for them; an engine holds no more.",
        )
    limit, _created = Limit.objects.get_or_create(desk=desk)
    return Limit.objects.select_for_update(of=("self",)).get(pk=limit.pk)


def _open_locked(actor: User, change: LimitChange) -> LimitChange:
    found = LimitChange.objects.select_for_update(of=("self",)).select_related("limit__desk").get(pk=change.pk)
    require(actor, "limits.agree_limitchange", found.limit.desk)
    if found.agreed is not None:
        raise Conflict("state", "change", f"The change of {found.limit} is decided already.")
    return found


def _decide(change: LimitChange, actor: User, *, agreed: bool) -> None:
    change.decided_by, change.decided_at, change.agreed = actor, timezone.now(), agreed
    change.save(update_fields=["decided_by", "decided_at", "agreed"])


def _put_in_force(change: LimitChange, nodes: list[Node]) -> None:
    limit = Limit.objects.select_for_update(of=("self",)).select_related("desk").get(pk=change.limit_id)
    for name in MEASURES:
        setattr(limit, name, getattr(change, name))
    try:
        with transaction.atomic():
            limit.save(update_fields=MEASURES)
    except IntegrityError as error:
        held = _held(limit)
        raise Conflict(
            "nodes_hold_more",
            "max_position_qty",
            f"Nodes hold {held[0]:,} shares and USD {held[1]:,.0f} of {limit}; tell them less first.",
        ) from error
    for node in nodes:
        if node.allotments.exists():
            _issue_and_tell(node)


def _checked(values: Values) -> dict[str, Any]:
    problems, checked = [], {}
    for name in MEASURES:
        value = values.get(name)
        whole = name.endswith("qty")
        if not isinstance(value, int | Decimal) or not 0 <= value <= MOST or (whole and value != int(value)):
            expected = "a whole number of shares" if whole else "an amount"
            problems.append(Problem(name, f"{value!r} is not {expected} from 0 to {MOST:,}."))
        else:
            checked[name] = int(value) if whole else Decimal(value)
    if problems:
        raise invalid(problems, "limit_invalid")
    return checked


# ---- allotments --------------------------------------------------------------------------------------


@transaction.atomic
def allotment_set(
    *, actor: User, limit: Limit, node: Node, position_qty: int, gross_notional: Decimal | int
) -> Allotment:
    """Tells a node its part of a limit. More is its own at once, if there is room; less stays counted as its own until
    it says that it goes by it. Raises ``PermissionDenied``, ``InvalidInput``, ``Conflict`` (``no_room``)."""
    require(actor, "limits.set_allotment", limit.desk)
    if not 0 <= position_qty <= MOST or not 0 <= gross_notional <= MOST:
        raise InvalidInput("out_of_range", "position_qty", f"From 0 to {MOST:,}.")
    node = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
    limit = Limit.objects.select_for_update(of=("self",)).select_related("desk").get(pk=limit.pk)
    row = Allotment.objects.filter(limit=limit, node=node).first() or Allotment(
        limit=limit, node=node, held_position_qty=0, held_gross_notional=Decimal(0)
    )
    row.position_qty, row.gross_notional = position_qty, Decimal(gross_notional)
    row.held_position_qty = max(row.held_position_qty, row.position_qty)
    row.held_gross_notional = max(row.held_gross_notional, row.gross_notional)
    row.told_in = _last_number(node) + 1
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise _no_room(limit, node) from error
    detail = {"limit": str(limit), "node": node.name, "position_qty": position_qty, "gross": str(row.gross_notional)}
    record(actor=actor, action="allotment.set", target=row, detail=detail, desk=limit.desk)
    _issue_and_tell(node)
    return row


def _no_room(limit: Limit, node: Node) -> Conflict:
    held = _held(limit, besides=node)
    qty, notional = limit.max_position_qty - held[0], limit.max_gross_notional - held[1]
    return Conflict(
        "no_room",
        "position_qty",
        f"{limit} has {qty:,} shares and USD {notional:,.0f} left for {node}: other nodes hold the rest, or have not"
        " said yet that they go by less.",
    )


def _held(limit: Limit, besides: Node | None = None) -> tuple[int, Decimal]:
    rows = limit.allotments.all() if besides is None else limit.allotments.exclude(node=besides)
    found = rows.aggregate(qty=Sum("held_position_qty"), notional=Sum("held_gross_notional"))
    return found["qty"] or 0, found["notional"] or Decimal(0)


def allotments_reported(*, node: Node, in_force: messages.LimitsInForce | None) -> None:
    """Takes in by which bundle a node goes and what it uses at worst: what it was told to give up, and neither has any
    more nor uses, is free for others. Inside a heartbeat's transaction."""
    if in_force is None:
        return
    uses = {use.desk: use for use in in_force.uses}
    waiting = [row for row in node.allotments.select_related("limit__desk") if row.in_doubt]
    for seen in waiting:
        Limit.objects.select_for_update(of=("self",)).get(pk=seen.limit_id)
        row = Allotment.objects.select_related("limit__desk").get(pk=seen.pk)
        use = uses.get(row.limit.desk.name if row.limit.desk else "")
        if use is None or not 0 < row.told_in <= in_force.number:
            continue
        row.held_position_qty = min(row.held_position_qty, max(row.position_qty, use.position_qty))
        row.held_gross_notional = min(row.held_gross_notional, max(row.gross_notional, money(use.gross_notional)))
        row.save(update_fields=["held_position_qty", "held_gross_notional"])
        if not row.in_doubt:
            detail = {"limit": str(row.limit), "bundle": in_force.number, "position_qty": row.position_qty}
            record(actor=f"node:{node.name}", action="allotment.give", target=row, detail=detail, desk=row.limit.desk)


# ---- bundles -----------------------------------------------------------------------------------------


def bundle_renew(*, node: Node, session_time: int) -> None:
    """Issues the node's bundle where it has none, where half of its time is over, or where it says what is no longer
    so. Inside a heartbeat's transaction, which a bundle that cannot be made does not stop: the node's
    runs out. ``session_time`` (ns) is the node's."""
    newest = newest_bundle(node)
    valid = settings.LIMITS_VALID_DAYS * NANOSECONDS_A_DAY
    if newest is not None and newest.valid_until - session_time > valid // 2:
        return
    if node.allotments.filter(limit__desk__isnull=True).exists():
        try:
            _issue(Node.objects.select_for_update(no_key=True).get(pk=node.pk), session_time)
        except Conflict as refusal:
            logger.error("the limits of %s are not renewed: %s", node, refusal)


def _issue_and_tell(node: Node) -> None:
    """Where the node's clock is known; otherwise its first heartbeat brings the bundle."""
    status = getattr(node, "status", None)
    if status is not None and node.allotments.filter(limit__desk__isnull=True).exists():
        _issue(node, status.session_time)
    node_changed(node)


def _issue(node: Node, session_time: int) -> Bundle:
    """Raises ``Conflict`` for one that the node would refuse."""
    number = _last_number(node) + 1
    valid_until = session_time + settings.LIMITS_VALID_DAYS * NANOSECONDS_A_DAY
    rows = list(node.allotments.select_related("limit__desk"))
    (firm,) = (row for row in rows if row.limit.desk is None)
    named = {row.limit_id: row for row in rows}
    desks = [DeskLimits("", limits_within(_envelope(firm.limit, firm)))]
    for limit in limits_set().filter(desk__isnull=False).select_related("desk").order_by("pk"):
        assert limit.desk is not None
        desks.append(DeskLimits(limit.desk.name, limits_within(_envelope(limit, named.get(limit.pk)))))
    content = msgspec.structs.replace(
        bundle_within(_envelope(firm.limit, firm), number=number, node=node.name), valid_until=valid_until, desks=desks
    )
    document = sign(content, load_or_make_key(settings.LIMITS_KEY))
    try:
        decode_bundle(document)
    except BadInput as error:
        raise Conflict("bundle_refused", "node", f"{node} would refuse these limits: {error}.") from error
    return Bundle.objects.create(node=node, number=number, valid_until=valid_until, document=document.decode())


def _envelope(limit: Limit, row: Allotment | None) -> messages.LimitEnvelope:
    """What a node may do under a limit: nothing without a part of it."""
    if row is None:
        return messages.LimitEnvelope(0, 0, 0, 0)
    return messages.LimitEnvelope(
        limit.max_order_qty, money_units(limit.max_order_notional), row.position_qty, money_units(row.gross_notional)
    )


def _last_number(node: Node) -> int:
    return node.bundles.aggregate(last=Max("number"))["last"] or 0


def _nodes_locked() -> list[Node]:
    return list(Node.objects.select_for_update(no_key=True).order_by("pk"))


def _words(values: Values) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def public_key_write() -> None:
    """Puts the signer's public key where engine hosts are given it from."""
    settings.LIMITS_KEY.parent.mkdir(parents=True, exist_ok=True)
    write_public_key(settings.LIMITS_KEY.with_suffix(".pub"), load_or_make_key(settings.LIMITS_KEY).public_key())
