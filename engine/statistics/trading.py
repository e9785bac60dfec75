"""Figures of executions: what they turned over, cost and earned by symbol, and how long shares were held.

Prices and money in 1/10,000, sides +1 buy and -1 sell, all arrays of one length and in the order of the executions.
"""

from dataclasses import dataclass

import numpy as np

from engine.statistics.curve import DAYS_A_YEAR


@dataclass(frozen=True)
class Executions:
    """``mids`` is what each would have cost without half a spread; ``days`` counts trading days from the first."""

    instruments: np.ndarray
    sides: np.ndarray
    prices: np.ndarray
    shares: np.ndarray
    fees: np.ndarray
    mids: np.ndarray
    days: np.ndarray

    @property
    def notional(self) -> np.ndarray:
        return self.prices * self.shares

    @property
    def spread(self) -> np.ndarray:
        """What each gave up to half a spread."""
        return self.sides * (self.prices - self.mids) * self.shares


@dataclass(frozen=True)
class Holding:
    """Shares of one symbol from flat to flat. ``profit`` at mids: before fees and spread."""

    instrument: int
    side: int
    entered: int
    left: int
    profit: int


@dataclass(frozen=True)
class OfSymbol:
    """``profit`` is after all costs, with what is still held at its last price."""

    instrument: int
    trades: int
    notional: int
    fees: int
    spread: int
    profit: int
    position: int


def by_symbol(executions: Executions, last_prices: np.ndarray) -> list[OfSymbol]:
    """Each symbol that was traded; ``last_prices`` int64 [symbols]."""
    found = []
    for instrument in np.unique(executions.instruments).tolist():
        mine = executions.instruments == instrument
        signed = executions.sides[mine] * executions.shares[mine]
        position, fees = int(signed.sum()), int(executions.fees[mine].sum())
        cash = -int((signed * executions.prices[mine]).sum()) - fees
        found.append(
            OfSymbol(
                instrument=instrument,
                trades=int(mine.sum()),
                notional=int(executions.notional[mine].sum()),
                fees=fees,
                spread=int(executions.spread[mine].sum()),
                profit=cash + position * int(last_prices[instrument]),
                position=position,
            )
        )
    return found


def holdings(executions: Executions) -> list[Holding]:
    """Every stretch from flat to flat that has ended, in the order of its end. What goes through zero ends one."""
    finished: list[Holding] = []
    held: dict[int, tuple[int, int, int]] = {}  # position, entered, cash at mids
    columns = (executions.instruments, executions.sides, executions.shares, executions.mids, executions.days)
    for instrument, side, shares, mid, day in zip(*(column.tolist() for column in columns), strict=True):
        position, entered, cash = held.get(instrument, (0, day, 0))
        closing = min(shares, abs(position)) if position * side < 0 else 0
        cash -= side * closing * mid
        if closing and closing == abs(position):
            finished.append(Holding(instrument, -side, entered, day, cash))
            position, entered, cash = 0, day, 0
        else:
            position += side * closing
        opening = shares - closing
        if opening or position:
            entered = entered if position else day
            held[instrument] = (position + side * opening, entered, cash - side * opening * mid)
        else:
            held.pop(instrument, None)
    return finished


def turnover(notional: float, equity: np.ndarray) -> float | None:
    """Value traded a year as a multiple of the mean equity, both in one unit; ``equity`` float64 [days]."""
    mean = float(equity.mean()) if len(equity) else 0.0
    return notional / mean / (len(equity) / DAYS_A_YEAR) if mean > 0 else None


def exposure(gross: np.ndarray, equity: np.ndarray) -> dict[str, float | None]:
    """``exposure`` is the mean of gross over equity, ``time_in_market`` the share of closes with a position."""
    if not len(gross) or not (equity > 0).all():
        return {"exposure": None, "time_in_market": None}
    return {"exposure": float((gross / equity).mean()), "time_in_market": float((gross > 0).mean())}


def hit_rate(profits: np.ndarray) -> float | None:
    """The share of round trips with a profit."""
    return float((profits > 0).mean()) if len(profits) else None
