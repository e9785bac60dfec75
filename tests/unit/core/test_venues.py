"""Several venues in one step: what is known of each, and what is consolidated."""

import json

import pytest
from engine_world import record
from venues_world import ASK, BID, DARK, DATE, KO, A, B, C, Venues, at

from engine.core.books import book_content
from engine.core.engine import FIRM, Engine, blob
from engine.core.events import BlobType, Flag, Kind, Session, Stale, TradingStatus
from engine.core.state import Anomaly, Phase
from engine.errors import BadInput


def touch(world):
    return tuple(int(world.state["market"][KO][name]) for name in ("bid", "bid_size", "ask", "ask_size"))


def test_the_consolidated_touch_is_the_best_price_of_all_venues_and_all_shares_there():
    world = Venues()
    assert touch(world) == (BID, 900, ASK, 900)
    world.quote(B, 1, 100_100, 50, order_id=9)
    assert touch(world) == (100_100, 50, ASK, 900)
    world.remove(B, 9)
    assert touch(world) == (BID, 900, ASK, 900)


def test_equal_order_numbers_of_two_venues_are_two_orders():
    world = Venues()
    world.remove(A, 1)
    assert touch(world)[:2] == (BID, 600)
    kept = [book_content(world.state["books"][venue])[0] for venue in (A, B)]
    assert [len(rows) for rows in kept] == [1, 2]


def test_a_stale_venue_drops_out_of_the_touch_and_comes_back_without_stopping_the_others():
    world = Venues()
    world.quote(B, 1, 100_100, 50, order_id=9)
    world.step(at(B, Kind.STALE, code=Stale.GAP))
    assert touch(world) == (BID, 600, ASK, 600)
    assert not int(world.state["feed_stale"])
    world.step(at(B, Kind.STALE, code=Stale.IN_ORDER))
    assert touch(world) == (100_100, 50, ASK, 900)


def test_only_when_every_feed_is_stale_the_market_data_is():
    world = Venues()
    for venue in (A, B, C, DARK):
        assert not int(world.state["feed_stale"])
        world.step(at(venue, Kind.STALE, code=Stale.GAP))
    assert int(world.state["feed_stale"])


def test_a_venue_that_forgets_its_books_leaves_those_of_the_others():
    world = Venues()
    world.step(at(C, Kind.STALE, code=Stale.FORGET, date=DATE))
    world.step(at(C, Kind.STALE, code=Stale.IN_ORDER))
    assert touch(world) == (BID, 600, ASK, 600)
    assert len(book_content(world.state["books"][C])[0]) == 0


def test_the_day_opens_with_the_first_venue_and_closes_with_the_last_that_is_heard():
    world = Venues(count=2)
    assert int(world.state["phase"]) == Phase.OPEN
    world.poke()
    out = world.step(at(A, Kind.SESSION, code=Session.CLOSE, date=DATE))
    assert int(world.state["phase"]) == Phase.OPEN
    assert Kind.BAR not in out["kind"]
    out = world.step(at(B, Kind.SESSION, code=Session.CLOSE, date=DATE))
    assert int(world.state["phase"]) == Phase.CLOSED
    assert [int(one["close"]) for one in out if one["kind"] == Kind.BAR and one["instrument"] == KO] == [100_100]


def test_a_stale_venue_that_never_closes_does_not_keep_the_day_open():
    world = Venues(count=2)
    world.step(at(B, Kind.STALE, code=Stale.GAP))
    out = world.step(at(A, Kind.SESSION, code=Session.CLOSE, date=DATE))
    assert int(world.state["phase"]) == Phase.CLOSED
    assert Kind.BAR in out["kind"]


def test_a_day_that_no_venue_has_closed_is_closed_when_the_next_one_begins():
    world = Venues(count=2)
    world.poke()
    out = world.step(at(A, Kind.SESSION, code=Session.START_OF_MESSAGES, date=20130103))
    assert [int(one["close"]) for one in out if one["kind"] == Kind.BAR and one["instrument"] == KO] == [100_100]
    assert (int(world.state["phase"]), int(world.state["date"])) == (Phase.PRE_OPEN, 20130103)


def test_a_second_venue_that_begins_the_day_does_not_take_the_firsts_trades_away():
    world = Venues(count=1)
    world.poke()
    load = json.dumps([{"name": "A"}, {"name": "B"}]).encode()
    world.engine.apply_blob(blob(BlobType.VENUES, load, strategy=FIRM, ts=0), load)
    world.step(at(B, Kind.SESSION, code=Session.START_OF_MESSAGES, date=DATE))
    assert int(world.state["bars"][KO]["volume"]) == 1


@pytest.mark.parametrize("flags", [0, Flag.OPERATIONAL])
def test_a_halt_of_the_security_stops_it_everywhere_and_one_of_a_venue_only_there(flags):
    world = Venues()
    world.step(at(B, Kind.STATUS, KO, code=TradingStatus.HALTED, flags=flags))
    trades = bool(world.state["market"][KO]["trading"]) and not world.state["market"][KO]["venue_halted"]
    assert trades == bool(flags)
    assert touch(world) == ((BID, 600, ASK, 600) if flags else (BID, 900, ASK, 900))


def test_a_record_of_a_venue_that_is_not_traded_at_changes_nothing_and_is_counted():
    world = Venues(count=2)
    out = world.quote(C, 1, 100_150, 10, order_id=7)
    assert [int(one["code"]) for one in out] == [Anomaly.UNKNOWN_VENUE]
    assert touch(world) == (BID, 600, ASK, 600)


def test_the_list_of_venues_may_grow_and_never_lose_or_swap_one():
    engine = Engine(lambda manifest: None)
    for payload, fits in (
        ([{"name": "A"}], True),
        ([{"name": "A"}, {"name": "B", "dark": True}], True),
        ([{"name": "B"}, {"name": "A"}], False),
        ([{"name": "A"}], False),
        ([{"name": "A"}] * 2, False),
        ([{"name": str(n)} for n in range(5)], False),
    ):
        content = json.dumps(payload).encode()
        header = blob(BlobType.VENUES, content, strategy=FIRM, ts=0)
        if fits:
            engine.apply_blob(header, content)
        else:
            with pytest.raises(BadInput):
                engine.apply_blob(header, content)
    assert int(engine.state["venue_count"]) == 2


def test_a_snapshot_of_several_venues_goes_on_like_the_engine_that_wrote_it():
    world, other = Venues(), Venues()
    other.engine.restore(world.engine.snapshot())
    for engine in (world.engine, other.engine):
        engine.apply(at(B, Kind.ADD, KO, 1, order_id=9, price=100_100, qty=50))
        engine.apply(record(Kind.TIMER))
    assert other.engine.state_hash() == world.engine.state_hash()
    assert other.engine.venues == world.engine.venues
