"""What limits and venues refuse or do not take now: what is asked for again, and what is left alone."""

import msgspec
import pytest
from engine_world import MINUTE, WIDE, kinds, load, poke, record, started, want
from venues_world import ASK, BID, A, B, C, Venues, at, orders, sent

from engine.core.engine import FIRM
from engine.core.events import BlobType, Command, Flag, Kind, Stale, TradingStatus
from engine.core.kill import KillLevel, Scope
from engine.core.limit_tables import SignedBundle, bundle_within, canonical_bytes
from engine.core.router_records import MOST_SHARES


def test_the_one_venue_that_limits_allow_is_waited_for_while_it_is_lost():
    world = Venues(count=3)
    world.state["levels"]["venues"][0] = 1 << A
    world.step(at(A, Kind.ORDER_SESSION, code=0))
    assert kinds(world.want(100)) == []
    world.step(at(A, Kind.ORDER_SESSION, code=1, ref=1))
    assert sent(world.poke(MINUTE)) == {A: (ASK, 100)}


def test_what_was_refused_for_want_of_a_bundle_is_asked_for_when_one_has_come():
    engine = started()
    ended = msgspec.structs.replace(bundle_within(WIDE, number=2), valid_until=1)
    load(engine, BlobType.LIMITS, canonical_bytes(SignedBundle(ended)), FIRM)
    want(engine, 100)
    assert kinds(poke(engine, 10)) == ["LIMIT_REJECT"]
    load(engine, BlobType.LIMITS, canonical_bytes(SignedBundle(bundle_within(WIDE, number=3))), FIRM)
    assert kinds(poke(engine, 10 + MINUTE)) == ["ORDER_NEW"]


def test_more_shares_than_the_router_splits_at_once_are_begun_with():
    world = Venues(count=3)
    assert sent(world.want(MOST_SHARES + 1)) == dict.fromkeys((A, B, C), (ASK, 300))


def killed(world, venue):
    kill = {"command": Command.KILL, "argument": KillLevel.PAUSE, "scope": Scope.VENUE, "ref": venue, "epoch": 5}
    world.step(record(Kind.COMMAND, **kill))


def stale(world, venue):
    world.step(at(venue, Kind.STALE, code=Stale.GAP))


def halted(world, venue):
    world.step(at(venue, Kind.STATUS, 0, code=TradingStatus.HALTED, flags=Flag.OPERATIONAL))


@pytest.mark.parametrize(("trouble", "follows"), [(None, 1), (killed, 0), (stale, 0), (halted, 0)])
def test_a_resting_order_follows_the_touch_only_where_something_new_may_be_sent(trouble, follows):
    world = Venues(count=3)
    venue = int(world.post(100)["venue"])
    if trouble:
        trouble(world, venue)
    elsewhere = A if venue != A else B
    world.quote(elsewhere, 1, BID + 100, 300, order_id=5)
    assert [one["kind"] for one in orders(world.poke(ts=MINUTE // 4))] == [Kind.ORDER_REPLACE] * follows
