"""The panel that the product ships with: daily closes of 20 S&P 500 components, 1990-2022, from ``skfolio``'s files."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from engine.errors import MissingPrerequisite
from engine.history.store import DatasetDescription

PANEL_DATASET = "sp500_20"
PANEL_FILE = "skfolio/datasets/data/sp500_dataset.csv.gz"
PANEL = DatasetDescription(
    source="skfolio, sp500_dataset.csv.gz",
    adjusted=True,
    survivors_only=True,
    notes=(
        "Closes adjusted for splits and dividends (AAPL begins below $1), so early prices are not those that were "
        "traded. Only companies that were still listed in 2022: results are better than they could have been. "
        "1990-01-02 to 2022-12-28."
    ),
)


def skfolio_panel_path() -> Path:
    """Where the installed ``skfolio`` has the panel. Does not import it, which takes seconds.

    Raises ``MissingPrerequisite`` where the package or its file is not there.
    """
    try:
        path = Path(str(distribution("skfolio").locate_file(PANEL_FILE)))
    except PackageNotFoundError as error:
        raise MissingPrerequisite("the skfolio package", "make install") from error
    if not path.is_file():
        raise MissingPrerequisite(f"skfolio's file {PANEL_FILE}", "make install")
    return path
