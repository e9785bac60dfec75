"""Order management: each hard case of what a venue may report, and holds through all of it."""

import itertools

import msgspec
import numpy as np
import pytest
from engine_world import MINUTE, WIDE, kinds, load, poke, record, started, want
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import memory
from engine.core.events import BlobType, Break, Command, Kind, Restatement
from engine.core.executions import CAPACITY, EXECUTIONS, NONE, find_execution, note_execution
from engine.core.limit_tables import StrategyLimits, canonical_bytes, limits_within
from engine.core.orders import LAST_OPEN, MOVES, ORDER, OrderState, Report
from engine.core.state import Anomaly, StrategyState

OPEN_STATES = [state for state in OrderState if 0 < state <= LAST_OPEN]
MATCHES = itertools.count(1_000_000)


def held(engine, instrument=0):
    position = engine.state["positions"][0][instrument]
    return int(position["working_buy"]), int(position["working_sell"])


def position(engine, instrument=0):
    return int(engine.state["positions"][0][instrument]["position"])


def order(engine, order_id):
    return engine.state["orders"][order_id % len(engine.state["orders"])]


def state_of(engine, order_id):
    return OrderState(int(order(engine, order_id)["state"]))


def anomalies(records):
    return [Anomaly(int(one["code"])).name for one in records[records["kind"] == Kind.ANOMALY]]


def sent(shares=500):
    """(engine, id of the order that it has sent and the venue has not answered)"""
    engine = started()
    want(engine, shares)
    return engine, int(poke(engine)[0]["order_id"])


def live(shares=500):
    engine, order_id = sent(shares)
    engine.apply(record(Kind.ACCEPTED, 0, order_id=order_id, price=100_200, qty=shares))
    return engine, order_id


def execution(order_id, qty, price=100_200, match=0, **fields):
    return record(Kind.EXECUTION, 0, order_id=order_id, price=price, qty=qty, ref=match or next(MATCHES), **fields)


def replacing(shares=500, executed=0, wanted=None):
    """(engine, origin, successor): the touch has moved up and a replace is on its way."""
    engine, origin = live(shares)
    if executed:
        engine.apply(execution(origin, executed))
    if wanted is not None:
        want(engine, wanted)
    engine.apply(record(Kind.DELETE, 0, order_id=2))
    engine.apply(record(Kind.ADD, 0, -1, order_id=3, price=100_300, qty=50))
    (replace,) = poke(engine, ts=MINUTE)
    assert replace["kind"] == Kind.ORDER_REPLACE
    return engine, origin, int(replace["order_id"])


def replaced(successor, origin, qty, price=100_300):
    return record(Kind.REPLACED, 0, 1, order_id=successor, ref=origin, price=price, qty=qty)


# ---- the table ---------------------------------------------------------------------------------------


def test_every_open_state_can_be_cancelled_and_ended_by_the_venue():
    for state in OPEN_STATES:
        if state is not OrderState.PENDING_CANCEL:
            assert MOVES[state, Report.CANCEL_SENT] == OrderState.PENDING_CANCEL
        for report, end in (
            (Report.FULL_FILL, OrderState.FILLED),
            (Report.CANCELED, OrderState.CANCELLED),
            (Report.EXPIRED, OrderState.EXPIRED),
            (Report.DONE_FOR_DAY, OrderState.DONE_FOR_DAY),
        ):
            assert MOVES[state, report] == end, (state, report)


def test_nothing_brings_an_order_back_that_has_ended():
    for state, report in itertools.product(OrderState, Report):
        if state > LAST_OPEN:
            assert MOVES[state, report] in (0, state), (state, report)


# ---- fills, cancels, doubles -------------------------------------------------------------------------


def test_a_fill_before_the_acknowledgement_counts_and_the_acknowledgement_changes_nothing():
    engine, order_id = sent()
    engine.apply(execution(order_id, 200))
    assert state_of(engine, order_id) is OrderState.PARTIALLY_FILLED
    assert len(engine.apply(record(Kind.ACCEPTED, 0, order_id=order_id, price=100_200, qty=500))) == 0
    assert state_of(engine, order_id) is OrderState.PARTIALLY_FILLED
    assert (position(engine), held(engine)) == (200, (300, 0))


def test_a_fill_after_the_cancel_counts_and_is_told_as_late():
    engine, order_id = live()
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    engine.apply(record(Kind.CANCELED, 0, order_id=order_id, qty=500, reason=ord("U")))
    out = engine.apply(execution(order_id, 100))
    assert anomalies(out) == ["LATE_FILL"]
    assert (position(engine), held(engine)) == (100, (0, 0))
    assert state_of(engine, order_id) is OrderState.CANCELLED


def test_a_cancel_that_is_rejected_because_the_order_is_filled_changes_nothing():
    engine, order_id = live()
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    engine.apply(execution(order_id, 500))
    assert len(engine.apply(record(Kind.CANCEL_REJECTED, 0, order_id=order_id))) == 0
    assert state_of(engine, order_id) is OrderState.FILLED
    assert (position(engine), held(engine)) == (500, (0, 0))


@pytest.mark.parametrize(("executed", "state"), [(0, OrderState.LIVE), (200, OrderState.PARTIALLY_FILLED)])
def test_a_rejected_cancel_leaves_the_order_working(executed, state):
    engine, order_id = live()
    if executed:
        engine.apply(execution(order_id, executed))
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    assert state_of(engine, order_id) is OrderState.PENDING_CANCEL
    engine.apply(record(Kind.CANCEL_REJECTED, 0, order_id=order_id))
    assert state_of(engine, order_id) is state
    assert held(engine) == (500 - executed, 0)


def test_an_execution_that_is_reported_twice_counts_once():
    engine, order_id = live()
    engine.apply(execution(order_id, 100, match=77))
    out = engine.apply(execution(order_id, 100, match=77))
    assert (kinds(out), anomalies(out)) == (["ANOMALY"], ["DUPLICATE_REPORT"])
    assert (position(engine), held(engine)) == (100, (400, 0))


def test_one_match_number_on_another_venue_or_side_is_another_execution():
    table, one = memory.zeros(EXECUTIONS)[0], np.zeros(1, ORDER)[0]
    one["order_id"], one["side"] = 5, 1
    note_execution(table, 0, 77, one, 100, 10, 0, 0)
    assert find_execution(table, 0, 77, 1) == 0
    assert find_execution(table, 0, 77, -1) == NONE
    assert find_execution(table, 1, 77, 1) == NONE


def test_the_table_of_executions_forgets_the_oldest_alone():
    table, one = memory.zeros(EXECUTIONS)[0], np.zeros(1, ORDER)[0]
    one["side"] = -1
    for match in range(2 * CAPACITY + 7):
        note_execution(table, 0, match * 64, one, 100, 10, 0, 0)
    known = [match for match in range(2 * CAPACITY + 7) if find_execution(table, 0, match * 64, -1) != NONE]
    assert known == list(range(CAPACITY + 7, 2 * CAPACITY + 7))


def test_an_unsolicited_cancel_ends_the_order_and_it_is_sent_anew():
    engine, order_id = live()
    out = engine.apply(record(Kind.CANCELED, 0, order_id=order_id, qty=500, reason=ord("S")))
    assert kinds(out) == ["ORDER_DONE", "ORDER_NEW"]
    assert held(engine) == (500, 0)


def test_an_unsolicited_cut_takes_its_part_of_the_hold():
    engine, order_id = live()
    engine.apply(record(Kind.CANCELED, 0, order_id=order_id, qty=200, reason=ord("Q")))
    assert state_of(engine, order_id) is OrderState.LIVE
    assert held(engine) == (300, 0)


@pytest.mark.parametrize("reason", ["T", "E"])
def test_an_order_whose_time_is_over_has_expired(reason):
    engine, order_id = live()
    out = engine.apply(record(Kind.CANCELED, 0, order_id=order_id, qty=500, reason=ord(reason)))
    assert out[0]["order_state"] == OrderState.EXPIRED


def test_a_suspended_order_is_held_and_goes_on_or_is_done_for_the_day():
    engine, order_id = live()
    engine.apply(record(Kind.RESTATED, 0, order_id=order_id, reason=Restatement.SUSPENDED))
    assert (state_of(engine, order_id), held(engine)) == (OrderState.SUSPENDED, (500, 0))
    engine.apply(record(Kind.RESTATED, 0, order_id=order_id, reason=Restatement.RESUMED))
    assert state_of(engine, order_id) is OrderState.LIVE
    out = engine.apply(record(Kind.RESTATED, 0, order_id=order_id, reason=Restatement.DONE_FOR_DAY))
    assert out[0]["order_state"] == OrderState.DONE_FOR_DAY


# ---- replace -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "most"), [(500, 500), (800, 800), (200, 500)])
def test_a_replace_holds_the_larger_of_both_until_it_is_answered(wanted, most):
    engine, origin, successor = replacing(wanted=wanted)
    assert held(engine) == (most, 0)
    out = engine.apply(replaced(successor, origin, wanted))
    assert [(int(one["order_id"]), int(one["order_state"])) for one in out] == [(origin, OrderState.REPLACED)]
    assert held(engine) == (wanted, 0)
    assert state_of(engine, successor) is OrderState.LIVE
    assert order(engine, successor)["price"] == 100_300


def test_a_replace_that_crosses_a_partial_fill_works_what_is_left():
    engine, origin, successor = replacing()
    engine.apply(execution(origin, 200))
    assert (position(engine), held(engine)) == (200, (300, 0))
    engine.apply(replaced(successor, origin, 300))
    assert held(engine) == (300, 0)
    engine.apply(execution(successor, 300, price=100_300))
    assert (position(engine), held(engine)) == (500, (0, 0))
    assert state_of(engine, successor) is OrderState.FILLED


def test_a_replace_counts_what_was_executed_before_it():
    engine, origin = live()
    engine.apply(execution(origin, 200))
    engine.apply(record(Kind.DELETE, 0, order_id=2))
    engine.apply(record(Kind.ADD, 0, -1, order_id=3, price=100_300, qty=50))
    (replace,) = poke(engine, ts=MINUTE)
    assert replace["qty"] == 500  # 300 open, 200 executed: OUCH 5.0 section 2.2
    assert held(engine) == (300, 0)


def test_a_fill_of_the_whole_order_ends_the_replace_with_it():
    engine, origin, successor = replacing()
    out = engine.apply(execution(origin, 500))
    done = {int(one["order_id"]): OrderState(int(one["order_state"])) for one in out[out["kind"] == Kind.ORDER_DONE]}
    assert done == {origin: OrderState.FILLED, successor: OrderState.REJECTED}
    assert (position(engine), held(engine)) == (500, (0, 0))
    assert len(poke(engine, ts=2 * MINUTE)) == 0


def test_a_rejected_replace_leaves_its_origin_working_with_its_own_hold():
    engine, origin, successor = replacing(wanted=800)
    engine.apply(record(Kind.REJECTED, 0, order_id=successor, reason=0x15))
    assert state_of(engine, origin) is OrderState.LIVE
    assert held(engine) == (500, 0)
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    assert state_of(engine, origin) is OrderState.PENDING_CANCEL


def test_a_replace_that_a_passing_limit_refuses_is_tried_again_later():
    """A collar of 5 bps round the last trade, 10.01, refuses 10.03; one that is wide again does not."""
    engine, origin = live()
    collared = msgspec.structs.replace(limits_within(WIDE), max_from_reference_bps=5)
    load(engine, BlobType.LIMITS, canonical_bytes(StrategyLimits(0, collared)))
    engine.apply(record(Kind.DELETE, 0, order_id=2))
    engine.apply(record(Kind.ADD, 0, -1, order_id=3, price=100_300, qty=50))
    assert kinds(poke(engine, ts=MINUTE)) == ["LIMIT_REJECT"]
    load(engine, BlobType.LIMITS, canonical_bytes(StrategyLimits(0, limits_within(WIDE))))
    assert kinds(poke(engine, ts=2 * MINUTE - 1)) == []
    (replace,) = poke(engine, ts=2 * MINUTE)
    assert (replace["kind"], int(replace["ref"]), int(replace["price"])) == (Kind.ORDER_REPLACE, origin, 100_300)


def test_a_cancel_during_a_replace_asks_for_both_and_whatever_the_venue_had_first_ends():
    for answered_first in (True, False):
        engine, origin, successor = replacing()
        out = engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
        assert [int(one["order_id"]) for one in out[out["kind"] == Kind.ORDER_CANCEL]] == [origin, successor]
        if answered_first:
            engine.apply(replaced(successor, origin, 500))
            engine.apply(record(Kind.CANCELED, 0, order_id=successor, qty=500, reason=ord("U")))
        else:
            engine.apply(record(Kind.CANCELED, 0, order_id=origin, qty=500, reason=ord("U")))
        assert held(engine) == (0, 0)
        assert not any(0 < state <= LAST_OPEN for state in engine.state["orders"]["state"])


def test_a_replacement_may_be_executed_before_its_acknowledgement():
    engine, origin, successor = replacing()
    engine.apply(execution(successor, 200, price=100_300))
    assert held(engine)[0] >= 300
    engine.apply(replaced(successor, origin, 300))
    assert (position(engine), held(engine)) == (200, (300, 0))


@pytest.mark.parametrize("arrived", [True, False])
def test_after_a_lost_session_a_replace_that_never_arrived_leaves_its_origin(arrived):
    engine, origin, successor = replacing(wanted=800)
    engine.apply(record(Kind.ORDER_SESSION, code=0))
    assert held(engine) == (800, 0)
    if arrived:
        engine.apply(replaced(successor, origin, 800))
    engine.apply(record(Kind.ORDER_SESSION, code=1, ref=successor + arrived))
    assert held(engine) == ((800, 0) if arrived else (500, 0))
    assert state_of(engine, origin) is (OrderState.REPLACED if arrived else OrderState.LIVE)


def test_cancel_on_disconnect_comes_as_cancels_behind_the_login():
    engine, order_id = live()
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    engine.apply(record(Kind.ORDER_SESSION, code=0))
    engine.apply(record(Kind.CANCELED, 0, order_id=order_id, qty=500, reason=ord("D")))
    engine.apply(record(Kind.ORDER_SESSION, code=1, ref=order_id + 1))
    assert held(engine) == (0, 0)
    assert state_of(engine, order_id) is OrderState.CANCELLED


@pytest.mark.parametrize("command", [Command.PAUSE, Command.STOP])
def test_what_is_stopped_while_its_venue_is_lost_is_cancelled_once_the_session_is_back(command):
    engine, order_id = live()
    engine.apply(record(Kind.ORDER_SESSION, code=0))
    assert "ORDER_CANCEL" not in kinds(engine.apply(record(Kind.COMMAND, command=command)))
    out = [engine.apply(record(Kind.ORDER_SESSION, code=1, ref=order_id + 1)).copy()]
    for minute in range(1, 4):
        out += [poke(engine, minute * MINUTE).copy(), engine.apply(record(Kind.TIMER, ts=minute * MINUTE)).copy()]
    asked = [int(one["order_id"]) for part in out for one in part if one["kind"] == Kind.ORDER_CANCEL]
    assert asked == [order_id]


def test_of_a_replace_that_is_stopped_while_its_venue_is_lost_both_are_cancelled():
    engine, origin, successor = replacing()
    engine.apply(record(Kind.ORDER_SESSION, code=0))
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    out = engine.apply(record(Kind.ORDER_SESSION, code=1, ref=successor + 1))
    assert [int(one["order_id"]) for one in out[out["kind"] == Kind.ORDER_CANCEL]] == [origin, successor]


# ---- busts, corrections, breaks ----------------------------------------------------------------------


def test_a_bust_undoes_position_cost_and_fee_and_the_shares_are_bought_again():
    engine, order_id = live()
    engine.apply(execution(order_id, 500, match=77))
    out = engine.apply(record(Kind.BUST, 0, order_id=order_id, ref=77))
    assert kinds(out) == ["FILL_BUSTED", "POSITION", "ORDER_NEW"]
    held_now = engine.state["positions"][0][0]
    assert [int(held_now[name]) for name in ("position", "cost", "realised", "fees")] == [0, 0, 0, 0]
    assert out[2]["qty"] == 500


def test_a_bust_of_an_open_order_leaves_what_is_open():
    engine, order_id = live()
    engine.apply(execution(order_id, 200, match=77))
    engine.apply(record(Kind.BUST, 0, order_id=order_id, ref=77))
    assert (position(engine), held(engine)) == (0, (300, 0))
    engine.apply(execution(order_id, 300))
    assert state_of(engine, order_id) is OrderState.FILLED


def test_a_correction_puts_the_right_price_and_size_in_the_place_of_the_wrong_one():
    engine, order_id = live()
    engine.apply(execution(order_id, 500, price=100_200, match=77))
    out = engine.apply(record(Kind.CORRECTION, 0, order_id=order_id, ref=77, price=100_100, qty=400))
    assert kinds(out)[:3] == ["FILL_BUSTED", "FILL", "POSITION"]
    assert position(engine) == 400
    assert int(engine.state["positions"][0][0]["cost"]) == 400 * 100_100


@pytest.mark.parametrize("kind", [Kind.BUST, Kind.CORRECTION])
def test_the_same_bust_twice_undoes_once(kind):
    engine, order_id = live()
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    engine.apply(execution(order_id, 500, match=77))
    for _ in range(2):
        out = engine.apply(record(kind, 0, order_id=order_id, ref=77, price=100_100, qty=400))
    assert anomalies(out) == ["DUPLICATE_REPORT"]
    assert position(engine) == (0 if kind is Kind.BUST else 400)


def test_a_bust_of_an_unknown_execution_stops_the_symbol_until_a_person_has_looked():
    engine, order_id = live()
    engine.apply(execution(order_id, 500))
    (told,) = engine.apply(record(Kind.BUST, 0, order_id=order_id, ref=12345))
    assert (told["kind"], told["code"], told["value"]) == (Kind.BREAK, Break.UNKNOWN_BUST, 12345)
    want(engine, 0)
    assert len(poke(engine)) == 0
    want(engine, 100, instrument=1)
    assert kinds(engine.apply(record(Kind.ADD, 1, -1, order_id=9, price=500_000, qty=100))) == ["ORDER_NEW"]
    (told,) = engine.apply(record(Kind.COMMAND, command=Command.RESOLVE_BREAK, argument=0, ref=12345))
    assert (told["kind"], told["code"], told["instrument"]) == (Kind.BREAK, Break.RESOLVED, 0)
    assert kinds(poke(engine)) == ["ORDER_NEW"]


def test_an_execution_of_an_unknown_order_stops_everything_until_a_person_has_looked():
    engine = started()
    out = engine.apply(record(Kind.EXECUTION, -1, order_id=77, price=100_000, qty=10, ref=5))
    assert kinds(out) == ["ANOMALY", "BREAK"]
    want(engine, 100)
    assert len(poke(engine)) == 0
    engine.apply(record(Kind.COMMAND, command=Command.RESOLVE_BREAK, argument=-1, ref=5))
    assert kinds(poke(engine)) == ["ORDER_NEW"]


def test_a_break_that_came_after_the_one_that_was_looked_at_stays_open():
    engine, order_id = live()
    engine.apply(execution(order_id, 500))
    for match in (12345, 12346):
        engine.apply(record(Kind.BUST, 0, order_id=order_id, ref=match))
    assert len(engine.apply(record(Kind.COMMAND, command=Command.RESOLVE_BREAK, argument=0, ref=12345))) == 0
    want(engine, 0)
    assert len(poke(engine)) == 0


def test_cancels_go_on_during_a_break():
    engine, order_id = live()
    engine.apply(record(Kind.EXECUTION, -1, order_id=77, price=100_000, qty=10, ref=5))
    out = engine.apply(record(Kind.COMMAND, command=Command.STOP))
    assert "ORDER_CANCEL" in kinds(out)
    assert engine.state["slots"][0]["state"] == StrategyState.STOPPED


# ---- anything in any order ---------------------------------------------------------------------------

REPORTS = st.sampled_from(
    [Kind.ACCEPTED, Kind.EXECUTION, Kind.CANCELED, Kind.REJECTED, Kind.REPLACED, Kind.CANCEL_REJECTED, Kind.BUST]
    + [Kind.CORRECTION, Kind.RESTATED, Kind.ORDER_SESSION, Kind.TRADE, Kind.ADD, Kind.DELETE, Kind.COMMAND]
)
STEPS = st.lists(
    st.tuples(REPORTS, st.integers(1, 8), st.integers(1, 700), st.integers(1, 6), st.integers(-600, 600)),
    max_size=60,
)


def _event(kind, order_id, qty, ref, step):
    at = step * MINUTE
    if kind is Kind.ORDER_SESSION:
        return record(kind, code=qty % 2, ref=order_id, ts=at)
    if kind is Kind.TRADE:
        return record(kind, 0, price=100_100, qty=1, ts=at)
    if kind is Kind.ADD:
        return record(kind, 0, -1 if qty % 2 else 1, order_id=1_000 + step, price=99_000 + 10 * qty, qty=qty, ts=at)
    if kind is Kind.DELETE:
        return record(kind, 0, order_id=1_000 + ref, ts=at)
    if kind is Kind.COMMAND:
        return record(kind, command=1 + qty % 4, ts=at)
    if kind is Kind.RESTATED:
        return record(kind, 0, order_id=order_id, reason=1 + qty % 4, ts=at)
    return record(kind, 0, order_id=order_id, price=100_000 + 100 * ref, qty=qty, ref=ref, reason=qty, ts=at)


@settings(max_examples=300)
@given(STEPS)
def test_random_intents_and_reports_in_any_order_keep_holds_positions_and_quantities_consistent(steps):
    engine = started()
    filled = {}
    for step, (kind, order_id, qty, ref, target) in enumerate(steps, start=1):
        want(engine, target)
        out = engine.apply(_event(kind, order_id, qty, ref, step))
        for one in out:
            if one["kind"] in (Kind.FILL, Kind.FILL_BUSTED):
                signed = int(one["side"]) * int(one["qty"]) * (1 if one["kind"] == Kind.FILL else -1)
                filled[0] = filled.get(0, 0) + signed
        orders = engine.state["orders"]
        opened = orders[(orders["state"] > 0) & (orders["state"] <= LAST_OPEN)]
        assert (opened["qty"] - opened["filled"] >= 0).all()
        assert (orders["held"] >= 0).all()
        buys = int(opened["held"][opened["side"] > 0].sum())
        sells = int(opened["held"][opened["side"] < 0].sum())
        assert held(engine) == (buys, sells)
        covered = opened["held"] + _successors_hold(opened)
        assert (covered >= opened["qty"] - opened["filled"]).all() or not len(opened)
        assert position(engine) == filled.get(0, 0)
        child = int(engine.state["parents"][0][0]["child"])
        assert child == 0 or 0 < state_of(engine, child) <= LAST_OPEN


def _successors_hold(opened):
    """What the origin of a replace that is not answered holds for it."""
    by_id = {int(one["order_id"]): int(one["held"]) for one in opened}
    return np.array([by_id.get(int(one["origin"]), 0) for one in opened], np.int64)
