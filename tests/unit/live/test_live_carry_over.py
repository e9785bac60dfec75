"""A journal that another build wrote, and this one would not, leaves its positions and open orders to a new one."""

import json
from pathlib import Path

import pytest
from live_world import SEGMENT, blobs, load, new_pipeline, opened, record, replacing, wanted

from engine.core.carry import decode_carried
from engine.core.engine import FIRM, Engine, blob
from engine.core.events import BlobType, Break, Command, Kind
from engine.core.orders import OrderState
from engine.core.state import StrategyState
from engine.errors import BadInput
from engine.live import carry_over as module
from engine.live.carry_over import UNFINISHED, carry_over, earlier_journals, finish_carry_over
from engine.live.journal import Reader
from engine.live.pipeline import Pipeline, Replay
from engine.live.reports import Reporter


@pytest.fixture(autouse=True)
def _strategy(monkeypatch):
    monkeypatch.setattr(module, "load_manifest", load)


def traded(folder: Path) -> Pipeline:
    """Bought 300 of 500 at 10.02 and 10.01, 200 still working; a round trip before that."""
    pipeline = new_pipeline(folder)
    blobs(pipeline)
    payload = json.dumps({"fee_per_share": 30, "timer_interval": 0, "reprice_after": 0}).encode()
    pipeline.take_blob(blob(BlobType.SETTINGS, payload, strategy=FIRM, ts=0), payload)
    opened(pipeline)
    for shares, price in ((100, 100_200), (0, 100_000)):
        (order,) = wanted(pipeline, shares)
        number = int(order["order_id"])
        pipeline.take(record(Kind.EXECUTION, 0, order_id=number, price=price, qty=100, ref=number, sequence=number))
    (order,) = wanted(pipeline, 500)
    pipeline.take(record(Kind.ACCEPTED, 0, order_id=3, price=100_200, qty=500, sequence=3))
    pipeline.take(record(Kind.EXECUTION, 0, order_id=3, price=100_200, qty=200, ref=11, sequence=4))
    pipeline.take(record(Kind.EXECUTION, 0, order_id=3, price=100_100, qty=100, ref=12, sequence=5))
    return pipeline


def carried(tmp_path: Path) -> tuple[Pipeline, Pipeline]:
    """The pipeline that wrote the old journal, and the one of the new."""
    old = traded(tmp_path / "journal")
    new, inputs = carry_over(tmp_path, tmp_path / "journal", SEGMENT)
    assert inputs[0].order_sequence == 5
    assert inputs[0].feed_date == 0
    return old, new


def lots(pipeline: Pipeline) -> list[tuple[int, int]]:
    ring = pipeline.engine.state["lots"][0][0]
    places = [(int(ring["first"]) + number) % len(ring["qty"]) for number in range(int(ring["count"]))]
    return [(int(ring["qty"][place]), int(ring["cost"][place])) for place in places]


def test_what_corporate_actions_and_adjustments_made_of_positions_is_carried_over(tmp_path):
    old = traded(tmp_path / "journal")
    old.take(record(Kind.CORPORATE_ACTION, 0, code=1, numerator=3, denominator=2))
    old.take(record(Kind.CORPORATE_ACTION, 0, code=2, amount=500))
    old.take(record(Kind.ADJUSTMENT, 0, 1, strategy=0, price=70_000, qty=5, person=7))
    old.take(record(Kind.ADJUSTMENT, 0, 1, strategy=0, price=70_000, qty=5))  # by nobody: refused
    new, _ = carry_over(tmp_path, tmp_path / "journal", SEGMENT)
    before, after = old.engine.state["positions"][0][0], new.engine.state["positions"][0][0]
    for name in ("position", "cost", "realised", "fees", "fifo_realised", "working_buy", "working_sell"):
        assert int(after[name]) == int(before[name]), name
    assert int(after["position"]) == 455
    assert lots(new) == lots(old)
    assert int(new.engine.state["orders"][3]["price"]) == int(old.engine.state["orders"][3]["price"])


def test_limits_that_another_build_wrote_otherwise_are_left_behind(tmp_path):
    old = traded(tmp_path / "journal")
    with pytest.raises(BadInput):
        old.take_blob(blob(BlobType.LIMITS, bytes(32), strategy=FIRM, ts=0), bytes(32))
    new, _ = carry_over(tmp_path, tmp_path / "journal", SEGMENT)
    assert new.engine.limits is None
    assert int(new.engine.state["positions"][0][0]["position"]) == 300


def test_positions_costs_holds_and_ids_are_those_of_the_old_state(tmp_path):
    old, new = carried(tmp_path)
    before, after = old.engine.state["positions"][0][0], new.engine.state["positions"][0][0]
    for name in ("position", "cost", "realised", "fees", "fifo_realised", "working_buy", "working_sell"):
        assert int(after[name]) == int(before[name]), name
    assert lots(new) == lots(old) == [(200, 200 * 100_200), (100, 100 * 100_100)]
    for name in ("position", "cost", "realised", "fees", "working_buy", "exposure"):
        assert int(new.engine.state["holdings"][0][0][name]) == int(after[name]), name
        assert int(new.engine.state["holdings"][0][0][name]) == int(old.engine.state["holdings"][0][0][name]), name
    assert int(after["position"]) == 300
    assert int(after["working_buy"]) == 200
    assert int(new.engine.state["next_order_id"]) == int(old.engine.state["next_order_id"])


def test_an_open_order_goes_on_where_the_venue_has_it(tmp_path):
    _, new = carried(tmp_path)
    assert new.engine.state["orders"][3]["state"] == OrderState.PARTIALLY_FILLED
    new.take(record(Kind.EXECUTION, 0, order_id=3, price=100_000, qty=200, ref=13, sequence=6))
    assert int(new.engine.state["positions"][0][0]["position"]) == 500
    assert int(new.engine.state["positions"][0][0]["working_buy"]) == 0


@pytest.mark.parametrize("answer", ["replaced", "rejected", "filled"])
def test_a_replace_on_its_way_is_carried_with_what_both_hold(tmp_path, answer):
    old = new_pipeline(tmp_path / "journal")
    blobs(old)
    opened(old)
    wanted(old, 500)
    successor = replacing(old, 1, 500)
    old.take(record(Kind.EXECUTION, 0, order_id=1, price=100_200, qty=100, ref=7))
    new, _ = carry_over(tmp_path, tmp_path / "journal", SEGMENT)
    position, orders = new.engine.state["positions"][0][0], new.engine.state["orders"]
    assert int(position["working_buy"]) == int(old.engine.state["positions"][0][0]["working_buy"]) == 400
    assert orders[1]["state"] == OrderState.PENDING_REPLACE
    if answer == "replaced":
        new.take(record(Kind.REPLACED, 0, 1, order_id=successor, ref=1, price=100_300, qty=400))
        assert (orders[1]["state"], orders[successor]["state"]) == (OrderState.REPLACED, OrderState.LIVE)
        assert int(position["working_buy"]) == 400
    elif answer == "rejected":
        new.take(record(Kind.REJECTED, 0, order_id=successor, reason=1))
        assert orders[1]["state"] == OrderState.PARTIALLY_FILLED
        assert int(position["working_buy"]) == 400
    else:
        new.take(record(Kind.EXECUTION, 0, order_id=1, price=100_200, qty=400, ref=8))
        assert orders[successor]["state"] == OrderState.REJECTED
        assert int(position["working_buy"]) == 0


def test_a_break_that_needs_a_person_is_carried_though_a_stranger_came_after_it(tmp_path):
    old = traded(tmp_path / "journal")
    fields = {"argument": 0, "ref": 250, "level": Break.POSITION_DIFFERS}
    old.take(record(Kind.COMMAND, command=Command.OPEN_BREAK, **fields))
    old.take(record(Kind.ACCEPTED, 0, 1, order_id=7_000, price=100_000, qty=100, sequence=6))
    new, _ = carry_over(tmp_path, tmp_path / "journal", SEGMENT)
    broken = new.engine.state["breaks"][0]
    assert (int(broken["code"]), int(broken["value"])) == (Break.POSITION_DIFFERS, 250)


def test_a_carried_order_that_its_venue_has_accepted_and_does_not_know_any_more_is_a_break(tmp_path):
    _, new = carried(tmp_path)
    new.take(record(Kind.COMMAND, command=Command.PAUSE))
    new.take(record(Kind.ORDER_SESSION, code=1, ref=3))
    broken = new.engine.state["breaks"][0]
    assert (int(broken["code"]), int(broken["value"])) == (Break.MISSING_ORDER, 3)


def test_strategies_come_up_paused(tmp_path):
    _, new = carried(tmp_path)
    assert new.engine.state["slots"][0]["state"] == StrategyState.PAUSED


def test_a_late_fill_of_a_carried_order_is_reported_with_its_order_and_day(tmp_path):
    _, new = carried(tmp_path)
    new.take(record(Kind.EXECUTION, 0, order_id=3, price=100_000, qty=200, ref=13, sequence=6))
    reports = Reporter().take(1, Reader(tmp_path / "journal").read(0))
    (fill,) = [report for report in reports if type(report).__name__ == "FillReport"]
    assert (fill.order_id, fill.trade_date, fill.deployment) == (3, 20130102, "d-1")
    last = [report for report in reports if type(report).__name__ == "OrderReport"][-1]
    assert (last.state, last.filled, last.qty) == ("filled", 500, 500)


def test_the_new_journal_replays_from_its_first_record(tmp_path):
    _, new = carried(tmp_path)
    new.take(record(Kind.EXECUTION, 0, order_id=3, price=100_000, qty=200, ref=13, sequence=6))
    engine = Engine(load)
    assert Replay(engine).take(Reader(tmp_path / "journal").read(0))
    assert engine.state_hash() == new.engine.state_hash()


def test_time_does_not_go_back_in_the_new_journal(tmp_path):
    pipeline = traded(tmp_path / "journal")
    pipeline.take(record(Kind.TIMER, ts=777))
    new, _ = carry_over(tmp_path, tmp_path / "journal", SEGMENT)
    assert new.last_ts == 777


def test_the_old_journal_stays_until_it_is_shipped_and_after(tmp_path):
    old, _ = carried(tmp_path)
    (kept,) = earlier_journals(tmp_path)
    assert Reader(kept).journal == old.writer.journal
    (kept / module.SHIPPED).touch()
    assert earlier_journals(tmp_path) == []
    assert Reader(kept).last == old.writer.last


def test_a_second_change_of_builds_carries_what_was_carried(tmp_path):
    old, _ = carried(tmp_path)
    again, inputs = carry_over(tmp_path, tmp_path / "journal", SEGMENT)
    before, after = old.engine.state["positions"][0][0], again.engine.state["positions"][0][0]
    assert after["cost"] == before["cost"]
    assert int(after["working_buy"]) == 200
    assert inputs[0].order_sequence == 5


def test_a_crash_between_the_two_renames_is_completed(tmp_path):
    carried(tmp_path)
    (tmp_path / "journal").rename(tmp_path / UNFINISHED)
    finish_carry_over(tmp_path, tmp_path / "journal")
    assert Reader(tmp_path / "journal").last > 0


@pytest.mark.parametrize(
    "change", [{"strategy": 99}, {"instrument": -1}, {"state": int(OrderState.FILLED)}, {"order_id": 9}]
)
def test_a_carried_order_out_of_range_is_refused(change):
    order = {"order_id": 3, "parent": 1, "strategy": 0, "instrument": 0, "side": 1, "price": 1, "qty": 1}
    order |= {"filled": 0, "state": int(OrderState.LIVE)}
    content = {"journal": "j", "next_order_id": 4, "next_parent": 2, "positions": [], "orders": []}
    content["orders"] = [{**order, "trade_date": 20130102, **change}]
    with pytest.raises(BadInput, match="carried"):
        decode_carried(json.dumps(content).encode())
