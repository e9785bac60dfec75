"""After a login the venue has told everything: what it knows and we do not, and the other way round, is a break."""

import numpy as np
import pytest
from engine_world import kinds, poke, record, started, want
from venues_world import A, B, Venues, at

from engine.core.breaks import BY_RULE
from engine.core.events import Break, Command, Kind
from engine.core.orders import OrderState
from engine.core.strangers import STRANGERS

FOREIGN = 7_000


def lost(engine):
    return engine.apply(record(Kind.ORDER_SESSION, code=0))


def caught_up(engine, next_id, missing=0):
    return engine.apply(record(Kind.ORDER_SESSION, code=1, ref=next_id, missing=missing))


def accepted(engine, order_id, qty=100, instrument=0):
    return engine.apply(record(Kind.ACCEPTED, instrument, 1, order_id=order_id, price=100_000, qty=qty))


def canceled(engine, order_id, qty=100):
    return engine.apply(record(Kind.CANCELED, order_id=order_id, qty=qty, reason=ord("U")))


def resolve(engine, value, instrument=0):
    return engine.apply(record(Kind.COMMAND, command=Command.RESOLVE_BREAK, argument=instrument, ref=value))


def differs(engine, shares):
    """A statement from outside says that ``shares`` KO are held."""
    fields = {"argument": 0, "ref": shares, "level": Break.POSITION_DIFFERS}
    return engine.apply(record(Kind.COMMAND, command=Command.OPEN_BREAK, **fields))


def breaks(outputs):
    return [
        (Break(int(one["code"])).name, int(one["instrument"]), int(one["value"]))
        for one in outputs
        if one["kind"] == Kind.BREAK
    ]


def cancels(outputs):
    return [int(one["order_id"]) for one in outputs if one["kind"] == Kind.ORDER_CANCEL]


def trades(engine, instrument=0):
    """Whether anything is sent for an instrument that wants 100 shares more."""
    want(engine, 100, instrument=instrument)
    if instrument:
        return "ORDER_NEW" in kinds(engine.apply(record(Kind.ADD, 1, -1, order_id=9, price=500_000, qty=100)))
    return "ORDER_NEW" in kinds(poke(engine))


def live(qty=100):
    """An order of 100 KO that the venue has accepted; its id."""
    engine = started()
    want(engine, qty)
    (order,) = poke(engine)
    order_id = int(order["order_id"])
    accepted(engine, order_id, qty)
    return engine, order_id


def test_an_order_that_the_venue_knows_and_we_do_not_stops_its_symbol_alone_and_is_cancelled():
    engine = started()
    out = accepted(engine, FOREIGN)
    assert breaks(out) == [("UNKNOWN_ORDER", 0, FOREIGN)]
    assert cancels(out) == [FOREIGN]
    assert not trades(engine)
    assert trades(engine, instrument=1)


def test_one_that_the_venue_tells_of_in_its_replay_is_cancelled_once_the_session_is_up():
    """Before that nobody knows whether it still works."""
    engine = started()
    lost(engine)
    assert cancels(accepted(engine, FOREIGN)) == []
    accepted(engine, FOREIGN + 1)
    canceled(engine, FOREIGN + 1)
    assert cancels(caught_up(engine, FOREIGN + 2)) == [FOREIGN]


def test_the_break_ends_by_rule_when_all_such_orders_have_left_without_an_execution():
    engine = started()
    accepted(engine, FOREIGN, 100)
    accepted(engine, FOREIGN + 1, 300)
    assert breaks(canceled(engine, FOREIGN)) == []
    assert breaks(canceled(engine, FOREIGN + 1, 200)) == []
    out = canceled(engine, FOREIGN + 1, 100)
    assert breaks(out) == [("RESOLVED", 0, FOREIGN + 1)]
    assert int(out[out["kind"] == Kind.BREAK][0]["flags"]) == BY_RULE
    assert trades(engine)


def test_an_execution_of_such_an_order_needs_a_person():
    engine = started()
    accepted(engine, FOREIGN)
    out = engine.apply(record(Kind.EXECUTION, order_id=FOREIGN, price=100_000, qty=40, ref=5))
    assert breaks(out) == [("UNKNOWN_EXECUTION", 0, 5)]
    assert breaks(canceled(engine, FOREIGN, 60)) == []
    assert not trades(engine)
    resolve(engine, 5)
    assert trades(engine)


@pytest.mark.parametrize("execution", [False, True])
def test_a_break_that_needs_a_person_outlasts_strangers_that_come_and_leave(execution):
    engine = started()
    if execution:
        engine.apply(record(Kind.EXECUTION, 0, order_id=FOREIGN - 1, price=100_000, qty=40, ref=250))
    else:
        differs(engine, 250)
    assert breaks(accepted(engine, FOREIGN)) == [("UNKNOWN_ORDER", 0, FOREIGN)]
    assert breaks(canceled(engine, FOREIGN)) == []
    assert not trades(engine)
    resolve(engine, 250)
    assert trades(engine)


def test_a_stranger_that_works_on_is_a_break_again_when_another_before_it_is_resolved():
    engine = started()
    differs(engine, 250)
    accepted(engine, FOREIGN)
    assert breaks(resolve(engine, 250)) == [("RESOLVED", 0, 250), ("UNKNOWN_ORDER", 0, FOREIGN)]
    assert not trades(engine)
    canceled(engine, FOREIGN)
    assert trades(engine)


def test_one_that_replaces_another_takes_its_place():
    engine = started()
    accepted(engine, FOREIGN)
    engine.apply(record(Kind.REPLACED, 0, 1, order_id=FOREIGN + 1, price=100_100, qty=70, ref=FOREIGN))
    lost(engine)
    assert cancels(caught_up(engine, FOREIGN + 2)) == [FOREIGN + 1]
    assert ("RESOLVED", 0, FOREIGN + 1) in breaks(canceled(engine, FOREIGN + 1, 70))


def test_an_unknown_order_of_an_unknown_symbol_stops_everything():
    engine = started()
    assert breaks(accepted(engine, FOREIGN, instrument=-1)) == [("UNKNOWN_ORDER", -1, FOREIGN)]
    assert not trades(engine)
    assert not trades(engine, instrument=1)
    assert breaks(canceled(engine, FOREIGN)) == [("RESOLVED", -1, FOREIGN)]


def test_more_of_them_than_can_be_followed_stop_everything_until_a_person_has_looked():
    engine = started()
    for number in range(STRANGERS + 1):
        out = accepted(engine, FOREIGN + number)
    assert breaks(out) == [("UNKNOWN_ORDER", -1, FOREIGN + STRANGERS)]
    for number in range(STRANGERS):
        canceled(engine, FOREIGN + number)
    assert not trades(engine, instrument=1)
    resolve(engine, FOREIGN + STRANGERS, -1)
    assert trades(engine, instrument=1)


def test_an_order_that_the_venue_had_accepted_and_does_not_know_is_a_break_and_stays_held():
    engine, order_id = live()
    lost(engine)
    out = caught_up(engine, order_id)
    assert breaks(out) == [("MISSING_ORDER", 0, order_id)]
    slot = order_id % len(engine.state["orders"])
    assert int(engine.state["orders"][slot]["held"]) == 100


def test_when_a_person_has_looked_such_an_order_is_ended_and_its_hold_goes():
    engine, order_id = live()
    lost(engine)
    caught_up(engine, order_id)
    out = resolve(engine, order_id)
    assert kinds(out) == ["BREAK", "ORDER_DONE"]
    slot = order_id % len(engine.state["orders"])
    assert int(engine.state["orders"][slot]["state"]) == OrderState.CANCELLED
    assert int(engine.state["orders"][slot]["held"]) == 0
    assert trades(engine)


def test_an_order_that_was_to_be_cancelled_and_that_its_venue_does_not_know_any_more_is_missing_too():
    engine, order_id = live()
    lost(engine)
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    out = caught_up(engine, order_id)
    assert breaks(out) == [("MISSING_ORDER", 0, order_id)]
    assert cancels(out) == []


def test_an_order_that_the_venue_knows_again_after_another_login_is_not_ended_by_a_person():
    engine, order_id = live()
    lost(engine)
    caught_up(engine, order_id)
    caught_up(engine, order_id + 1)
    assert kinds(resolve(engine, order_id)) == ["BREAK"]


def test_a_missing_order_behind_a_newer_break_is_ended_when_a_person_has_looked():
    engine, order_id = live()
    lost(engine)
    caught_up(engine, order_id)
    differs(engine, 250)
    assert kinds(resolve(engine, 250)) == ["BREAK", "ORDER_DONE"]


def test_a_missing_order_of_one_venue_leaves_those_that_work_at_another_when_it_is_ended():
    venues = Venues(count=2)
    out = venues.want(600)
    at_a, at_b = sorted((one for one in out if one["kind"] == Kind.ORDER_NEW), key=lambda one: one["venue"])
    for order in (at_a, at_b):
        venues.accept(order)
    venues.step(at(A, Kind.ORDER_SESSION, code=0))
    missing = int(at_a["order_id"])
    assert breaks(venues.step(at(A, Kind.ORDER_SESSION, code=1, ref=missing))) == [("MISSING_ORDER", 0, missing)]
    out = resolve(venues.engine, missing)
    assert [int(one["order_id"]) for one in out if one["kind"] == Kind.ORDER_DONE] == [missing]


def test_orders_that_the_venue_knows_are_no_break():
    engine, order_id = live()
    lost(engine)
    assert breaks(caught_up(engine, order_id + 1)) == []


def test_reports_that_the_venue_cannot_send_again_stop_everything_until_a_person_has_looked():
    engine = started()
    assert breaks(lost(engine)) == []
    out = engine.apply(record(Kind.ORDER_SESSION, code=0, missing=12))
    assert breaks(out) == [("MISSING_REPORTS", -1, 12)]
    caught_up(engine, 1)
    assert not trades(engine)
    resolve(engine, 12, -1)
    assert trades(engine)


def test_the_core_may_open_a_break_that_only_a_person_resolves():
    engine = started()
    assert breaks(differs(engine, 250)) == [("POSITION_DIFFERS", 0, 250)]
    assert not trades(engine)
    assert trades(engine, instrument=1)
    resolve(engine, 250)
    assert trades(engine)


@pytest.mark.parametrize("seed", range(20))
def test_after_any_reports_of_strangers_what_is_cancelled_is_what_works(seed):
    """Compared with a count of our own."""
    random, engine, open_ = np.random.default_rng(seed), started(), {}
    for _ in range(60):
        order_id = FOREIGN + int(random.integers(0, 12))
        if order_id not in open_:
            open_[order_id] = int(random.integers(1, 5)) * 100
            accepted(engine, order_id, open_[order_id])
        else:
            qty = min(int(random.integers(1, 5)) * 100, open_[order_id])
            canceled(engine, order_id, qty)
            open_[order_id] -= qty
            if open_[order_id] == 0:
                del open_[order_id]
    lost(engine)
    assert set(cancels(caught_up(engine, FOREIGN + 100))) == set(open_)
    assert trades(engine) == (not open_)


def test_of_several_venues_only_the_one_that_came_up_is_asked_to_cancel_what_it_knows_alone():
    venues = Venues(count=2)
    for venue in (A, B):
        venues.step(at(venue, Kind.ORDER_SESSION, code=0))
        venues.step(at(venue, Kind.ACCEPTED, 0, 1, order_id=FOREIGN, price=100_000, qty=100))
    out = venues.step(at(B, Kind.ORDER_SESSION, code=1, ref=FOREIGN + 1))
    assert [(int(one["venue"]), int(one["order_id"])) for one in out if one["kind"] == Kind.ORDER_CANCEL] == [
        (B, FOREIGN)
    ]
    assert breaks(venues.step(at(B, Kind.CANCELED, order_id=FOREIGN, qty=100, reason=ord("U")))) == []
    out = venues.step(at(A, Kind.CANCELED, order_id=FOREIGN, qty=100, reason=ord("U")))
    assert breaks(out) == [("RESOLVED", 0, FOREIGN)]


def test_an_order_at_another_venue_is_not_missing_at_the_one_that_came_up():
    venues = Venues(count=2)
    want(venues.engine, 100)
    (order,) = [one for one in venues.step(at(A, Kind.TRADE, 0, price=100_100, qty=1)) if one["kind"] == Kind.ORDER_NEW]
    order_id, mine = int(order["order_id"]), int(order["venue"])
    venues.step(at(mine, Kind.ACCEPTED, 0, 1, order_id=order_id, price=int(order["price"]), qty=int(order["qty"])))
    other = B if mine == A else A
    assert breaks(venues.step(at(other, Kind.ORDER_SESSION, code=1, ref=1))) == []
    assert breaks(venues.step(at(mine, Kind.ORDER_SESSION, code=1, ref=1))) == [("MISSING_ORDER", 0, order_id)]


def test_a_stranger_is_cancelled_though_an_order_of_ours_at_another_venue_has_its_number():
    venues = Venues(count=2)
    (order,) = [one for one in venues.want(100) if one["kind"] == Kind.ORDER_NEW]
    order_id, mine = int(order["order_id"]), int(order["venue"])
    other = B if mine == A else A
    out = venues.step(at(other, Kind.ACCEPTED, 0, 1, order_id=order_id, price=100_000, qty=500))
    assert breaks(out) == [("UNKNOWN_ORDER", 0, order_id)]
    asked = [(int(one["venue"]), int(one["order_id"])) for one in out if one["kind"] == Kind.ORDER_CANCEL]
    assert asked == [(other, order_id)]
    out = venues.step(at(other, Kind.CANCELED, order_id=order_id, qty=500, reason=ord("U")))
    assert breaks(out) == [("RESOLVED", 0, order_id)]
