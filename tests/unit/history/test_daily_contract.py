"""Daily bars, in every store: what is appended is read back, refusals change nothing, the hash names the rows alone."""

from datetime import date
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from daily_bars import TWO_DAYS, bars
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.history import BARS, DatasetDescription, History


def test_bars_come_back_by_date_and_symbol_with_unknowns_as_null(history: History) -> None:
    history.append_bars("d", TWO_DAYS)
    found = history.bars("d")
    assert found.schema == BARS
    assert [(r["date"], r["symbol"], r["open"], r["close"]) for r in found.to_pylist()] == [
        (20200102, "A", None, 100),
        (20200102, "B", None, 200),
        (20200103, "A", 11, 110),
    ]


def test_closes_and_opens_are_panels_of_one_shape_with_zero_for_unknown(history: History) -> None:
    history.append_bars("d", TWO_DAYS)
    dates, symbols, closes = history.closes("d")
    assert dates.tolist() == [20200102, 20200103]
    assert symbols == ["A", "B"]
    assert closes.tolist() == [[100, 200], [110, 0]]
    assert history.opens("d").prices.tolist() == [[0, 0], [11, 0]]
    assert closes.dtype == dates.dtype == np.int64


def test_a_range_is_inclusive_and_symbols_keep_the_order_asked_for(history: History) -> None:
    history.append_bars("d", TWO_DAYS)
    assert history.closes("d", "2020-01-03", date(2020, 1, 3), ["B", "A"]).prices.tolist() == [[0, 110]]
    assert history.closes("d", 20200102, 20200102, ["B", "A"]).prices.tolist() == [[200, 100]]
    assert history.closes("d", 20210101, None).prices.shape == (0, 0)


def test_a_dataset_describes_itself(history: History) -> None:
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


def test_a_dataset_of_closes_alone_says_that_opens_are_unknown(history: History) -> None:
    history.append_bars("d", bars((20200102, "A", None, 100)))
    assert not history.describe("d").opens_known


def test_bars_with_other_figures_are_refused_as_a_whole_unless_replaced(history: History) -> None:
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


def test_adjusted_and_unadjusted_prices_do_not_mix(history: History) -> None:
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
def test_what_no_bar_may_be_is_refused_and_makes_no_dataset(history: History, table: pa.Table, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        history.append_bars("d", table)
    assert refused.value.code == code
    assert history.datasets() == []


@pytest.mark.parametrize("name", ["", "A", "../d", "a b", "-d", "d" * 64])
def test_a_name_that_could_leave_the_folder_is_refused(history: History, name: str) -> None:
    with pytest.raises(BadInput, match="dataset"):
        history.append_bars(name, TWO_DAYS)


def test_unknown_datasets_and_symbols_are_named(history: History) -> None:
    history.append_bars("d", TWO_DAYS)
    with pytest.raises(BadInput, match="unknown_dataset.*one of: d"):
        history.closes("e")
    with pytest.raises(BadInput, match="unknown_symbol"):
        history.closes("d", symbols=["A", "ZZZ"])


def test_the_hash_changes_with_any_figure(history: History) -> None:
    plain = history.append_bars("a", bars((20200102, "A", None, 100))).data_hash
    others = [
        history.append_bars("b", bars((20200102, "A", None, 101))).data_hash,
        history.append_bars("c", bars((20200102, "A", 100, 100))).data_hash,
        history.append_bars("d", bars((20200103, "A", None, 100))).data_hash,
        history.append_bars("e", bars((20200102, "B", None, 100))).data_hash,
    ]
    assert len({plain, *others}) == 5


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.tuples(st.sampled_from([20200102, 20200103, 20200106]), st.sampled_from("ABC")),
        st.tuples(st.one_of(st.none(), st.integers(1, 10**9)), st.integers(1, 2**53)),
        min_size=1,
    )
)
def test_any_set_of_bars_comes_back_as_it_went_in(
    history: History, rows: dict[tuple[int, str], tuple[int | None, int]]
) -> None:
    name = f"d{uuid4().hex}"  # one store for all examples, a dataset for each
    history.append_bars(name, bars(*[(day, symbol, *figures) for (day, symbol), figures in rows.items()]))
    found = {(r["date"], r["symbol"]): (r["open"], r["close"]) for r in history.bars(name).to_pylist()}
    assert found == rows


def test_appends_add_up(history: History) -> None:
    history.append_bars("d", TWO_DAYS)
    history.append_bars("d", bars((20200106, "A", 12, 120)))
    history.append_bars("d", bars((20200106, "B", 13, 130)))
    assert history.closes("d", 20200106).prices.tolist() == [[120, 130]]
    assert history.bars("d").num_rows == 5
