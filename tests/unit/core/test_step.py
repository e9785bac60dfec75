"""The step by its records: what goes in, what comes out, what the state says afterwards."""

import numpy as np
import pytest
from engine_world import MINUTE, kinds, poke, record, started, want
from numba import carray, cfunc

from engine.core.engine import Engine, Loaded, blob
from engine.core.events import BlobType, Command, Flag, Kind, Session, TradingStatus
from engine.core.kernels import SIGNATURE
from engine.core.limit_names import Level, Limit
from engine.core.orders import OrderState
from engine.core.state import Anomaly, StrategyState
from engine.errors import BadInput
from engine.messages import LimitEnvelope


def test_a_target_becomes_one_order_at_the_far_touch_with_a_hold():
    engine = started()
    want(engine, 500)
    (order,) = poke(engine)
    assert (order["kind"], order["side"], order["price"], order["qty"]) == (Kind.ORDER_NEW, 1, 100_200, 500)
    assert int(engine.state["positions"][0][0]["working_buy"]) == 500
    assert len(poke(engine)) == 0  # one child at a time


def test_a_fill_turns_the_hold_into_a_position_and_the_last_one_ends_the_order():
    engine = started()
    want(engine, 500)
    order_id = int(poke(engine)[0]["order_id"])
    engine.apply(record(Kind.ACCEPTED, 0, order_id=order_id, price=100_200, qty=500))
    out = engine.apply(record(Kind.EXECUTION, 0, order_id=order_id, price=100_200, qty=300, ref=9))
    assert kinds(out) == ["FILL", "POSITION"]
    position = engine.state["positions"][0][0]
    assert (int(position["position"]), int(position["working_buy"])) == (300, 200)
    out = engine.apply(record(Kind.EXECUTION, 0, order_id=order_id, price=100_100, qty=200, ref=10))
    assert kinds(out) == ["FILL", "POSITION", "ORDER_DONE"]
    assert out[2]["order_state"] == OrderState.FILLED
    position = engine.state["positions"][0][0]
    assert (int(position["position"]), int(position["working_buy"]), int(position["fees"])) == (500, 0, 15_000)
    assert len(poke(engine)) == 0


def test_nothing_is_sent_while_the_session_is_closed_the_venue_is_down_or_the_feed_is_stale():
    for event in (
        record(Kind.SESSION, code=Session.CLOSE, date=20130102),
        record(Kind.ORDER_SESSION, code=0),
        record(Kind.STALE, code=1),
        record(Kind.STATUS, 0, code=TradingStatus.HALTED),
        record(Kind.STATUS, 0, code=TradingStatus.HALTED, flags=Flag.OPERATIONAL),
    ):
        engine = started()
        engine.apply(event)
        want(engine, 500)
        assert len(poke(engine)) == 0, Kind(event["kind"][0]).name


@pytest.mark.parametrize(
    ("limit", "envelope", "value", "order_value"),
    [
        (Limit.ORDER_QTY, LimitEnvelope(499, 10**10, 10**6, 10**11), 499, 500),
        (Limit.ORDER_NOTIONAL, LimitEnvelope(500, 500 * 100_200 - 1, 10**6, 10**11), 500 * 100_200 - 1, 500 * 100_200),
        (Limit.LONG_POSITION, LimitEnvelope(500, 10**10, 499, 10**11), 499, 500),
        (Limit.GROSS_NOTIONAL, LimitEnvelope(500, 10**10, 500, 50_099_999), 50_099_999, 50_100_000),
    ],
)
@pytest.mark.parametrize("level", [Level.FIRM, Level.STRATEGY])
def test_each_limit_refuses_one_beyond_it_at_each_level_and_says_both_values(
    limit, envelope, value, order_value, level
):
    engine = started(firm=envelope) if level is Level.FIRM else started(envelope=envelope)
    want(engine, 500)
    (reject,) = poke(engine)
    assert (reject["kind"], reject["code"], reject["level"]) == (Kind.LIMIT_REJECT, limit, level)
    assert reject["value"] == value
    assert reject["order_value"] == order_value
    assert int(engine.state["positions"][0][0]["working_buy"]) == 0
    assert len(poke(engine)) == 0  # not asked again until the target changes


def test_exactly_the_limit_passes():
    engine = started(envelope=LimitEnvelope(500, 500 * 100_200, 500, 500 * 100_200))
    want(engine, 500)
    assert kinds(poke(engine)) == ["ORDER_NEW"]


def test_without_limits_nothing_passes():
    engine = started(firm=LimitEnvelope(0, 0, 0, 0))
    want(engine, 1)
    assert kinds(poke(engine)) == ["LIMIT_REJECT"]


def test_a_child_left_behind_by_the_touch_is_replaced_at_the_new_one():
    engine = started()
    want(engine, 500)
    order_id = int(poke(engine)[0]["order_id"])
    engine.apply(record(Kind.ACCEPTED, 0, order_id=order_id, price=100_200, qty=500))
    engine.apply(record(Kind.DELETE, 0, order_id=2))
    engine.apply(record(Kind.ADD, 0, -1, order_id=3, price=100_300, qty=50))
    assert len(poke(engine, ts=MINUTE - 1)) == 0
    (replace,) = poke(engine, ts=MINUTE)
    assert (replace["kind"], replace["ref"]) == (Kind.ORDER_REPLACE, order_id)
    assert (replace["price"], replace["qty"]) == (100_300, 500)
    assert replace["order_id"] > order_id
    assert len(poke(engine, ts=2 * MINUTE)) == 0  # one at a time
    assert int(engine.state["positions"][0][0]["working_buy"]) == 500


def test_a_fill_after_the_cancel_is_booked_and_counted_as_an_anomaly():
    engine = started()
    want(engine, 500)
    order_id = int(poke(engine)[0]["order_id"])
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    engine.apply(record(Kind.CANCELED, 0, order_id=order_id, qty=500))
    out = engine.apply(record(Kind.EXECUTION, 0, order_id=order_id, price=100_200, qty=500, ref=9))
    assert kinds(out) == ["FILL", "POSITION", "ANOMALY"]
    assert out[2]["code"] == Anomaly.LATE_FILL
    position = engine.state["positions"][0][0]
    assert (int(position["position"]), int(position["working_buy"])) == (500, 0)


def test_a_report_of_an_order_that_is_not_ours_changes_nothing():
    engine = started()
    before = engine.state["positions"].copy()
    (anomaly,) = engine.apply(record(Kind.CANCEL_REJECTED, 0, order_id=77))
    assert anomaly["code"] == Anomaly.UNKNOWN_ORDER
    assert (engine.state["positions"] == before).all()


def test_after_a_lost_session_an_order_the_venue_never_saw_is_ended_and_one_it_saw_stays_held():
    engine = started()
    want(engine, 500)
    want(engine, 100, instrument=1)
    engine.apply(record(Kind.ADD, 1, -1, order_id=5, price=500_000, qty=100))
    seen = int(engine.state["parents"][0][1]["child"])
    unseen = int(poke(engine)[0]["order_id"])
    engine.apply(record(Kind.ORDER_SESSION, code=0))
    assert int(engine.state["positions"][0][0]["working_buy"]) == 500  # a disconnect releases nothing
    out = engine.apply(record(Kind.ORDER_SESSION, code=1, ref=unseen))
    assert kinds(out) == ["ORDER_DONE"]
    assert out[0]["order_id"] == unseen
    assert int(engine.state["positions"][0][0]["working_buy"]) == 0
    assert int(engine.state["positions"][0][1]["working_buy"]) == 100
    assert seen < unseen
    assert kinds(poke(engine)) == ["ORDER_NEW"]  # and it is sent again


def test_flatten_sells_what_is_held_and_stops_when_flat():
    engine = started()
    want(engine, 500)
    order_id = int(poke(engine)[0]["order_id"])
    engine.apply(record(Kind.EXECUTION, 0, order_id=order_id, price=100_200, qty=500, ref=9))
    engine.apply(record(Kind.COMMAND, command=Command.FLATTEN))
    (order,) = poke(engine)
    assert (order["side"], order["qty"], order["price"]) == (-1, 500, 100_000)
    out = engine.apply(record(Kind.EXECUTION, 0, order_id=order["order_id"], price=100_000, qty=500, ref=10))
    assert kinds(out)[-1] == "STRATEGY_STATE"
    assert out[-1]["code"] == StrategyState.STOPPED


def test_the_close_makes_one_bar_of_the_session_from_its_trades():
    engine = started()
    for price, qty in [(100_100, 10), (100_500, 20), (99_900, 5), (100_300, 7)]:
        engine.apply(record(Kind.TRADE, 0, price=price, qty=qty))
    out = engine.apply(record(Kind.SESSION, code=Session.CLOSE, date=20130102))
    bar = out[out["kind"] == Kind.BAR][0]
    assert [int(bar[name]) for name in ("open", "high", "low", "close", "volume")] == [
        100_100,
        100_500,
        99_900,
        100_300,
        42,
    ]
    equity = out[out["kind"] == Kind.EQUITY][0]
    assert equity["flags"] == 1
    assert equity["equity"] == 1_000_000_0000


def test_what_describes_a_close_bears_its_time_however_late_it_arrived():
    engine = started()
    engine.apply(record(Kind.TRADE, 0, price=100_100, qty=10))
    closed, arrived = 75_600 * 10**9, 100_000 * 10**9  # 16:00 in New York, and the next day
    close = record(Kind.SESSION, ts=closed, code=Session.CLOSE, date=20130102)
    close["ts_recv"] = arrived
    out = engine.apply(close)
    assert {Kind(kind).name for kind in out["kind"]} >= {"BAR", "EQUITY"}
    assert {int(ts) for ts in out["ts_event"]} == {closed}
    assert {int(ts) for ts in out["ts_recv"]} == {arrived}


def test_an_operational_resume_does_not_lift_a_regulatory_halt():
    engine = started()
    engine.apply(record(Kind.STATUS, 0, code=TradingStatus.HALTED))
    engine.apply(record(Kind.STATUS, 0, code=TradingStatus.TRADING, flags=Flag.OPERATIONAL))
    want(engine, 500)
    assert len(poke(engine)) == 0


def test_an_execution_that_is_not_printed_takes_shares_but_makes_no_volume_and_no_last_price():
    engine = started()
    engine.apply(record(Kind.EXECUTE, 0, order_id=1, qty=100, flags=Flag.NON_PRINTABLE))
    assert int(engine.state["market"][0]["bid_size"]) == 200
    assert int(engine.state["bars"][0]["volume"]) == 0
    assert int(engine.state["market"][0]["last"]) == 0


def test_a_kernel_that_fails_is_switched_off_and_its_orders_are_cancelled():
    @cfunc(SIGNATURE)
    def failing(event, market, instruments, parameters, artifact, memory, out):
        return 0

    engine = started(kernel=failing.address, interests=frozenset({Kind.SESSION}))
    assert engine.state["slots"][0]["state"] == StrategyState.FAULTED
    want(engine, 500)
    assert len(poke(engine)) == 0


def test_snapshot_and_restore_give_the_same_state_and_the_same_next_outputs():
    engine = started()
    want(engine, 500)
    other = Engine(lambda manifest: Loaded(0, frozenset(), 0))
    other.restore(engine.snapshot())
    assert other.state_hash() == engine.state_hash()
    assert poke(other).tobytes() == poke(engine).tobytes()
    assert other.state_hash() == engine.state_hash()


def test_a_blob_whose_digest_is_another_changes_nothing():
    engine = started()
    before = engine.state_hash()
    header = blob(BlobType.PARAMETERS, b"12345678", strategy=0, ts=0)
    with pytest.raises(BadInput, match="payload"):
        engine.apply_blob(header, b"12345679")
    assert engine.state_hash() == before


@pytest.mark.parametrize(
    ("price", "side"),
    [(100_200, 1), (100_150, 1), (100_000, -1), (100_050, -1), (100_300, 1)],
)
def test_who_took_is_read_from_the_touch_before_the_trade(price, side):
    engine = started()
    engine.apply(record(Kind.TRADE, 0, price=price, qty=70))
    market = engine.state["market"][0]
    assert (int(market["last_side"]), int(market["last_qty"]), int(market["last"])) == (side, 70, price)


def test_at_the_mid_the_last_move_of_the_price_says_who_took():
    engine = started()
    engine.apply(record(Kind.TRADE, 0, price=100_000, qty=1))
    engine.apply(record(Kind.TRADE, 0, price=100_100, qty=1))
    assert engine.state["market"][0]["last_side"] == 1
    engine.apply(record(Kind.TRADE, 0, price=100_100, qty=1))
    assert engine.state["market"][0]["last_side"] == 1  # the same price: as the trade before


def _count_calls(event, market, instruments, parameters, artifact, memory, out):
    carray(memory, 1, np.int64)[0] += 1
    return 1


def test_a_kernel_that_asks_for_quotes_is_woken_by_every_change_of_the_touch_and_by_nothing_else():
    engine = started(kernel=cfunc(SIGNATURE)(_count_calls).address, interests=frozenset({Kind.QUOTE}))
    calls = engine.state["stores"][0]["memory"][:8].view(np.int64)
    before = int(calls[0])
    engine.apply(record(Kind.ADD, 0, 1, order_id=10, price=99_000, qty=100))  # behind the touch
    engine.apply(record(Kind.TRADE, 0, price=100_100, qty=1))
    engine.apply(record(Kind.EXECUTE, 0, order_id=10, qty=50))
    assert calls[0] == before
    engine.apply(record(Kind.EXECUTE, 0, order_id=1, qty=100))  # 200 left at the bid
    engine.apply(record(Kind.DELETE, 0, order_id=1))
    engine.apply(record(Kind.QUOTE, 1, bid=10, bid_size=1, ask=20, ask_size=1))
    engine.apply(record(Kind.QUOTE, 1, bid=10, bid_size=1, ask=20, ask_size=1))  # says nothing new
    assert calls[0] == before + 3
