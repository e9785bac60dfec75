"""Reading about market data. Datasets belong to no desk: whoever may see datasets sees them all."""

from typing import Any

from django.db.models import QuerySet

from control.accounts.permissions import allowed
from control.marketdata.models import Dataset, ImportRun, Instrument


def datasets_visible_to(user: Any) -> QuerySet[Dataset]:
    return _restricted(Dataset.objects.select_related("created_by"), user)


def import_runs_visible_to(user: Any) -> QuerySet[ImportRun]:
    return _restricted(ImportRun.objects.select_related("dataset", "actor"), user)


def instruments_visible_to(user: Any) -> QuerySet[Instrument]:
    return _restricted(Instrument.objects.all(), user)


def warnings_of(dataset: Dataset) -> list[str]:
    """What has to stand beside every result that was made from this dataset."""
    found = []
    if dataset.adjusted:
        found.append("Prices are adjusted for splits and dividends: early prices are not those that were traded.")
    if dataset.survivors_only:
        found.append("Survivors only: companies that failed or left the index are missing, so results look too good.")
    if not dataset.opens_known:
        found.append("No opening prices: the dataset has closes only.")
    return found


def _restricted(rows: QuerySet, user: Any) -> QuerySet:
    return rows if allowed(user, "marketdata.view_dataset") else rows.none()
