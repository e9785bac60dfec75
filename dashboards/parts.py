"""The parts that Dash pages are made of: the same classes as the Django templates use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dash import dcc, html

GRAPH = {"displayModeBar": False, "responsive": True, "doubleClick": "reset", "showTips": False}


@dataclass(frozen=True)
class Column:
    """``kind``: text, figure (right, tabular), time."""

    title: str
    kind: str = "text"
    hint: str = ""


def panel(
    title: str,
    *children: Any,
    span: int = 12,
    tools: Sequence[Any] = (),
    note: str = "",
    padded: bool = False,
    name: str = "",
) -> html.Section:
    """A card with a title that says what is seen; ``note`` stands small beside it."""
    head: list[Any] = [html.H2(title)]
    if note:
        head.append(html.Small(note))
    head.extend(tools)
    body = html.Div(list(children), className="panel-body" if padded else "")
    identity = {"id": name} if name else {}
    return html.Section([html.Div(head, className="panel-head"), body], className=f"panel span-{span}", **identity)


def tile(label: str, value: Any, note: Any = "", *, hover: str = "", tone: str = "", name: str = "") -> html.Div:
    """A figure with its label; ``hover`` holds the exact figure behind a compact one."""
    identity = {"data-tile": name} if name else {}
    return html.Div(
        [
            html.Div(label, className="tile-label"),
            html.Div(value, className=f"tile-value {tone}".strip(), title=hover),
            html.Div(note, className="tile-note"),
        ],
        className="tile",
        **identity,
    )


def tiles(*children: html.Div, name: str = "") -> html.Div:
    return html.Div(list(children), className="tiles", **({"id": name} if name else {}))


def graph(identity: str, figure: dict[str, Any], height: int) -> dcc.Graph:
    """A chart of a reserved height, so that nothing jumps when it arrives."""
    return dcc.Graph(id=identity, figure=figure, config=GRAPH, style={"height": f"{height}px"}, className="chart")


def table(
    name: str,
    columns: Sequence[Column],
    *,
    body: str,
    rows: Sequence[html.Tr] = (),
    height: int = 320,
    unit: str = "rows",
) -> html.Div:
    """The head of a dense table, and a tbody with the id ``body``: of ``rows``, or empty for a script to fill.

    ``name`` keeps the columns that a person chose.
    """
    head = html.Thead(
        html.Tr([html.Th(column.title, className=CLASSES[column.kind], title=column.hint) for column in columns])
    )
    grid = html.Table(
        [head, html.Tbody(list(rows), id=body)], className="grid", **{"data-table": name, "data-unit": unit}
    )
    return html.Div(grid, className="table-scroll", style={"height": f"{height}px"})


CLASSES = {"text": "", "figure": "right", "time": "time"}


def table_tools() -> html.Div:
    """Where tables.js puts count, filter, columns and csv."""
    return html.Div(className="table-tools")


def empty(title: str, how: str) -> html.Div:
    """What would be here, and how to make it so."""
    return html.Div([html.Strong(title), html.P(how)], className="state")


def key(label: str, kind: str) -> html.Span:
    """A label with the stroke of its line, in a panel's head."""
    return html.Span(label, className=f"key key--{kind}")


def presets(target: str, choices: Sequence[tuple[str, str]], chosen: str) -> html.Div:
    """Buttons that set the range of the chart ``target``: (label, days or "all")."""
    return html.Div(
        [
            html.Button(label, className="preset", **{"data-days": days, "aria-pressed": str(days == chosen).lower()})
            for label, days in choices
        ],
        className="presets",
        **{"data-presets": target},
    )
