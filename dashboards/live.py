"""The live page of a deployment: its shape. ``assets/live.js`` fills it from the deployment's WebSocket.

Nothing here polls. The page starts from a snapshot, applies numbered frames, and asks for a new snapshot
when a number is missing.
"""

from typing import Any

from dash import html

from dashboards import bridge, figures, parts, theme
from dashboards.parts import Column

WINDOW = 2_000  # points a chart holds

SIGNALS = (
    Column("Pair"),
    Column("z", "figure", "Standard deviations of the spread from its mean over the lookback"),
    Column("", "text", "z between the stop levels; the marks are the entry levels"),
    Column("Spread", "figure", "log a - hedge ratio x log b - intercept"),
    Column("Hedge", "figure", "Hedge ratio: value of b for each unit of a"),
    Column("Stance", "text", "What the strategy holds of the spread"),
)
POSITIONS = (
    Column("Symbol"),
    Column("Quantity", "figure"),
    Column("Average cost", "figure"),
    Column("Cost, USD", "figure", "Quantity at average cost"),
    Column("Realised, USD", "figure"),
    Column("Fees, USD", "figure"),
)
FILLS = (
    Column("Session time, UTC", "time"),
    Column("Symbol"),
    Column("Side"),
    Column("Quantity", "figure"),
    Column("Price", "figure"),
    Column("Value, USD", "figure"),
    Column("", "text", "Whether the venue has undone the execution"),
    Column("Order", "figure"),
    Column("Execution", "figure", "The venue's match number"),
)
ORDERS = (
    Column("Session time, UTC", "time"),
    Column("Order", "figure"),
    Column("Symbol"),
    Column("Side"),
    Column("State"),
    Column("Filled", "figure"),
    Column("Quantity", "figure"),
    Column("Limit", "figure"),
    Column("Reason"),
)
SCHEDULES = (
    Column("Symbol"),
    Column("Side"),
    Column("Done", "figure", "Shares of the parent that are executed"),
    Column("", "text", "Done, on the scale of the whole; the mark is where the plan would be by now"),
    Column("Planned", "figure", "Shares that the plan's path asks for by now"),
    Column("Due", "figure", "Of these, what slices and participation let be done"),
    Column("Quantity", "figure"),
    Column("Parent", "figure"),
    Column("Session time, UTC", "time"),
)
PRESETS = (("1w", "7"), ("1m", "31"), ("3m", "92"), ("1y", "366"), ("All", "all"))


def layout() -> html.Div:
    """The page about the visited deployment."""
    deployment = bridge.visit().subject
    if deployment is None:  # the first index, before any visit
        return html.Div()
    parameters = deployment.version.parameters
    return html.Div(
        [_tiles(), html.Div([*_charts(parameters), *_tables(deployment.plan)], className="columns columns--stretch")],
        id="live",
        **{
            "data-live": f"/ws/live/deployment/{deployment.pk}/",
            "data-capital": str(deployment.capital),
            "data-window": str(WINDOW),
            "data-entry": str(parameters.get("entry", "")),
            "data-stop": str(parameters.get("stop", "")),
        },
    )


def _tiles() -> html.Div:
    waiting = html.Span(className="skeleton")
    return parts.tiles(
        parts.tile("Equity, USD", waiting, "", name="equity"),
        parts.tile("Profit and loss, USD", waiting, "", name="profit"),
        parts.tile("Unrealised, USD", waiting, "", name="unrealised"),
        parts.tile("Realised, USD", waiting, "after fees", name="realised"),
        parts.tile("Gross exposure, USD", waiting, "", name="gross"),
        parts.tile("Positions", waiting, "", name="positions"),
        parts.tile("Working orders", waiting, "", name="working"),
        parts.tile("Strategy", waiting, "", name="engine"),
        name="live-tiles",
    )


def _charts(parameters: dict[str, Any]) -> list[html.Section]:
    keys = [parts.key("Equity", "accent"), parts.key("Unrealised", "one"), parts.key("Realised", "two")]
    return [
        parts.panel(
            "Equity, and profit and loss, USD",
            parts.graph("live-equity", _equity_figure(), 300),
            span=8,
            tools=[*keys, parts.presets("live-equity", PRESETS, "all")],
            name="panel-equity",
        ),
        parts.panel("Engine", html.Dl(id="live-engine", className="facts"), span=4, padded=True, name="panel-engine"),
        parts.panel(
            "Spread of each pair, z-score",
            parts.graph("live-signals", _signal_figure(parameters), 300),
            span=7,
            tools=[html.Small(id="live-signals-note"), parts.presets("live-signals", PRESETS, "92")],
            name="panel-signal-chart",
        ),
        parts.panel(
            "Pairs",
            parts.table("live-signals", SIGNALS, body="live-pairs", height=300, unit="pairs"),
            span=5,
            tools=[parts.table_tools()],
            name="panel-pairs",
        ),
    ]


def _schedules() -> html.Section:
    return parts.panel(
        "Execution against plan",
        parts.table("live-schedules", SCHEDULES, body="live-schedules", height=240, unit="parents"),
        span=12,
        tools=[parts.table_tools()],
        name="panel-schedules",
    )


def _tables(plan: Any) -> list[html.Section]:
    return [
        *([_schedules()] if plan else []),
        parts.panel(
            "Fills",
            parts.table("live-fills", FILLS, body="live-fills", unit="newest fills"),
            span=7,
            tools=[parts.table_tools()],
            name="panel-fills",
        ),
        parts.panel(
            "Positions",
            parts.table("live-positions", POSITIONS, body="live-positions", unit="symbols"),
            span=5,
            tools=[parts.table_tools()],
            name="panel-positions",
        ),
        parts.panel(
            "Orders",
            parts.table("live-orders", ORDERS, body="live-orders", height=240, unit="newest orders"),
            span=12,
            tools=[parts.table_tools()],
            name="panel-orders",
        ),
    ]


def _equity_figure() -> dict[str, Any]:
    """Traces in the order that live.js extends them: equity, unrealised, realised, buys, sells."""
    one, two = theme.CATEGORIES[0], theme.CATEGORIES[1]
    marks: dict[str, Any] = {"type": "scatter", "mode": "markers", "x": [], "y": [], "hoverinfo": "skip"}
    # Buys point up from below the line, sells down from above it.
    shape = {"symbol": "triangle-up", "size": 7, "angleref": "up", "standoff": 6}
    buys = {**shape, "angle": 0, "color": theme.SIGNALS["gain"]}
    sells = {**shape, "angle": 180, "color": theme.SIGNALS["loss"]}
    return figures.figure(
        [
            figures.line("Equity", [], [], theme.SIGNALS["accent"]),
            figures.line("Unrealised", [], [], one, yaxis="y2", width=1.2),
            figures.line("Realised", [], [], two, yaxis="y2", width=1.2),
            {**marks, "name": "Buy", "marker": buys},
            {**marks, "name": "Sell", "marker": sells},
        ],
        xaxis={"type": "date", "anchor": "y2"},
        yaxis=figures.axis("Equity, USD", domain=[0.40, 1], tickformat="~s"),
        yaxis2=figures.axis("P&L, USD", domain=[0, 0.32], tickformat="~s", nticks=4),
        hoversubplots="axis",
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
    )


def _signal_figure(parameters: dict[str, Any]) -> dict[str, Any]:
    """Levels of the version as named lines; live.js adds a trace for each pair."""
    shapes = []
    for name, colour in (("entry", theme.SIGNALS["accent"]), ("exit", ""), ("stop", theme.SIGNALS["breach"])):
        value = parameters.get(name)
        if value is not None:
            shapes += [figures.level(name, value, colour=colour), figures.level("", -value, colour=colour)]
    stop = float(parameters.get("stop") or 4)
    return figures.figure(
        [],
        xaxis={"type": "date"},
        margin={"l": 8, "r": 88, "t": 8, "b": 8},
        yaxis=figures.axis("z, standard deviations", range=[-stop * 1.15, stop * 1.15], zeroline=True),
        shapes=shapes,
        hovermode="closest",
    )
