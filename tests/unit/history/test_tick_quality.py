"""Doubts about trades, quotes and bars of ticks: planted ones are found, a quiet day raises none."""

import numpy as np
import pyarrow as pa
from tick_rows import NOON, SECOND, table_of

from engine.history.tables import NO_PRICE
from engine.history.tick_quality import examine_ticks

PRICES = (1_000_000 + np.cumsum(np.random.default_rng(4).normal(0, 100, 2000))).astype(int).tolist()


def trades() -> list[dict]:
    return [{"time": NOON + n * SECOND, "symbol": "A", "price": p, "size": 100} for n, p in enumerate(PRICES)]


def found_in(table: str, rows: list[dict]) -> list[tuple[str, str]]:
    return [(one.kind, one.detail.split(",")[0]) for one in examine_ticks(table, table_of(table, *rows))]


def test_a_quiet_day_raises_no_doubt() -> None:
    assert found_in("trade", trades()) == []


def test_a_price_far_from_those_around_it_is_an_outlier_unless_it_is_an_odd_lot() -> None:
    rows = trades()
    rows[500]["price"] = rows[500]["price"] * 11 // 10
    rows[700]["price"] = rows[700]["price"] * 11 // 10
    rows[700]["flags"] = NO_PRICE
    assert found_in("trade", rows) == [("outlier", "1 of 2000 rows of table trade")]


def test_a_market_that_moves_for_good_is_no_outlier() -> None:
    rows = trades()
    for row in rows[1000:]:
        row["price"] = row["price"] * 9 // 10
    assert found_in("trade", rows) == []


def test_prices_and_sizes_of_nothing_are_impossible() -> None:
    rows = trades()
    rows[5]["price"], rows[6]["size"] = 0, -1
    assert found_in("trade", rows) == [("impossible", "2 of 2000 rows of table trade")]


def test_a_silence_amid_dense_rows_is_found_and_one_among_sparse_rows_is_not() -> None:
    dense, sparse = trades(), trades()[:200]
    for row in dense[1000:]:
        row["time"] += 1800 * SECOND
    for number, row in enumerate(sparse):
        row["time"] = NOON + number * 1200 * SECOND
    assert found_in("trade", dense) == [("silence", "1 of 2000 rows of table trade")]
    assert found_in("trade", sparse) == []


def test_crossed_quotes_are_found_and_one_sided_ones_are_not() -> None:
    rows = [{"time": NOON + n, "symbol": "A", "bid": 10, "ask": 11, "bid_size": 1, "ask_size": 1} for n in range(9)]
    rows[3]["bid"], rows[5]["ask"] = 12, 0
    assert found_in("quote", rows) == [("crossed", "1 of 9 rows of table quote")]


def test_bars_that_cannot_be_and_bars_twice_are_found() -> None:
    bar = {"symbol": "A", "interval": 60, "open": 10, "high": 12, "low": 9, "close": 11, "volume": 5}
    rows = [{**bar, "time": NOON + n * 60 * SECOND} for n in range(6)]
    rows[2]["high"] = 10
    rows[5]["time"] = rows[4]["time"]
    assert found_in("bar", rows) == [
        ("impossible", "1 of 6 rows of table bar"),
        ("duplicate", "1 of 6 rows of table bar"),
    ]


def test_tables_without_rules_and_empty_ones_have_no_findings() -> None:
    assert examine_ticks("news", table_of("news", {"time": NOON, "headline": "x"})) == []
    assert examine_ticks("trade", pa.table(table_of("trade", *trades())).slice(0, 0)) == []
