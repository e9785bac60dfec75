"""Journal records become the reports of the deployment that they belong to."""

import numpy as np
from live_world import blobs, new_pipeline, opened, record, replacing, wanted

from engine.core.engine import blob, blob_cells
from engine.core.events import EVENT, BlobType, Command, Kind, Restatement, Session
from engine.core.schedules import PLAN_SHARES
from engine.core.state import Phase
from engine.execution.schedules import Slicing, twap
from engine.live.journal import Reader
from engine.live.reports import Reporter
from engine.messages import DataContract, LimitEnvelope, Manifest, encode
from engine.strategies.pairs import ARTIFACT

MINUTE = 60_000_000_000


def reports_of(pipeline) -> list:
    return Reporter().take(1, Reader(pipeline.writer.directory).read(0))


def running(tmp_path):
    pipeline = new_pipeline(tmp_path / "journal")
    blobs(pipeline)
    opened(pipeline)
    return pipeline


def of_kind(reports, *names):
    return [report for report in reports if type(report).__name__ in names]


def order_states(reports):
    return [(report.state, report.filled) for report in of_kind(reports, "OrderReport")]


def test_an_order_is_sent_accepted_filled_in_part_and_filled(tmp_path):
    pipeline = running(tmp_path)
    wanted(pipeline, 500)
    pipeline.take(record(Kind.ACCEPTED, 0, order_id=1, price=100_200, qty=500))
    pipeline.take(record(Kind.EXECUTION, 0, order_id=1, price=100_200, qty=300, ref=71))
    pipeline.take(record(Kind.EXECUTION, 0, order_id=1, price=100_100, qty=200, ref=72))
    reports = reports_of(pipeline)
    assert order_states(reports) == [("sent", 0), ("accepted", 0), ("partially_filled", 300), ("filled", 500)]
    fills = of_kind(reports, "FillReport")
    assert [(fill.execution_id, fill.price, fill.qty, fill.side) for fill in fills] == [
        (71, 100_200, 300, "buy"),
        (72, 100_100, 200, "buy"),
    ]
    position = of_kind(reports, "PositionReport")[-1]
    # (300 * 10.02 + 200 * 10.01) / 500 = 10.016
    assert (position.symbol, position.qty, position.average_cost) == ("KO", 500, 100_160)
    assert {report.deployment for report in of_kind(reports, "OrderReport", "FillReport", "PositionReport")} == {"d-1"}


def test_a_fill_counts_for_the_day_of_its_order_however_late_it_is_heard_of(tmp_path):
    pipeline = running(tmp_path)
    wanted(pipeline, 500)
    pipeline.take(record(Kind.SESSION, code=Session.START_OF_MESSAGES, date=20130104))
    pipeline.take(record(Kind.EXECUTION, 0, order_id=1, price=100_200, qty=300, ref=71))
    (fill,) = of_kind(reports_of(pipeline), "FillReport")
    assert fill.trade_date == 20130102


def test_an_order_that_never_arrived_says_so(tmp_path):
    pipeline = running(tmp_path)
    wanted(pipeline, 500)
    pipeline.take(record(Kind.ORDER_SESSION, code=0))
    pipeline.take(record(Kind.ORDER_SESSION, code=1, ref=1))
    last = of_kind(reports_of(pipeline), "OrderReport")[-1]
    assert (last.state, last.reason) == ("rejected", "never arrived")


def test_a_cancel_at_the_end_of_the_day_names_the_venues_reason(tmp_path):
    pipeline = running(tmp_path)
    wanted(pipeline, 500)
    pipeline.take(record(Kind.ACCEPTED, 0, order_id=1, price=100_200, qty=500))
    pipeline.take(record(Kind.CANCELED, 0, order_id=1, qty=500, reason=ord("T")))
    last = [report for report in of_kind(reports_of(pipeline), "OrderReport") if report.order_id == 1][-1]
    assert (last.state, last.reason) == ("expired", "end of day")


def test_a_refused_order_names_limit_level_and_both_values(tmp_path):
    pipeline = running(tmp_path)
    pipeline.take(record(Kind.TRADE, 0, price=100_100, qty=20_000))
    pipeline.take(record(Kind.STATUS, 0, code=3))
    (reject,) = of_kind(reports_of(pipeline), "RejectReport")
    assert (reject.limit, reject.value, reject.order_value) == ("order_qty", 10_000, 20_000)


def test_states_follow_the_commands(tmp_path):
    pipeline = running(tmp_path)
    for command in (Command.PAUSE, Command.START, Command.STOP):
        pipeline.take(record(Kind.COMMAND, command=command))
    states = [report.state for report in of_kind(reports_of(pipeline), "StateReport")]
    assert states == ["loading", "running", "paused", "running", "stopped"]


def test_the_session_and_what_runs_are_known_at_the_end(tmp_path):
    pipeline = running(tmp_path)
    reporter = Reporter()
    reporter.take(1, Reader(pipeline.writer.directory).read(0))
    assert (reporter.session_date, reporter.phase) == (20130102, Phase.OPEN)
    assert reporter.deployment("d-1").state == "running"
    assert reporter.deployment("d-2") is None


def test_reports_are_the_same_in_whatever_pieces_the_records_come(tmp_path):
    pipeline = running(tmp_path)
    wanted(pipeline, 500)
    pipeline.take(record(Kind.EXECUTION, 0, order_id=1, price=100_200, qty=500, ref=71))
    records = Reader(pipeline.writer.directory).read(0)
    reporter, pieces = Reporter(), []
    for index in range(len(records)):
        pieces += reporter.take(index + 1, records[index : index + 1])
    assert pieces == Reporter().take(1, records)


def test_a_blobs_cells_are_never_taken_for_records(tmp_path):
    pipeline = running(tmp_path)
    disguised = np.concatenate(
        [record(Kind.FILL, 0, 1, order_id=1, price=1, qty=1).view("V64") for _ in range(5)]
    ).tobytes()

    pipeline.take_blob(blob(BlobType.PARAMETERS, disguised, strategy=0, ts=0), disguised)
    assert of_kind(reports_of(pipeline), "FillReport") == []


def record_of(kind, **fields):
    event = np.zeros(1, EVENT)
    event["kind"] = kind
    for name, value in fields.items():
        event[name] = value
    return event.view("V64")


def blob_of(blob_type, payload, ts=0):
    return [blob(blob_type, payload, strategy=0, ts=ts).view("V64"), blob_cells(payload).reshape(-1).view("V64")]


def artifact_of(*legs):
    formed = np.zeros(1, ARTIFACT)
    formed["pairs"] = len(legs)
    for row, (a, b) in zip(formed["pair"][0], legs, strict=False):
        row["a"], row["b"] = a, b
    return formed.tobytes()


def test_a_pair_that_is_not_formed_again_ends_its_stance_and_one_that_is_keeps_it():
    manifest = Manifest("d", "v", "pairs", "", {}, LimitEnvelope(0, 0, 0, 0), DataContract("", ""), "sim", capital=1)
    pieces = blob_of(BlobType.INSTRUMENTS, b'["KO", "PEP", "JNJ"]') + blob_of(BlobType.MANIFEST, encode(manifest))
    pieces += blob_of(BlobType.ARTIFACT, artifact_of((0, 1), (0, 2), (1, 2)))
    pieces += [record_of(Kind.SIGNAL, pair=0, side=1, ts_event=5, z_micro=-2_000_000)]
    pieces += [record_of(Kind.SIGNAL, pair=1, side=-1, ts_event=5, z_micro=2_000_000)]
    pieces += [record_of(Kind.SIGNAL, pair=2, side=0, ts_event=5)]
    pieces += blob_of(BlobType.ARTIFACT, artifact_of((0, 2)), ts=9)
    reports = Reporter().take(1, np.concatenate(pieces).view(EVENT))
    ended = [report for report in of_kind(reports, "SignalReport") if report.ts == 9]
    assert [(report.pair, report.stance, report.z) for report in ended] == [("KO/PEP", 0, None)]


def test_a_replace_is_an_order_of_its_own_and_ends_the_one_before(tmp_path):
    pipeline = running(tmp_path)
    wanted(pipeline, 500)
    successor = replacing(pipeline, 1, 500)
    pipeline.take(record(Kind.EXECUTION, 0, order_id=1, price=100_200, qty=200, ref=71))
    pipeline.take(record(Kind.REPLACED, 0, 1, order_id=successor, ref=1, price=100_300, qty=300))
    pipeline.take(record(Kind.EXECUTION, 0, order_id=successor, price=100_300, qty=300, ref=72))
    orders = of_kind(reports_of(pipeline), "OrderReport")
    assert [(one.state, one.qty, one.filled) for one in orders if one.order_id == 1] == [
        ("sent", 500, 0),
        ("accepted", 500, 0),
        ("partially_filled", 500, 200),
        ("replaced", 500, 200),
    ]
    assert [(one.state, one.price, one.qty, one.filled) for one in orders if one.order_id == successor] == [
        ("sent", 100_300, 500, 0),
        ("accepted", 100_300, 300, 0),
        ("filled", 100_300, 300, 300),
    ]
    assert len({one.parent_id for one in orders}) == 1


def test_a_bust_names_the_execution_that_it_undoes(tmp_path):
    pipeline = running(tmp_path)
    wanted(pipeline, 500)
    pipeline.take(record(Kind.EXECUTION, 0, order_id=1, price=100_200, qty=200, ref=71))
    pipeline.take(record(Kind.BUST, 0, order_id=1, ref=71))
    reports = reports_of(pipeline)
    (bust,) = of_kind(reports, "BustReport")
    assert (bust.execution_id, bust.order_id, bust.price, bust.qty, bust.side) == (71, 1, 100_200, 200, "buy")
    assert (bust.trade_date, bust.symbol, bust.deployment) == (20130102, "KO", "d-1")
    assert of_kind(reports, "PositionReport")[-1].qty == 0
    assert order_states(reports)[-1] == ("partially_filled", 0)


def test_a_suspended_order_says_so(tmp_path):
    pipeline = running(tmp_path)
    wanted(pipeline, 500)
    pipeline.take(record(Kind.ACCEPTED, 0, order_id=1, price=100_200, qty=500))
    for reason in (Restatement.SUSPENDED, Restatement.RESUMED, Restatement.DONE_FOR_DAY):
        pipeline.take(record(Kind.RESTATED, 0, order_id=1, reason=reason))
    states = [state for state, _ in order_states(reports_of(pipeline))]
    assert states[:5] == ["sent", "accepted", "suspended", "accepted", "done_for_day"]


def test_a_break_is_told_with_its_symbol_and_when_it_is_resolved(tmp_path):
    pipeline = running(tmp_path)
    wanted(pipeline, 500)
    pipeline.take(record(Kind.BUST, 0, order_id=1, ref=99))
    pipeline.take(record(Kind.COMMAND, command=Command.RESOLVE_BREAK, argument=0, ref=99))
    breaks = of_kind(reports_of(pipeline), "BreakReport")
    assert [(one.symbol, one.code, one.value) for one in breaks] == [("KO", "unknown_bust", 99), ("KO", "resolved", 99)]


def test_a_parent_that_a_plan_works_is_reported_against_its_whole(tmp_path):
    """500 shares over ten minutes in slices of 100, whose middles are due at 1, 3, 5, ... minutes; one is executed."""
    pipeline = running(tmp_path)
    plan = twap(PLAN_SHARES, 0, 10 * MINUTE, Slicing(100, 100)).tobytes()
    pipeline.take_blob(blob(BlobType.PLAN, plan, strategy=0, ts=0), plan)
    wanted(pipeline, 500)
    (order,) = pipeline.take(record(Kind.TIMER, ts=MINUTE))
    pipeline.take(record(Kind.EXECUTION, 0, ts=MINUTE, order_id=int(order["order_id"]), price=100_200, qty=100, ref=1))
    pipeline.take(record(Kind.TIMER, ts=5 * MINUTE))
    newest = of_kind(reports_of(pipeline), "ScheduleReport")[-1]
    assert (newest.deployment, newest.symbol, newest.side, newest.parent_id) == ("d-1", "KO", "buy", int(order["ref"]))
    assert (newest.qty, newest.planned, newest.due, newest.done) == (500, 250, 300, 100)
