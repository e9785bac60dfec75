"""Several results side by side: their growth in one chart, their figures in one table, what differs in what was run."""

from typing import Any

import numpy as np

from dashboards import theme
from dashboards.drawings import Series, as_svg, line_chart
from dashboards.results import Result, read_result
from dashboards.tear_sheet import Trials, sheet_of

CHART = (1_120.0, 260.0)


def compared(runs: list[Any]) -> dict[str, Any]:
    """``chart`` (svg: growth from 1 over all days that any has), ``rows`` of (label, values), ``differences`` likewise
    of parameters and bounds, ``colours``. Raises ``MissingResult``.
    """
    results = [read_result(run.folder, run.result_sha256) for run in runs]
    sheets = [sheet_of(result, Trials(*run.tried())) for result, run in zip(results, runs, strict=True)]
    groups = zip(*([figure for _title, figures in sheet.groups for figure in figures] for sheet in sheets), strict=True)
    return {
        "chart": _chart(results),
        "colours": list(theme.CATEGORIES[: len(runs)]),
        "rows": [(figures[0].label, figures[0].hint, [(one.value, one.tone) for one in figures]) for figures in groups],
        "differences": _differences(runs, results),
    }


def _chart(results: list[Result]) -> str:
    days = sorted({day for result in results for day in result.dates})
    at = {day: position for position, day in enumerate(days)}
    series = []
    for number, (result, colour) in enumerate(zip(results, theme.CATEGORIES, strict=False), 1):
        values = np.full(len(days), np.nan)
        values[[at[day] for day in result.dates]] = result.equity / result.capital
        series.append(Series(str(number), _carried(values), colour))
    width, height = CHART
    # One drawing for both themes: what is muted in the dark one can be read on either.
    palette = {"muted": theme.DARK["muted"], "line": theme.DARK["muted"]}
    return as_svg(line_chart(days, series, width=width, height=height, palette=palette))


def _carried(values: np.ndarray) -> np.ndarray:
    """Days that a result skips keep the value before; before its first and after its last there is none."""
    known = np.flatnonzero(np.isfinite(values))
    within = np.arange(known[0], known[-1] + 1)
    newest = known[np.searchsorted(known, within, side="right") - 1]
    carried = np.full(len(values), np.nan)
    carried[within] = values[newest]
    return carried


def _differences(runs: list[Any], results: list[Result]) -> list[tuple[str, list[str]]]:
    """What of version, days, dataset, costs and parameters is not the same in all."""
    described = [
        {
            "version": str(run.version),
            "days": f"{result.dates[0]} to {result.dates[-1]}",
            "dataset": result.described["manifest"]["data"]["dataset"],
            **result.described["costs"],
            **result.described["manifest"]["parameters"],
        }
        for run, result in zip(runs, results, strict=True)
    ]
    names = dict.fromkeys(name for one in described for name in one)
    rows = [(name.replace("_", " "), [str(one.get(name, "")) for one in described]) for name in names]
    return [row for row in rows if len(set(row[1])) > 1]
