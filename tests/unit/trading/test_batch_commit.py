"""A report batch is folded into rows once, all or nothing."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.db import ProgrammingError, transaction

from control.audit.models import AuditRow
from control.deployments.models import Deployment, Node
from control.deployments.services import deployment_stop
from control.trading import frames, services
from control.trading.models import (
    EquityPoint,
    Fill,
    Incident,
    Journal,
    Order,
    Position,
    Reject,
    ReportBatch,
    ScheduledParent,
    SignalPoint,
)
from control.trading.snapshots import snapshot_rows
from engine import messages
from engine.ledger import LinkRefused

JOURNAL = "journal-1"
OPEN = 1_357_137_000_000_000_000  # 2013-01-02 14:30 UTC
Make = Callable[..., messages.Report]


def commit(node: Node, first: int, last: int, *reports: messages.Report, epoch: int | None = None) -> int:
    batch = messages.batch(JOURNAL, first, last, list(reports))
    return services.batch_commit(node=node, batch=batch, epoch=epoch)


def test_a_fill_is_stored_with_exact_decimals_and_the_venue_of_the_hello(
    link: services.Link, node: Node, deployment: Deployment, fill: Make
) -> None:
    assert commit(node, 0, 5, fill(price=371_201)) == 5
    stored = Fill.objects.get()
    assert stored.price == Decimal("37.1201")
    assert (stored.venue, stored.trade_date, stored.execution_id) == ("SIM", date(2013, 1, 2), 77)
    assert stored.ts == datetime(2013, 1, 2, 14, 30, tzinfo=UTC)
    assert stored.deployment == deployment
    assert Journal.objects.get().committed == 5


def test_the_same_batch_again_is_acknowledged_again_and_changes_nothing(
    link: services.Link, node: Node, fill: Make
) -> None:
    commit(node, 0, 5, fill())
    commit(node, 5, 9)
    assert commit(node, 0, 5, fill()) == 5
    assert (Fill.objects.count(), ReportBatch.objects.count(), Journal.objects.get().committed) == (1, 2, 9)
    assert not Incident.objects.exists()


def test_the_same_key_with_another_hash_is_an_incident_and_refused_for_good(
    link: services.Link, node: Node, fill: Make
) -> None:
    commit(node, 0, 5, fill())
    for _ in range(2):
        with pytest.raises(LinkRefused) as refused:
            commit(node, 0, 5, fill(qty=200))
        assert (refused.value.code, refused.value.fatal) == ("batch_contradicted", True)
    incident = Incident.objects.get()
    assert (incident.code, incident.subject, incident.occurrences) == ("batch_contradicted", f"{JOURNAL}/5", 2)
    assert Fill.objects.get().qty == 100


def test_a_gap_is_refused_naming_the_committed_record_and_stores_nothing(
    link: services.Link, node: Node, fill: Make
) -> None:
    commit(node, 0, 5)
    with pytest.raises(LinkRefused, match="from 6, does not follow record 5") as refused:
        commit(node, 6, 9, fill())
    assert (refused.value.code, refused.value.fatal) == ("gap", False)
    assert not Fill.objects.exists()
    assert not Incident.objects.exists()


def test_reports_that_are_not_what_the_hash_says_are_refused_with_an_incident(
    link: services.Link, node: Node, fill: Make
) -> None:
    batch = messages.ReportBatch(JOURNAL, 0, 5, messages.payload_hash([]), [fill()])
    with pytest.raises(LinkRefused) as refused:
        services.batch_commit(node=node, batch=batch)
    assert refused.value.code == "hash_mismatch"
    assert Incident.objects.get().code == "hash_mismatch"
    assert not Fill.objects.exists()


def test_a_journal_that_no_hello_named_is_refused(deployment: Deployment, node: Node) -> None:
    with pytest.raises(LinkRefused, match="No Hello of node sim-1 named journal journal-1"):
        commit(node, 0, 5)


def test_a_link_of_an_older_epoch_is_fenced(link: services.Link, node: Node, fill: Make) -> None:
    hello = messages.Hello(node=node.name, journal=JOURNAL, build="b" * 64, core_pid=2, venue="SIM")
    newer = services.link_open(node=node, hello=hello)
    assert newer.epoch > link.epoch
    with pytest.raises(LinkRefused) as refused:
        commit(node, 0, 5, fill(), epoch=link.epoch)
    assert refused.value.code == "fenced"
    assert commit(node, 0, 5, fill(), epoch=newer.epoch) == 5


def test_a_value_that_no_row_can_hold_refuses_the_whole_batch(
    link: services.Link, node: Node, fill: Make, order: Make
) -> None:
    for wrong in (fill(qty=0), fill(trade_date=20131301), fill(execution_id=2**80)):
        with pytest.raises(LinkRefused) as refused:
            commit(node, 0, 5, order(), wrong)
        assert (refused.value.code, refused.value.fatal) == ("report_invalid", True)
    assert not Order.objects.exists()
    assert Journal.objects.get().committed == 0
    assert Incident.objects.get().occurrences == 3


def test_an_execution_reported_again_from_another_journal_is_stored_once(
    link: services.Link, node: Node, fill: Make
) -> None:
    commit(node, 0, 5, fill())
    hello = messages.Hello(node=node.name, journal="journal-2", build="b" * 64, core_pid=2, venue="SIM")
    services.link_open(node=node, hello=hello)
    services.batch_commit(node=node, batch=messages.batch("journal-2", 0, 3, [fill(record=2)]))
    assert Fill.objects.count() == 1
    assert not Incident.objects.exists()


def test_an_execution_reported_otherwise_is_an_incident_and_the_stored_one_stays(
    link: services.Link, node: Node, fill: Make
) -> None:
    commit(node, 0, 5, fill())
    commit(node, 5, 6, fill(price=400_000), fill(execution_id=78))
    assert Fill.objects.get(execution_id=77).price == Decimal("37.1200")
    assert Fill.objects.filter(execution_id=78).exists()
    assert Incident.objects.get().code == "execution_contradicted"


def test_both_sides_of_a_trade_among_own_orders_are_stored(link: services.Link, node: Node, fill: Make) -> None:
    commit(node, 0, 5, fill(side="buy", order_id=1), fill(side="sell", order_id=2))
    assert sorted(Fill.objects.values_list("side", "order_id")) == [("buy", 1), ("sell", 2)]


def test_the_database_refuses_to_change_or_delete_a_fill(link: services.Link, node: Node, fill: Make) -> None:
    commit(node, 0, 5, fill())
    with pytest.raises(ProgrammingError, match="Cannot update or delete"), transaction.atomic():
        Fill.objects.update(qty=1)
    with pytest.raises(ProgrammingError, match="Cannot update or delete"), transaction.atomic():
        Fill.objects.all().delete()


def test_an_order_shows_its_newest_state_and_when_it_was_sent(link: services.Link, node: Node, order: Make) -> None:
    commit(node, 0, 5, order(), order(ts=OPEN + 1_000_000, state="accepted"))
    commit(node, 5, 6, order(ts=OPEN + 2_000_000, state="filled", filled=100))
    stored = Order.objects.get()
    assert (stored.state, stored.filled) == ("filled", 100)
    assert stored.sent_at == datetime(2013, 1, 2, 14, 30, tzinfo=UTC)
    assert stored.ts == datetime(2013, 1, 2, 14, 30, 0, 2_000, tzinfo=UTC)


def test_positions_signals_rejects_and_closing_equity_are_kept_and_live_equity_is_not(
    link: services.Link, node: Node, deployment: Deployment
) -> None:
    name = str(deployment.pk)
    commit(
        node,
        0,
        9,
        messages.PositionReport(1, OPEN, name, "KO", 100, 371_200, 0, 3_000),
        messages.PositionReport(2, OPEN + 5, name, "KO", -50, 371_300, -10_000, 6_000),
        messages.EquityReport(3, OPEN, name, 10_000_010_000, 5_000, 5_000, 37_120_000, False),
        messages.EquityReport(4, OPEN + 9, name, 10_000_020_000, 10_000, 10_000, 37_120_000, True),
        messages.SignalReport(5, OPEN + 9, name, "KO/PEP", None, 0.01, 1.5, 0),
        messages.RejectReport(6, OPEN, name, "PEP", "max_order_qty", "strategy", 2_000, 2_500),
        messages.AnomalyReport(7, OPEN, "order_unknown", 1, 2),
        messages.AnomalyReport(8, OPEN, "order_unknown", 1, 3),
    )
    position = Position.objects.get()
    assert (position.qty, position.realised, position.fees) == (-50, Decimal("-1"), Decimal("0.6"))
    assert EquityPoint.objects.get().equity == Decimal("1000002")
    signal = SignalPoint.objects.get()
    assert (signal.pair, signal.z, signal.stance) == ("KO/PEP", None, 0)
    assert Reject.objects.get().order_value == 2_500
    incident = Incident.objects.get()
    assert (incident.code, incident.occurrences, incident.detail["ref"]) == ("anomaly", 2, 3)


def test_a_deployment_that_was_to_stop_ends_when_its_engine_says_so(
    link: services.Link, node: Node, deployment: Deployment, people: SimpleNamespace
) -> None:
    name = str(deployment.pk)
    commit(node, 0, 1, messages.StateReport(1, OPEN, name, "loading"), messages.StateReport(1, OPEN, name, "running"))
    deployment.refresh_from_db()
    assert (deployment.state, deployment.live) == ("running", True)
    deployment_stop(actor=people.trader, deployment=deployment)
    commit(node, 1, 2, messages.StateReport(2, OPEN, name, "stopped", "as asked"))
    deployment.refresh_from_db()
    assert (deployment.state, deployment.reason, deployment.live) == ("stopped", "as asked", False)


def test_a_report_about_a_deployment_of_nobody_is_an_incident_and_holds_nothing_up(
    link: services.Link, node: Node, fill: Make
) -> None:
    stranger = str(uuid4())
    commit(node, 0, 5, fill(deployment=stranger), fill(execution_id=78))
    assert Fill.objects.get().execution_id == 78
    incident = Incident.objects.get()
    assert incident.code == "unknown_deployment"
    assert incident.detail["reports"][0]["deployment"] == stranger


def test_an_agent_with_another_nodes_token_is_refused(deployment: Deployment, node: Node) -> None:
    hello = messages.Hello(node="sim-2", journal=JOURNAL, build="b" * 64, core_pid=1, venue="SIM")
    with pytest.raises(LinkRefused, match="This token is node sim-1's, not sim-2's"):
        services.link_open(node=node, hello=hello)
    assert not Journal.objects.exists()


def test_opening_a_link_leaves_an_audit_row(link: services.Link, node: Node) -> None:
    row = AuditRow.objects.filter(object_type="deployments.node", actor_name="node:sim-1").get()
    assert row.detail["journal"] == JOURNAL


def test_batches_that_come_together_are_committed_together(link: services.Link, node: Node, fill: Make) -> None:
    batches = [
        messages.batch(JOURNAL, 0, 5, [fill()]),
        messages.batch(JOURNAL, 5, 9, [fill(execution_id=78), fill(execution_id=79)]),
    ]
    assert services.batches_commit(node=node, batches=batches) == batches
    assert services.batches_commit(node=node, batches=batches) == []
    assert sorted(Fill.objects.values_list("execution_id", flat=True)) == [77, 78, 79]
    assert list(ReportBatch.objects.order_by("last").values_list("last", "reports")) == [(5, 1), (9, 2)]
    assert Journal.objects.get().committed == 9


def test_what_came_before_a_refused_batch_is_kept(link: services.Link, node: Node, fill: Make) -> None:
    good, bad = messages.batch(JOURNAL, 0, 5, [fill()]), messages.batch(JOURNAL, 5, 9, [fill(execution_id=78, qty=0)])
    with pytest.raises(LinkRefused) as refused:
        services.batches_commit(node=node, batches=[good, bad])
    assert refused.value.code == "report_invalid"
    assert Fill.objects.get().execution_id == 77
    assert Journal.objects.get().committed == 5


def test_how_far_a_scheduled_parent_has_come_is_the_newest_report_of_its_symbol(
    link: services.Link, node: Node, deployment: Deployment
) -> None:
    def schedule(record: int, parent_id: int, planned: int, done: int) -> messages.ScheduleReport:
        due = planned
        return messages.ScheduleReport(
            record, OPEN + record, str(deployment.pk), "KO", "buy", parent_id, 500, planned, due, done
        )

    commit(node, 0, 5, schedule(1, 7, 100, 0), schedule(2, 7, 200, 100))
    commit(node, 5, 9, schedule(6, 8, 50, 0))
    stored = ScheduledParent.objects.get()
    assert (stored.symbol, stored.parent_id, stored.qty, stored.planned, stored.done) == ("KO", 8, 500, 50, 0)
    (row,) = snapshot_rows(deployment.pk)["schedules"]
    assert row == frames.reported(schedule(6, 8, 50, 0))
