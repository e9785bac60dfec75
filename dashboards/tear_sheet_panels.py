"""The tear sheet's panels on the backtest's page."""

from dash import html

from dashboards import figures, parts, theme
from dashboards.parts import Column
from dashboards.results import Result
from dashboards.tear_sheet import ROLLING_DAYS, Figure, Sheet, Table
from engine.statistics.curve import rolling

TABLE_HEIGHT = 300


def panels(result: Result, sheet: Sheet) -> list[html.Section]:
    return [
        *(parts.panel(title, _figures(group), span=3) for title, group in sheet.groups),
        rolling_panel(result),
        *(_table(table) for table in sheet.tables),
    ]


def _figures(group: list[Figure]) -> html.Div:
    """Label and value a line; what a figure means on hover."""
    rows = [
        html.Tr(
            [html.Td(figure.label, title=figure.hint), html.Td(figure.value, className=f"right {figure.tone}".strip())]
        )
        for figure in group
    ]
    return html.Div(html.Table(html.Tbody(rows), className="grid"), className="table-scroll")


def _table(table: Table) -> html.Section:
    columns = [Column(title, kind) for title, kind in table.columns]
    rows = [
        html.Tr(
            [
                html.Td(cell, className=parts.CLASSES[kind])
                for cell, (_title, kind) in zip(row, table.columns, strict=True)
            ]
        )
        for row in table.rows
    ]
    name = "backtest-" + table.title.partition(",")[0].lower().replace(" ", "-")
    body = (
        parts.table(name, columns, body=f"{name}-body", rows=rows, height=TABLE_HEIGHT)
        if rows
        else parts.empty("Nothing yet", "The run has no trades, or none that has ended.")
    )
    return parts.panel(table.title, body, span=6, note=table.note, tools=[parts.table_tools()] if rows else [])


def rolling_panel(result: Result) -> html.Section:
    """Sharpe ratio and volatility over the last half year."""
    rolled = rolling(result.returns, ROLLING_DAYS)
    series = {name: [None if value != value else value for value in values.tolist()] for name, values in rolled.items()}
    accent, second = theme.SIGNALS["accent"], theme.CATEGORIES[1]
    figure = figures.figure(
        [
            figures.line("Sharpe", result.dates, series["sharpe"], accent, hovertemplate="%{y:.2f}"),
            figures.line(
                "Volatility", result.dates, series["volatility"], second, yaxis="y2", hovertemplate="%{y:.2%}"
            ),
        ],
        xaxis={"type": "date", "anchor": "y2", "rangebreaks": []},
        yaxis=figures.axis("Sharpe", domain=[0.54, 1]),
        yaxis2=figures.axis("Volatility", domain=[0, 0.46], tickformat=".1%", nticks=4, rangemode="tozero"),
        shapes=[figures.level("0", 0.0)],
        hoversubplots="axis",
    )
    keys = [parts.key("Sharpe", "accent"), parts.key("Volatility", "two")]
    return parts.panel(
        "Rolling Sharpe and volatility",
        parts.graph("backtest-rolling", figure, 320),
        note=f"last {ROLLING_DAYS} trading days, a year",
        tools=keys,
    )
