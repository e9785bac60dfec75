"""Strategies and their immutable versions."""

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from uuid import uuid4

import msgspec
import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, transaction

from control.audit.models import AuditRow
from control.errors import Conflict, InvalidInput
from control.strategies import services
from control.strategies.models import Strategy, StrategyVersion
from control.strategies.selectors import strategies_visible_to, versions_visible_to
from engine.content import content_hash
from engine.messages import DataContract, LimitEnvelope

pytestmark = pytest.mark.django_db


@pytest.fixture
def wanted(people: SimpleNamespace, strategy: Strategy, dataset: str) -> dict:
    """What a good version is made of."""
    return {
        "actor": people.quant,
        "strategy": strategy,
        "parameters": {"entry": 2.0},
        "envelope": {
            "max_order_qty": 1_000,
            "max_order_notional": 500_000_000,
            "max_position_qty": 2_000,
            "max_gross_notional": 5_000_000_000,
        },
        "dataset": dataset,
        "capital": "250000.50",
    }


@pytest.mark.parametrize("role", ["admin", "trader", "risk_officer", "viewer"])
def test_only_a_quant_creates_and_a_refusal_changes_nothing(people: SimpleNamespace, desk, role: str) -> None:
    rows = AuditRow.objects.count()
    with pytest.raises(PermissionDenied):
        services.strategy_create(actor=getattr(people, role), desk=desk, name="Mine", kernel="pairs")
    assert not Strategy.objects.exists()
    assert AuditRow.objects.count() == rows


def test_a_quant_of_another_desk_neither_creates_nor_sees(
    outsider: Callable, wanted: dict, draft: StrategyVersion
) -> None:
    other, rows = outsider("quant"), AuditRow.objects.count()
    with pytest.raises(PermissionDenied):
        services.version_create(**wanted | {"actor": other})
    assert StrategyVersion.objects.count() == 1
    assert AuditRow.objects.count() == rows
    assert not strategies_visible_to(other).exists()
    assert not versions_visible_to(other).exists()


@pytest.mark.parametrize(("name", "kernel", "field"), [(" ", "pairs", "name"), ("x" * 81, "pairs", "name")])
def test_a_strategy_needs_a_name(people: SimpleNamespace, desk, name: str, kernel: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        services.strategy_create(actor=people.quant, desk=desk, name=name, kernel=kernel)
    assert refused.value.field == field


def test_an_unknown_kernel_is_refused_by_name(people: SimpleNamespace, desk) -> None:
    with pytest.raises(InvalidInput, match="alchemy") as refused:
        services.strategy_create(actor=people.quant, desk=desk, name="Gold", kernel="alchemy")
    assert refused.value.field == "kernel"


def test_a_name_is_taken_once_a_desk(people: SimpleNamespace, desk, strategy: Strategy) -> None:
    with pytest.raises(Conflict, match="Pairs US"):
        services.strategy_create(actor=people.quant, desk=desk, name="Pairs US", kernel="pairs")
    assert Strategy.objects.count() == 1


def test_a_version_carries_the_engines_own_hash_of_its_content(wanted: dict) -> None:
    version = services.version_create(**wanted)
    data = DataContract(version.dataset, version.data_hash)
    assert version.content_hash == content_hash(
        "pairs", {"entry": 2.0}, msgspec.convert(wanted["envelope"], LimitEnvelope), data
    )
    assert version.parameters["entry"] == 2.0
    assert version.parameters["lookback"] == 30, "defaults are written out, so that a later default changes nothing"
    assert version.capital == Decimal("250000.5000")
    assert (version.number, version.state) == (1, "draft")


def test_versions_are_numbered_and_other_parameters_are_another_hash(wanted: dict) -> None:
    first = services.version_create(**wanted)
    second = services.version_create(**wanted | {"parameters": {"entry": 2.5}})
    assert [first.number, second.number] == [1, 2]
    assert first.content_hash != second.content_hash


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"parameters": {"entry": 50}}, "parameters.entry", "50"),
        ({"parameters": {"entry": "wide"}}, "parameters.entry", "wide"),
        ({"parameters": {"speed": 1}}, "parameters.speed", "1"),
        ({"parameters": {"entry": 5.0, "stop": 4.0}}, "parameters", "entry < stop"),
        ({"parameters": {"symbols": ["KO", "NOPE"]}}, "parameters.symbols", "NOPE"),
        ({"dataset": "moon"}, "dataset", "moon"),
        ({"capital": 0}, "capital", "0"),
        ({"capital": "-5"}, "capital", "-5"),
        ({"capital": "1.00001"}, "capital", "1.00001"),
        ({"capital": "NaN"}, "capital", "NaN"),
        ({"capital": "lots"}, "capital", "lots"),
        ({"capital": "1e40"}, "capital", "1e40"),
        ({"envelope": {}}, "envelope.max_order_qty", "None"),
        ({"envelope": []}, "envelope", "object"),
    ],
)
def test_wrong_content_names_field_and_value_and_changes_nothing(
    wanted: dict, change: dict, field: str, said: str
) -> None:
    rows = AuditRow.objects.count()
    with pytest.raises(InvalidInput) as refused:
        services.version_create(**wanted | change)
    assert refused.value.field == field
    assert said in refused.value.message
    assert not StrategyVersion.objects.exists()
    assert AuditRow.objects.count() == rows


@pytest.mark.parametrize("value", [0, -1, 1.5, "10", None, True, 2**63])
def test_a_limit_is_a_whole_number_above_zero(wanted: dict, value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        services.version_create(**wanted | {"envelope": wanted["envelope"] | {"max_position_qty": value}})
    assert refused.value.field == "envelope.max_position_qty"


def test_everything_wrong_is_said_at_once(wanted: dict) -> None:
    with pytest.raises(InvalidInput) as refused:
        services.version_create(
            **wanted | {"parameters": {"entry": 50, "exit": -1}, "capital": -1, "dataset": "moon", "envelope": {"x": 1}}
        )
    fields = {problem.field for problem in refused.value.problems}
    assert {"parameters.entry", "parameters.exit", "capital", "dataset", "envelope.x"} <= fields


def test_a_submitted_version_waits_for_approval(people: SimpleNamespace, submitted: StrategyVersion) -> None:
    assert submitted.state == "submitted"
    approval = submitted.approvals.get()
    assert (approval.content_hash, approval.submitter, approval.decision) == (
        submitted.content_hash,
        people.quant,
        None,
    )
    assert AuditRow.objects.filter(action="version.submit", object_id=str(submitted.pk)).count() == 1


def test_a_version_is_submitted_once(people: SimpleNamespace, submitted: StrategyVersion) -> None:
    with pytest.raises(Conflict, match="submitted"):
        services.version_submit(actor=people.quant, version=submitted)
    assert submitted.approvals.count() == 1


def test_a_withdrawn_version_is_no_longer_open(people: SimpleNamespace, submitted: StrategyVersion) -> None:
    version = services.version_withdraw(actor=people.quant, version=submitted)
    assert version.state == "withdrawn"
    assert version.approvals.get().decision == "withdrawn"


def test_a_version_of_an_older_engine_is_not_submitted(
    people: SimpleNamespace, draft: StrategyVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.content.engine_build", lambda: "another build")
    with pytest.raises(Conflict, match="new version") as refused:
        services.version_submit(actor=people.quant, version=draft)
    assert refused.value.code == "content_changed"
    assert StrategyVersion.objects.get(pk=draft.pk).state == "draft"


def test_an_approved_version_is_retired_and_then_stays_so(people: SimpleNamespace, approved: StrategyVersion) -> None:
    version = services.version_retire(actor=people.risk_officer, version=approved)
    assert version.state == "retired"
    with pytest.raises(Conflict):
        services.version_retire(actor=people.risk_officer, version=version)


@pytest.mark.parametrize(
    "column", ["parameters", "envelope", "content_hash", "data_hash", "dataset", "capital", "number"]
)
def test_the_database_refuses_to_change_content(draft: StrategyVersion, column: str) -> None:
    other = {"parameters": {}, "envelope": {}, "capital": 5, "number": 9}.get(column, "other")
    with pytest.raises(DatabaseError, match="content_is_immutable|read-only|[Cc]annot"), transaction.atomic():
        StrategyVersion.objects.filter(pk=draft.pk).update(**{column: other})


@pytest.mark.parametrize("state", ["approved", "rejected", "retired"])
def test_the_database_refuses_an_illegal_move(draft: StrategyVersion, state: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        StrategyVersion.objects.filter(pk=draft.pk).update(state=state)


@pytest.mark.parametrize("state", ["submitted", "approved"])
def test_the_database_takes_in_no_version_beyond_a_draft(draft: StrategyVersion, state: str) -> None:
    """Else one would be approved without ever having been anything else."""
    row = {field.attname: getattr(draft, field.attname) for field in StrategyVersion._meta.concrete_fields}
    row |= {"id": uuid4(), "number": 99, "state": state, "submitted_by_id": draft.created_by_id}
    row["submitted_at"] = draft.created_at
    with pytest.raises(DatabaseError, match="Cannot insert rows"), transaction.atomic():
        StrategyVersion.objects.bulk_create([StrategyVersion(**row)])


def test_the_database_refuses_an_approved_state_without_an_approval(submitted: StrategyVersion) -> None:
    with pytest.raises(DatabaseError, match="no approval by a second person"), transaction.atomic():
        StrategyVersion.objects.filter(pk=submitted.pk).update(state="approved")


def test_the_database_keeps_a_submitted_version(submitted: StrategyVersion) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        StrategyVersion.objects.filter(pk=submitted.pk)._raw_delete("default")
