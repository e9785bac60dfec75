"""What a tear sheet says, and its files: self-contained, the same bytes for the same result."""

import re
from pathlib import Path

import numpy as np
import pytest

from dashboards import drawings, report, theme
from dashboards.results import Result, read_result
from dashboards.tear_sheet import Sheet, Trials, sheet_of
from tests.backtest_result import write_result


@pytest.fixture
def result(tmp_path: Path) -> Result:
    write_result(tmp_path)
    return read_result(tmp_path, str(tmp_path))


def said(sheet: Sheet) -> dict[str, str]:
    return {figure.label: figure.value for _title, group in sheet.groups for figure in group}


def test_figures_are_written_out_and_what_is_unknown_is_a_dash(result: Result) -> None:
    shown = said(sheet_of(result, Trials(1, 0.0)))
    assert (shown["Total return"], shown["Max drawdown"], shown["Longest drawdown"]) == ("−0.01%", "−1.00%", "1 days")
    assert (shown["Trials"], shown["Least track record"]) == ("1", "—")  # the Sharpe ratio is below 0
    assert "nan" not in " ".join(shown.values()).lower()
    assert "None" not in " ".join(shown.values())


def test_more_trials_deflate_the_sharpe_ratio(tmp_path: Path) -> None:
    write_result(tmp_path)
    result = read_result(tmp_path, "more trials")
    few, many = (said(sheet_of(result, Trials(count, 0.01)))["Deflated Sharpe"] for count in (2, 500))
    assert float(few.rstrip("%")) > float(many.rstrip("%"))


def test_costs_are_told_by_kind_and_as_bps_of_the_value(result: Result) -> None:
    costs = next(table for table in sheet_of(result, Trials(1, 0.0)).tables if table.title.startswith("Costs"))
    # 0.45 and 1.20 of 7,137
    assert costs.rows == [
        ["Commission and fees", "0.45", "0.6"],
        ["Half the spread", "1.20", "1.7"],
        ["All", "1.65", "2.3"],
    ]


def test_symbols_stand_by_the_size_of_what_they_made_or_lost(result: Result) -> None:
    symbols = next(table for table in sheet_of(result, Trials(1, 0.0)).tables if table.title.startswith("By symbol"))
    assert [(row[0], row[-1]) for row in symbols.rows] == [("KO", "−500.25"), ("PEP", "+400.15")]


def test_the_html_file_needs_nothing_but_itself(result: Result) -> None:
    sheet = sheet_of(result, Trials(1, 0.0))
    page = report.as_html(
        result, sheet, report.heading_of(result, "Backtest of <A> & B", "ab" * 32, ["Survivors only."])
    )
    assert "Backtest of &lt;A&gt; &amp; B" in page
    assert "<script" not in page
    fetched = r'(?:src|href)="|url\((?!#)|@import'
    assert not re.search(fetched, page)
    assert page.count("<svg") >= 2
    assert "Survivors only." in page


def test_the_pdf_file_is_one_and_the_same_for_one_result(result: Result) -> None:
    sheet, heading = sheet_of(result, Trials(1, 0.0)), report.heading_of(result, "A & B", "ab" * 32, [])
    first, second = (report.as_pdf(result, sheet, heading) for _ in range(2))
    assert first.startswith(b"%PDF-")
    assert first.rstrip().endswith(b"%%EOF")
    assert first == second


def test_a_chart_covers_its_values_and_cuts_its_line_where_nothing_is_known() -> None:
    dates = [f"2020-01-{day:02d}" for day in range(1, 11)]
    values = np.array([1, 2, np.nan, 4, 5, 6, 7, 8, 9, 10.0])
    chart = drawings.line_chart(dates, [drawings.Series("a", values, theme.CATEGORIES[0])], width=400, height=100)
    svg = drawings.as_svg(chart)
    assert svg.count("<polyline") == 2
    heights = [float(y) for points in re.findall(r'points="([^"]+)"', svg) for y in re.findall(r",([\d.]+)", points)]
    assert all(0 <= y <= 100 for y in heights)


def test_a_chart_of_a_curve_that_stands_still_is_drawn() -> None:
    still = drawings.Series("a", np.full(3, 5.0), theme.CATEGORIES[0])
    assert "<svg" in drawings.as_svg(drawings.line_chart(["2020-01-01"] * 3, [still], width=400, height=100))
