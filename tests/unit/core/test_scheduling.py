"""Parents that the step works by a schedule: slices go out as they are due, and nothing else."""

import numpy as np
import pytest
from engine_world import MINUTE, kinds, load, poke, record, started, want

from engine.core.engine import FIRM, Engine, Loaded
from engine.core.events import BlobType, Command, Kind, Session
from engine.core.schedules import PLAN_SHARES
from engine.core.state import SCHEDULES, Anomaly
from engine.errors import BadInput
from engine.execution.schedules import Slicing, pov, twap

ASK, BID = 100_200, 100_000


def planned(plan: np.ndarray) -> Engine:
    engine = started()
    load(engine, BlobType.PLAN, plan.tobytes())
    return engine


def ten_minutes(**slicing) -> np.ndarray:
    return twap(PLAN_SHARES, 0, 10 * MINUTE, Slicing(**({"min_slice": 100, "max_slice": 100} | slicing)))


def sent(outputs: np.ndarray) -> list[int]:
    return outputs["qty"][outputs["kind"] == Kind.ORDER_NEW].tolist()


def timer(engine: Engine, ts: int) -> np.ndarray:
    return engine.apply(record(Kind.TIMER, ts=ts)).copy()


def fill(engine: Engine, ts: int) -> None:
    """Executes all of the child of the first instrument."""
    child = int(engine.state["parents"][0][0]["child"])
    order = engine.state["orders"][child % len(engine.state["orders"])]
    left, match = int(order["qty"] - order["filled"]), 1_000 + child
    engine.apply(record(Kind.EXECUTION, 0, ts=ts, order_id=child, price=ASK, qty=left, ref=match))


def run(engine: Engine, minutes: range) -> list[tuple[float, int]]:
    """(minute, shares) of each order when every order is executed at once; a timer each minute and nothing else."""
    orders = []
    for minute in minutes:
        for shares in sent(timer(engine, minute * MINUTE)):
            orders.append((minute, shares))
            fill(engine, minute * MINUTE)
    return orders


def test_time_alone_releases_the_slices_of_a_parent():
    engine = planned(ten_minutes())
    want(engine, 500)
    assert sent(poke(engine)) == []  # the schedule begins; its first slice is due at a minute
    assert run(engine, range(1, 11)) == [(1, 100), (3, 100), (5, 100), (7, 100), (9, 100)]
    assert int(engine.state["positions"][0][0]["position"]) == 500


def test_market_data_releases_what_is_due_too():
    engine = planned(ten_minutes())
    want(engine, -500)
    poke(engine)
    (order,) = poke(engine, ts=MINUTE)
    assert (order["kind"], order["side"], order["price"], order["qty"]) == (Kind.ORDER_NEW, -1, BID, 100)
    assert len(poke(engine, ts=2 * MINUTE)) == 0  # one child at a time, however late


def test_a_schedule_begins_when_the_session_lets_it():
    engine = started()
    load(engine, BlobType.PLAN, ten_minutes().tobytes())
    engine.apply(record(Kind.STALE, code=1))
    want(engine, 500)
    poke(engine, ts=5 * MINUTE)
    assert not engine.state["scheduled"].any()
    engine.apply(record(Kind.STALE, code=0, ts=20 * MINUTE))
    poke(engine, ts=20 * MINUTE)
    assert run(engine, range(20, 31)) == [(21, 100), (23, 100), (25, 100), (27, 100), (29, 100)]


def test_progress_is_told_with_each_timer_and_at_the_end():
    engine = planned(ten_minutes())
    want(engine, 500)
    poke(engine)
    run(engine, range(1, 4))
    (told,) = (one for one in timer(engine, 4 * MINUTE) if one["kind"] == Kind.SCHEDULE)
    assert (told["planned"], told["due"], told["done"], told["strategy"]) == (200, 200, 200, 0)
    run(engine, range(5, 10))
    last = poke(engine, ts=9 * MINUTE)
    assert kinds(last) == []  # the fill of the last slice had the last word
    assert not engine.state["scheduled"].any()


def test_participation_holds_a_schedule_back_to_what_the_market_trades():
    engine = planned(ten_minutes(max_participation=0.25))
    engine.apply(record(Kind.TRADE, 0, price=ASK, qty=4_000))  # before it begins: does not count
    want(engine, 500)
    poke(engine)
    volume = int(engine.state["bars"][0]["volume"])
    assert run(engine, range(1, 6)) == []
    engine.apply(record(Kind.TRADE, 0, ts=5 * MINUTE, price=ASK, qty=399))
    assert run(engine, range(6, 7)) == []
    out = engine.apply(record(Kind.TRADE, 0, ts=6 * MINUTE, price=ASK, qty=1))
    assert int(engine.state["bars"][0]["volume"]) - volume == 400
    assert sent(out) == [100]


def test_pov_follows_the_volume():
    engine = planned(pov(PLAN_SHARES, 0, 60 * MINUTE, 0.5, Slicing(50, 50)))
    want(engine, 500)
    poke(engine)
    orders = []
    for minute in range(1, 6):
        out = engine.apply(record(Kind.TRADE, 0, ts=minute * MINUTE, price=ASK, qty=100)).copy()
        orders += sent(out)
        if sent(out):
            fill(engine, minute * MINUTE)
    assert orders == [50] * 5


def test_a_schedule_that_does_not_complete_takes_its_child_back_and_leaves_the_rest():
    engine = planned(ten_minutes(completes=False))
    want(engine, 500)
    poke(engine)
    assert sent(timer(engine, MINUTE)) == [100]
    child = int(engine.state["parents"][0][0]["child"])
    out = timer(engine, 10 * MINUTE)
    assert "ORDER_CANCEL" in kinds(out)
    engine.apply(record(Kind.CANCELED, 0, ts=10 * MINUTE, order_id=child, qty=100, reason=ord("U")))
    assert run(engine, range(11, 20)) == []
    assert int(engine.state["positions"][0][0]["position"]) == 0


def test_a_replaced_child_is_not_larger_than_what_is_due():
    engine = planned(ten_minutes())
    want(engine, 500)
    poke(engine)
    timer(engine, MINUTE)
    child = int(engine.state["parents"][0][0]["child"])
    engine.apply(record(Kind.ACCEPTED, 0, ts=MINUTE, order_id=child, price=ASK, qty=100))
    engine.apply(record(Kind.DELETE, 0, ts=MINUTE, order_id=2))
    out = engine.apply(record(Kind.ADD, 0, -1, ts=2 * MINUTE + 1, order_id=3, price=ASK + 100, qty=300))
    (replace,) = (one for one in out if one["kind"] == Kind.ORDER_REPLACE)
    assert (replace["qty"], replace["price"]) == (100, ASK + 100)


def test_a_new_target_is_a_new_schedule_and_flattening_waits_for_none():
    engine = planned(ten_minutes())
    want(engine, 500)
    poke(engine)
    run(engine, range(1, 4))
    want(engine, 1_000)
    poke(engine, ts=4 * MINUTE)
    assert int(engine.state["schedules"][0]["qty"]) == 800
    engine.apply(record(Kind.COMMAND, command=Command.FLATTEN, ts=5 * MINUTE))
    assert sent(poke(engine, ts=5 * MINUTE)) == [200]


def test_the_next_session_begins_a_schedule_for_what_is_still_wanted():
    engine = planned(ten_minutes())
    want(engine, 500)
    poke(engine)
    run(engine, range(1, 4))
    engine.apply(record(Kind.SESSION, code=Session.CLOSE, date=20130102, ts=5 * MINUTE))
    engine.apply(record(Kind.SESSION, code=Session.START_OF_MESSAGES, date=20130103, ts=100 * MINUTE))
    assert not engine.state["scheduled"].any()
    engine.apply(record(Kind.SESSION, code=Session.OPEN, date=20130103, ts=101 * MINUTE))
    engine.apply(record(Kind.ADD, 0, -1, order_id=12, price=ASK, qty=300, ts=101 * MINUTE))
    assert int(engine.state["schedules"][0]["qty"]) == 300
    assert [shares for _, shares in run(engine, range(102, 112))] == [100, 100, 100]


def test_when_every_slot_is_taken_a_parent_is_refused_and_said_to_be():
    engine = planned(ten_minutes())
    engine.state["scheduled"][:] = 512 + 1  # of other parents
    want(engine, 500)
    out = poke(engine)
    assert (kinds(out), out["code"].tolist()) == (["ANOMALY"], [Anomaly.SCHEDULES_FULL])
    assert len(engine.state["scheduled"]) == SCHEDULES
    assert len(poke(engine)) == 0


def test_each_parent_draws_its_own_slices_and_a_replay_draws_the_same():
    def orders(target: int) -> list[tuple[float, int]]:
        engine = planned(ten_minutes(min_slice=20, max_slice=80, timing=1.0, seed=5))
        want(engine, 1)
        want(engine, target)
        poke(engine)
        return run(engine, range(1, 11))

    assert orders(500) == orders(500)
    other = planned(ten_minutes(min_slice=20, max_slice=80, timing=1.0, seed=5))
    want(other, 500)
    poke(other)
    assert run(other, range(1, 11)) != orders(500)


def test_without_a_plan_a_parent_goes_out_at_once_and_an_empty_one_takes_it_away():
    engine = planned(ten_minutes())
    load(engine, BlobType.PLAN, b"")
    want(engine, 500)
    assert sent(poke(engine)) == [500]


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (b"short", "plan"),
        (twap(500, 0, MINUTE, Slicing(1, 1)).tobytes(), "qty, start"),
        (twap(PLAN_SHARES, 1, MINUTE, Slicing(1, 1)).tobytes(), "qty, start"),
        (bytes(ten_minutes().nbytes), "qty"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_and_changes_nothing(payload, field):
    engine = Engine(lambda manifest: Loaded(0, frozenset(), 0))
    load(engine, BlobType.INSTRUMENTS, b'["KO"]', FIRM)
    before = engine.state_hash()
    with pytest.raises(BadInput) as refused:
        load(engine, BlobType.PLAN, payload)
    assert refused.value.field == field
    assert engine.state_hash() == before
