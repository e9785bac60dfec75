"""The exchange's own record against the ledger in PostgreSQL, order by order and execution by execution."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control.money import money_units
from control.trading.models import Fill, Order, Position
from engine.dates import as_yyyymmdd

MOST_SHOWN = 20
PLACED = ("order", "replace", "reject")  # entries that take a client order id
NEVER_ARRIVED = "never arrived"  # the reason of an order that the venue has not seen, or ignored with its origin gone


@dataclass(frozen=True)
class Comparison:
    """What was compared, and the first differences, each as a sentence; how many there are of each kind.

    ``lost`` executions the exchange has and the ledger has not, ``extra`` the other way round or once more.
    """

    orders: int
    executions: int
    differences: tuple[str, ...]
    order_differences: int = 0
    lost: int = 0
    extra: int = 0
    position_breaks: int = 0

    @property
    def equal(self) -> bool:
        return not self.differences


def compare(record: Path, account: str) -> Comparison:
    """Compare every order and execution of ``account``, and the positions that follow from them.

    Quiet both sides first (pause the deployments), or what is on its way counts as a difference.
    """
    return compare_entries([entry for entry in _entries(record) if entry["account"] == account])


def compare_entries(entries: Sequence[dict[str, Any]]) -> Comparison:
    """``compare`` of one account's lines of the record, read already."""
    placed = {entry["user_ref_num"]: entry for entry in entries if entry["type"] in PLACED}
    executions = [entry for entry in entries if entry["type"] == "execution"]
    orders, positions = list(_orders(placed, executions)), list(_positions(executions))
    lost, extra = _executions(executions)
    differences = [*orders, *lost, *extra, *positions]
    return Comparison(
        len(placed),
        len(executions),
        tuple(differences[:MOST_SHOWN]),
        order_differences=len(orders),
        lost=len(lost),
        extra=len(extra),
        position_breaks=len(positions),
    )


def _entries(record: Path) -> Iterator[dict[str, Any]]:
    """A line that the exchange is still writing is not there yet."""
    with record.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _orders(placed: dict[int, dict[str, Any]], executions: list[dict[str, Any]]) -> Iterator[str]:
    executed: Counter[int] = Counter()
    for entry in executions:
        executed[entry["user_ref_num"]] += entry["qty"]
    fields = ("order_id", "symbol", "side", "qty", "price", "filled", "state", "reason")
    ledger = {order.order_id: order for order in Order.objects.values_list(*fields, named=True).iterator()}
    for order_id in sorted(placed.keys() - ledger.keys()):
        yield f"order {order_id}: the exchange has it, the ledger has not"
    for order_id in sorted(ledger.keys() - placed.keys()):
        if ledger[order_id].reason == NEVER_ARRIVED and ledger[order_id].state in ("rejected", "cancelled"):
            continue
        yield f"order {order_id} ({ledger[order_id].state}): the ledger has it, the exchange has not"
    for order_id in sorted(ledger.keys() & placed.keys()):
        order, entry = ledger[order_id], placed[order_id]
        ours = (order.symbol, order.side, order.qty, money_units(order.price))
        theirs = (entry["symbol"], entry["side"], entry["qty"], entry["price"])
        if ours != theirs:
            yield f"order {order_id}: exchange {theirs}, ledger {ours}"
        if (entry["type"] == "reject") != (order.state == "rejected"):
            yield f"order {order_id}: exchange {entry['type']}, ledger {order.state}"
        if order.filled != executed[order_id]:
            yield f"order {order_id}: {executed[order_id]} executed at the exchange, {order.filled} in the ledger"


def _executions(executions: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Those that the ledger lacks, and those that it has too much."""
    theirs = Counter(
        (e["trade_date"], e["match_number"], e["user_ref_num"], e["symbol"], e["side"], e["qty"], e["price"])
        for e in executions
    )
    ours = Counter(
        (
            as_yyyymmdd(trade_date),
            execution_id,
            order_id,
            symbol,
            side,
            qty,
            money_units(price),
        )
        for trade_date, execution_id, order_id, symbol, side, qty, price in Fill.objects.filter(bust__isnull=True)
        .values_list("trade_date", "execution_id", "order_id", "symbol", "side", "qty", "price")
        .iterator()
    )
    lost, extra = (sorted(each.elements()) for each in (theirs - ours, ours - theirs))
    return (
        [f"execution {one}: the exchange has it, the ledger has not" for one in lost],
        [f"execution {one}: the ledger has it, the exchange has not" for one in extra],
    )


def _positions(executions: list[dict[str, Any]]) -> Iterator[str]:
    theirs: Counter[str] = Counter()
    for entry in executions:
        theirs[entry["symbol"]] += entry["qty"] if entry["side"] == "buy" else -entry["qty"]
    ours: Counter[str] = Counter()
    for symbol, qty in Position.objects.values_list("symbol", "qty"):
        ours[symbol] += qty
    for symbol in sorted(theirs.keys() | ours.keys()):
        if theirs[symbol] != ours[symbol]:
            yield f"position {symbol}: {theirs[symbol]} by the exchange's executions, {ours[symbol]} in the ledger"
