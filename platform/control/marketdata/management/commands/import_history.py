"""``import_history [FILE]``: daily prices from a csv (plain, .gz, .xz) or Parquet file into a dataset.

Wide form: a date and a column of closes for each symbol. Long form: date, symbol (or name, ticker), open, high,
low, close, volume. Without FILE the panel that comes with the product is imported (``sp500_20``).
Archives of LEAN (tick, minute, daily) and LOBSTER, ITCH files, Binance captures and csv files of corporate actions are
told by their content; ticks and actions become rows of tables, counted in ``tables``.
Prints ``accepted``, ``rejected``, ``errors[{row, column, reason}]``, ``quality[]`` and what became of the dataset.
A refused file changes nothing, and the exit code is 2.
"""

import json
import re
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import PermissionDenied

from control.accounts.models import User
from control.command import JsonCommand
from control.marketdata.models import ImportRun
from control.marketdata.services import OPERATOR, ImportRefused, dataset_import
from engine.errors import BadInput
from engine.history import DatasetDescription
from engine.history.panel import PANEL, PANEL_DATASET, PANEL_FILE, skfolio_panel_path


class Command(JsonCommand):
    help = "Import prices, ticks or corporate actions from a file into the history store."
    requires_system_checks: list[str] = []  # they load every page; an import needs none of them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="csv (.gz, .xz), parquet, zip, itch; default: the panel")
        parser.add_argument("--dataset", default="", help="its name; default: from the file's name")
        parser.add_argument("--source", default="", help="where the prices come from")
        parser.add_argument("--notes", default="", help="what users of the dataset should know")
        parser.add_argument("--adjusted", action="store_true", help="prices are adjusted for splits and dividends")
        parser.add_argument("--survivors-only", action="store_true", help="holds only what was still listed at the end")
        parser.add_argument("--replace", action="store_true", help="replace bars that are there with other figures")
        parser.add_argument("--skip-bad-rows", action="store_true", help="import the rows that have no fault")
        parser.add_argument("--date", type=int, help="yyyymmdd of a file that does not say it (ITCH)")
        parser.add_argument("--compare", default="", help="a dataset of daily bars that should say the same")
        parser.add_argument("--actor", default="", help="username who imports; default: the operator of this host")

    def run(self, *, file: Path | None, dataset: str, **options: Any) -> dict[str, Any]:
        try:
            shipped = file is None or _is_panel(file)
            path = file or skfolio_panel_path()
            run = dataset_import(
                actor=_actor(options["actor"]),
                path=path,
                dataset=dataset or (PANEL_DATASET if shipped else _dataset_name(path)),
                description=PANEL if shipped else _described(**options),
                replace=options["replace"],
                skip_bad_rows=options["skip_bad_rows"],
                day=options["date"],
                compare=options["compare"],
            )
        except ImportRefused as refused:
            self.stdout.write(json.dumps(_answer(refused.run) | refused.cause.as_json()))
            sys.exit(2)
        except PermissionDenied as denied:
            raise BadInput(
                "not_allowed", "actor", options["actor"], f"a user who may import history ({denied})"
            ) from None
        return _answer(run)


def _answer(run: ImportRun) -> dict[str, Any]:
    return {
        "dataset": run.dataset_name,
        "state": run.state,
        "accepted": run.accepted,
        "rejected": run.rejected,
        "added": run.added,
        "replaced": run.replaced,
        "unchanged": run.unchanged,
        "data_hash": run.dataset.data_hash if run.dataset else None,
        "tables": run.tables,
        "errors": run.errors,
        "quality": run.quality,
    }


def _is_panel(file: Path) -> bool:
    return file.name == Path(PANEL_FILE).name and file.resolve() == skfolio_panel_path().resolve()


def _actor(username: str) -> User | str:
    if not username:
        return OPERATOR
    try:
        return User.objects.get(username=username)
    except User.DoesNotExist:
        raise BadInput("unknown_user", "actor", username, "the name of a user") from None


def _described(*, source: str, notes: str, adjusted: bool, survivors_only: bool, **_: Any) -> DatasetDescription:
    return DatasetDescription(source, adjusted, survivors_only, notes)


def _dataset_name(path: Path) -> str:
    """The file's name without its suffixes, in the characters that a dataset's name may have."""
    stem = re.sub(r"(\.csv|\.parquet|\.gz|\.xz|\.zip|\.itch|\.itch50)+$", "", path.name.lower())
    return re.sub(r"[^a-z0-9]+", "_", stem).strip("_")[:63] or "imported"
