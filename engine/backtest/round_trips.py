"""Round trips of pairs: from the close that took a stance to the fills that ended it."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class RoundTrip:
    """``legs`` holds signed shares by symbol, prices are in 1/10,000, days are trading days."""

    pair: str
    stance: int
    entry_date: int
    entry_z: float
    legs: dict[str, int]
    entry_prices: dict[str, int] = field(default_factory=dict)
    exit_prices: dict[str, int] = field(default_factory=dict)
    exit_date: int = 0
    exit_z: float | None = None
    days: int = 0

    @property
    def profit(self) -> int:
        """Money in 1/10,000 before fees and spread, once ``exit_prices`` are known."""
        return sum(qty * (self.exit_prices[leg] - self.entry_prices[leg]) for leg, qty in self.legs.items())


class RoundTrips:
    """Follows stances close by close; a decision is priced at the next session, as its orders are."""

    def __init__(self) -> None:
        self.finished: list[RoundTrip] = []
        self._open: dict[str, RoundTrip] = {}
        self._entered: list[RoundTrip] = []
        self._ended: list[RoundTrip] = []

    @property
    def unpriced(self) -> bool:
        """Whether anything that was decided waits for its price."""
        return bool(self._entered or self._ended)

    def on_session(self, prices: dict[str, int]) -> None:
        """What closes before decided is priced at this session's open; a leg without a price (0) waits."""
        for trip in [trip for trip in self._entered if all(prices[leg] for leg in trip.legs)]:
            trip.entry_prices = {leg: prices[leg] for leg in trip.legs}
            self._entered.remove(trip)
        for trip in [trip for trip in self._ended if trip.entry_prices and all(prices[leg] for leg in trip.legs)]:
            trip.exit_prices = {leg: prices[leg] for leg in trip.legs}
            self._ended.remove(trip)
            self.finished.append(trip)

    def on_stance(self, pair: str, stance: int, z: float, date: int, legs: dict[str, int]) -> None:
        """A pair's stance after a close; ``legs`` when it was just taken."""
        trip = self._open.get(pair)
        if trip and trip.stance != stance:
            self._end(trip, date, z)
        if stance and pair not in self._open:
            trip = self._open[pair] = RoundTrip(pair, stance, date, z, legs)
            self._entered.append(trip)
        elif trip and pair in self._open:
            trip.days += 1

    def on_formation(self, pairs: Iterable[str], date: int) -> None:
        """Pairs that are not formed again end with the first session of the new formation."""
        for pair in sorted(self._open.keys() - set(pairs)):
            self._end(self._open[pair], date, None)

    def _end(self, trip: RoundTrip, date: int, z: float | None) -> None:
        trip.exit_date, trip.exit_z = date, z
        self._ended.append(trip)
        del self._open[trip.pair]
