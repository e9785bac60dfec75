"""The GOOG day of LOBSTER's academic sample: the book of every one of its 147,916 rows, at all 10 levels.

The ITCH file is the same day written as ITCH 5.0; the row index says after how many messages which row must be there.
An empty level is +-9999999999 in the LOBSTER file and size 0 in ours. Needs HELIOGRAPH_SHARED (default ../shared).
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

ROWS = 147_916
EMPTY = 9_999_999_999


def lobster_rows(folder: Path) -> np.ndarray:
    """int64 (rows, 10, 4): ask price, ask size, bid price, bid size."""
    with zipfile.ZipFile(folder / "LOBSTER_SampleFile_GOOG_2012-06-21_10.zip") as archive:
        (name,) = (name for name in archive.namelist() if "orderbook" in name)
        rows = np.loadtxt(archive.open(name), delimiter=",", dtype=np.int64).reshape(-1, 10, 4)
    rows[np.abs(rows) == EMPTY] = 0
    return rows


def test_every_row_of_the_goog_day_has_lobsters_ten_levels(shared_data: Path, root: Path, tmp_path: Path) -> None:
    folder, out = shared_data / "lobster", tmp_path / "rows.npy"
    command = [sys.executable, "-m", "engine", "book", str(folder / "GOOG_2012-06-21_L10.itch50.gz"), "--levels", "10"]
    command += ["--at", str(folder / "GOOG_2012-06-21_L10.rowindex.u32le.gz"), "--out", str(out)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (answer["rows"], answer["messages"], answer["refused"]) == (ROWS, 157_214, {})
    shown, wanted = np.load(out), lobster_rows(folder)
    assert shown.shape == wanted.shape == (ROWS, 10, 4)
    assert int((shown != wanted).any(axis=(1, 2)).sum()) == 0
