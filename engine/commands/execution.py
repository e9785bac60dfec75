"""Plans of execution: ``execution almgren-chriss`` prints the optimal trajectory, its expected cost and variance, and
the efficient frontier.

Costs are positive when money is lost against the price at arrival, in the currency of the price; time is in the unit
that the horizon is in, and volatility and temporary impact are in that unit too.
"""

import argparse
import math
from typing import Any

from engine.errors import BadInput
from engine.execution.almgren_chriss import Impact, Trajectory, effective_temporary, frontier, optimal

METHOD = "Almgren and Chriss (2001), linear impact, discrete time, closed form"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    plans = parser.add_subparsers(dest="plan", required=True, metavar="PLAN")
    one = plans.add_parser("almgren-chriss", description=__doc__)
    # read as text, so that what is no number is answered like all bad input
    one.add_argument("--shares", "--X", metavar="X", help="shares to trade")
    one.add_argument("--horizon", "--T", metavar="T", help="time to trade them in")
    one.add_argument("--intervals", "--N", metavar="N", help="trading intervals in the horizon")
    one.add_argument("--volatility", "--sigma", metavar="SIGMA", help="currency a share and square root of time")
    one.add_argument("--permanent", "--gamma", metavar="GAMMA", default="0", help="permanent impact a share traded")
    one.add_argument("--temporary", "--eta", metavar="ETA", help="temporary impact for each share per time")
    one.add_argument("--fixed", "--epsilon", metavar="EPSILON", default="0", help="cost a share: half spread, fees")
    one.add_argument("--risk-aversion", "--lambda", dest="risk_aversion", metavar="LAMBDA", help="per currency")
    one.add_argument("--price", "--S0", metavar="S0", help="at arrival; costs come in bps too where it is given")
    one.add_argument("--frontier", metavar="POINTS", default="20", help="trajectories on the frontier, 0 for none")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises BadInput for what is missing, no number, or out of range."""
    shares, horizon = _number(arguments, "shares"), _number(arguments, "horizon")
    intervals, points = _whole(arguments, "intervals"), _whole(arguments, "frontier")
    impact = Impact(**{name: _number(arguments, name) for name in ("volatility", "permanent", "temporary", "fixed")})
    price = _number(arguments, "price") if arguments.price is not None else None
    if price is not None and price <= 0:
        raise BadInput("out_of_range", "price", price, "over 0")
    best = optimal(shares, horizon, intervals, impact, _number(arguments, "risk_aversion"))
    plans = frontier(shares, horizon, intervals, impact, points) if points else []
    return {
        "method": METHOD,
        "sign": "cost is positive when money is lost against the arrival price",
        "minimises": "expected_cost + risk_aversion * variance",
        "shares": shares,
        "horizon": horizon,
        "intervals": intervals,
        "eta_tilde": effective_temporary(impact, horizon / intervals),
        "kappa_tilde": best.kappa_tilde,
        **_figures(best, shares, price),
        "holdings": best.holdings.tolist(),
        "trades": best.trades.tolist(),
        "frontier": [_figures(plan, shares, price) for plan in plans],
    }


def _figures(plan: Trajectory, shares: float, price: float | None) -> dict[str, float | None]:
    figures: dict[str, float | None] = {
        "risk_aversion": plan.risk_aversion,
        "kappa": plan.kappa,
        "half_life": plan.half_life if math.isfinite(plan.half_life) else None,
        "expected_cost": plan.expected_cost,
        "variance": plan.variance,
        "standard_deviation": math.sqrt(plan.variance),
        "utility": plan.expected_cost + plan.risk_aversion * plan.variance,
    }
    if price is not None:
        figures["expected_cost_bps"] = plan.expected_cost / (shares * price) * 1e4
    return figures


def _number(arguments: argparse.Namespace, field: str) -> float:
    text = getattr(arguments, field)
    if text is None:
        raise BadInput("missing", field, None, f"--{field.replace('_', '-')}, a number")
    try:
        value = float(text)
    except ValueError:
        raise BadInput("not_a_number", field, text, "a number") from None
    if not math.isfinite(value):
        raise BadInput("not_a_number", field, text, "a finite number")
    return value


def _whole(arguments: argparse.Namespace, field: str) -> int:
    value = _number(arguments, field)
    if value != int(value) or not 0 <= value <= 1_000_000:
        raise BadInput("out_of_range", field, getattr(arguments, field), "a whole number from 0 to 1000000")
    return int(value)
