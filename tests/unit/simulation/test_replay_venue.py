"""Own orders as ghosts in a historic book: where they stand, when they trade, and that no share is sold twice."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.events import Kind, TimeInForce
from engine.simulation.impact import LinearImpact, NoImpact
from engine.simulation.queue_position import ByOrder, Pessimistic, Proportional
from engine.simulation.replay_venue import Ended, Fill, Ghost, ReplayVenue

BUY, SELL = 1, -1
BID, ASK = 100_0000, 100_0100


@pytest.fixture
def venue() -> ReplayVenue:
    """Bid 300 shares in two orders (1, 2), offered 500 in two orders (3, 4)."""
    venue = ReplayVenue()
    for order_id, side, price, qty in [
        (1, BUY, BID, 100),
        (2, BUY, BID, 200),
        (3, SELL, ASK, 200),
        (4, SELL, ASK, 300),
    ]:
        add(venue, order_id, side, price, qty)
    return venue


def add(venue: ReplayVenue, order_id: int, side: int, price: int, qty: int) -> list:
    return venue.apply(0, Kind.ADD, side, order_id, price, qty)


def execute(venue: ReplayVenue, order_id: int, qty: int) -> list:
    return venue.apply(0, Kind.EXECUTE, 0, order_id, 0, qty)


def rest(venue: ReplayVenue, order_id: int, qty: int, price: int = BID, side: int = BUY) -> None:
    assert venue.enter(Ghost(order_id, 0, side, price, qty)) == []


def take(venue: ReplayVenue, order_id: int, qty: int, price: int = ASK) -> list:
    return venue.enter(Ghost(order_id, 0, BUY, price, qty), TimeInForce.IOC)


def test_marketable_order_takes_what_is_displayed_and_the_rest_ends(venue: ReplayVenue):
    assert take(venue, 9, 600) == [Fill(9, ASK, 200, "R"), Fill(9, ASK, 300, "R"), Ended(9, 100)]


def test_shares_that_were_taken_are_not_there_for_the_next_order(venue: ReplayVenue):
    take(venue, 8, 350)
    assert take(venue, 9, 600) == [Fill(9, ASK, 150, "R"), Ended(9, 450)]


def test_taken_shares_stay_taken_until_the_historic_order_has_gone(venue: ReplayVenue):
    take(venue, 8, 200)
    execute(venue, 3, 50)
    assert take(venue, 9, 1_000)[0].qty == 300  # of order 4 alone: 200 of order 3 were ours, 150 are left of it
    add(venue, 5, SELL, ASK, 70)
    assert take(venue, 10, 1_000)[0].qty == 70


def test_resting_order_waits_for_those_who_came_before(venue: ReplayVenue):
    rest(venue, 9, 50)
    assert execute(venue, 1, 100) + execute(venue, 2, 200) == []
    assert venue.ghosts[9].ahead == 0
    add(venue, 5, BUY, BID, 80)
    assert execute(venue, 5, 30) == [Fill(9, BID, 30, "A")]
    assert execute(venue, 5, 50) == [Fill(9, BID, 20, "A")]


def test_cancel_ahead_moves_forward_and_cancel_behind_does_not(venue: ReplayVenue):
    rest(venue, 9, 50)
    add(venue, 5, BUY, BID, 80)
    venue.apply(0, Kind.REDUCE, 0, 2, 0, 60)
    venue.apply(0, Kind.DELETE, 0, 5, 0, 0)
    assert venue.ghosts[9].ahead == 240


def test_one_execution_does_not_fill_two_ghosts(venue: ReplayVenue):
    rest(venue, 8, 40, BID + 50)
    rest(venue, 9, 40, BID + 50)
    assert execute(venue, 1, 60) == [Fill(8, BID + 50, 40, "A"), Fill(9, BID + 50, 20, "A")]


def test_execution_at_a_worse_price_goes_through_a_better_ghost(venue: ReplayVenue):
    rest(venue, 9, 40, BID + 50)
    assert execute(venue, 1, 100) == [Fill(9, BID + 50, 40, "A")]


def test_unseen_execution_fills_only_ghosts_with_a_better_price(venue: ReplayVenue):
    rest(venue, 9, 40, BID + 50)
    assert venue.apply(0, Kind.TRADE, 0, 0, BID + 50, 100) == []
    assert venue.apply(0, Kind.TRADE, 0, 0, BID + 40, 30) == [Fill(9, BID + 50, 30, "A")]


def test_historic_order_that_comes_into_a_ghost_trades_with_it_and_has_less_to_give(venue: ReplayVenue):
    rest(venue, 9, 40, BID + 50)
    assert add(venue, 5, SELL, BID + 50, 100) == [Fill(9, BID + 50, 40, "A")]
    assert take(venue, 10, 100, BID + 50)[0] == Fill(10, BID + 50, 60, "R")


def test_cancelled_ghost_trades_no_more(venue: ReplayVenue):
    rest(venue, 9, 40, BID + 50)
    assert venue.cancel(9) == [Ended(9, 40)]
    assert (venue.cancel(9), execute(venue, 1, 100)) == ([], [])


@pytest.mark.parametrize("ghost", [Ghost(9, 0, BUY, BID, 0), Ghost(9, 0, BUY, 0, 5), Ghost(9, 0, 0, BID, 5)])
def test_ghost_that_means_nothing_is_an_error(venue: ReplayVenue, ghost: Ghost):
    with pytest.raises(ValueError, match="ghost"):
        venue.enter(ghost)


@pytest.mark.parametrize(
    ("model", "ahead"),
    [(ByOrder(), 240), (Pessimistic(), 300), (Proportional(), 253)],  # 300 of 380 shares: 47 of 60 are ahead
)
def test_models_differ_in_what_a_cancel_ahead_is_worth(model, ahead: int):
    venue = ReplayVenue(queue_position=model)
    add(venue, 1, BUY, BID, 300)
    rest(venue, 9, 50)
    add(venue, 2, BUY, BID, 80)
    venue.apply(0, Kind.REDUCE, 0, 1, 0, 60)
    assert venue.ghosts[9].ahead == ahead


@pytest.mark.parametrize("model", [Pessimistic(), Proportional()])
def test_no_model_has_more_shares_ahead_than_the_level_holds(model):
    venue = ReplayVenue(queue_position=model)
    add(venue, 1, BUY, BID, 300)
    rest(venue, 9, 50)
    venue.apply(0, Kind.REDUCE, 0, 1, 0, 250)
    assert venue.ghosts[9].ahead <= 50


def test_impact_makes_the_later_part_of_an_order_dearer_and_never_cheaper():
    impact = LinearImpact(10)
    assert [impact.price(ASK, BUY, swept, 500) for swept in (0, 250, 500)] == [ASK, 100_0601, 100_1101]
    assert impact.price(BID, SELL, 500, 500) == 99_9000
    assert NoImpact().price(ASK, BUY, 500, 500) == ASK


PRICES = st.integers(-3, 3).map(lambda ticks: BID + ticks * 100)
STEPS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from([BUY, SELL]), PRICES, st.integers(1, 50)),
    st.tuples(st.just("execute"), st.integers(0, 40), st.integers(1, 60)),
    st.tuples(st.just("reduce"), st.integers(0, 40), st.integers(1, 60)),
    st.tuples(st.just("delete"), st.integers(0, 40)),
    st.tuples(st.just("ghost"), st.sampled_from([BUY, SELL]), PRICES, st.integers(1, 50), st.booleans()),
    st.tuples(st.just("ghost"), st.just(BUY), st.just(BID), st.integers(1, 50), st.just(False)),
    st.tuples(st.just("cancel"), st.integers(1_000, 1_040)),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(STEPS, max_size=60), st.sampled_from([ByOrder(), Pessimistic(), Proportional()]))
def test_no_displayed_share_and_no_executed_share_is_sold_twice(steps: list[tuple], model):
    venue, entered, sizes = ReplayVenue(queue_position=model), {}, {}
    done, displayed, removed = Counter(), Counter(), Counter()
    for number, (what, *arguments) in enumerate(steps):
        told, passive_limit = [], 0
        if what == "add":
            side, price, qty = arguments
            told, passive_limit = add(venue, number, side, price, qty), qty
            sizes[number] = qty
            displayed[-side, price] += qty
        elif what == "ghost":
            side, price, qty, immediate = arguments
            entered[1_000 + number] = qty
            told = venue.enter(
                Ghost(1_000 + number, 0, side, price, qty), TimeInForce.IOC if immediate else TimeInForce.DAY
            )
            for fill in told:
                if isinstance(fill, Fill):
                    removed[side, fill.price] += fill.qty
        elif what == "cancel":
            told = venue.cancel(arguments[0])
        else:
            known = sorted(venue.book)
            arguments[0] = known[arguments[0] % len(known)] if known else 0
            kind = {"execute": Kind.EXECUTE, "reduce": Kind.REDUCE, "delete": Kind.DELETE}[what]
            qty = arguments[1] if len(arguments) > 1 else 0
            passive_limit = qty if what == "execute" else 0
            told = venue.apply(0, kind, 0, arguments[0], 0, qty)
        fills = [one for one in told if isinstance(one, Fill)]
        assert sum(fill.qty for fill in fills if fill.flag == "A") <= passive_limit
        for one in told:
            done[one.order_id] += one.qty
        assert all(order.taken <= sizes[order.order_id] for order in venue.book.values())
        assert all(ghost.ahead >= 0 and ghost.qty > 0 for ghost in venue.ghosts.values())
    assert all(taken <= displayed[where] for where, taken in removed.items())
    for order_id, qty in entered.items():
        left = venue.ghosts[order_id].qty if order_id in venue.ghosts else 0
        assert done[order_id] + left == qty
