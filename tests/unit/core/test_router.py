"""The smart order router: by hand, against every split tried, and what always holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from engine.core import router, router_records
from engine.core.router_records import (
    CONSOLIDATED,
    DAY,
    FOK,
    GRAIN,
    INTENT,
    IOC,
    LOT,
    PART,
    ROUTE,
    VENUE,
    Action,
    Reason,
)
from engine.core.router_reference import ReferenceRouter, Split, Venue

BUY, SELL = 1, -1
CENT = 100


@njit(cache=True)
def route(intents, venues, quotes, answers):
    return router.route(intents[0], venues, quotes[0], answers[0])


@njit(cache=True)
def note(venues, venue, action, asked, got):
    router_records.note_outcome(venues[venue], action, asked, got)
    return router_records.learned_rate(venues[venue], action)


@njit(cache=True)
def relaxed(venues, venue, action):
    router_records.relax(venues[venue])
    return router_records.learned_rate(venues[venue], action)


def records(venues: list[Venue], side: int) -> tuple[np.ndarray, np.ndarray]:
    """(VENUE[n], CONSOLIDATED[1]) of the reference's venues for an intent of ``side``."""
    made, quotes = np.zeros(len(venues), VENUE), np.zeros(1, CONSOLIDATED)
    for number, venue in enumerate(venues):
        record = made[number]
        for name in ("open", "protected", "midpoint", "posts", "min_qty", "fees"):
            record[name] = getattr(venue, name)
        record["displays"] = bool(venue.levels or venue.own)
        record["asked"], record["got"] = PART, venue.rates
        record["hidden"] = venue.hidden << GRAIN
        for index, levels in (((1 + side) // 2, venue.levels), ((1 - side) // 2, venue.own)):
            for level, (price, size) in enumerate(levels):
                quotes["price"][0, number, index, level] = price
                quotes["size"][0, number, index, level] = size
    return made, quotes


def decide(venues: list[Venue], side: int, qty: int, **intent) -> np.void:
    made, quotes = records(venues, side)
    asked = np.zeros(1, INTENT)
    asked["side"], asked["qty"], asked["limit"] = side, qty, 1_000_000_000 if side > 0 else 1
    for name, value in intent.items():
        asked[name] = value
    answer = np.zeros(1, ROUTE)
    route(asked, made, quotes, answer)
    return answer[0]


def orders(answer: np.void) -> list[tuple]:
    """(venue, action, price, shares, reason) of each child."""
    return [
        (int(c["venue"]), Action(c["action"]).name, int(c["price"]), int(c["qty"]), Reason(c["reason"]).name)
        for c in answer["child"][: answer["children"]]
    ]


def lit(price: int, shares: int, fee: int = 30, *, deeper: tuple = (), own: tuple = (), **more) -> Venue:
    return Venue((fee, 0, -20), levels=((price, shares), *deeper), own=own, **more)


ASK = 1_000_000


def test_of_two_venues_at_the_best_price_the_one_with_the_lower_fee_is_taken_first():
    answer = decide([lit(ASK, 100, 30), lit(ASK, 100, -10)], BUY, 150)
    expected = [(0, "TAKE", ASK, 50, "CHEAPEST"), (1, "TAKE", ASK, 100, "CHEAPEST")]
    assert orders(answer) == expected


def test_a_lower_fee_is_no_reason_to_trade_through_a_better_protected_quote():
    venues = [lit(ASK, 100, 300), lit(ASK + CENT, 300, -10)]
    # by cost alone all 200 would go to the second; the first's 100 are obligatory once a worse price is taken
    assert orders(decide(venues, BUY, 200)) == [
        (0, "TAKE", ASK, 100, "BEST_PRICE"),
        (1, "TAKE", ASK + CENT, 100, "SWEEP"),
    ]
    unprotected = [lit(ASK, 100, 300, protected=False), venues[1]]
    assert orders(decide(unprotected, BUY, 200)) == [(1, "TAKE", ASK + CENT, 200, "SWEEP")]


def test_quotes_that_are_only_taken_for_their_protection_say_so():
    venues = [lit(ASK, 100), lit(ASK + CENT, 50, 500), lit(ASK + 2 * CENT, 300)]
    answer = decide(venues, BUY, 300)
    assert orders(answer) == [
        (0, "TAKE", ASK, 100, "BEST_PRICE"),
        (1, "TAKE", ASK + CENT, 50, "PROTECTED"),
        (2, "TAKE", ASK + 2 * CENT, 150, "SWEEP"),
    ]
    assert (answer["child"]["sweep"][:3] == 1).all()


def test_one_order_sweeps_the_levels_of_its_venue_within_the_limit():
    venues = [lit(ASK, 100, deeper=((ASK + CENT, 100), (ASK + 2 * CENT, 100)))]
    answer = decide(venues, BUY, 300, limit=ASK + CENT)
    assert orders(answer) == [(0, "TAKE", ASK + CENT, 200, "SWEEP")]
    assert (answer["unsent"], answer["why"]) == (100, Reason.LIMIT)
    assert answer["child"][0]["time_in_force"] == IOC


def test_selling_is_buying_with_the_sign_turned():
    venues = [lit(ASK, 100, 30), lit(ASK, 100, -10), lit(ASK - CENT, 500, 0)]
    assert orders(decide(venues, SELL, 250)) == [
        (0, "TAKE", ASK, 100, "CHEAPEST"),
        (1, "TAKE", ASK, 100, "CHEAPEST"),
        (2, "TAKE", ASK - CENT, 50, "SWEEP"),
    ]


QUOTED = lit(ASK, 500, own=((ASK - 10 * CENT, 500),))


@pytest.mark.parametrize(("rate", "venue"), [(PART, 1), (PART // 2, 1), (PART // 20, 0)])
def test_the_midpoint_is_tried_when_half_the_spread_is_worth_the_chance_to_miss(rate, venue):
    """Spread 10 cents, waiting costs 2 cents and a fee of 0.3 a share is spared: worth it from a rate of 0.287 on."""
    dark = Venue((0, 10, 0), rates=(PART, rate, PART), midpoint=True, protected=False, posts=False)
    answer = decide([QUOTED, dark], BUY, 100, urgency=2 * CENT)
    assert [order[0] for order in orders(answer)] == [venue]
    if venue == 1:
        assert orders(answer) == [(1, "MIDPOINT", ASK - 5 * CENT, 100, "MIDPOINT")]
        tried = decide([QUOTED, dark], BUY, 100, urgency=2 * CENT, tried=0b10)
        assert orders(tried) == [(0, "TAKE", ASK, 100, "BEST_PRICE")]


def test_no_more_is_asked_for_at_the_midpoint_than_is_usually_found_there():
    dark = Venue((0, 10, 0), midpoint=True, protected=False, posts=False, hidden=40)
    assert orders(decide([QUOTED, dark], BUY, 100)) == [
        (0, "TAKE", ASK, 60, "BEST_PRICE"),
        (1, "MIDPOINT", ASK - 5 * CENT, 40, "MIDPOINT"),
    ]


def test_the_size_found_at_the_midpoint_is_learned():
    venues = np.zeros(1, VENUE)
    note(venues, 0, Action.MIDPOINT, 500, 0)
    assert venues["hidden"] == 0
    for _ in range(60):
        note(venues, 0, Action.MIDPOINT, 500, 80)
    assert venues["hidden"] >> GRAIN == pytest.approx(80, abs=1)
    note(venues, 0, Action.MIDPOINT, 80, 80)  # all of it: 160 may have been there
    assert venues["hidden"] >> GRAIN == pytest.approx(90, abs=1)


def test_an_order_below_the_dark_venues_least_size_goes_elsewhere():
    dark = Venue((0, 10, 0), midpoint=True, protected=False, posts=False, min_qty=200)
    assert orders(decide([QUOTED, dark], BUY, 100)) == [(0, "TAKE", ASK, 100, "BEST_PRICE")]
    assert orders(decide([QUOTED, dark], BUY, 200)) == [(1, "MIDPOINT", ASK - 5 * CENT, 200, "MIDPOINT")]


def test_a_patient_intent_rests_where_filling_is_likely_and_the_rebate_is_best():
    def venue(rate: int, rebate: int) -> Venue:
        own = ((ASK - 10 * CENT, 300),)
        return Venue((30, 0, -rebate), rates=(PART, PART, rate), levels=((ASK, 500),), own=own)

    venues = [venue(PART // 2, 20), venue(PART // 2, 30), venue(PART // 4, 30)]
    answer = decide(venues, BUY, 400, rests=1)
    assert orders(answer) == [
        (0, "POST", ASK - 10 * CENT, 100, "POST"),
        (1, "POST", ASK - 10 * CENT, 300, "POST"),  # as much as is displayed there
    ]
    assert set(answer["child"]["time_in_force"][:2]) == {DAY}
    assert [order[1] for order in orders(decide(venues, BUY, 400))] == ["TAKE"]


def test_all_or_nothing_goes_to_one_venue_that_has_it_all_and_trades_through_nobody():
    venues = [lit(ASK, 100), lit(ASK, 400, 30), lit(ASK, 300, 10)]
    answer = decide(venues, BUY, 300, whole=1)
    assert orders(answer) == [(2, "TAKE", ASK, 300, "WHOLE")]
    assert answer["child"][0]["time_in_force"] == FOK
    assert orders(decide(venues, BUY, 350, whole=1)) == [(1, "TAKE", ASK, 350, "WHOLE")]
    deeper = [lit(ASK, 100), lit(ASK + CENT, 400)]
    refused = decide(deeper, BUY, 300, whole=1)
    assert (refused["children"], refused["unsent"], refused["why"]) == (0, 300, Reason.NOT_WHOLE)


def test_a_closed_venue_is_neither_used_nor_protected():
    venues = [lit(ASK, 100, open=False), lit(ASK + CENT, 100)]
    assert orders(decide(venues, BUY, 100)) == [(1, "TAKE", ASK + CENT, 100, "BEST_PRICE")]


def test_no_market_and_no_intent_are_said_to_be_so():
    assert decide([Venue((0, 0, 0), midpoint=True)], BUY, 100)["why"] == Reason.NO_MARKET
    assert decide([QUOTED], BUY, 0)["why"] == Reason.MALFORMED
    assert decide([QUOTED], BUY, -5)["why"] == Reason.MALFORMED
    assert decide([QUOTED], BUY, 100, limit=0)["why"] == Reason.MALFORMED


def test_what_a_venue_gives_is_learned_and_forgotten():
    venues = np.zeros(1, VENUE)
    venues["prior"] = PART // 4
    assert note(venues, 0, Action.TAKE, 0, 0) == PART // 4
    for _ in range(100):
        rate = note(venues, 0, Action.TAKE, 200, 100)
    assert rate == pytest.approx(PART / 2, rel=0.01)
    for _ in range(22):  # half of it is forgotten in 32 ln 2 outcomes
        rate = note(venues, 0, Action.TAKE, 200, 200)
    assert rate == pytest.approx(PART * 3 / 4, rel=0.02)


def test_a_venue_that_gave_nothing_comes_back_to_its_prior_with_time():
    venues = np.zeros(1, VENUE)
    venues["prior"] = PART // 4
    for _ in range(200):
        assert note(venues, 0, Action.MIDPOINT, 500, 0) == 0
    for _ in range(22):  # half of the way in 32 ln 2
        rate = relaxed(venues, 0, Action.MIDPOINT)
    assert rate == pytest.approx(PART / 8, rel=0.02)


@st.composite
def levels(draw, worse: int) -> tuple[tuple[int, int], ...]:
    """Up to two levels near ASK, each ``worse`` in sign for the one that takes or joins them."""
    first = draw(st.integers(0, 3))
    prices = [first, first + draw(st.integers(1, 2))][: draw(st.integers(0, 2))]
    return tuple((ASK + worse * CENT * price, draw(st.integers(1, 3))) for price in prices)


rates = st.sampled_from([PART, PART * 3 // 4, PART // 3, 0])
fees = st.sampled_from([-150, -20, 0, 30, 150])


@st.composite
def markets(draw) -> tuple[list[Venue], int, dict[str, int]]:
    side = draw(st.sampled_from([BUY, SELL]))
    spread = draw(st.sampled_from([-1, 0, 1, 4]))
    venues = []
    for _ in range(draw(st.integers(1, 3))):
        own = tuple((price - side * spread * CENT, shares) for price, shares in draw(levels(-side)))
        venues.append(
            Venue(
                (draw(fees), draw(fees), draw(fees)),
                (draw(rates), draw(rates), draw(rates)),
                draw(levels(side)),
                own,
                open=draw(st.sampled_from([True, True, True, False])),
                protected=draw(st.sampled_from([True, True, False])),
                midpoint=draw(st.booleans()),
                posts=draw(st.booleans()),
                min_qty=draw(st.sampled_from([1, 1, 1, 2, 3])),
                hidden=draw(st.integers(0, 4)),
            )
        )
    intent = {
        "qty": draw(st.integers(1, 4)),
        "limit": ASK + side * draw(st.integers(-2, 6)) * CENT,
        "urgency": draw(st.sampled_from([0, 50, 300])),
        "rests": draw(st.integers(0, 1)),
    }
    return venues, side, intent


def split_of(answer: np.void, venues: int) -> Split:
    shares = np.zeros((3, venues), np.int64)
    for child in answer["child"][: answer["children"]]:
        shares[child["action"], child["venue"]] += child["qty"]
    return Split(*(tuple(row.tolist()) for row in shares))


@settings(max_examples=600)
@given(markets())
def test_the_split_is_a_cheapest_one_of_all_that_break_no_rule(market):
    venues, side, intent = market
    if not any(venue.open and venue.levels for venue in venues):
        assert decide(venues, side, **intent)["why"] == Reason.NO_MARKET
        return
    reference = ReferenceRouter(side, intent["qty"], intent["limit"], intent["urgency"], bool(intent["rests"]), venues)
    assert reference.lot == LOT
    answer = decide(venues, side, **intent)
    split = split_of(answer, len(venues))
    assert reference.fault(split) == ""
    assert reference.cost(split) == reference.least_cost() == answer["cost"]
    children = answer["child"][: answer["children"]]
    assert answer["unsent"] == intent["qty"] - children["qty"].sum()
    assert (answer["why"] != Reason.NONE) == (answer["unsent"] > 0)
    assert answer["cost"] == children["cost"].sum() + answer["unsent"] * int(answer["miss"]) * PART
    assert (children["price"] * side <= intent["limit"] * side).all()
    assert (children["reason"] != Reason.NONE).all()
    if not intent["rests"]:
        assert (children["time_in_force"] == IOC).all()


@st.composite
def large_markets(draw) -> tuple[list[Venue], int, dict[str, int]]:
    """Six venues with ten levels each: too many splits to try."""
    side = draw(st.sampled_from([BUY, SELL]))
    venues = []
    for _ in range(6):
        steps = draw(st.lists(st.integers(1, 4), min_size=10, max_size=10))
        prices = np.cumsum(steps) * CENT
        shown = tuple((int(ASK + side * price), draw(st.integers(1, 500))) for price in prices)
        own = ((ASK - side * draw(st.integers(0, 3)) * CENT, 100),)
        taken = draw(st.integers(0, PART)), draw(st.integers(0, PART // 4)), draw(st.integers(0, PART))
        least = draw(st.sampled_from([1, 1, 100]))
        venues.append(Venue((draw(fees), 10, -20), taken, shown, own, midpoint=draw(st.booleans()), min_qty=least))
    intent = {
        "qty": draw(st.integers(1, 8_000)),
        "urgency": draw(st.integers(0, 500)),
        "rests": draw(st.integers(0, 1)),
    }
    return venues, side, intent


@settings(max_examples=100)
@given(large_markets())
def test_in_large_books_too_no_rule_is_broken_and_the_same_is_decided_again(market):
    venues, side, intent = market
    answer = decide(venues, side, **intent)
    limit = 1_000_000_000 if side > 0 else 1
    reference = ReferenceRouter(side, intent["qty"], limit, intent["urgency"], bool(intent["rests"]), venues)
    split = split_of(answer, len(venues))
    assert reference.fault(split) == ""
    assert reference.cost(split) == answer["cost"]
    assert answer["cost"] <= intent["qty"] * int(answer["miss"]) * PART
    assert decide(venues, side, **intent).tobytes() == answer.tobytes()
