"""The panel of 20 components that the product ships with."""

import gzip
import subprocess
import sys
from pathlib import Path

from engine.history import open_history
from engine.history.ingest import read_bars
from engine.history.panel import PANEL, PANEL_DATASET, skfolio_panel_path


def test_the_panel_is_found_without_importing_its_package(root: Path) -> None:
    script = (
        "import sys; from engine.history.panel import skfolio_panel_path\n"
        "print(skfolio_panel_path().is_file(), 'skfolio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_the_stored_panel_equals_the_file_cell_by_cell(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars(PANEL_DATASET, read_bars(skfolio_panel_path()).bars, PANEL)
    with gzip.open(skfolio_panel_path(), "rt") as file:
        header, *lines = (line.rstrip("\n").split(",") for line in file)
    dates, symbols, closes = history.closes(PANEL_DATASET)
    assert symbols == sorted(header[1:])
    assert dates.tolist() == [int(line[0].replace("-", "")) for line in lines]
    order = [header.index(symbol) for symbol in symbols]
    assert closes.tolist() == [[round(float(line[at]) * 10_000) for at in order] for line in lines]


def test_the_panel_says_that_it_is_adjusted_and_holds_survivors_only(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars(PANEL_DATASET, read_bars(skfolio_panel_path()).bars, PANEL)
    meta = history.describe(PANEL_DATASET)
    assert meta.adjusted
    assert meta.survivors_only
    assert not meta.opens_known
    assert (meta.first, meta.last, len(meta.symbols), meta.rows) == (19900102, 20221228, 20, 166_260)
