"""Importing through the service: rows, trail and bars together, or nothing at all."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from control.audit.models import AuditRow
from control.marketdata.models import Dataset, ImportRun, Instrument
from control.marketdata.selectors import datasets_visible_to, import_runs_visible_to, warnings_of
from control.marketdata.services import OPERATOR, ImportRefused, dataset_import
from engine.history import DatasetDescription, open_history

pytestmark = pytest.mark.django_db

WIDE = "date,KO,PEP\n2020-01-02,55.25,136\n2020-01-03,54.95,136.5\n"


@pytest.fixture
def store(tmp_path: Path, settings: Any) -> Path:
    settings.HISTORY_ROOT = tmp_path / "history"
    return tmp_path / "history"


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "prices.csv"
        path.write_text(text)
        return path

    return write


def test_an_import_makes_dataset_instruments_run_and_audit_row(store: Path, file, people: SimpleNamespace) -> None:  # type: ignore[no-untyped-def]
    described = DatasetDescription("a vendor", adjusted=True, survivors_only=True, notes="n")
    run = dataset_import(actor=people.admin, path=file(WIDE), dataset="d", description=described)
    assert (run.state, run.accepted, run.added, run.rejected) == ("imported", 4, 4, 0)
    dataset = Dataset.objects.get(name="d")
    assert (dataset.source, dataset.adjusted, dataset.survivors_only, dataset.notes) == ("a vendor", True, True, "n")
    assert (dataset.first, dataset.last) == (date(2020, 1, 2), date(2020, 1, 3))
    assert (dataset.symbols, dataset.rows, dataset.opens_known) == (["KO", "PEP"], 4, False)
    assert dataset.data_hash == open_history(store).data_hash("d")
    assert dataset.created_by == people.admin
    assert set(Instrument.objects.values_list("symbol", flat=True)) == {"KO", "PEP"}
    row = AuditRow.objects.get(action="dataset.import")
    assert (row.actor, row.object_id, row.detail["data_hash"]) == (people.admin, str(dataset.pk), dataset.data_hash)


def test_importing_the_same_file_again_changes_nothing_and_says_so(store: Path, file) -> None:  # type: ignore[no-untyped-def]
    dataset_import(actor=OPERATOR, path=file(WIDE), dataset="d")
    before = Dataset.objects.get(name="d").data_hash
    run = dataset_import(actor=OPERATOR, path=file(WIDE), dataset="d")
    assert (run.state, run.accepted, run.unchanged, run.added) == ("unchanged", 4, 4, 0)
    assert Dataset.objects.get(name="d").data_hash == before


def test_rows_that_the_database_lost_come_back_from_the_store(store: Path, file) -> None:  # type: ignore[no-untyped-def]
    """As after a commit that failed when the bars were already written."""
    dataset_import(actor=OPERATOR, path=file(WIDE), dataset="d")
    ImportRun.objects.all().delete()
    Dataset.objects.all().delete()
    run = dataset_import(actor=OPERATOR, path=file(WIDE), dataset="d")
    assert run.state == "unchanged"
    assert Dataset.objects.get(name="d").rows == 4


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        (WIDE.replace("54.95", "abc"), "bad_rows", "row 3, column KO"),
        (WIDE.replace("54.95", "-54.95"), "bad_rows", "row 3, column KO"),
        (WIDE + "2020-01-02,1,2\n", "bad_rows", "row 4, column date"),
        (WIDE.replace("date", "day"), "missing_column", "header"),
        ("", "empty", "file"),
    ],
)
def test_a_refused_file_changes_no_bar_and_no_dataset_and_is_on_the_record(  # type: ignore[no-untyped-def]
    store: Path, file, text: str, code: str, field: str
) -> None:
    dataset_import(actor=OPERATOR, path=file(WIDE.replace("2020", "2019")), dataset="d")
    before = (open_history(store).describe("d"), list(Dataset.objects.values()))
    with pytest.raises(ImportRefused) as refused:
        dataset_import(actor=OPERATOR, path=file(text), dataset="d")
    assert (refused.value.code, refused.value.field) == (code, field)
    assert (open_history(store).describe("d"), list(Dataset.objects.values())) == before
    run = ImportRun.objects.get(state="refused")
    assert (run.accepted, run.dataset) == (0, None)
    row = AuditRow.objects.get(action="dataset.import_refused")
    assert (row.actor_name, row.detail["code"], row.detail["field"]) == (OPERATOR, code, field)


def test_rows_without_faults_are_taken_where_that_is_asked_for(store: Path, file) -> None:  # type: ignore[no-untyped-def]
    run = dataset_import(actor=OPERATOR, path=file(WIDE.replace("54.95", "abc")), dataset="d", skip_bad_rows=True)
    assert (run.state, run.accepted, run.rejected) == ("imported", 3, 1)
    assert run.errors == [{"row": 3, "column": "KO", "reason": "'abc' is not a number"}]
    assert open_history(store).closes("d").prices.tolist() == [[552500, 1360000], [0, 1365000]]


def test_other_figures_for_the_same_days_are_refused_unless_replaced(store: Path, file) -> None:  # type: ignore[no-untyped-def]
    dataset_import(actor=OPERATOR, path=file(WIDE), dataset="d")
    other = file(WIDE.replace("54.95", "54.94"))
    with pytest.raises(ImportRefused, match="KO 20200103") as refused:
        dataset_import(actor=OPERATOR, path=other, dataset="d")
    assert refused.value.code == "overlap"
    run = dataset_import(actor=OPERATOR, path=other, dataset="d", replace=True)
    assert (run.added, run.replaced, run.unchanged) == (0, 1, 3)
    assert Dataset.objects.get(name="d").data_hash == open_history(store).data_hash("d")


@pytest.mark.parametrize("role", ["quant", "trader", "risk_officer", "viewer"])
def test_only_admins_import_and_a_denial_leaves_nothing(  # type: ignore[no-untyped-def]
    store: Path, file, people: SimpleNamespace, role: str
) -> None:
    trail = AuditRow.objects.count()
    with pytest.raises(PermissionDenied):
        dataset_import(actor=getattr(people, role), path=file(WIDE), dataset="d")
    with pytest.raises(PermissionDenied):
        dataset_import(actor="somebody", path=file(WIDE), dataset="d")
    assert not store.exists()
    assert (Dataset.objects.count(), ImportRun.objects.count(), AuditRow.objects.count()) == (0, 0, trail)


def test_everybody_who_is_signed_in_sees_datasets_and_nobody_else(store: Path, file, people: SimpleNamespace) -> None:  # type: ignore[no-untyped-def]
    dataset_import(actor=OPERATOR, path=file(WIDE), dataset="d")
    for user in vars(people).values():
        assert datasets_visible_to(user).count() == import_runs_visible_to(user).count() == 1
    assert not datasets_visible_to(AnonymousUser()).exists()
    people.viewer.is_active = False
    assert not datasets_visible_to(people.viewer).exists()


def test_a_dataset_says_what_has_to_stand_beside_its_results(store: Path, file) -> None:  # type: ignore[no-untyped-def]
    described = DatasetDescription(adjusted=True, survivors_only=True)
    dataset_import(actor=OPERATOR, path=file(WIDE), dataset="d", description=described)
    warnings = " ".join(warnings_of(Dataset.objects.get(name="d")))
    for word in ("adjusted", "Survivors only", "No opening prices"):
        assert word in warnings


def test_the_database_holds_no_refusal_that_took_something() -> None:
    with pytest.raises(IntegrityError, match="import_refused_takes_nothing"), transaction.atomic():
        ImportRun.objects.create(dataset_name="d", file_name="f", state="refused", accepted=1, actor_name="x")


@pytest.mark.parametrize("page", ["dataset", "importrun", "instrument"])
def test_the_admin_shows_market_data_and_lets_nobody_change_it(  # type: ignore[no-untyped-def]
    store: Path, file, people: SimpleNamespace, client: Client, page: str
) -> None:
    dataset_import(actor=OPERATOR, path=file(WIDE), dataset="d")
    client.force_login(people.admin, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(reverse(f"admin:marketdata_{page}_changelist")).status_code == 200
    first = {"dataset": Dataset, "importrun": ImportRun, "instrument": Instrument}[page].objects.first()
    assert client.get(reverse(f"admin:marketdata_{page}_change", args=[first.pk])).status_code == 200
    assert client.get(reverse(f"admin:marketdata_{page}_add")).status_code == 403
    assert client.post(reverse(f"admin:marketdata_{page}_delete", args=[first.pk])).status_code == 403
