"""Orders and their executions as reports, from the journal's records about them in their order."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.core.carry import CarriedOrder
from engine.core.events import Kind, Restatement
from engine.core.orders import OrderState
from engine.core.router_records import Reason
from engine.core.state import ORDERS
from engine.live.journal_names import JournalNames
from engine.messages import BustReport, FillReport, OrderReport, Report, Side, side_name

ORDERS_KEPT = 2 * ORDERS
REPORTED_STATES = {
    int(OrderState.PENDING_NEW): "sent",
    int(OrderState.LIVE): "accepted",
    int(OrderState.PARTIALLY_FILLED): "partially_filled",
    int(OrderState.PENDING_CANCEL): "accepted",
    int(OrderState.PENDING_REPLACE): "accepted",
    int(OrderState.SUSPENDED): "suspended",
}
# OUCH 5.0 section 3.4, "Cancel Order Reasons"
CANCEL_REASONS = {
    "D": "regulatory restriction",
    "E": "closed",
    "I": "immediate or cancel",
    "K": "market collars",
    "Q": "self-match prevention",
    "S": "supervisory",
    "T": "end of day",
    "U": "requested",
    "X": "post-only would trade",
    "Z": "system cancel",
}


@dataclass
class _Order:
    deployment: str
    symbol: str
    side: Side
    price: int
    qty: int
    parent_id: int
    trade_date: int
    filled: int = 0
    state: str = "sent"
    before: int = 0  # executed by those it replaces
    venue: str = ""
    route: str = ""


class OrderReports:
    """``makers`` says which records it takes."""

    def __init__(self, names: JournalNames) -> None:
        self._names = names
        self._orders: OrderedDict[int, _Order] = OrderedDict()
        self._route = ""  # of the order that comes next
        self.makers: dict[int, Callable[[int, Any], list[Report]]] = {
            Kind.ACCEPTED: self._accepted,
            Kind.REPLACED: self._replaced,
            Kind.RESTATED: self._restated,
            Kind.ORDER_NEW: self._order_new,
            Kind.ORDER_REPLACE: self._order_replace,
            Kind.ROUTE: self._routed,
            Kind.FILL: self._fill,
            Kind.FILL_BUSTED: self._fill_busted,
            Kind.ORDER_DONE: self._order_done,
        }

    def carry(self, order: CarriedOrder) -> None:
        """An open order of an earlier journal is known here too."""
        slot = self._names.slots.get(order.strategy)
        self._orders[order.order_id] = _Order(
            deployment=slot.manifest.deployment if slot else "",
            symbol=self._names.instruments[order.instrument],
            side=side_name(order.side),
            price=order.price,
            qty=order.qty,
            parent_id=order.parent,
            trade_date=order.trade_date,
            venue=self._names.venue_name(order.venue),
            filled=order.filled,
            state=REPORTED_STATES[order.state],
        )

    def _routed(self, number: int, record: Any) -> list[Report]:
        self._route = Reason(int(record["reason"])).name.lower()
        return []

    def _order_report(self, number: int, record: Any, reason: str = "") -> list[Report]:
        order_id = int(record["order_id"])
        order = self._orders.get(order_id)
        if order is None:
            return []
        return [
            OrderReport(
                record=number,
                ts=int(record["ts_event"]),
                deployment=order.deployment,
                order_id=order_id,
                state=order.state,
                symbol=order.symbol,
                side=order.side,
                price=order.price,
                qty=order.qty,
                filled=order.filled,
                parent_id=order.parent_id,
                reason=reason,
                venue=order.venue,
                route=order.route,
            )
        ]

    def _order_new(self, number: int, record: Any) -> list[Report]:
        return self._order_sent(number, record, int(record["qty"]), int(record["ref"]))

    def _order_replace(self, number: int, record: Any) -> list[Report]:
        """The order that is to replace another: its shares are those that would be open."""
        origin = self._orders.get(int(record["ref"]))
        if origin is None:
            return self._order_sent(number, record, int(record["qty"]), 0)
        origin_filled = origin.before + origin.filled
        reports = self._order_sent(number, record, int(record["qty"]) - origin_filled, origin.parent_id)
        self._orders[int(record["order_id"])].before = origin_filled
        return reports

    def _order_sent(self, number: int, record: Any, qty: int, parent_id: int) -> list[Report]:
        if len(self._orders) >= ORDERS_KEPT:
            self._orders.popitem(last=False)
        self._orders[int(record["order_id"])] = _Order(
            deployment=self._names.name(record),
            symbol=self._names.symbol(record),
            side=side_name(record["side"]),
            price=int(record["price"]),
            qty=qty,
            parent_id=parent_id,
            trade_date=self._names.session_date,
            venue=self._names.venue(record),
            route=self._route,
        )
        self._route = ""
        return self._order_report(number, record)

    def _replaced(self, number: int, record: Any) -> list[Report]:
        """The venue's word of what is open; that the origin is done comes with its ORDER_DONE."""
        order = self._orders.get(int(record["order_id"]))
        if order is None:
            return []
        order.state = "partially_filled" if order.filled else "accepted"
        order.price, order.qty = int(record["price"]), int(record["qty"]) + order.filled
        return self._order_report(number, record)

    def _restated(self, number: int, record: Any) -> list[Report]:
        order = self._orders.get(int(record["order_id"]))
        if order is None or int(record["reason"]) not in (Restatement.SUSPENDED, Restatement.RESUMED):
            return []
        suspended = int(record["reason"]) == Restatement.SUSPENDED
        order.state = "suspended" if suspended else "partially_filled" if order.filled else "accepted"
        return self._order_report(number, record)

    def _accepted(self, number: int, record: Any) -> list[Report]:
        order = self._orders.get(int(record["order_id"]))
        if order is None or order.state != "sent":
            return []
        order.state = "accepted"
        return self._order_report(number, record)

    def _fill(self, number: int, record: Any) -> list[Report]:
        order_id, qty = int(record["order_id"]), int(record["qty"])
        order = self._orders.get(order_id)
        fill = FillReport(
            record=number,
            ts=int(record["ts_event"]),
            deployment=self._names.name(record),
            order_id=order_id,
            execution_id=int(record["ref"]),
            trade_date=order.trade_date if order else self._names.session_date,
            symbol=self._names.symbol(record),
            side=side_name(record["side"]),
            price=int(record["price"]),
            qty=qty,
            venue=self._names.venue(record),
        )
        if order is None:
            return [fill]
        order.filled += qty
        if order.filled < order.qty:
            order.state = "partially_filled"
            return [fill, *self._order_report(number, record)]
        return [fill]  # the order's last report comes with ORDER_DONE

    def _fill_busted(self, number: int, record: Any) -> list[Report]:
        order_id, qty = int(record["order_id"]), int(record["qty"])
        order = self._orders.get(order_id)
        if order is not None:
            order.filled -= qty
            order.qty -= qty
        bust = BustReport(
            record=number,
            ts=int(record["ts_event"]),
            deployment=self._names.name(record),
            order_id=order_id,
            execution_id=int(record["ref"]),
            trade_date=order.trade_date if order else self._names.session_date,
            symbol=self._names.symbol(record),
            side=side_name(record["side"]),
            price=int(record["price"]),
            qty=qty,
            venue=self._names.venue(record),
        )
        return [bust, *self._order_report(number, record)]

    def _order_done(self, number: int, record: Any) -> list[Report]:
        order = self._orders.get(int(record["order_id"]))
        if order is None:
            return []
        order.state = OrderState(int(record["order_state"])).name.lower()
        order.filled = int(record["filled"])
        reason = int(record["reason"])
        if order.state in ("cancelled", "expired"):
            return self._order_report(
                number, record, CANCEL_REASONS.get(chr(reason), "") if reason else "never arrived"
            )
        if order.state == "rejected":
            return self._order_report(number, record, f"venue code {reason}" if reason else "never arrived")
        return self._order_report(number, record)
