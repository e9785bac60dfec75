"""The session clock: which moment of which trading day a moment of wall time stands for.

Simulations squeeze a trading day into seconds. Exchange and engine then stamp everything on one clock
that says what the *session* time is, so that staleness, hours and skew checks mean what they say.

Trading day k holds the wall time [epoch + k * day_seconds, epoch + (k + 1) * day_seconds):

- its first 90 % run from 09:30 to 16:00 in New York;
- its last 10 % are the night: half of it leaps to half an hour before the next opening (over nights,
  weekends and holidays), half of it is the last half hour before the opening, in which the venue sends its
  start-of-day messages.

Before the first pre-open the clock stands still there; after the last close it goes on at wall speed.
All times are int64 ns UTC; New York's offset comes from the IANA time zone database.
"""

import json
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np

from engine.core.compiled import njit
from engine.dates import as_date

NEW_YORK = ZoneInfo("America/New_York")
OPEN_AFTER_MIDNIGHT_NS = int(9.5 * 3600) * 1_000_000_000
CLOSE_AFTER_MIDNIGHT_NS = 16 * 3600 * 1_000_000_000
PRE_OPEN_NS = 1800 * 1_000_000_000
SESSION_SHARE = 0.90  # of a day's wall seconds
LEAP_SHARE = 0.05  # from the close to the pre-open of the next day


class HostClocks(Protocol):
    """The two clocks of a host, in ns: the module ``time``, or those of a simulation in virtual time."""

    def monotonic_ns(self) -> int: ...

    def time_ns(self) -> int: ...


@njit(cache=True)
def interpolate(wall_knots: np.ndarray, session_knots: np.ndarray, wall_ns: int) -> int:
    """Session time of ``wall_ns``: linear between the knots (int64, rising), never going back.

    Before the first knot it stands still; after the last one it runs at wall speed.
    """
    last = wall_knots.shape[0] - 1
    if wall_ns <= wall_knots[0]:
        return session_knots[0]
    if wall_ns >= wall_knots[last]:
        return session_knots[last] + (wall_ns - wall_knots[last])
    right = np.searchsorted(wall_knots, wall_ns, side="right")
    left = right - 1
    # A product of two spans in ns does not fit 64 bits; a ratio in float64 is off by less than 1 ns.
    share = (wall_ns - wall_knots[left]) / (wall_knots[right] - wall_knots[left])
    return session_knots[left] + np.int64(share * (session_knots[right] - session_knots[left]))


def midnight_ns(date: int) -> int:
    """Midnight in New York at the start of ``date`` (yyyymmdd), ns UTC. ITCH timestamps count from here."""
    return int(datetime.combine(as_date(date), time(), NEW_YORK).timestamp()) * 1_000_000_000


def _at_clock_time(date: int, after_midnight_ns: int) -> int:
    """A New York clock time of ``date``; unlike a sum on midnight it is right on daylight saving days."""
    midnight = datetime.combine(as_date(date), time())
    local = (midnight + timedelta(seconds=after_midnight_ns // 1_000_000_000)).replace(tzinfo=NEW_YORK)
    return int(local.timestamp()) * 1_000_000_000


class SessionClock:
    """Maps wall time to session time over ``dates`` (yyyymmdd, rising), ``day_seconds`` of wall time each.

    Raises ``ValueError`` for no dates, dates that do not rise, or a day that is not longer than nothing.
    ``wall_knots`` and ``session_knots`` are what a compiled loop passes to ``interpolate``.
    """

    def __init__(self, wall_epoch_ns: int, dates: Sequence[int], day_seconds: float) -> None:
        if not len(dates) or any(a >= b for a, b in zip(dates[:-1], dates[1:], strict=True)):
            raise ValueError("dates: expected at least one, strictly rising yyyymmdd")
        if not day_seconds > 0:
            raise ValueError(f"day_seconds: {day_seconds!r}, expected more than 0")
        self.wall_epoch_ns = int(wall_epoch_ns)
        self.dates = [int(date) for date in dates]
        self.day_seconds = float(day_seconds)
        self.day_ns = round(day_seconds * 1e9)
        self._opens = [_at_clock_time(date, OPEN_AFTER_MIDNIGHT_NS) for date in self.dates]
        self._closes = [_at_clock_time(date, CLOSE_AFTER_MIDNIGHT_NS) for date in self.dates]
        self.wall_knots, self.session_knots = self._knots()

    def _knots(self) -> tuple[np.ndarray, np.ndarray]:
        wall, session = [], []
        for k in range(len(self.dates)):
            wall += [self.pre_open_wall_ns(k), self.open_wall_ns(k), self.close_wall_ns(k)]
            session += [self._opens[k] - PRE_OPEN_NS, self._opens[k], self._closes[k]]
        return np.array(wall, np.int64), np.array(session, np.int64)

    def session_ns(self, wall_ns: int) -> int:
        """Session time (ns UTC) of a wall time; never goes back when wall time does not."""
        return int(interpolate(self.wall_knots, self.session_knots, wall_ns))

    def open_ns(self, k: int) -> int:
        """Session time of the opening of day ``k`` (09:30 New York)."""
        return self._opens[k]

    def close_ns(self, k: int) -> int:
        """Session time of the close of day ``k`` (16:00 New York)."""
        return self._closes[k]

    def open_wall_ns(self, k: int) -> int:
        """Wall time of the opening of day ``k``."""
        return self.wall_epoch_ns + k * self.day_ns

    def close_wall_ns(self, k: int) -> int:
        """Wall time of the close of day ``k``."""
        return self.open_wall_ns(k) + round(self.day_ns * SESSION_SHARE)

    def pre_open_wall_ns(self, k: int) -> int:
        """Wall time at which the start-of-day messages of day ``k`` go out, half an hour before its opening."""
        return self.open_wall_ns(k) - round(self.day_ns * (1 - SESSION_SHARE - LEAP_SHARE))

    def to_json(self) -> str:
        return json.dumps({"wall_epoch_ns": self.wall_epoch_ns, "day_seconds": self.day_seconds, "dates": self.dates})

    @classmethod
    def from_json(cls, text: str | bytes) -> "SessionClock":
        """Raises ``ValueError`` or ``KeyError`` for text that ``to_json`` did not write."""
        fields = json.loads(text)
        return cls(fields["wall_epoch_ns"], fields["dates"], fields["day_seconds"])
