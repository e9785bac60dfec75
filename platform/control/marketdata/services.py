"""Every write about market data: importing a file into a dataset.

The rules: a file that is unusable as a whole is refused. A file with faulty rows is refused too, unless
``skip_bad_rows``. Bars that the dataset has already with the same figures are left; bars with other figures are
refused unless ``replace``. A refusal changes no bar and no dataset; it leaves an ``ImportRun`` and an audit row.
"""

from pathlib import Path

import msgspec
from django.conf import settings
from django.db import connection, transaction

from control.accounts.models import User
from control.accounts.permissions import require
from control.audit.services import record
from control.errors import InvalidInput, Problem
from control.marketdata.models import Dataset, ImportRun, ImportState, Instrument
from engine.dates import as_date
from engine.errors import BadInput
from engine.history import Appended, DatasetDescription, DatasetMeta, open_history
from engine.history.comparison import disagreements
from engine.history.ingest import Ingested
from engine.history.quality import Finding
from engine.ingestion import is_ticks, load_ticks, read_daily

OPERATOR = "operator"  # whoever has the host's command line; the database is theirs anyway
MOST_PROBLEMS = 20


class ImportRefused(InvalidInput):
    """The file was not taken. ``run`` is the row that says so, ``cause`` what was wrong."""

    def __init__(self, cause: BadInput, run: ImportRun) -> None:
        self.cause, self.run = cause, run
        problems = [Problem(_place(error), error["reason"]) for error in run.errors[:MOST_PROBLEMS]]
        super().__init__(cause.code, cause.field, f"{run.file_name} was refused: {cause}", problems)


def dataset_import(
    *,
    actor: User | str,
    path: Path | str,
    dataset: str,
    description: DatasetDescription | None = None,
    replace: bool = False,
    skip_bad_rows: bool = False,
    file_name: str = "",
    day: int | None = None,
    compare: str = "",
) -> ImportRun:
    """Import a file of daily prices (``engine.history.ingest``), or of ticks or corporate actions
    (``engine.ingestion``), into ``dataset``.

    ``day`` (yyyymmdd) is for files that do not say theirs. Daily prices are compared with dataset ``compare``.

    ``actor`` is a user with ``marketdata.import_dataset``, or ``OPERATOR``. Importing a file again changes nothing.
    Raises ``PermissionDenied`` and ``ImportRefused``.
    """
    if actor != OPERATOR:
        require(actor, "marketdata.import_dataset")
    run = _started(actor, dataset, file_name or Path(path).name)
    try:
        if is_ticks(Path(path)):
            return _import_ticks(run, Path(path), day)
        ingested = read_daily(Path(path))
        run.sha256 = ingested.sha256
        run.rejected = ingested.rejected
        run.errors = msgspec.to_builtins(ingested.errors)
        run.quality = msgspec.to_builtins([*ingested.quality, *_disagreements(ingested, compare)])
        _acceptable(ingested, skip_bad_rows)
        return _import(run, ingested, description, replace)
    except BadInput as cause:
        _record_refusal(run, cause)
        raise ImportRefused(cause, run) from cause


def _started(actor: User | str, dataset: str, file_name: str) -> ImportRun:
    user = actor if isinstance(actor, User) else None
    return ImportRun(
        dataset_name=dataset[:63],
        file_name=file_name[:255],
        actor=user,
        actor_name=user.username if user else str(actor),
    )


def _acceptable(ingested: Ingested, skip_bad_rows: bool) -> None:
    if ingested.errors and not skip_bad_rows:
        first = ingested.errors[0]
        where = f"row {first.row}" + (f", column {first.column}" if first.column else "")
        raise BadInput("bad_rows", where, first.reason, "rows without faults; --skip-bad-rows imports the others")
    if not ingested.bars.num_rows:
        raise BadInput("empty", "file", "no bar that can be used", "at least one row with a date, a symbol and a close")


def _disagreements(ingested: Ingested, other: str) -> list[Finding]:
    if not other:
        return []
    bars = open_history(settings.HISTORY_ROOT).bars(other)
    return disagreements(ingested.bars, bars.sort_by([("symbol", "ascending"), ("date", "ascending")]), other)


@transaction.atomic
def _import_ticks(run: ImportRun, path: Path, day: int | None) -> ImportRun:
    """As ``_import``: rows first, then their run; a second import of the file adds nothing."""
    _one_at_a_time(run.dataset_name)
    loaded = load_ticks(open_history(settings.HISTORY_ROOT), run.dataset_name, path, day)
    run.sha256, run.tables, run.quality = loaded.sha256, loaded.tables, msgspec.to_builtins(loaded.quality)
    run.accepted, run.added = sum(loaded.tables.values()), loaded.added
    run.unchanged = run.accepted - run.added
    run.state = ImportState.IMPORTED if run.added else ImportState.UNCHANGED
    run.save()
    detail = {"dataset": run.dataset_name, "file": run.file_name, "sha256": run.sha256, "form": loaded.form}
    record(
        actor=run.actor or run.actor_name,
        action="dataset.import_ticks",
        target=run,
        detail={**detail, "state": run.state, "tables": run.tables, "added": run.added},
    )
    return run


@transaction.atomic
def _import(run: ImportRun, ingested: Ingested, description: DatasetDescription | None, replace: bool) -> ImportRun:
    """The bars are put in place before the rows are committed. Where the commit is lost after that, the next import of
    the file finds its bars there and brings the rows.
    """
    _one_at_a_time(run.dataset_name)
    history = open_history(settings.HISTORY_ROOT)
    existing = Dataset.objects.filter(name=run.dataset_name).first()
    if existing is None and (description is None or not description.source):
        description = msgspec.structs.replace(description or DatasetDescription(), source=run.file_name)
    appended = history.append_bars(run.dataset_name, ingested.bars, description, replace=replace)
    dataset = _dataset_row(existing, history.describe(run.dataset_name), run.actor)
    _fill(run, dataset, appended, ingested.bars.num_rows)
    run.save()
    record(
        actor=run.actor or run.actor_name,
        action="dataset.import",
        target=dataset,
        detail={
            "dataset": dataset.name,
            "file": run.file_name,
            "sha256": run.sha256,
            "state": run.state,
            "added": run.added,
            "replaced": run.replaced,
            "unchanged": run.unchanged,
            "rejected": run.rejected,
            "data_hash": dataset.data_hash,
        },
    )
    return run


def _one_at_a_time(dataset: str) -> None:
    """Wait for another import into the dataset; until its first import there is no row to lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"marketdata.dataset:{dataset}"])


def _dataset_row(existing: Dataset | None, meta: DatasetMeta, creator: User | None) -> Dataset:
    dataset = existing or Dataset(name=meta.name, created_by=creator)
    dataset.source, dataset.notes = meta.source, meta.notes
    dataset.adjusted, dataset.survivors_only, dataset.opens_known = meta.adjusted, meta.survivors_only, meta.opens_known
    dataset.first, dataset.last = as_date(meta.first), as_date(meta.last)
    dataset.symbols, dataset.rows, dataset.data_hash = list(meta.symbols), meta.rows, meta.data_hash
    dataset.save()
    Instrument.objects.bulk_create([Instrument(symbol=symbol) for symbol in meta.symbols], ignore_conflicts=True)
    return dataset


def _fill(run: ImportRun, dataset: Dataset, appended: Appended, accepted: int) -> None:
    run.dataset, run.accepted = dataset, accepted
    run.added, run.replaced, run.unchanged = appended.added, appended.replaced, appended.unchanged
    run.state = ImportState.IMPORTED if appended.added or appended.replaced else ImportState.UNCHANGED


@transaction.atomic
def _record_refusal(run: ImportRun, cause: BadInput) -> None:
    run.state, run.reason, run.accepted = ImportState.REFUSED, str(cause), 0
    run.save()
    record(
        actor=run.actor or run.actor_name,
        action="dataset.import_refused",
        target=run,
        detail={"dataset": run.dataset_name, "file": run.file_name, "sha256": run.sha256, **cause.as_json()["error"]},
    )


def _place(error: dict[str, object]) -> str:
    return f"row {error['row']}" + (f", column {error['column']}" if error["column"] else "")
