"""The exchange's record against the ledger: equal means every order, execution and position."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from control.deployments.models import Deployment
from control.local.reconcile import compare
from control.trading.models import Fill, Order, Position

pytestmark = pytest.mark.django_db
OPEN = datetime(2013, 1, 2, 14, 30, tzinfo=UTC)
ENTRY = {"account": "HELIO1", "user_ref_num": 1, "symbol": "KO", "side": "buy", "price": 371_200, "qty": 100}
EXECUTION = ENTRY | {"type": "execution", "trade_date": 20130102, "match_number": 77, "price": 371_100, "qty": 60}


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    def write(*entries: dict[str, Any]) -> Path:
        path = tmp_path / "record.jsonl"
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        return path

    return write


@pytest.fixture
def ledger(deployment: Deployment) -> None:
    """Order 1: 60 of 100 KO bought at 37.11, limit 37.12."""
    common: dict[str, Any] = {"deployment": deployment, "order_id": 1, "symbol": "KO", "side": "buy", "ts": OPEN}
    Order.objects.create(
        **common, parent_id=1, state="partially_filled", price=Decimal("37.12"), qty=100, filled=60, sent_at=OPEN
    )
    Fill.objects.create(
        **common, venue="SIM", trade_date=date(2013, 1, 2), execution_id=77, price=Decimal("37.11"), qty=60
    )
    Position.objects.create(
        deployment=deployment, symbol="KO", qty=60, average_cost=Decimal("37.11"), realised=0, fees=0, ts=OPEN
    )


@pytest.mark.usefixtures("ledger")
def test_the_same_order_execution_and_position_on_both_sides_are_equal(record: Callable[..., Path]) -> None:
    comparison = compare(
        record({"type": "system", "account": "HELIO1"}, ENTRY | {"type": "order"}, EXECUTION), "HELIO1"
    )
    assert comparison.differences == ()
    assert (comparison.orders, comparison.executions) == (1, 1)


@pytest.mark.usefixtures("ledger")
def test_other_accounts_are_not_ours(record: Callable[..., Path]) -> None:
    other = EXECUTION | {"account": "OTHER", "match_number": 78}
    assert compare(record(ENTRY | {"type": "order"}, EXECUTION, other), "HELIO1").equal


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([EXECUTION], "order 1 (partially_filled): the ledger has it, the exchange has not"),
        ([ENTRY | {"type": "order"}], "the ledger has it, the exchange has not"),
        ([ENTRY | {"type": "order", "qty": 200}, EXECUTION], "order 1: exchange"),
        ([ENTRY | {"type": "reject"}, EXECUTION], "order 1: exchange reject"),
        ([ENTRY | {"type": "order"}, EXECUTION | {"price": 371_000}], "execution (20130102, 77"),
        (
            [ENTRY | {"type": "order"}, EXECUTION | {"qty": 50}],
            "order 1: 50 executed at the exchange, 60 in the ledger",
        ),
        ([ENTRY | {"type": "order"}, EXECUTION, EXECUTION], "position KO: 120 by the exchange's executions, 60"),
        ([ENTRY | {"type": "order"}, ENTRY | {"type": "order", "user_ref_num": 2}, EXECUTION], "order 2: the exchange"),
    ],
)
def test_every_difference_is_found_and_named(
    record: Callable[..., Path], entries: list[dict[str, Any]], said: str
) -> None:
    comparison = compare(record(*entries), "HELIO1")
    assert not comparison.equal
    assert any(said in difference for difference in comparison.differences), comparison.differences


@pytest.mark.usefixtures("ledger")
def test_differences_are_counted_by_kind(record: Callable[..., Path]) -> None:
    order, again = ENTRY | {"type": "order"}, EXECUTION | {"match_number": 78, "qty": 20}
    found = compare(record(order, EXECUTION, again), "HELIO1")
    assert (found.lost, found.extra, found.position_breaks, found.order_differences) == (1, 0, 1, 1)
    found = compare(record(order, again), "HELIO1")
    assert (found.lost, found.extra) == (1, 1)


@pytest.mark.usefixtures("ledger")
def test_a_replace_is_an_order_on_both_sides_and_one_that_was_ignored_on_none(
    record: Callable[..., Path], deployment: Deployment
) -> None:
    common: dict[str, Any] = {"deployment": deployment, "symbol": "KO", "side": "buy", "ts": OPEN, "sent_at": OPEN}
    wanted = common | {"parent_id": 1, "price": Decimal("37.20"), "qty": 40, "filled": 0}
    Order.objects.create(order_id=2, state="accepted", **wanted)
    Order.objects.create(order_id=3, state="rejected", reason="never arrived", **wanted)
    Order.objects.create(
        order_id=4, state="cancelled", reason="never arrived", **wanted
    )  # before it had been asked for
    replace = ENTRY | {"type": "replace", "user_ref_num": 2, "price": 372_000, "qty": 40, "replaces": 1}
    assert compare(record(ENTRY | {"type": "order"}, EXECUTION, replace), "HELIO1").differences == ()
    missing = compare(record(ENTRY | {"type": "order"}, EXECUTION), "HELIO1").differences
    assert missing == ("order 2 (accepted): the ledger has it, the exchange has not",)
