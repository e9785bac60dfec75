"""What a tear sheet says, as text in groups and tables: the page, the HTML file and the PDF file show the same.

Figures come from ``engine.statistics`` by way of the result; here they are only chosen, worded and written out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboards import formats
from dashboards.results import Result
from engine.statistics.curve import Drawdown, daily_sharpe, deepest, drawdowns, with_capital
from engine.statistics.monte_carlo import QUANTILES
from engine.statistics.overfitting import (
    deflated_sharpe,
    expected_best_sharpe,
    least_track_record,
    probabilistic_sharpe,
)

DEEPEST = 8
MOST_ROWS = 60  # symbols or pairs, by size of profit or loss
ROLLING_DAYS = 126


@dataclass(frozen=True)
class Trials:
    """What was tried before this result was chosen: how many different runs, and the variance between their Sharpe
    ratios of one day.
    """

    count: int
    variance: float


@dataclass(frozen=True)
class Figure:
    label: str
    value: str
    hint: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """``columns`` are (title, kind) as in ``parts.Column``; ``rows`` hold text, figures written out."""

    title: str
    columns: tuple[tuple[str, str], ...]
    rows: list[list[str]]
    note: str = ""


@dataclass(frozen=True)
class Sheet:
    groups: list[tuple[str, list[Figure]]]
    tables: list[Table]


def sheet_of(result: Result, trials: Trials) -> Sheet:
    return Sheet(
        groups=[
            ("Return and risk", _return_and_risk(result.statistics)),
            ("Trading", _trading(result.statistics)),
            ("Against equal weights, bought and held", _relative(result.statistics["relative"])),
            ("Luck", luck(result, trials)),
        ],
        tables=[_drawdowns(result), _resampled(result), _costs(result), _symbols(result), _pairs(result)],
    )


def _return_and_risk(known: dict[str, Any]) -> list[Figure]:
    return [
        Figure("Total return", formats.percent_signed(known["total_return"]), tone=formats.tone(known["total_return"])),
        Figure("CAGR", formats.percent_signed(known["cagr"]), "252 days a year", formats.tone(known["cagr"])),
        Figure("Volatility", formats.percent(known["volatility"]), "A year, of daily returns, ddof 1"),
        Figure("Sharpe", formats.number(known["sharpe"]), "A year, rate 0"),
        Figure("Sortino", formats.number(known["sortino"]), "A year, losses against 0"),
        Figure("Calmar", formats.number(known["calmar"]), "CAGR over the deepest drawdown"),
        Figure("Max drawdown", formats.percent(known["max_drawdown"]), "At the closes", "loss"),
        Figure("Longest drawdown", f"{formats.quantity(known['longest_drawdown_days'])} days", "Trading days"),
        Figure("Skewness", formats.number(known["skewness"])),
        Figure("Kurtosis", formats.number(known["kurtosis"]), "3 for a normal distribution"),
        Figure("Best day", formats.percent_signed(known["best_day"]), tone=formats.tone(known["best_day"])),
        Figure("Worst day", formats.percent_signed(known["worst_day"]), tone=formats.tone(known["worst_day"])),
    ]


def _trading(known: dict[str, Any]) -> list[Figure]:
    return [
        Figure("Trades", formats.quantity(known["trades"])),
        Figure("Round trips", formats.quantity(known["round_trips"])),
        Figure("Hit rate", formats.percent(known["hit_rate"]), "Round trips with profit, before costs"),
        Figure("Mean holding", _days(known["holding_days"]), "Trading days of a round trip"),
        Figure("Turnover", _times(known["turnover"], 1), "Value traded a year over mean equity"),
        Figure("Exposure", _times(known["exposure"]), "Mean of gross position over equity"),
        Figure("Time in market", formats.percent(known["time_in_market"]), "Closes with a position"),
        Figure("Orders refused", formats.quantity(sum(known["rejects"].values())), "By limits"),
    ]


def _relative(known: dict[str, Any]) -> list[Figure]:
    return [
        Figure(
            "Alpha", formats.percent_signed(known["alpha"]), "A year, of the regression", formats.tone(known["alpha"])
        ),
        Figure("Beta", formats.number(known["beta"])),
        Figure("Correlation", formats.number(known["correlation"])),
        Figure("Tracking error", formats.percent(known["tracking_error"]), "A year"),
        Figure("Information ratio", formats.number(known["information_ratio"]), "A year"),
        Figure("Up capture", _times(known["up_capture"]), "Mean return on the benchmark's up days over its own"),
        Figure("Down capture", _times(known["down_capture"]), "The same on its down days"),
    ]


def luck(result: Result, trials: Trials) -> list[Figure]:
    """Whether the Sharpe ratio could be chance, alone and as the best of what was tried."""
    returns = result.returns
    ratio, skewness, kurtosis = daily_sharpe(returns), result.statistics["skewness"], result.statistics["kurtosis"]
    probable = deflated = needed = None
    if ratio is not None and skewness is not None and kurtosis is not None:
        probable = probabilistic_sharpe(ratio, len(returns), skewness, kurtosis)
        deflated = deflated_sharpe(ratio, len(returns), skewness, kurtosis, trials.count, trials.variance)
        needed = least_track_record(ratio, skewness, kurtosis)
    best = expected_best_sharpe(trials.count, trials.variance) * 252**0.5
    return [
        Figure("Probabilistic Sharpe", formats.percent(probable), "That the true ratio is above 0"),
        Figure("Trials", formats.quantity(trials.count), "Different runs of this strategy on this dataset"),
        Figure("Best by chance", formats.number(best), "Sharpe to expect of the best of as many without skill"),
        Figure("Deflated Sharpe", formats.percent(deflated), "That the true ratio is above that"),
        Figure("Least track record", _days(needed), "Days to say with 95 % that the true ratio is above 0"),
    ]


def _drawdowns(result: Result) -> Table:
    dates = ["start", *result.dates]
    falls = deepest(drawdowns(with_capital(result.capital, result.equity)), DEEPEST)
    columns = (("From", "time"), ("Lowest", "time"), ("Regained", "time"), ("Depth", "figure"), ("Days", "figure"))
    return Table("Deepest drawdowns", columns, [_drawdown(fall, dates) for fall in falls], "trading days")


def _drawdown(fall: Drawdown, dates: Sequence[str]) -> list[str]:
    until = fall.recovered if fall.recovered is not None else len(dates) - 1
    regained = dates[fall.recovered] if fall.recovered is not None else "not yet"
    days = formats.quantity(until - fall.peak)
    return [dates[fall.peak], dates[fall.trough], regained, formats.percent(fall.depth), days]


def _resampled(result: Result) -> Table:
    found = result.resampled
    rows = [
        [f"{share:.0%}", formats.percent_signed(total), formats.percent(worst)]
        for share, total, worst in zip(QUANTILES, found.total_return, found.max_drawdown, strict=True)
    ]
    columns = (("Share of paths below", "text"), ("Total return", "figure"), ("Max drawdown", "figure"))
    lost = formats.percent(found.loss_probability)
    return Table("Resampled days", columns, rows, f"500 paths of blocks of 20 days on average; {lost} of them lose")


def _costs(result: Result) -> Table:
    known = result.statistics
    notional = sum(result.symbols["notional"].to_pylist())
    rows = []
    for label, name in (("Commission and fees", "fees"), ("Half the spread", "spread")):
        amount = formats.decimal(known[name])
        share = None if not notional or amount is None else amount / notional
        rows.append([label, formats.money(amount), formats.bps(share)])
    total = sum(formats.decimal(known[name]) or 0 for name in ("fees", "spread"))
    rows.append(["All", formats.money(total), formats.bps(total / notional if notional else None)])
    columns = (("Cost", "text"), ("USD", "figure"), ("bps of value", "figure"))
    return Table("Costs by kind, USD", columns, rows)


def _symbols(result: Result) -> Table:
    columns = (
        ("Symbol", "text"),
        ("Trades", "figure"),
        ("Value", "figure"),
        ("Fees", "figure"),
        ("Spread", "figure"),
        ("Profit", "figure"),
    )
    largest = sorted(result.symbols.to_pylist(), key=lambda row: -abs(row["profit"]))
    rows = [
        [
            row["symbol"],
            formats.quantity(row["trades"]),
            *(formats.money(row[name]) for name in ("notional", "fees", "spread")),
            formats.money_signed(row["profit"]),
        ]
        for row in largest[:MOST_ROWS]
    ]
    return Table("By symbol, USD", columns, rows, _cut(largest, "profit after costs"))


def _pairs(result: Result) -> Table:
    """Round trips by what was traded: a pair, or a symbol by itself."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for trip in result.round_trips.to_pylist():
        found[trip["pair"]].append(trip)
    columns = (
        ("Pair", "text"),
        ("Round trips", "figure"),
        ("With profit", "figure"),
        ("Mean days", "figure"),
        ("Profit", "figure"),
    )
    profits = {pair: sum(trip["profit"] for trip in trips) for pair, trips in found.items()}
    largest = sorted(profits, key=lambda pair: -abs(profits[pair]))
    rows = [
        [
            pair,
            formats.quantity(len(found[pair])),
            formats.percent(sum(trip["profit"] > 0 for trip in found[pair]) / len(found[pair])),
            formats.number(sum(trip["days"] for trip in found[pair]) / len(found[pair]), 1),
            formats.money_signed(profits[pair]),
        ]
        for pair in largest[:MOST_ROWS]
    ]
    return Table("By pair, USD", columns, rows, _cut(largest, "round trips, before costs"))


def _cut(of: Sequence[Any], said: str) -> str:
    return said if len(of) <= MOST_ROWS else f"{said}; the largest {MOST_ROWS} of {formats.quantity(len(of))}"


def _days(value: Any) -> str:
    return formats.UNKNOWN if value is None else f"{formats.number(value, 1)} days"


def _times(value: Any, decimals: int = 2) -> str:
    return formats.UNKNOWN if value is None else f"{formats.number(value, decimals)}×"
