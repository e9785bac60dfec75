"""Implementation shortfall by Almgren and Chriss: "Optimal execution of portfolio transactions", Journal of Risk 3
(2001), 5-39; sections by the numbers of the preprint of December 2000.

X shares are traded in N equal intervals tau = T / N. The price moves by volatility sigma per square root of time; a
trade of n shares in an interval moves it for good by gamma * n (permanent impact) and is itself executed
epsilon + eta * n / tau worse (temporary impact). Of all trajectories the optimal one minimises

    E + lambda * V,    E expected cost, V its variance (sections 1.4 and 1.5)

and is in closed form, with a discrete kappa (section 2.2):

    x[j] = X sinh(kappa (T - t[j])) / sinh(kappa T),    2 / tau**2 (cosh(kappa tau) - 1) = lambda sigma**2 / eta~,
    eta~ = eta - gamma tau / 2

Units are the caller's: one currency, one unit of time. Costs are positive when money is lost against the price at
arrival; the same for buying and selling.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput

MOST_INTERVALS = 100_000


@dataclass(frozen=True)
class Impact:
    """Of one instrument. Raises BadInput for values that are not finite or negative."""

    volatility: float  # sigma: currency a share and square root of time
    permanent: float  # gamma: currency a share, for each share traded
    temporary: float  # eta: currency a share, for each share per time
    fixed: float = 0.0  # epsilon: currency a share; half the spread and fees

    def __post_init__(self) -> None:
        for name in ("volatility", "permanent", "temporary", "fixed"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise BadInput("out_of_range", name, value, "a finite number from 0")


@dataclass(frozen=True)
class Trajectory:
    """``holdings`` float[N + 1] still to be traded at the intervals' ends, ``trades`` float[N] in each."""

    risk_aversion: float
    kappa: float  # per time; 0: an even pace
    kappa_tilde: float  # what kappa tends to as intervals become short
    holdings: NDArray[np.float64]
    expected_cost: float
    variance: float

    @property
    def trades(self) -> NDArray[np.float64]:
        return -np.diff(self.holdings)

    @property
    def half_life(self) -> float:
        """The trade's own time scale 1 / kappa (section 2.3), in which holdings fall by the factor e."""
        return 1.0 / self.kappa if self.kappa else math.inf


def cost_of(holdings: NDArray[np.float64], horizon: float, impact: Impact) -> tuple[float, float]:
    """(expected cost, variance) of any trajectory from all shares to none (section 1.4)."""
    trades, tau = -np.diff(holdings), horizon / (len(holdings) - 1)
    left = holdings[1:]
    permanent = impact.permanent * float(left @ trades)
    temporary = impact.fixed * float(np.abs(trades).sum()) + impact.temporary / tau * float(trades @ trades)
    return permanent + temporary, impact.volatility**2 * tau * float(left @ left)


def optimal(shares: float, horizon: float, intervals: int, impact: Impact, risk_aversion: float) -> Trajectory:
    """The trajectory that minimises E + ``risk_aversion`` * V. With none it is the even pace.

    Raises BadInput where there is no such trajectory: eta~ must be over 0, or trading at once would cost nothing.
    """
    tau = _check(shares, horizon, intervals)
    if not math.isfinite(risk_aversion) or risk_aversion < 0:
        raise BadInput("out_of_range", "risk_aversion", risk_aversion, "a finite number from 0")
    kappa_tilde = math.sqrt(risk_aversion / effective_temporary(impact, tau)) * impact.volatility
    kappa = 2.0 / tau * math.asinh(kappa_tilde * tau / 2.0)
    holdings = shares * fractions_left(kappa, horizon, intervals)
    return Trajectory(risk_aversion, kappa, kappa_tilde, holdings, *cost_of(holdings, horizon, impact))


def frontier(shares: float, horizon: float, intervals: int, impact: Impact, points: int) -> list[Trajectory]:
    """``points`` optimal trajectories, from the even pace (least cost) to nearly everything at once (least variance).

    Their risk aversions make kappa T go from 1/5 to 5 N in equal ratios, after the even pace.
    """
    tau = _check(shares, horizon, intervals)
    if points < 2:
        raise BadInput("out_of_range", "points", points, "at least 2")
    if impact.volatility == 0:
        raise BadInput(
            "out_of_range", "volatility", impact.volatility, "over 0: without risk there is nothing to trade off"
        )
    kappas = np.geomspace(0.2, 5.0 * intervals, points - 1) / horizon
    scale = effective_temporary(impact, tau) / impact.volatility**2
    aversions = [scale * (2.0 / tau * math.sinh(kappa * tau / 2.0)) ** 2 for kappa in kappas]
    return [optimal(shares, horizon, intervals, impact, aversion) for aversion in (0.0, *aversions)]


def effective_temporary(impact: Impact, tau: float) -> float:
    """eta~ = eta - gamma tau / 2 (section 1.5); BadInput when it is not over 0."""
    effective = impact.temporary - impact.permanent * tau / 2.0
    if effective <= 0:
        expected = f"over permanent * horizon / intervals / 2 = {impact.permanent * tau / 2.0:g}"
        raise BadInput("out_of_range", "temporary", impact.temporary, expected)
    return effective


def _check(shares: float, horizon: float, intervals: int) -> float:
    for name, value in (("shares", shares), ("horizon", horizon)):
        if not math.isfinite(value) or value <= 0:
            raise BadInput("out_of_range", name, value, "a finite number over 0")
    if not 1 <= intervals <= MOST_INTERVALS:
        raise BadInput("out_of_range", "intervals", intervals, f"1 to {MOST_INTERVALS}")
    return horizon / intervals


def fractions_left(kappa: float, horizon: float, intervals: int) -> NDArray[np.float64]:
    """sinh(kappa (T - t)) / sinh(kappa T) at the intervals' ends, in a form that neither overflows nor cancels."""
    times = np.linspace(0.0, horizon, intervals + 1)
    if kappa * horizon < 1e-8:
        return (horizon - times) / horizon
    left = np.exp(-kappa * times) * np.expm1(-2.0 * kappa * (horizon - times)) / math.expm1(-2.0 * kappa * horizon)
    left[-1] = 0.0
    return left
