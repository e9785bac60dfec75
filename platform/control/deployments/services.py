"""Every write about nodes and deployments.

Each change of what a node should do gives it a new revision and, once committed, a note on the channel
group ``node.<name>``; the node's link then sends the whole desired state. A lost note heals with the next
heartbeat. Locks are taken in one order: node, then version or deployment; they are ``no_key`` locks, so that a batch
of reports, whose rows refer to both, neither waits for them nor ends in a deadlock with them.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from control.accounts.models import User
from control.accounts.permissions import require
from control.audit.services import record
from control.deployments.models import Deployment, Desired, Node, ReportedState
from control.deployments.plans import plan_checked, plan_hash_of
from control.deployments.tokens import token_hash, token_new
from control.errors import Conflict, InvalidInput, Problem, invalid
from control.strategies.content import capital_checked
from control.strategies.models import StrategyVersion, VersionState
from control.strategies.services import refuse_stale, version_locked
from engine.messages import Applied, Plan

# ---- nodes -----------------------------------------------------------------------------------------


@transaction.atomic
def node_register(*, actor: User, name: str) -> str:
    """A new node; returns its token, which is shown this once. Raises ``InvalidInput``, ``Conflict``."""
    require(actor, "deployments.manage_node")
    try:
        validate_slug(name)
    except ValidationError:
        raise InvalidInput("name", "name", f"{name!r} is no node name: letters, digits, - and _ only.") from None
    if len(name) > 40:
        raise InvalidInput("name", "name", "A node's name has at most 40 characters.")
    token = token_new()
    try:
        with transaction.atomic():
            node = Node.objects.create(name=name, token_hash=token_hash(token))
    except IntegrityError as error:
        raise Conflict("name_taken", "name", f"There is already a node {name}.") from error
    record(actor=actor, action="node.register", target=node, detail={"name": name})
    return token


@transaction.atomic
def node_renew_token(*, actor: User, node: Node) -> str:
    """A new token for ``node``, shown this once; the old one is refused from now on."""
    require(actor, "deployments.manage_node")
    node = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
    token = token_new()
    node.token_hash = token_hash(token)
    node.save(update_fields=["token_hash"])
    record(actor=actor, action="node.renew_token", target=node, detail={"name": node.name})
    return token


@transaction.atomic
def node_attach(*, node: Node, journal: str, build: str) -> int:
    """A core has taken the node over; returns its epoch, which is above every epoch before."""
    node = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
    node.epoch, node.last_seen = node.epoch + 1, timezone.now()
    node.save(update_fields=["epoch", "last_seen"])
    detail = {"epoch": node.epoch, "journal": journal, "build": build}
    record(actor=f"node:{node.name}", action="node.attach", target=node, detail=detail)
    return node.epoch


def node_seen(*, node: Node, kill_epoch: int) -> None:
    """The node's heartbeat. No audit row: it says nothing but that the node is there, and how far it is."""
    Node.objects.filter(pk=node.pk).update(last_seen=timezone.now(), kill_epoch=Greatest(F("kill_epoch"), kill_epoch))


# ---- deployments -----------------------------------------------------------------------------------


@transaction.atomic
def deployment_create(
    *,
    actor: User,
    version: StrategyVersion,
    node: Node,
    capital: Decimal | str | int,
    plan: Plan | Mapping[str, Any] | None = None,
) -> Deployment:
    """Run an approved version on a node, with at most the capital that was approved, its orders worked by ``plan``.

    Raises ``PermissionDenied``, ``InvalidInput`` (capital, plan), ``Conflict`` (not approved, stale, or a
    version of this strategy is live on the node).
    """
    node = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
    version = version_locked(version)
    desk = version.strategy.desk
    require(actor, "deployments.run_deployment", desk)
    amount = _capital_within(version, capital)
    checked = plan_checked(plan)
    digest = plan_hash_of(version, checked)
    if version.state != VersionState.APPROVED:
        raise Conflict(
            "not_approved", "version", f"{version} is {version.state}; only an approved version is deployed."
        )
    refuse_stale(version)
    try:
        with transaction.atomic():
            deployment = Deployment.objects.create(
                version=version,
                strategy=version.strategy,
                node=node,
                capital=amount,
                plan=msgspec.to_builtins(checked) if checked else None,
                plan_hash=digest,
                created_by=actor,
            )
    except IntegrityError as error:
        live = Deployment.objects.get(strategy=version.strategy, node=node, stopped_at__isnull=True)
        raise Conflict(
            "already_deployed", "node", f"{live.version} is deployed on {node} already; stop it first."
        ) from error
    detail = {
        "node": node.name,
        "content_hash": version.content_hash,
        "capital": str(amount),
        "stage": deployment.stage,
        "plan": deployment.plan,
        "plan_hash": digest,
    }
    record(actor=actor, action="deployment.create", target=deployment, detail=detail, desk=desk)
    node_changed(node)
    return deployment


def deployment_pause(*, actor: User, deployment: Deployment) -> Deployment:
    """No new orders; working ones are cancelled."""
    return _set_desired(actor, deployment, Desired.PAUSED, "deployments.halt_deployment", from_states={Desired.RUNNING})


def deployment_resume(*, actor: User, deployment: Deployment) -> Deployment:
    """Trade on after a pause."""
    return _set_desired(actor, deployment, Desired.RUNNING, "deployments.run_deployment", from_states={Desired.PAUSED})


def deployment_flatten(*, actor: User, deployment: Deployment) -> Deployment:
    """Close every position in an orderly way, then stop."""
    before = {Desired.RUNNING, Desired.PAUSED}
    return _set_desired(actor, deployment, Desired.FLAT, "deployments.halt_deployment", from_states=before)


def deployment_stop(*, actor: User, deployment: Deployment) -> Deployment:
    """Cancel working orders and no longer trade; positions stay. It ends when the engine says so."""
    before = {Desired.RUNNING, Desired.PAUSED, Desired.FLAT}
    return _set_desired(actor, deployment, Desired.STOPPED, "deployments.halt_deployment", from_states=before)


def deployments_reported(*, node: Node, applied: Sequence[Applied]) -> list[Deployment]:
    """Take in what the engine makes of its deployments; returns those that changed.

    A deployment that was to stop or to go flat, and that the engine no longer trades, has ended. Reports
    about deployments that are unknown, on other nodes or ended are ignored: the desired state answers them.
    """
    if not any(_is_news(deployment, report) for deployment, report in _paired(node.deployments.all(), applied)):
        return []  # two heartbeats a second, and hardly ever news: no lock for those
    with transaction.atomic():
        node = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
        rows = node.deployments.select_for_update(of=("self",), no_key=True).select_related("strategy__desk")
        changed = []
        for deployment, report in _paired(rows, applied):
            if _is_news(deployment, report):
                _take_in(node, deployment, report)
                changed.append(deployment)
        if any(deployment.stopped_at for deployment in changed):
            node_changed(node)
    return changed


def _paired(rows: QuerySet[Deployment], applied: Sequence[Applied]) -> list[tuple[Deployment, Applied]]:
    live = {str(deployment.pk): deployment for deployment in rows.filter(stopped_at__isnull=True)}
    return [(live[report.deployment], report) for report in applied if report.deployment in live]


def _is_news(deployment: Deployment, report: Applied) -> bool:
    return (deployment.state, deployment.reason) != (report.state, report.reason) or _ends(deployment, report)


def _ends(deployment: Deployment, report: Applied) -> bool:
    """Whether the engine no longer trades what was to end. One that is faulted or refused does not trade, but it is
    not flat: what it holds is still to be sold, and an engine that has not heard of that yet says what it said before.
    """
    if deployment.desired == Desired.STOPPED:
        return report.state in {ReportedState.STOPPED, ReportedState.REFUSED, ReportedState.FAULTED}
    return deployment.desired == Desired.FLAT and report.state == ReportedState.STOPPED


def _take_in(node: Node, deployment: Deployment, report: Applied) -> None:
    ends, before = _ends(deployment, report), deployment.state
    deployment.state, deployment.reason = report.state, report.reason
    deployment.stopped_at = timezone.now() if ends else None
    deployment.save(update_fields=["state", "reason", "stopped_at"])
    detail = {"before": before, "after": report.state, "reason": report.reason, "ended": ends}
    desk = deployment.strategy.desk
    record(actor=f"node:{node.name}", action="deployment.report", target=deployment, detail=detail, desk=desk)


@transaction.atomic
def _set_desired(
    actor: User, deployment: Deployment, desired: Desired, permission: str, *, from_states: set[Desired]
) -> Deployment:
    node = Node.objects.select_for_update(no_key=True).get(pk=deployment.node_id)
    deployment = (
        Deployment.objects.select_for_update(of=("self",), no_key=True)
        .select_related("strategy__desk", "version__strategy", "node")
        .get(pk=deployment.pk)
    )
    require(actor, permission, deployment.strategy.desk)
    if not deployment.live or deployment.desired not in from_states:
        raise Conflict("state", "desired", _why_not(deployment, desired))
    before, deployment.desired = deployment.desired, desired
    deployment.save(update_fields=["desired"])
    detail = {"before": before, "after": desired}
    desk = deployment.strategy.desk
    record(actor=actor, action=f"deployment.{_VERB[desired]}", target=deployment, detail=detail, desk=desk)
    node_changed(node)
    return deployment


def _why_not(deployment: Deployment, desired: Desired) -> str:
    if not deployment.live:
        return f"{deployment} has ended; deploy the version again."
    if deployment.desired == desired:
        return f"{deployment} is to be {desired} already."
    return f"{deployment} is to be {deployment.desired} and cannot be made {desired} any more."


_VERB = {Desired.RUNNING: "resume", Desired.PAUSED: "pause", Desired.STOPPED: "stop", Desired.FLAT: "flatten"}


def _capital_within(version: StrategyVersion, capital: Any) -> Decimal:
    problems: list[Problem] = []
    amount = capital_checked(capital, problems)
    if not problems and amount > version.capital:
        problems.append(Problem("capital", f"{amount} is more than the {version.capital} that {version} is for."))
    if problems:
        raise invalid(problems, "capital")
    return amount


def node_changed(node: Node) -> None:
    """A new revision of the locked node's desired state, announced once this transaction is committed."""
    node.revision += 1
    node.save(update_fields=["revision"])
    revision = node.revision
    # robust: the change is committed, and a link that hears nothing asks again with its next heartbeat.
    transaction.on_commit(lambda: _announce(node.name, revision), robust=True)


def _announce(name: str, revision: int) -> None:
    async_to_sync(get_channel_layer().group_send)(f"node.{name}", {"type": "desired.changed", "revision": revision})
