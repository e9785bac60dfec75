"""The embedded store: what is appended is read back, refusals change nothing, the hash names the rows alone."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dates import as_yyyymmdd
from engine.errors import BadInput
from engine.history import BARS, CorruptHistory, DatasetDescription, open_history

Bar = tuple[int, str, int | None, int]


def bars(*rows: Bar) -> pa.Table:
    """Rows of (date, symbol, open, close); high, low and volume unknown."""
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    dates, symbols, opens, closes = columns
    unknown = [None] * len(rows)
    return pa.table([dates, symbols, opens, unknown, unknown, closes, unknown], schema=BARS)


TWO_DAYS = bars((20200102, "B", None, 200), (20200103, "A", 11, 110), (20200102, "A", None, 100))


def test_bars_come_back_by_date_and_symbol_with_unknowns_as_null(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS)
    found = history.bars("d")
    assert found.schema == BARS
    assert [(r["date"], r["symbol"], r["open"], r["close"]) for r in found.to_pylist()] == [
        (20200102, "A", None, 100),
        (20200102, "B", None, 200),
        (20200103, "A", 11, 110),
    ]


def test_closes_and_opens_are_panels_of_one_shape_with_zero_for_unknown(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS)
    dates, symbols, closes = history.closes("d")
    assert dates.tolist() == [20200102, 20200103]
    assert symbols == ["A", "B"]
    assert closes.tolist() == [[100, 200], [110, 0]]
    assert history.opens("d").prices.tolist() == [[0, 0], [11, 0]]
    assert closes.dtype == dates.dtype == np.int64


def test_a_range_is_inclusive_and_symbols_keep_the_order_asked_for(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS)
    assert history.closes("d", "2020-01-03", date(2020, 1, 3), ["B", "A"]).prices.tolist() == [[0, 110]]
    assert history.closes("d", 20200102, 20200102, ["B", "A"]).prices.tolist() == [[200, 100]]
    assert history.closes("d", 20210101, None).prices.shape == (0, 0)


def test_a_dataset_describes_itself(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS, DatasetDescription("a source", adjusted=True, survivors_only=True, notes="n"))
    meta = history.describe("d")
    assert (meta.name, meta.source, meta.adjusted, meta.survivors_only, meta.notes) == (
        "d",
        "a source",
        True,
        True,
        "n",
    )
    assert (meta.first, meta.last, meta.symbols, meta.rows) == (20200102, 20200103, ("A", "B"), 3)
    assert meta.opens_known
    assert history.datasets() == [meta]


def test_a_dataset_of_closes_alone_says_that_opens_are_unknown(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", bars((20200102, "A", None, 100)))
    assert not history.describe("d").opens_known


def test_appending_the_same_bars_again_changes_no_file(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = history.append_bars("d", TWO_DAYS)
    assert (again.added, again.replaced, again.unchanged) == (0, 0, 3)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_bars_with_other_figures_are_refused_as_a_whole_unless_replaced(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS)
    before = history.data_hash("d")
    other = bars((20200103, "A", 11, 999), (20200106, "A", 12, 120))
    with pytest.raises(BadInput, match="A 20200103") as refused:
        history.append_bars("d", other)
    assert refused.value.code == "overlap"
    assert history.data_hash("d") == before
    assert history.bars("d").num_rows == 3
    replaced = history.append_bars("d", other, replace=True)
    assert (replaced.added, replaced.replaced, replaced.unchanged) == (1, 1, 0)
    assert history.closes("d", symbols=["A"]).prices.ravel().tolist() == [100, 999, 120]


def test_adjusted_and_unadjusted_prices_do_not_mix(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS, DatasetDescription(adjusted=True))
    with pytest.raises(BadInput, match="mixed_adjustment"):
        history.append_bars("d", bars((20200106, "A", 12, 120)), DatasetDescription(adjusted=False))


@pytest.mark.parametrize(
    ("table", "code"),
    [
        (bars((20200102, "A", None, 100), (20200102, "A", None, 100)), "duplicate_bar"),
        (bars((20200102, "A", None, 0)), "bad_figure"),
        (bars((20200102, "A", -5, 100)), "bad_figure"),
        (bars((202001, "A", None, 100)), "bad_date"),
        (bars(), "empty"),
        (bars((20200102, "A", None, 100)).drop_columns(["close"]), "missing_column"),
    ],
)
def test_what_no_bar_may_be_is_refused_and_makes_no_dataset(tmp_path: Path, table: pa.Table, code: str) -> None:
    history = open_history(tmp_path)
    with pytest.raises(BadInput) as refused:
        history.append_bars("d", table)
    assert refused.value.code == code
    assert history.datasets() == []


@pytest.mark.parametrize("name", ["", "A", "../d", "a b", "-d", "d" * 64])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="dataset"):
        open_history(tmp_path).append_bars(name, TWO_DAYS)


def test_unknown_datasets_and_symbols_are_named(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_bars("d", TWO_DAYS)
    with pytest.raises(BadInput, match="unknown_dataset.*one of: d"):
        history.closes("e")
    with pytest.raises(BadInput, match="unknown_symbol"):
        history.closes("d", symbols=["A", "ZZZ"])


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


def test_the_hash_changes_with_any_figure(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    plain = history.append_bars("a", bars((20200102, "A", None, 100))).data_hash
    others = [
        history.append_bars("b", bars((20200102, "A", None, 101))).data_hash,
        history.append_bars("c", bars((20200102, "A", 100, 100))).data_hash,
        history.append_bars("d", bars((20200103, "A", None, 100))).data_hash,
        history.append_bars("e", bars((20200102, "B", None, 100))).data_hash,
    ]
    assert len({plain, *others}) == 5


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


@settings(max_examples=20)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from([20200102, 20200103, 20200106]), st.sampled_from("ABC")),
        st.tuples(st.one_of(st.none(), st.integers(1, 10**9)), st.integers(1, 2**53)),
        min_size=1,
    )
)
def test_any_set_of_bars_comes_back_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[tuple[int, str], tuple[int | None, int]]
) -> None:
    history = open_history(tmp_path_factory.mktemp("history"))
    history.append_bars("d", bars(*[(day, symbol, *figures) for (day, symbol), figures in rows.items()]))
    found = {(r["date"], r["symbol"]): (r["open"], r["close"]) for r in history.bars("d").to_pylist()}
    assert found == rows
