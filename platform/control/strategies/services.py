"""Every write about strategies and versions: create, submit, withdraw, retire."""

from decimal import Decimal
from typing import Any

import msgspec
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_fsm import can_proceed

from control.accounts.models import User
from control.accounts.permissions import require
from control.approvals import requests
from control.audit.services import record
from control.desks.models import Desk
from control.errors import Conflict, InvalidInput
from control.strategies.content import content_checked, kernels, present_hash
from control.strategies.models import Strategy, StrategyVersion, VersionState
from engine.messages import LimitEnvelope


@transaction.atomic
def strategy_create(*, actor: User, desk: Desk, name: str, kernel: str) -> Strategy:
    """A new line of versions on a desk. Raises ``InvalidInput`` (name, kernel), ``Conflict`` (name taken)."""
    require(actor, "strategies.create_strategy", desk)
    name = name.strip()
    if not name or len(name) > 80:
        raise InvalidInput("name", "name", "A strategy has a name of 1 to 80 characters.")
    if kernel not in kernels():
        raise InvalidInput(
            "kernel_unknown",
            "kernel",
            f"{kernel} is no kernel of this engine; expected {', '.join(sorted(kernels()))}.",
        )
    try:
        with transaction.atomic():
            strategy = Strategy.objects.create(desk=desk, name=name, kernel=kernel, created_by=actor)
    except IntegrityError as error:
        raise Conflict("name_taken", "name", f"The desk {desk} has a strategy {name} already.") from error
    record(actor=actor, action="strategy.create", target=strategy, detail={"name": name, "kernel": kernel}, desk=desk)
    return strategy


@transaction.atomic
def version_create(
    *,
    actor: User,
    strategy: Strategy,
    parameters: dict[str, Any],
    envelope: LimitEnvelope | dict[str, Any],
    dataset: str,
    capital: Decimal | str | int,
    note: str = "",
) -> StrategyVersion:
    """A new draft. ``envelope`` money is in 1/10,000, ``capital`` in the currency.

    Raises ``InvalidInput`` with every wrong field: ``parameters.<name>``, ``parameters.symbols``,
    ``envelope.<limit>``, ``dataset``, ``capital``.
    """
    require(actor, "strategies.create_strategyversion", strategy.desk)
    content = content_checked(
        kernel=strategy.kernel, parameters=parameters, envelope=envelope, dataset=dataset, capital=capital
    )
    # Two drafts at once must not get one number.
    Strategy.objects.select_for_update(no_key=True).get(pk=strategy.pk)
    newest = strategy.versions.order_by("-number").values_list("number", flat=True).first() or 0
    version = StrategyVersion.objects.create(
        strategy=strategy,
        number=newest + 1,
        parameters=content.parameters,
        envelope=msgspec.to_builtins(content.envelope),
        dataset=content.data.dataset,
        data_hash=content.data.data_hash,
        capital=content.capital,
        content_hash=content.content_hash,
        note=note,
        created_by=actor,
    )
    detail = {
        "number": version.number,
        "content_hash": version.content_hash,
        "parameters": version.parameters,
        "envelope": version.envelope,
        "dataset": version.dataset,
        "data_hash": version.data_hash,
        "capital": str(version.capital),
    }
    record(actor=actor, action="version.create", target=version, detail=detail, desk=strategy.desk)
    return version


@transaction.atomic
def version_submit(*, actor: User, version: StrategyVersion) -> StrategyVersion:
    """Put a draft up for approval; opens the request. Raises ``Conflict`` when it is no draft, or is stale."""
    version = version_locked(version)
    require(actor, "strategies.submit_strategyversion", version.strategy.desk)
    _must_be_able(version, version.submit, "submitted")
    refuse_stale(version)
    version.submit()
    version.submitted_by, version.submitted_at = actor, timezone.now()
    version.save(update_fields=["state", "submitted_by", "submitted_at"])
    requests.request_open(version=version, submitter=actor)
    detail = {"number": version.number, "content_hash": version.content_hash}
    record(actor=actor, action="version.submit", target=version, detail=detail, desk=version.strategy.desk)
    return version


@transaction.atomic
def version_withdraw(*, actor: User, version: StrategyVersion) -> StrategyVersion:
    """Take a submitted version back. Raises ``Conflict`` when it is decided already."""
    version = version_locked(version)
    require(actor, "strategies.submit_strategyversion", version.strategy.desk)
    _must_be_able(version, version.withdraw, "withdrawn")
    version.withdraw()
    version.save(update_fields=["state"])
    requests.request_withdraw(version=version)
    detail = {"number": version.number}
    record(actor=actor, action="version.withdraw", target=version, detail=detail, desk=version.strategy.desk)
    return version


@transaction.atomic
def version_retire(*, actor: User, version: StrategyVersion) -> StrategyVersion:
    """No new deployments of it. Raises ``Conflict`` while one is live."""
    version = version_locked(version)
    require(actor, "strategies.retire_strategyversion", version.strategy.desk)
    _must_be_able(version, version.retire, "retired")
    if version.deployments.filter(stopped_at__isnull=True).exists():
        raise Conflict("still_deployed", "version", f"{version} is deployed; stop it first.")
    version.retire()
    version.save(update_fields=["state"])
    detail = {"number": version.number}
    record(actor=actor, action="version.retire", target=version, detail=detail, desk=version.strategy.desk)
    return version


def version_locked(version: StrategyVersion) -> StrategyVersion:
    """The version's row as it is now, locked for this transaction."""
    return (
        StrategyVersion.objects.select_for_update(of=("self",), no_key=True)
        .select_related("strategy__desk")
        .get(pk=version.pk)
    )


def refuse_stale(version: StrategyVersion) -> None:
    """Raise ``Conflict`` when this engine would compute another content hash than the version carries."""
    if present_hash(version) != version.content_hash:
        raise Conflict(
            "content_changed",
            "content_hash",
            f"The engine or its lock file has changed since {version} was made, so its content hash no longer "
            "holds. Create a new version.",
        )


def _must_be_able(version: StrategyVersion, move: Any, word: str) -> None:
    if not can_proceed(move):
        state = VersionState(version.state).label.lower()
        raise Conflict("state", "state", f"{version} is {state} and cannot be {word}.")
