"""A deployment's execution plan (``engine.messages.Plan``) as the SCHEDULE by which the step works its parents."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.core.schedules import PLAN_SHARES, POINTS
from engine.errors import BadInput
from engine.execution.almgren_chriss import fractions_left
from engine.execution.schedules import Slicing, pov, shortfall, twap, vwap

MINUTE = 60_000_000_000
MOST_URGENT = 50.0  # beyond it nearly all would be sent within the first of the curve's parts
SHORTFALL_POINTS = 100


class PlanSettings(Protocol):
    """The fields of ``engine.messages.Plan``, which this layer does not know."""

    @property
    def kind(self) -> str: ...
    @property
    def minutes(self) -> float: ...
    @property
    def min_slice(self) -> int: ...
    @property
    def max_slice(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def curve(self) -> Sequence[float]: ...
    @property
    def urgency(self) -> float: ...
    @property
    def timing(self) -> float: ...
    @property
    def max_participation(self) -> float: ...
    @property
    def completes(self) -> bool: ...
    @property
    def seed(self) -> int: ...


def plan_schedule(plan: PlanSettings) -> NDArray[np.void]:
    """SCHEDULE[1] for PLAN_SHARES shares from 0 on. Raises BadInput naming the field that cannot be so."""
    if not 0 < plan.minutes <= 24 * 60:
        raise BadInput("out_of_range", "minutes", plan.minutes, "more than 0, at most a day")
    end = round(plan.minutes * MINUTE)
    slicing = Slicing(
        plan.min_slice, plan.max_slice, plan.timing, plan.seed, plan.max_participation, bool(plan.completes)
    )
    if plan.kind == "twap":
        return twap(PLAN_SHARES, 0, end, slicing)
    if plan.kind == "vwap":
        if not plan.curve:
            raise BadInput("weights", "curve", "none", f"1 to {POINTS} numbers: the volume of equal parts of the time")
        return vwap(PLAN_SHARES, 0, end, np.array(plan.curve, np.float64), slicing)
    if plan.kind == "pov":
        return pov(PLAN_SHARES, 0, end, plan.rate, slicing)
    if plan.kind == "shortfall":
        if not 0 <= plan.urgency <= MOST_URGENT:
            raise BadInput("out_of_range", "urgency", plan.urgency, f"0 to {MOST_URGENT:g}")
        return shortfall(PLAN_SHARES, 0, end, fractions_left(plan.urgency, 1.0, SHORTFALL_POINTS), slicing)
    raise BadInput("unknown_plan", "kind", plan.kind, "twap, vwap, pov or shortfall")
