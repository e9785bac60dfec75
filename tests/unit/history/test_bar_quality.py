"""Doubts about bars are found by rules: planted faults are found, a quiet series raises none."""

import numpy as np
import pyarrow as pa

from engine.history import BARS
from engine.history.ingest import read_bars
from engine.history.quality import MOST_OF_A_KIND, Finding, examine

DAYS = [d for d in np.arange("2020-01-01", "2020-06-30", dtype="datetime64[D]") if np.is_busday(d)]
DATES = [int(str(day).replace("-", "")) for day in DAYS]


def series(symbol: str, seed: int = 1) -> list[dict]:
    """A quiet series of 1 % a day around $50, with a range of 2 % about open and close."""
    random = np.random.default_rng(seed)
    closes = np.round(500_000 * np.exp(np.cumsum(random.normal(0, 0.01, len(DATES))))).astype(int)
    rows = []
    for day, close in zip(DATES, closes.tolist(), strict=True):
        row = {"date": day, "symbol": symbol, "open": close, "close": close, "volume": 1000}
        rows.append(row | {"high": close * 101 // 100, "low": close * 99 // 100})
    return rows


def found_in(*serieses: list[dict]) -> list[Finding]:
    rows = sorted((row for rows in serieses for row in rows), key=lambda row: (row["symbol"], row["date"]))
    return examine(pa.Table.from_pylist(rows, schema=BARS))


def kinds(findings: list[Finding]) -> list[tuple[str, str, int]]:
    return [(finding.kind, finding.symbol, finding.date) for finding in findings]


def test_quiet_series_raise_no_doubt() -> None:
    assert found_in(series("A"), series("B", 2)) == []


def test_impossible_bars_are_found() -> None:
    rows = series("A")
    rows[10]["high"], rows[10]["low"] = rows[10]["close"] - 5, rows[10]["close"] + 5
    rows[20]["close"] = rows[20]["high"] + 1
    rows[30]["open"] = rows[30]["low"] - 1
    rows[40]["volume"] = 0
    found = kinds(found_in(rows))
    assert ("high_below_low", "A", DATES[10]) in found
    assert ("close_outside_range", "A", DATES[20]) in found
    assert ("open_outside_range", "A", DATES[30]) in found
    assert ("zero_volume", "A", DATES[40]) in found


def test_a_two_for_one_split_that_was_not_adjusted_is_found_where_it_happens() -> None:
    rows = series("A")
    for row in rows[60:]:
        for name in ("open", "high", "low", "close"):
            row[name] //= 2
    assert kinds(found_in(rows)) == [("jump", "A", DATES[60])]


def test_a_fall_that_the_day_itself_traded_through_is_no_split() -> None:
    rows = series("A")
    for row in rows[60:]:
        for name in ("open", "high", "low", "close"):
            row[name] //= 2
    rows[60]["high"] = rows[59]["close"]
    assert found_in(rows) == []


def test_a_price_that_is_back_within_days_is_a_glitch() -> None:
    rows = series("A")
    for row in rows[60:62]:
        for name in ("open", "high", "low", "close"):
            row[name] //= 2
    assert kinds(found_in(rows)) == [("glitch", "A", DATES[60])]


def test_days_on_which_the_others_traded_are_gaps_and_the_own_beginning_and_end_are_not() -> None:
    late, holed = series("A")[20:], series("B", 2)
    del holed[50:53]
    [gap] = found_in(late, holed, series("C", 3), series("D", 4))
    assert (gap.kind, gap.symbol, gap.date) == ("gap", "B", DATES[50])
    assert gap.detail.startswith("3 trading days")


def test_a_bar_on_a_saturday_is_found() -> None:
    rows = series("A")
    rows[5]["date"] = 20200111
    rows.sort(key=lambda row: row["date"])
    assert ("weekend", "A", 20200111) in kinds(found_in(rows))


def test_long_lists_are_cut_and_say_so() -> None:
    many = [series(symbol) for symbol in "ABCD"]
    for rows in many:
        for row in rows:
            row["volume"] = 0
    found = [finding for finding in found_in(*many) if finding.kind == "zero_volume"]
    assert len(found) == MOST_OF_A_KIND + 1
    assert found[-1].detail == f"and {4 * len(DATES) - MOST_OF_A_KIND} more"


def test_the_known_faults_of_the_505_symbol_panel_are_found(shared_data) -> None:  # type: ignore[no-untyped-def]
    """Counts and cases from the data's own README (``data/README.md`` of the test data)."""
    found = read_bars(next((shared_data / "sp500_daily").glob("*.csv.xz")))
    assert (found.bars.num_rows, found.rejected, found.errors) == (619_040, 0, [])
    counts = {kind: sum(f.kind == kind for f in found.quality) for kind in {f.kind for f in found.quality}}
    assert counts["missing_open"] == 11
    assert counts["missing_high"] == counts["missing_low"] == 8
    assert counts["high_below_low"] == 1
    assert counts["close_outside_range"] == 9
    assert counts["zero_volume"] == 4
    known = {("EBAY", 20150720), ("BAX", 20150701), ("NI", 20150702), ("DISCA", 20140807)}
    assert known <= {(f.symbol, f.date) for f in found.quality if f.kind == "jump"}
    assert ("glitch", "LNT", 20160519) in kinds(found.quality)
    assert counts["jump"] + counts["glitch"] < 20
