"""Doubts about bars are found by rules: planted faults are found, a quiet series raises none."""

import numpy as np
import pyarrow as pa
import pytest

from engine.benchmarks.quality import plant, quiet_symbols, score
from engine.history import BARS
from engine.history.comparison import disagreements
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
    assert counts["jump"] + counts["glitch"] + counts["outlier"] < 40, "of 619,040 bars"


@pytest.mark.parametrize("seed", [11, 12])
def test_faults_planted_in_a_copy_of_the_panel_are_found_with_few_false_alarms(shared_data, seed: int) -> None:  # type: ignore[no-untyped-def]
    """No rule knows a symbol or a day: the faults stand where the seed puts them, in symbols that had no finding."""
    panel = read_bars(next((shared_data / "sp500_daily").glob("*.csv.xz")))
    clean = quiet_symbols(panel.bars, panel.quality)
    assert len(clean) > 400
    planted = plant(panel.bars, clean, seed)
    result = score(planted, examine(planted.bars), panel.quality)
    for certain in ("crossed", "outside", "no_volume", "unknown"):
        assert result.found[certain] == result.planted[certain], certain
    for likely in ("split", "glitch", "spike", "wick"):
        assert result.found[likely] >= 0.85 * result.planted[likely], likely
    assert len(result.false_alarms) <= 0.05 * len(planted.faults), result.false_alarms


def test_a_close_that_the_next_day_takes_back_and_a_figure_that_stands_alone_are_outliers() -> None:
    rows = series("A")
    for name in ("open", "high", "low", "close"):
        rows[40][name] = rows[40][name] * 5 // 4
    rows[60]["high"] *= 2
    rows[80]["open"] = rows[80]["low"] = rows[80]["low"] // 2
    found = kinds(found_in(rows))
    assert [one for one in found if one[0] == "outlier"] == [
        ("outlier", "A", DATES[40]),
        ("outlier", "A", DATES[80]),
        ("outlier", "A", DATES[60]),
    ]


def test_sources_that_disagree_are_told_a_symbol_and_figure() -> None:
    ours, theirs = series("A") + series("B", 2), series("A") + series("B", 2)
    for row in theirs[5:8]:
        row["close"] = row["close"] * 102 // 100
    theirs[len(DATES) + 3]["volume"] = 2000
    theirs[0]["open"] = None
    theirs[1]["close"] += 1  # rounding
    tables = [pa.Table.from_pylist(rows, schema=BARS) for rows in (ours, theirs)]
    found = disagreements(*tables, "vendor")
    assert kinds(found) == [("disagreement", "A", DATES[5]), ("disagreement", "B", DATES[3])]
    assert found[0].detail.endswith(f"on 3 of {len(DATES)} common days")
    assert "volume 1000, in vendor 2000" in found[1].detail
