"""Round trips of a pair, from decisions and fills. Times are days of January 2013."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest

from control.accounts.models import User
from control.deployments.models import Deployment
from control.trading import selectors
from control.trading.models import Fill, SignalPoint
from control.trading.round_trips import round_trips

FLAT, LONG, SHORT = 0, 1, -1


def close(day: int) -> datetime:
    return datetime(2013, 1, day, 21, tzinfo=UTC)


def opening(day: int) -> datetime:
    return datetime(2013, 1, day, 14, 30, tzinfo=UTC)


@pytest.fixture
def decide(deployment: Deployment) -> Callable[..., None]:
    """Puts down the stances that a pair had at the closes of days 1, 2, 3..."""

    def put(pair: str, *stances: int) -> None:
        for day, stance in enumerate(stances, start=1):
            SignalPoint.objects.create(
                deployment=deployment, ts=close(day), pair=pair, z=float(day), spread=0, hedge_ratio=1, stance=stance
            )

    return put


@pytest.fixture
def trade(deployment: Deployment) -> Callable[..., None]:
    """Puts down a fill at the opening of a day."""

    def put(day: int, symbol: str, shares: int, price: str) -> None:
        Fill.objects.create(
            deployment=deployment,
            venue="SIM",
            trade_date=opening(day).date(),
            execution_id=Fill.objects.count() + 1,
            order_id=1,
            symbol=symbol,
            side="buy" if shares > 0 else "sell",
            price=Decimal(price),
            qty=abs(shares),
            ts=opening(day),
        )

    return put


def test_a_stance_that_opens_and_closes_with_fills_on_both_legs_is_a_round_trip(
    deployment: Deployment, decide: Callable, trade: Callable
) -> None:
    decide("KO/PEP", FLAT, LONG, LONG, FLAT, FLAT)
    trade(3, "KO", 100, "40")
    trade(3, "PEP", -50, "80")
    trade(5, "KO", -60, "42")
    trade(5, "KO", -40, "42")
    trade(5, "PEP", 50, "81")
    [trip] = round_trips(deployment)
    assert (trip.pair, trip.stance, trip.entered, trip.exited) == ("KO/PEP", LONG, close(2), close(4))
    assert (trip.entry_z, trip.exit_z, trip.fills) == (2.0, 4.0, 5)
    assert trip.profit == Decimal(150)  # 100 shares x 2 gained, 50 shares x 1 lost


def test_a_trip_is_not_complete_before_both_legs_are_traded_back(
    deployment: Deployment, decide: Callable, trade: Callable
) -> None:
    decide("KO/PEP", SHORT, FLAT)
    trade(2, "KO", -100, "40")
    trade(2, "PEP", 50, "80")
    trade(3, "KO", 100, "39")
    assert round_trips(deployment) == []


def test_a_stance_that_never_closed_or_was_never_filled_is_no_round_trip(
    deployment: Deployment, decide: Callable, trade: Callable
) -> None:
    decide("KO/PEP", LONG, LONG)
    decide("XOM/CVX", LONG, FLAT)
    trade(2, "KO", 100, "40")
    trade(2, "PEP", -50, "80")
    assert round_trips(deployment) == []


def test_the_fills_of_the_next_trip_do_not_complete_the_one_before(
    deployment: Deployment, decide: Callable, trade: Callable
) -> None:
    decide("KO/PEP", LONG, FLAT, SHORT)
    trade(2, "KO", 100, "40")
    trade(2, "PEP", -50, "80")
    trade(4, "KO", -100, "40")
    trade(4, "PEP", 50, "80")
    assert round_trips(deployment) == []


def test_turning_over_closes_one_trip_and_opens_the_next_and_no_profit_is_claimed(
    deployment: Deployment, decide: Callable, trade: Callable
) -> None:
    decide("KO/PEP", LONG, SHORT, FLAT)
    for day, shares in ((2, 100), (3, -200), (4, 100)):
        trade(day, "KO", shares, "40")
        trade(day, "PEP", -shares, "40")
    trips = round_trips(deployment)
    assert [(trip.stance, trip.entered, trip.profit) for trip in trips] == [
        (LONG, close(1), None),
        (SHORT, close(2), None),
    ]


def test_who_does_not_sit_on_the_desk_sees_nothing_of_it(
    deployment: Deployment,
    people: SimpleNamespace,
    outsider: Callable[[str], User],
    decide: Callable,
    trade: Callable,
) -> None:
    decide("KO/PEP", LONG)
    trade(2, "KO", 100, "40")
    stranger = outsider("trader")
    assert selectors.fills_visible_to(people.viewer).count() == selectors.signals_visible_to(people.viewer).count() == 1
    assert not selectors.fills_visible_to(stranger).exists()
    assert not selectors.signals_visible_to(stranger).exists()
