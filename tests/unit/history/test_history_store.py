"""The embedded store's files: atomic parts, what a crash leaves, and a hash that does not depend on parts."""

from datetime import date
from pathlib import Path

import pytest
from daily_bars import TWO_DAYS, bars

from engine.dates import as_yyyymmdd
from engine.errors import BadInput
from engine.history import CorruptHistory, open_history


def test_appending_the_same_bars_again_changes_no_file(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = history.append_bars("d", TWO_DAYS)
    assert (again.added, again.replaced, again.unchanged) == (0, 0, 3)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_hash_names_the_rows_whatever_parts_they_lie_in(tmp_path: Path) -> None:
    whole, parted = open_history(tmp_path / "whole"), open_history(tmp_path / "parted")
    whole.append_bars("d", TWO_DAYS)
    for row in (1, 0, 2):
        parted.append_bars("d", TWO_DAYS.slice(row, 1))
    assert len(list((tmp_path / "parted").rglob("*.parquet"))) == 3
    assert parted.data_hash("d") == whole.data_hash("d")
    parted.compact("d")
    assert open_history(tmp_path / "parted").data_hash("d") == whole.data_hash("d")
    assert parted.bars("d") == whole.bars("d")


def test_rows_that_are_not_those_of_the_manifest_are_noticed(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS)
    history.append_bars("e", bars((20200102, "A", None, 777)))
    ours, theirs = (next((tmp_path / "bar" / name).glob("*.parquet")) for name in "de")
    ours.write_bytes(theirs.read_bytes())
    with pytest.raises(CorruptHistory):
        open_history(tmp_path).data_hash("d")
    ours.unlink()
    with pytest.raises(CorruptHistory):
        open_history(tmp_path).closes("d")


def test_a_crash_between_part_and_manifest_leaves_the_dataset_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS)
    before = history.data_hash("d")
    with monkeypatch.context() as crash:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        crash.setattr("engine.history.embedded.write_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            history.append_bars("d", bars((20200106, "A", 12, 120)))
    assert open_history(tmp_path).data_hash("d") == before
    assert history.bars("d").num_rows == 3
    history.append_bars("d", bars((20200107, "A", 12, 120)))
    named = {part.name for part in tmp_path.rglob("part-*")}
    assert len(named) == 2, "what no manifest names is removed by the next write"


def test_a_reader_with_the_manifest_of_before_still_finds_its_parts(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS)
    old = {path.name for path in tmp_path.rglob("part-*")}
    history.append_bars("d", bars((20200103, "A", 11, 999)), replace=True)
    assert old < {path.name for path in tmp_path.rglob("part-*")}


def test_days_are_read_in_every_form_and_refused_where_there_is_no_such_day() -> None:
    assert as_yyyymmdd("2013-01-02") == as_yyyymmdd("20130102") == as_yyyymmdd(date(2013, 1, 2)) == 20130102
    for wrong in ("2013-02-30", "tomorrow", 2013, ""):
        with pytest.raises(BadInput, match="yyyy-mm-dd"):
            as_yyyymmdd(wrong)
