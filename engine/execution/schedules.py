"""Makes the schedules that ``engine.core.schedules`` runs: TWAP, VWAP, POV and implementation shortfall.

Each returns SCHEDULE[1]; with ``qty`` PLAN_SHARES from 0 on it is a plan, by which the step works every parent of a
strategy (``engine.core.scheduling``). ``qty`` in shares, ``start`` and ``end`` in ns. Raises BadInput, naming the
field, for what cannot be a schedule.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.core.schedules import POINTS, PPM, SCHEDULE, check_schedule
from engine.errors import BadInput


@dataclass(frozen=True)
class Slicing:
    """How a path is followed. Shares of something are fractions from 0 to 1."""

    min_slice: int
    max_slice: int
    timing: float = 0.0  # of a slice, in which the moment of its release is random; 0: when the path is half through it
    seed: int = 0
    max_participation: float = 0.0  # of the market's volume; 0: no limit
    completes: bool = True  # what is left at the end is due then (within the participation), or is left

    def __post_init__(self) -> None:
        _check_fraction("timing", self.timing, least=0.0)
        _check_fraction("max_participation", self.max_participation, least=0.0)
        if not 0 <= self.seed < 1 << 64:
            raise BadInput("out_of_range", "seed", self.seed, "0 to 2**64 - 1")


def twap(qty: int, start: int, end: int, slicing: Slicing) -> NDArray[np.void]:
    """The same number of shares in every second."""
    return along_curve(qty, start, end, [1.0], slicing)


def vwap(qty: int, start: int, end: int, volumes: ArrayLike, slicing: Slicing) -> NDArray[np.void]:
    """In proportion to the volume that history lets expect: ``volumes`` float[n] of n equal parts of the time."""
    return along_curve(qty, start, end, volumes, slicing)


def shortfall(qty: int, start: int, end: int, holdings: ArrayLike, slicing: Slicing) -> NDArray[np.void]:
    """Along a trajectory: ``holdings`` float[n + 1] still to be traded at equally spaced times, from all to none
    (``almgren_chriss.optimal(...).holdings``). Within an interval at an even pace."""
    held = np.asarray(holdings, np.float64)
    if held.ndim != 1 or len(held) < 2 or not np.isfinite(held).all() or abs(held[-1]) > 1e-9 * abs(held[0]):
        raise BadInput("holdings", "holdings", held, "one row from all shares to none")
    return along_curve(qty, start, end, -np.sign(held[0]) * np.diff(held), slicing)


def pov(qty: int, start: int, end: int, rate: float, slicing: Slicing) -> NDArray[np.void]:
    """``rate`` (over 0, to 1) of what the market trades. Without a limit in ``slicing`` the rate is one."""
    _check_fraction("rate", rate, least=1.0 / PPM)
    made = _begin(qty, start, end, slicing)
    made["pace"] = round(rate * PPM)
    if not slicing.max_participation:
        made["max_participation"] = made["pace"]
    check_schedule(made[0])
    return made


def along_curve(qty: int, start: int, end: int, weights: ArrayLike, slicing: Slicing) -> NDArray[np.void]:
    """``weights`` float[1..POINTS], none negative, not all 0: what is to be done in each of so many equal intervals."""
    parts = np.asarray(weights, np.float64)
    if parts.ndim != 1 or not 1 <= len(parts) <= POINTS or not np.isfinite(parts).all() or (parts < 0).any():
        raise BadInput("weights", "weights", _shown(parts), f"1 to {POINTS} numbers, none of them negative")
    if parts.sum() <= 0:
        raise BadInput("weights", "weights", _shown(parts), "at least one over 0")
    made = _begin(qty, start, end, slicing)
    shares = np.cumsum(parts) / parts.sum()
    made["points"] = len(parts)
    made["curve"][0, 1 : len(parts) + 1] = np.minimum(np.rint(shares * qty), qty).astype(np.int64)
    made["curve"][0, len(parts)] = qty
    check_schedule(made[0])
    return made


def _begin(qty: int, start: int, end: int, slicing: Slicing) -> NDArray[np.void]:
    made = np.zeros(1, SCHEDULE)
    made["qty"], made["start"], made["end"] = qty, start, end
    made["min_slice"], made["max_slice"] = slicing.min_slice, slicing.max_slice
    made["timing"] = round(slicing.timing * PPM)
    made["max_participation"] = round(slicing.max_participation * PPM)
    made["seed"], made["completes"] = slicing.seed, slicing.completes
    return made


def _check_fraction(field: str, value: float, least: float) -> None:
    if not least <= value <= 1.0:
        raise BadInput("out_of_range", field, value, f"{least:g} to 1")


def _shown(parts: Sequence[float] | NDArray[np.float64]) -> str:
    return f"{np.shape(parts)}: {np.asarray(parts).ravel()[:8].tolist()}"
