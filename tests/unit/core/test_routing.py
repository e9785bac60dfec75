"""From a target to orders at several venues: where they go, why, and what becomes of the rest."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from engine_world import MINUTE, record
from venues_world import ASK, BID, DARK, DATE, HANG, KO, A, B, C, Venues, at, orders, sent

from engine.core.carry import Carried, CarriedOrder, carry_in
from engine.core.events import PEGGED, POST_ONLY, Command, Kind, Session, Stale, TimeInForce
from engine.core.kill import KillLevel, Scope
from engine.core.limit_names import Limit
from engine.core.orders import OrderState
from engine.core.router_records import PART, Action, Reason, learned_rate
from engine.core.state import Anomaly, StrategyState

MIDDLE = (BID + ASK) // 2
IN_FORCE = 15


def without_dark(world):
    world.step(at(DARK, Kind.ORDER_SESSION, code=0))
    return world


def test_at_equal_prices_the_order_goes_to_the_cheapest_venue_and_says_so():
    world = without_dark(Venues())
    out = world.want(100)
    assert sent(out) == {C: (ASK, 100)}  # it pays for taking
    (route,) = [one for one in out if one["kind"] == Kind.ROUTE]
    (order,) = orders(out)
    assert (route["order_id"], route["venue"], route["reason"]) == (order["order_id"], C, Reason.CHEAPEST)
    assert int(order["flags"]) & IN_FORCE == TimeInForce.IOC
    assert int(world.state["positions"][0][KO]["working_buy"]) == 100


def test_a_better_price_wins_over_lower_fees():
    world = without_dark(Venues())
    world.quote(A, -1, ASK - 100, 100, order_id=9)
    out = world.want(100)
    assert sent(out) == {A: (ASK - 100, 100)}
    assert [int(one["reason"]) for one in out if one["kind"] == Kind.ROUTE] == [Reason.BEST_PRICE]


def test_what_one_venue_does_not_display_is_taken_at_the_others():
    world = without_dark(Venues())
    out = world.want(750)
    assert {venue: shares for venue, (_, shares) in sent(out).items()} == {C: 300, B: 300, A: 150}


def test_no_order_goes_beyond_a_better_price_that_another_venue_displays():
    world = without_dark(Venues())
    world.remove(A, 2)
    world.quote(A, -1, ASK - 100, 100, order_id=9)
    out = world.want(500)
    assert sent(out) == {A: (ASK - 100, 100)}
    (order,) = orders(out)
    world.accept(order)
    assert sent(world.execute(order)) == {}  # the venue's feed still shows what was just taken there
    out = world.remove(A, 9)
    posted = sent(out).values()  # nothing is left within the limit
    assert ({price for price, _ in posted}, sum(shares for _, shares in posted)) == ({BID}, 400)


def test_the_midpoint_is_tried_once_for_a_part_and_pegged():
    world = Venues()
    out = world.want(400)
    dark = [one for one in orders(out) if one["venue"] == DARK]
    assert [int(one["price"]) for one in dark] == [MIDDLE]
    assert int(dark[0]["flags"]) & PEGGED
    for order in orders(out):
        world.accept(order)
    for order in orders(out):
        (world.cancel if order["venue"] == DARK else world.execute)(order)
    rest = orders(world.quote(A, -1, ASK, 100, order_id=9)) + orders(world.quote(C, -1, ASK, 100, order_id=9))
    assert rest
    assert DARK not in {int(one["venue"]) for one in rest}


def test_what_immediate_orders_leave_is_routed_again_elsewhere():
    world = without_dark(Venues())
    (order,) = orders(world.want(100))
    world.accept(order)
    assert sent(world.cancel(order)) == {}
    assert sent(world.remove(C, 2)) == {B: (ASK, 100)}


def test_a_round_waits_for_the_answers_to_the_one_before():
    world = without_dark(Venues())
    world.want(100)
    assert sent(world.poke()) == {}


def test_the_rest_posts_at_the_near_touch_and_follows_it_at_its_own_venue():
    world = without_dark(Venues())
    posted = world.post(100)
    assert (int(posted["price"]), int(posted["qty"])) == (BID, 100)
    assert int(posted["flags"]) & IN_FORCE == POST_ONLY
    world.quote(A, 1, BID + 100, 300, order_id=5)
    out = world.poke(ts=MINUTE // 4)
    (replace,) = orders(out)
    assert (replace["kind"], replace["venue"], replace["ref"]) == (
        Kind.ORDER_REPLACE,
        posted["venue"],
        posted["order_id"],
    )
    assert int(replace["price"]) == BID + 100
    assert int(replace["flags"]) & IN_FORCE == POST_ONLY
    replaced = {"order_id": int(replace["order_id"]), "ref": int(posted["order_id"]), "price": BID + 100, "qty": 100}
    world.step(at(int(posted["venue"]), Kind.REPLACED, KO, ts=MINUTE // 4, **replaced))
    out = world.poke(ts=MINUTE + 1)  # the limit is set anew: what rests is called back
    (cancel,) = orders(out)
    assert (cancel["kind"], cancel["order_id"], cancel["venue"]) == (
        Kind.ORDER_CANCEL,
        replace["order_id"],
        posted["venue"],
    )
    out = world.cancel(replace, qty=100, ts=MINUTE + 2)
    assert all(price == ASK + 100 for price, _ in sent(out).values())
    assert sum(shares for _, shares in sent(out).values()) == 100


def test_a_venue_that_refuses_an_order_is_left_out_and_the_order_goes_to_another():
    world = without_dark(Venues())
    (order,) = orders(world.want(100))
    out = world.reject(order)
    assert sent(out) == {B: (ASK, 100)}
    assert int(world.state["positions"][0][KO]["working_buy"]) == 100


def test_when_every_venue_has_refused_nobody_is_asked_again():
    world = Venues(count=3)
    (order,) = orders(world.want(100))
    for venue in (B, A):
        (order,) = orders(world.reject(order))
        assert int(order["venue"]) == venue
    assert orders(world.reject(order)) == []
    assert orders(world.poke(ts=10 * MINUTE)) == []
    assert int(world.state["positions"][0][KO]["working_buy"]) == 0


def test_a_stale_venue_is_not_sent_to():
    world = without_dark(Venues())
    world.step(at(C, Kind.STALE, code=Stale.GAP))
    assert sent(world.want(100)) == {B: (ASK, 100)}


def test_orders_of_a_venue_that_is_lost_are_in_doubt_and_the_rest_goes_elsewhere():
    world = without_dark(Venues())
    (order,) = orders(world.want(300))
    assert int(order["venue"]) == C
    world.accept(order)
    world.step(at(C, Kind.ORDER_SESSION, code=0))
    out = world.want(500)
    assert sent(out) == {B: (ASK, 200)}  # 300 may still be executed at C
    world.execute(order)  # it was
    for one in orders(out):
        world.execute(one)
    assert world.position == 500


def test_a_venue_that_hangs_is_left_out_until_it_answers():
    world = without_dark(Venues())
    (order,) = orders(world.want(300))
    out = world.want(400, ts=HANG - 1)
    assert sent(out) == {}
    out = world.poke(ts=HANG)
    assert sent(out) == {B: (ASK, 100)}
    for one in orders(out):
        world.execute(one, ts=HANG)
    world.execute(order, ts=HANG + 1)
    assert world.position == 400
    for venue in (B, C):
        world.show(venue, ts=HANG + 1)
    assert C in sent(world.want(450, ts=HANG + 2))


def test_an_order_that_never_arrived_at_its_venue_is_ended_and_those_of_other_venues_are_not():
    world = without_dark(Venues())
    out = world.want(600)
    placed = {int(one["venue"]): one for one in orders(out)}
    assert set(placed) == {B, C}
    world.step(at(C, Kind.ORDER_SESSION, code=0))
    out = world.step(at(C, Kind.ORDER_SESSION, code=1, ref=1))
    done = [int(one["order_id"]) for one in out if one["kind"] == Kind.ORDER_DONE]
    assert done == [int(placed[C]["order_id"])]
    world.execute(placed[B])
    assert world.position == 300


def test_a_report_of_another_venue_for_the_same_order_number_touches_nothing():
    world = without_dark(Venues())
    (order,) = orders(world.want(100))
    out = world.step(at(A, Kind.EXECUTION, KO, order_id=int(order["order_id"]), price=ASK, qty=100, ref=77))
    assert [int(one["code"]) for one in out if one["kind"] == Kind.ANOMALY] == [Anomaly.OTHER_VENUE]
    assert Kind.BREAK in out["kind"]  # whose shares these are, a person has to say
    assert world.position == 0
    assert int(world.state["positions"][0][KO]["working_buy"]) == 100


def test_equal_match_numbers_of_two_venues_are_two_executions():
    world = without_dark(Venues())
    for order in orders(world.want(600)):
        world.execute(order, match=42)
    assert world.position == 600


def test_what_a_target_that_turns_does_not_want_is_cancelled_where_it_stands():
    world = without_dark(Venues())
    placed = orders(world.want(600))
    for order in placed:
        world.accept(order)
    cancels = orders(world.want(-100))
    assert {(int(one["venue"]), int(one["order_id"])) for one in cancels} == {
        (int(one["venue"]), int(one["order_id"])) for one in placed
    }
    assert all(one["kind"] == Kind.ORDER_CANCEL for one in cancels)


def test_a_kill_of_a_venue_cancels_there_and_trading_goes_on_at_the_others():
    world = without_dark(Venues())
    (order,) = orders(world.want(100))
    world.accept(order)
    kill = record(Kind.COMMAND, command=Command.KILL, argument=KillLevel.CANCEL, scope=Scope.VENUE, ref=C, epoch=1)
    (cancel,) = orders(world.step(kill))
    assert (cancel["kind"], cancel["venue"]) == (Kind.ORDER_CANCEL, C)
    out = world.cancel(order)
    assert sent(out) == {B: (ASK, 100)}


def test_a_venue_that_limits_do_not_allow_is_left_out_and_without_any_the_refusal_is_told():
    world = without_dark(Venues())
    levels = world.state["levels"]
    levels["venues"][0] = 1 << A
    assert sent(world.want(100)) == {A: (ASK, 100)}
    other = Venues(count=3)
    other.state["levels"]["venues"][0] = 1 << DARK
    out = other.want(100)
    assert [int(one["code"]) for one in out if one["kind"] == Kind.LIMIT_REJECT] == [Limit.VENUE]
    assert orders(out) == []


def test_the_router_learns_from_what_a_venue_gives():
    world = without_dark(Venues())
    for ts in range(1, 13):
        for order in orders(world.want(100 + ts, ts=ts * 2 * MINUTE)):
            world.accept(order, ts=ts * 2 * MINUTE)
            if order["venue"] == C:
                world.cancel(order, ts=ts * 2 * MINUTE)
    assert learned_rate(world.state["terms"][C], Action.TAKE) < PART // 2
    assert learned_rate(world.state["terms"][A], Action.TAKE) > PART * 9 // 10
    out = world.want(300, ts=40 * MINUTE)
    assert [int(one["rate"]) < PART // 2 for one in out if one["kind"] == Kind.ROUTE and one["venue"] == C] == [True]


def test_nothing_is_sent_to_a_venue_whose_session_has_closed():
    world = without_dark(Venues())
    world.step(at(C, Kind.SESSION, code=Session.CLOSE, date=DATE))
    assert sent(world.want(100)) == {B: (ASK, 100)}


def test_a_strategy_that_flattens_stops_once_every_venues_orders_have_ended():
    world = without_dark(Venues())
    for order in orders(world.want(600)):
        world.execute(order)
    for venue in (B, C):
        world.show(venue)
    world.step(record(Kind.COMMAND, command=Command.FLATTEN))
    selling = orders(world.poke())
    assert len(selling) == 2
    for order in selling:
        assert int(world.state["slots"][0]["state"]) == StrategyState.FLATTENING
        world.execute(order)
    assert world.position == 0
    assert int(world.state["slots"][0]["state"]) == StrategyState.STOPPED


def test_several_venues_replay_to_the_same_state_and_records():
    def played():
        world = Venues()
        out = [world.want(700)]
        for order in orders(out[0]):
            out.append(world.accept(order))
            out.append(world.execute(order, qty=max(int(order["qty"]) // 2, 1)))
            out.append(world.cancel(order, qty=int(order["qty"]) - max(int(order["qty"]) // 2, 1)))
        out.append(world.step(at(B, Kind.STALE, code=Stale.GAP)))
        out.append(world.want(-300, ts=MINUTE))
        return world, b"".join(part.tobytes() for part in out)

    (first, outputs), (second, again) = played(), played()
    assert outputs == again
    assert first.engine.state_hash() == second.engine.state_hash()
    assert np.any(first.state["route"]["chosen"])


def test_orders_that_a_new_journal_carries_over_keep_their_venue():
    world = without_dark(Venues())
    rows = [
        CarriedOrder(number, 0, 0, KO, 1, ASK, 50, 0, OrderState.LIVE, DATE, venue=venue)
        for number, venue in ((11, B), (12, C))
    ]
    carry_in(world.state, Carried("j", 20, 5, [], rows))
    assert {int(row["venue"]) for row in world.state["orders"] if row["order_id"] in (11, 12)} == {B, C}
    cancels = orders(world.step(record(Kind.COMMAND, command=Command.STOP)))
    assert {(int(one["venue"]), int(one["order_id"])) for one in cancels} == {(B, 11), (C, 12)}


class Market:
    """Draws what four venues and a strategy do next, and answers every order in some way, sooner or later."""

    def __init__(self, seed: int) -> None:
        self.random, self.world = Random(seed), Venues()
        self.open: dict[int, np.void] = {}  # what the venues have not ended, by order id
        self.left: dict[int, int] = {}
        self.up = set(range(4))
        self.target = self.match = self.now = 0
        self.venues: Counter[int] = Counter()

    def take(self, outputs: np.ndarray) -> None:
        for order in outputs:
            if order["kind"] == Kind.ORDER_NEW:
                self.venues[int(order["venue"])] += 1
                self.open[int(order["order_id"])] = order.copy()
                self.left[int(order["order_id"])] = int(order["qty"])
                self.check(int(order["side"]))
            assert order["kind"] != Kind.ORDER_REPLACE or order["order_id"] not in self.open

    def check(self, side: int) -> None:
        """With all that works on its side executed, the position does not pass the target."""
        working = sum(left for number, left in self.left.items() if self.open[number]["side"] == side)
        assert side * self.world.position + working <= max(side * self.target, 0)

    def act(self) -> None:
        self.now += self.random.randrange(1, HANG)
        draw = self.random.random()
        if draw < 0.1:
            self.target = self.random.randrange(-900, 900)
            self.take(self.world.want(self.target, ts=self.now))
        elif draw < 0.3:
            venue = self.random.choice([A, B, C])
            side, price = self.random.choice([(1, BID), (1, BID - 100), (-1, ASK), (-1, ASK + 100)])
            self.take(self.world.quote(venue, side, price, self.random.randrange(1, 400), self.now, KO))
        elif draw < 0.35:
            venue = self.random.randrange(4)
            self.up ^= {venue}
            fields = {"code": int(venue in self.up), "ref": int(self.world.state["next_order_id"])}  # all have arrived
            self.take(self.world.step(at(venue, Kind.ORDER_SESSION, ts=self.now, **fields)))
        elif draw < 0.4:
            self.take(
                self.world.step(at(self.random.randrange(3), Kind.STALE, ts=self.now, code=self.random.randrange(2)))
            )
        elif self.open:
            self.answer(self.random.choice(sorted(self.open)))

    def answer(self, number: int) -> None:
        order, left = self.open[number], self.left[number]
        if int(order["venue"]) not in self.up:
            return
        draw = self.random.random()
        if draw < 0.5:
            shares = self.random.randrange(1, left + 1)
            self.match += 1
            self.settle(number, shares)
            self.take(self.world.execute(order, qty=shares, match=self.match, ts=self.now))
        elif draw < 0.8:
            self.settle(number, left)
            self.take(self.world.cancel(order, qty=left, ts=self.now))
        else:
            self.take(self.world.accept(order, ts=self.now))

    def settle(self, number: int, shares: int) -> None:
        self.left[number] -= shares
        if not self.left[number]:
            del self.open[number], self.left[number]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_venues_do_nothing_is_asked_for_twice(seed: int) -> None:
    market = Market(seed)
    for _ in range(600):
        market.act()
    assert len(market.venues) >= 3
    working = market.world.state["positions"][0][KO]
    sides = Counter({1: 0, -1: 0})
    for number, order in market.open.items():
        sides[int(order["side"])] += market.left[number]
    assert (int(working["working_buy"]), int(working["working_sell"])) == (sides[1], sides[-1])
