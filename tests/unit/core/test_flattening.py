"""Taking risk off: whatever limits and venues said before, a position can be closed, anywhere, in several orders."""

import msgspec
import numpy as np
import pytest
from engine_world import MINUTE, WIDE, load, record
from venues_world import ASK, BID, HANG, KO, A, B, C, Venues, at, orders, sent

from engine.core.engine import FIRM
from engine.core.events import BlobType, Command, Kind
from engine.core.kill import KillLevel, Scope
from engine.core.limit_names import Limit
from engine.core.limit_tables import SignedBundle, bundle_within, canonical_bytes, strategy_limits
from engine.messages import LimitEnvelope

HUNDRED_SHARES = LimitEnvelope(100, 10_000_000_000, 50_000, 100_000_000_000)
A_HUNDREDS_WORTH = LimitEnvelope(10_000, 100 * ASK, 50_000, 100_000_000_000)
HUGE = LimitEnvelope(1_000_000, 10**12, 1_000_000, 10**12)
KILL = {"command": Command.KILL, "argument": KillLevel.FLATTEN, "scope": Scope.FIRM, "epoch": 5}
WAYS = [KILL, {"command": Command.FLATTEN}]


def flatten(world, way, ts=0):
    """The outputs of the command and of the next market data."""
    return np.concatenate([world.step(record(Kind.COMMAND, ts=ts, **way)), world.poke(ts)])


def filled(world, outputs):
    """Executes every new order and those that follow from it; the shares of each."""
    shares, waiting = [], orders(outputs)
    while waiting:
        order = waiting.pop(0)
        assert order["kind"] == Kind.ORDER_NEW
        shares.append(int(order["qty"]))
        world.accept(order)
        waiting += orders(world.execute(order))
        waiting += orders(world.show(int(order["venue"]), order_id=2 if order["side"] > 0 else 1))
    return shares


def holding(shares, count, limits=WIDE, most=10_000, firm=WIDE):
    world = Venues(count=count, firm=firm)
    load(world.engine, BlobType.LIMITS, strategy_limits(limits), 0)
    for target in range(min(most, shares), shares + 1, most):
        filled(world, world.want(target))
    assert world.position == shares
    return world


# ---- more than one order may ask for -------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("limits", [HUNDRED_SHARES, A_HUNDREDS_WORTH])
@pytest.mark.parametrize("way", WAYS)
def test_a_position_larger_than_one_order_may_be_is_closed_in_several(count, limits, way):
    world = holding(200, count, limits, most=100)
    assert filled(world, flatten(world, way)) == [100, 100]
    assert world.position == 0


@pytest.mark.parametrize("count", [1, 3])
def test_an_order_that_adds_risk_is_not_made_smaller_to_pass(count):
    world = holding(100, count, HUNDRED_SHARES)
    out = world.want(-200)
    assert [int(one["code"]) for one in out if one["kind"] == Kind.LIMIT_REJECT] == [Limit.ORDER_QTY]
    assert orders(out) == []


def test_a_closing_order_that_follows_the_touch_stays_as_large_as_one_may_be():
    world = holding(200, 1, HUNDRED_SHARES, most=100)
    (order,) = orders(flatten(world, KILL))
    world.accept(order)
    world.quote(A, 1, BID - 100, 300, order_id=3)
    world.remove(A, 1)
    (replace,) = orders(world.poke(2 * MINUTE))
    assert (replace["kind"], int(replace["qty"])) == (Kind.ORDER_REPLACE, 100)


def test_without_a_bundle_a_position_beyond_the_floor_is_closed_within_it():
    world = holding(150_000, 1, HUGE, most=150_000, firm=HUGE)
    ended = msgspec.structs.replace(bundle_within(HUGE, number=2), valid_until=1)
    load(world.engine, BlobType.LIMITS, canonical_bytes(SignedBundle(ended)), FIRM)
    assert filled(world, flatten(world, KILL, ts=2)) == [100_000, 50_000]


@pytest.mark.parametrize("way", WAYS)
def test_what_closes_a_position_takes_what_is_displayed_now_and_not_at_the_limit_of_the_order_that_opened_it(way):
    world = holding(100, 3)
    assert {price for price, _ in sent(flatten(world, way)).values()} == {BID}


# ---- venues that say nothing ---------------------------------------------------------------------------------


def in_doubt():
    """100 shares are held, and a buy order for as many rests at a venue that does not answer its cancel."""
    world = holding(100, 3)
    world.state["parents"][0][KO]["limit_until"] = 0
    posted = world.post(200)
    (cancel,) = orders(world.want(0, ts=1))
    assert (cancel["kind"], cancel["order_id"]) == (Kind.ORDER_CANCEL, posted["order_id"])
    return world, posted


@pytest.mark.parametrize("way", WAYS)
def test_a_position_is_closed_elsewhere_when_a_venue_does_not_answer_a_cancel(way):
    world, posted = in_doubt()
    assert sent(flatten(world, way, ts=HANG)) == {}
    out = sent(world.poke(HANG + 1))
    assert sum(shares for _, shares in out.values()) == 100
    assert int(posted["venue"]) not in out


def test_a_cancel_that_is_asked_for_again_after_a_lost_session_is_waited_for_no_longer():
    world, posted = in_doubt()
    venue = int(posted["venue"])
    world.step(at(venue, Kind.ORDER_SESSION, code=0, ts=2))
    (again,) = orders(world.step(at(venue, Kind.ORDER_SESSION, code=1, ref=1000, ts=3)))
    assert again["kind"] == Kind.ORDER_CANCEL
    assert sum(shares for _, shares in sent(world.poke(HANG + 3)).values()) == 100


def test_a_venue_that_does_not_answer_a_replace_is_left_out():
    world = Venues(count=3)
    posted = world.post(100)
    world.quote(A, 1, BID + 100, 300, order_id=5)
    (replace,) = orders(world.poke(ts=MINUTE // 4))
    assert replace["kind"] == Kind.ORDER_REPLACE
    assert int(posted["venue"]) not in sent(world.want(900, ts=MINUTE // 4 + HANG))


def test_a_replace_of_what_was_filled_meanwhile_needs_no_answer():
    world = Venues(count=3)
    posted = world.post(100)
    world.quote(A, 1, BID + 100, 300, order_id=5)
    world.poke(ts=MINUTE // 4)
    world.execute(posted, ts=MINUTE // 4 + 1)
    later = MINUTE // 2
    assert set(sent(world.want(1000, ts=later))) == {A, B, C}


# ---- what was refused before ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_position_is_closed_though_every_venue_has_refused_before(way):
    world = holding(100, 3)
    out = world.want(0)
    while orders(out):
        (order,) = orders(out)
        out = world.reject(order)
    assert orders(world.poke()) == []
    assert filled(world, flatten(world, way, ts=MINUTE)) == [100]


@pytest.mark.parametrize("way", WAYS)
def test_a_position_is_closed_at_venues_that_have_refused_too_often(way):
    world = holding(100, 3)
    world.state["venues"]["out_until"] = 2 * MINUTE
    assert orders(world.want(50, ts=MINUTE)) == []
    assert filled(world, flatten(world, way, ts=MINUTE)) == [100]
