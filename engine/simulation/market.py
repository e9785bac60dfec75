"""What the simulated market is made from: real daily closes, and each day's opening and volatility beside them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput

OVERNIGHT_SHARE = 0.25  # of a day's variance, and of its move from close to close
VOLATILITY_DAYS = 21
DEFAULT_DEVIATION, LEAST_DEVIATION, MOST_DEVIATION = 0.015, 0.004, 0.06  # of the daily log return


class Day(NamedTuple):
    """One trading day, arrays [symbols]; prices are floats in 1/10,000, 0 where a symbol does not trade."""

    date: int  # yyyymmdd
    opens: NDArray[np.float64]
    closes: NDArray[np.float64]
    deviations: NDArray[np.float64]  # standard deviation of the log price over the session


class Market:
    """Trading days ``start`` to ``end`` (yyyymmdd, inclusive) of a panel.

    ``dates`` int64 [n], rising; ``closes`` and ``opens`` int64 [n, m] in 1/10,000, 0 = unknown. Days before ``start``
    give the first previous close and volatility. A day without a real opening price gets one from the bridge between
    the closes around it: a quarter of the move, and of the variance, fall into the night.

    Raises ``BadInput`` when no day lies in the range.
    """

    def __init__(
        self,
        dates: NDArray[np.int64],
        symbols: Sequence[str],
        closes: NDArray[np.int64],
        opens: NDArray[np.int64] | None,
        *,
        start: int,
        end: int,
        seed: int,
    ) -> None:
        self.symbols = list(symbols)
        self.seed = seed
        self._all_dates = np.asarray(dates, np.int64)
        self._rows = np.flatnonzero((self._all_dates >= start) & (self._all_dates <= end))
        if not len(self._rows):
            raise BadInput("no_days", "start", f"{start}..{end}", "a range that holds a day of the dataset")
        self._closes = np.asarray(closes, np.float64)
        self._opens = np.zeros_like(self._closes) if opens is None else np.asarray(opens, np.float64)
        self.dates = [int(date) for date in self._all_dates[self._rows]]

    def after(self, date: int) -> list[int]:
        """The trading days later than ``date`` (yyyymmdd)."""
        return [later for later in self.dates if later > date]

    def day(self, date: int) -> Day:
        row = int(np.searchsorted(self._all_dates, date))
        closes = self._closes[row]
        previous = self._previous_closes(row)
        deviations = self._deviations(row)
        opens = np.where(self._opens[row] > 0, self._opens[row], self._bridge(date, previous, closes, deviations))
        return Day(date, np.where(closes > 0, opens, 0.0), closes, deviations * np.sqrt(1.0 - OVERNIGHT_SHARE))

    def _previous_closes(self, row: int) -> NDArray[np.float64]:
        """The last known close before a day; the day's own where there is none."""
        before = self._closes[max(row - VOLATILITY_DAYS, 0) : row][::-1]
        known = before > 0
        first = known.argmax(axis=0) if len(before) else np.zeros(len(self.symbols), np.int64)
        found = before[first, np.arange(len(self.symbols))] if len(before) else np.zeros(len(self.symbols))
        return np.where(found > 0, found, self._closes[row])

    def _deviations(self, row: int) -> NDArray[np.float64]:
        """Of the daily log returns of the days before (only those whose two closes are known)."""
        window = self._closes[max(row - VOLATILITY_DAYS - 1, 0) : row]
        if len(window) < 6:
            return np.full(len(self.symbols), DEFAULT_DEVIATION)
        known = (window[1:] > 0) & (window[:-1] > 0)
        returns = np.where(known, np.log(np.where(known, window[1:], 1.0) / np.where(known, window[:-1], 1.0)), 0.0)
        count = known.sum(axis=0)
        measured = np.sqrt((returns**2).sum(axis=0) / np.maximum(count, 1))
        return np.where(count >= 5, np.clip(measured, LEAST_DEVIATION, MOST_DEVIATION), DEFAULT_DEVIATION)

    def _bridge(
        self, date: int, previous: NDArray[np.float64], closes: NDArray[np.float64], deviations: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Brownian bridge from the previous close to this one, seen at the share of the night."""
        draws = np.random.default_rng([self.seed, date]).standard_normal(len(self.symbols))
        known = (previous > 0) & (closes > 0)
        start, end = np.log(np.where(known, previous, 1.0)), np.log(np.where(known, closes, 1.0))
        spread = np.sqrt(OVERNIGHT_SHARE * (1.0 - OVERNIGHT_SHARE)) * deviations * draws
        return np.exp(start + OVERNIGHT_SHARE * (end - start) + spread)
