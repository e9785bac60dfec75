"""A backtest's result: equity and drawdown, statistics, monthly returns, round trips and trades.

Tables travel as plain rows in stores and ``assets/backtest.js`` draws them: ten thousand cells as Dash
components would hold a browser up for many seconds.
"""

from typing import Any

import pyarrow.compute as pc
from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from dashboards import bridge, figures, formats, parts, tear_sheet_panels, theme
from dashboards.parts import Column
from dashboards.results import MissingResult, Result, read_result
from dashboards.tear_sheet import Trials, sheet_of
from engine.statistics.curve import yearly_return

SHOWN = 500  # rows a table holds at most
PRESETS = (("1y", "366"), ("5y", "1827"), ("10y", "3653"), ("All", "all"))
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

TRADES = (
    Column("Date", "time"),
    Column("Symbol"),
    Column("Side"),
    Column("Quantity", "figure"),
    Column("Price", "figure"),
    Column("Value, USD", "figure"),
    Column("Fee, USD", "figure"),
    Column("Order", "figure"),
)
ROUND_TRIPS = (
    Column("Pair"),
    Column("Stance"),
    Column("Entered", "time"),
    Column("Left", "time"),
    Column("Days", "figure", "Trading days"),
    Column("Entry z", "figure"),
    Column("Exit z", "figure"),
    Column("Profit, USD", "figure", "Before fees and spread"),
)


def make_app() -> Dash:
    app = bridge.make_app("backtest", layout)
    app.callback(Output("trades-rows", "data"), Input("trades-symbol", "value"), prevent_initial_call=True)(trades_of)
    for table in ("monthly", "round_trips", "trades"):
        app.clientside_callback(
            ClientsideFunction("heliograph", table), Input(f"{table.replace('_', '-')}-rows", "data")
        )
    return app


def layout() -> html.Div:
    """The page about the visited run, which has succeeded."""
    run = bridge.visit().subject
    if run is None:  # the first index, before any visit
        return html.Div()
    trials = Trials(*run.tried())
    try:
        result = read_result(run.folder, run.result_sha256)
    except MissingResult as missing:
        how = f"The run succeeded, but its files cannot be read ({missing}). Run the backtest again."
        return html.Div(parts.empty("No result files", how), className="panel state--error")
    return html.Div(
        [
            _tiles(run.statistics, result),
            *refusals(run.statistics.get("rejects") or {}),
            html.Div(
                [
                    _curve(result),
                    *tear_sheet_panels.panels(result, sheet_of(result, trials)),
                    _monthly(result),
                    _round_trips(result),
                    _trades(result),
                ],
                className="columns columns--stretch",
            ),
        ],
        id="backtest",
    )


def trades_of(symbol: str | None) -> dict[str, Any]:
    """The newest trades of ``symbol`` (None: of all), and how many there are."""
    run = bridge.visit().subject
    return _trade_rows(read_result(run.folder, run.result_sha256), symbol)


def _tiles(statistics: dict[str, Any], result: Result) -> html.Div:
    known = statistics.get
    profit = formats.decimal(known("final_equity"))
    gained = None if profit is None else profit - formats.decimal(result.capital)  # type: ignore[operator]
    hits = known("hit_rate")
    return parts.tiles(
        parts.tile(
            "Final equity, USD",
            formats.compact(known("final_equity")),
            formats.money(known("final_equity")),
            hover=formats.money(known("final_equity")),
        ),
        parts.tile(
            "Total return",
            formats.percent_signed(known("total_return")),
            f"{formats.money_signed(gained)} of {formats.compact(result.capital)}",
            tone=formats.tone(known("total_return")),
        ),
        parts.tile("CAGR", formats.percent_signed(known("cagr")), "252 days a year", tone=formats.tone(known("cagr"))),
        parts.tile("Volatility", formats.percent(known("volatility")), "a year"),
        parts.tile("Sharpe", formats.number(known("sharpe")), "daily, rate 0"),
        parts.tile("Max drawdown", formats.percent(known("max_drawdown")), "at the closes", tone="loss"),
        parts.tile("Trades", formats.quantity(known("trades")), f"{formats.compact(known('fees'))} USD fees"),
        parts.tile(
            "Round trips",
            formats.quantity(known("round_trips")),
            "" if hits is None else f"{formats.percent(hits)} with profit",
        ),
        parts.tile("Turnover", f"{formats.number(known('turnover'), 1)}×", "of equity a year"),
    )


def refusals(rejects: dict[str, int]) -> list[html.Div]:
    """What the limits refused, by limit and level: legs that were wanted and never traded bend every figure above."""
    if not rejects:
        return []
    by_limit = ", ".join(f"{name.replace('_', ' ')} {formats.quantity(count)}" for name, count in rejects.items())
    said = f"Limits refused {formats.quantity(sum(rejects.values()))} orders ({by_limit}). Some pairs had one leg."
    return [html.Div(said, className="notice notice--warning", role="status")]


def _curve(result: Result) -> html.Section:
    loss = theme.SIGNALS["loss"]
    figure = figures.figure(
        [
            figures.line(
                "Equity", result.dates, result.equity.tolist(), theme.SIGNALS["accent"], hovertemplate="%{y:,.0f}"
            ),
            figures.line(
                "Equal weights, held",
                result.dates,
                result.benchmark.tolist(),
                theme.DARK["muted"],
                width=1,
                hovertemplate="%{y:,.0f}",
            ),
            figures.line(
                "Drawdown",
                result.dates,
                result.drawdown.tolist(),
                loss,
                yaxis="y2",
                width=1,
                fill="tozeroy",
                fillcolor=theme.translucent(loss, 0.25),
                hovertemplate="%{y:.2%}",
            ),
        ],
        xaxis={"type": "date", "anchor": "y2", "rangebreaks": []},
        yaxis=figures.axis("Equity, USD", domain=[0.36, 1], tickformat="~s"),
        yaxis2=figures.axis("Drawdown", domain=[0, 0.28], tickformat=".0%", nticks=4, rangemode="tozero"),
        shapes=[figures.level("Capital", result.capital)],
        hoversubplots="axis",
    )
    return parts.panel(
        "Equity and drawdown, USD",
        parts.graph("backtest-curve", figure, 420),
        note=f"{result.dates[0]} to {result.dates[-1]}, {formats.quantity(len(result.dates))} trading days",
        tools=[
            parts.key("Equity", "accent"),
            parts.key("Equal weights, held", "muted"),
            parts.key("Drawdown", "loss"),
            parts.presets("backtest-curve", PRESETS, "all"),
        ],
    )


def _monthly(result: Result) -> html.Section:
    columns = (
        Column("Year"),
        *(Column(month, "figure") for month in MONTHS),
        Column("Year", "figure", "The months compounded"),
    )
    rows = [
        [year, *(result.monthly.get((year, month)) for month in range(1, 13)), yearly_return(result.monthly, year)]
        for year in sorted({year for year, _month in result.monthly}, reverse=True)
    ]
    return parts.panel(
        "Monthly returns, %",
        parts.table("backtest-monthly", columns, body="monthly-body", height=360, unit="years"),
        dcc.Store(id="monthly-rows", data={"rows": rows}),
        tools=[parts.table_tools()],
    )


def _round_trips(result: Result) -> html.Section:
    trips = result.round_trips.sort_by([("exit_date", "descending")]).slice(0, SHOWN).to_pylist()
    names = ("pair", "stance", "entry_date", "exit_date", "days", "entry_z", "exit_z")
    rows = [[*(trip[name] for name in names), str(trip["profit"])] for trip in trips]
    return parts.panel(
        "Round trips",
        parts.table("backtest-round-trips", ROUND_TRIPS, body="round-trips-body", height=400, unit="round trips"),
        dcc.Store(id="round-trips-rows", data={"rows": rows}),
        span=6,
        note=_newest(len(rows), result.round_trips.num_rows),
        tools=[parts.table_tools()],
    )


def _trades(result: Result) -> html.Section:
    symbols = sorted(set(result.trades["symbol"].to_pylist()))
    chooser = dcc.Dropdown(
        id="trades-symbol", options=symbols, placeholder="All symbols", clearable=True, className="chooser"
    )
    return parts.panel(
        "Trades",
        parts.table("backtest-trades", TRADES, body="trades-body", height=400, unit="trades"),
        dcc.Store(id="trades-rows", data=_trade_rows(result, None)),
        span=6,
        tools=[html.Small(id="trades-note"), chooser, parts.table_tools()],
    )


def _trade_rows(result: Result, symbol: str | None) -> dict[str, Any]:
    """The newest trades, newest first; money as decimal text."""
    trades = result.trades if not symbol else result.trades.filter(pc.equal(result.trades["symbol"], symbol))
    newest = trades.slice(max(0, trades.num_rows - SHOWN)).to_pylist()[::-1]
    rows = [
        [
            trade["date"],
            trade["symbol"],
            trade["side"],
            trade["qty"],
            str(trade["price"]),
            str(trade["notional"]),
            str(trade["fee"]),
            trade["order_id"],
        ]
        for trade in newest
    ]
    return {"rows": rows, "note": _newest(len(rows), trades.num_rows)}


def _newest(shown: int, of: int) -> str:
    return "" if shown == of else f"newest {formats.quantity(shown)} of {formats.quantity(of)}"
