"""Round trips of a pair: from the decision that opens a stance to the decision that closes it, and its fills.

A stance is decided at a session's close and traded after it. So the fills that open a trip lie after the
opening decision and not after the closing one; the fills that close it lie after the closing decision and
not after the pair's next opening one. A trip counts as completed once both legs were traded on both ways.
A stance that turns from one side to the other closes one trip and opens the next at once; the fills that
follow then do both, and count for both.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Q, Window
from django.db.models.functions import Lag

from control.deployments.models import Deployment
from control.trading.models import Fill, SignalPoint


@dataclass(frozen=True)
class RoundTrip:
    """``profit`` is cash in minus cash out of both legs, before fees.

    It is None where it cannot be told: where the fills do not net to zero, because a symbol is also traded
    by another pair or a stance turned over.
    """

    pair: str
    stance: int
    entered: datetime
    exited: datetime
    entry_z: float | None
    exit_z: float | None
    fills: int
    profit: Decimal | None


@dataclass(frozen=True)
class _Turn:
    ts: datetime
    before: int
    stance: int
    z: float | None


def round_trips(deployment: Deployment) -> list[RoundTrip]:
    """The completed round trips of ``deployment``, in the order of their exits."""
    fills = _fills_by_symbol(deployment)
    trips = []
    for pair, turns in _turns(deployment).items():
        trips += _trips(pair, turns, fills)
    return sorted(trips, key=lambda trip: (trip.exited, trip.pair))


def _turns(deployment: Deployment) -> dict[str, list[_Turn]]:
    """By pair, each decision that changed the stance, oldest first."""
    before = Window(Lag("stance", default=0), partition_by=F("pair"), order_by=F("ts").asc())
    rows = (
        SignalPoint.objects.filter(deployment=deployment)
        .annotate(before=before)
        .filter(~Q(stance=F("before")))
        .order_by("ts")
        .values_list("pair", "ts", "before", "stance", "z")
    )
    turns: dict[str, list[_Turn]] = defaultdict(list)
    for pair, *turn in rows:
        turns[pair].append(_Turn(*turn))
    return turns


@dataclass(frozen=True)
class _Leg:
    """A symbol's fills, oldest first: times, and (signed shares, cash) of each."""

    times: list[datetime]
    amounts: list[tuple[int, Decimal]]

    def between(self, after: datetime, until: datetime | None) -> list[tuple[int, Decimal]]:
        """Fills after ``after``, up to and including ``until`` (None: no end)."""
        start = bisect_right(self.times, after)
        stop = len(self.times) if until is None else bisect_right(self.times, until)
        return self.amounts[start:stop]


def _fills_by_symbol(deployment: Deployment) -> dict[str, _Leg]:
    legs: dict[str, _Leg] = defaultdict(lambda: _Leg([], []))
    fills = Fill.objects.filter(deployment=deployment, bust__isnull=True).order_by("ts", "pk")
    for symbol, ts, side, qty, price in fills.values_list("symbol", "ts", "side", "qty", "price"):
        shares = qty if side == "buy" else -qty
        legs[symbol].times.append(ts)
        legs[symbol].amounts.append((shares, -shares * price))
    return legs


def _trips(pair: str, turns: list[_Turn], fills: dict[str, _Leg]) -> Iterable[RoundTrip]:
    legs = [fills[symbol] for symbol in pair.split("/")]
    for index, (opened, closed) in enumerate(zip(turns, turns[1:], strict=False)):
        if opened.stance == 0:
            continue
        reopened = next((turn.ts for turn in turns[index + 2 :] if turn.stance != 0), None)
        until = reopened if closed.stance == 0 else _end_of_stance(turns, index + 1)
        ways_in = [leg.between(opened.ts, closed.ts) for leg in legs]
        ways_out = [leg.between(closed.ts, until) for leg in legs]
        if all(ways_in) and all(ways_out):
            yield _round_trip(pair, opened, closed, [way + back for way, back in zip(ways_in, ways_out, strict=True)])


def _end_of_stance(turns: list[_Turn], index: int) -> datetime | None:
    return turns[index + 1].ts if index + 1 < len(turns) else None


def _round_trip(pair: str, opened: _Turn, closed: _Turn, legs: list[list[tuple[int, Decimal]]]) -> RoundTrip:
    flat = all(sum(shares for shares, _cash in leg) == 0 for leg in legs)
    return RoundTrip(
        pair=pair,
        stance=opened.stance,
        entered=opened.ts,
        exited=closed.ts,
        entry_z=opened.z,
        exit_z=closed.z,
        fills=sum(len(leg) for leg in legs),
        profit=sum((cash for leg in legs for _shares, cash in leg), Decimal(0)) if flat else None,
    )
