"""The router in plain Python, written to be obviously right: every split of an intent is tried, what breaks a rule is
thrown away, and the cheapest is left. Exponential: for tests with a handful of shares.

Nothing is shared with ``engine.core.router`` but the records' field names and the definitions in its docstring.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

PARTS = 4096


@dataclass(frozen=True)
class Venue:
    fees: tuple[int, int, int]  # take, midpoint, post
    rates: tuple[int, int, int] = (PARTS, PARTS, PARTS)  # in 1/4096
    levels: tuple[tuple[int, int], ...] = ()  # (price, shares) of the side that the intent takes, best first
    own: tuple[tuple[int, int], ...] = ()  # of its own side
    open: bool = True
    protected: bool = True
    midpoint: bool = False
    posts: bool = True
    min_qty: int = 1
    hidden: int = 0  # shares usually found at the midpoint, 0: not known


@dataclass(frozen=True)
class Split:
    """Shares by venue."""

    take: tuple[int, ...]
    midpoint: tuple[int, ...]
    post: tuple[int, ...]


@dataclass
class ReferenceRouter:
    side: int
    qty: int
    limit: int
    urgency: int
    rests: bool
    venues: list[Venue]
    lot: int = 100
    best: int = field(init=False)

    def __post_init__(self) -> None:
        quotes = [venue.levels[0][0] for venue in self.venues if venue.open and venue.levels]
        own = [venue.own[0][0] for venue in self.venues if venue.open and venue.own]
        self.best = min(quotes, key=lambda price: self.side * price)
        self.touch = max(own, key=lambda price: self.side * price) if own else None
        if self.touch is not None and (self.best - self.touch) * self.side <= 0:
            self.touch = None  # locked or crossed: neither a middle nor a price to rest at
        self.miss = self._miss()

    def away(self, price: int) -> int:
        return self.side * (price - self.best)

    def _miss(self) -> int:
        levels = sorted((self.away(p), n) for venue in self.venues if venue.open for p, n in venue.levels)
        seen, furthest = 0, 0
        for away, shares in levels:
            if seen < self.qty:
                furthest = away
            seen += shares
        return furthest + max(v.fees[0] for v in self.venues if v.open and v.levels) + self.urgency

    def _share(self, venue: Venue, action: int, away: int) -> int:
        rate = venue.rates[action]
        return rate * (away + venue.fees[action]) + (PARTS - rate) * self.miss

    def takable(self, venue: Venue) -> list[int]:
        """Price of each share that may be taken, best first."""
        if not venue.open:
            return []
        return [
            price for price, shares in venue.levels for _ in range(shares) if self.away(price) <= self.away(self.limit)
        ]

    def resting(self) -> int | None:
        if self.touch is None or not self.rests:
            return None
        return self.touch if self.side * self.touch <= self.side * self.limit else self.limit

    def middle(self) -> int | None:
        if self.touch is None:
            return None
        middle = (self.touch + self.best) // 2
        return middle if self.side * middle <= self.side * self.limit else None

    def room(self, number: int) -> tuple[int, int, int]:
        venue = self.venues[number]
        take = min(len(self.takable(venue)), self.qty)
        usual = min(max(venue.hidden, venue.min_qty), self.qty) if venue.hidden else self.qty
        middle = usual if venue.open and venue.midpoint and self.middle() is not None else 0
        post = 0
        if venue.open and venue.posts and self.resting() is not None:
            there = [shares for price, shares in venue.own[:1] if price == self.resting()]
            post = min(max([self.lot, *there]), self.qty)
        return take, middle, post

    def cost(self, split: Split) -> int:
        """Expected, of all shares asked for, over the best displayed price, times PARTS."""
        total = (self.qty - sum(split.take) - sum(split.midpoint) - sum(split.post)) * self.miss * PARTS
        for number, venue in enumerate(self.venues):
            prices = self.takable(venue)[: split.take[number]]
            total += sum(self._share(venue, 0, self.away(price)) for price in prices)
            if split.midpoint[number]:
                total += split.midpoint[number] * self._share(venue, 1, self.away(self.middle() or 0))
            if split.post[number]:
                total += split.post[number] * self._share(venue, 2, self.away(self.resting() or 0))
        return total

    def fault(self, split: Split) -> str:
        """Which rule a split breaks; empty for none."""
        orders = [(n, shares) for part in (split.take, split.midpoint, split.post) for n, shares in enumerate(part)]
        if sum(shares for _, shares in orders) > self.qty:
            return "more than asked for"
        if any(0 < shares < self.venues[number].min_qty for number, shares in orders):
            return "below a least size"
        worst = None
        for number, venue in enumerate(self.venues):
            for action, part in enumerate((split.take, split.midpoint, split.post)):
                if part[number] > self.room(number)[action]:
                    return "more than is offered"
            if split.take[number]:
                last = self.away(self.takable(venue)[split.take[number] - 1])
                worst = last if worst is None else max(worst, last)
        for number, venue in enumerate(self.venues):
            if worst is not None and venue.open and venue.protected and venue.levels:
                price, shares = venue.levels[0]
                if self.away(price) < worst and split.take[number] < shares:
                    return "a trade-through"
        return ""

    def splits(self) -> Iterator[Split]:
        """Every split of the intent, some of them faulty."""
        count = len(self.venues)
        rooms = [self.room(number)[action] for action in range(3) for number in range(count)]

        def parts(left: int, index: int) -> Iterator[tuple[int, ...]]:
            if index == len(rooms):
                yield ()
                return
            for shares in range(min(left, rooms[index]) + 1):
                for rest in parts(left - shares, index + 1):
                    yield (shares, *rest)

        for row in parts(self.qty, 0):
            yield Split(row[:count], row[count : 2 * count], row[2 * count :])

    def least_cost(self) -> int:
        return min(self.cost(split) for split in self.splits() if not self.fault(split))
