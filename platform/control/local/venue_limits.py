"""Limits as the exchange's own record shows them kept: what an account had working and held, message by message.

Per order its shares and its value at the limit price; per symbol the worst case, in which everything that works on one
side is filled and nothing on the other. Nothing is asked of the engine.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

MOST_SHOWN = 20


@dataclass(frozen=True)
class Envelope:
    """At most; shares and 1/10,000 of the currency."""

    max_order_qty: int
    max_order_notional: int
    max_position_qty: int


@dataclass
class Working:
    symbol: str
    side: str
    qty: int


@dataclass
class Account:
    """What the record says of one account so far; ``breaches`` counts the moments at which a limit was exceeded."""

    name: str
    limits: Envelope
    working: dict[int, Working] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    orders: int = 0
    executions: int = 0
    breaches: int = 0
    shown: list[str] = field(default_factory=list)
    worst: int = 0  # shares of the greatest worst case so far

    def take(self, entry: dict[str, Any]) -> None:
        """Another line of the record."""
        if entry["account"] != self.name:
            return
        kind, order_id = entry["type"], entry["user_ref_num"]
        if kind in ("order", "replace"):
            self.working.pop(entry["replaces"], None)
            self.working[order_id] = Working(entry["symbol"], entry["side"], entry["qty"])
            self.orders += 1
            self._check_order(entry)
        elif kind == "modify" and order_id in self.working:
            self.working[order_id].qty = entry["qty"]
        elif kind in ("execution", "cancel"):
            self._take_off(order_id, entry["qty"])
        if kind == "execution":
            self.executions += 1
            self.positions[entry["symbol"]] += entry["qty"] if entry["side"] == "buy" else -entry["qty"]
        if kind in ("order", "replace", "execution"):
            self._check_position(entry)

    def _take_off(self, order_id: int, qty: int) -> None:
        if order_id in self.working:
            self.working[order_id].qty -= qty
            if self.working[order_id].qty <= 0:
                del self.working[order_id]

    def _check_order(self, entry: dict[str, Any]) -> None:
        notional = entry["qty"] * entry["price"]
        if entry["qty"] > self.limits.max_order_qty or notional > self.limits.max_order_notional:
            self._breach(f"order {entry['user_ref_num']}: {entry['qty']} {entry['symbol']} worth {notional}")

    def _check_position(self, entry: dict[str, Any]) -> None:
        symbol = entry["symbol"]
        open_ = {"buy": 0, "sell": 0}
        for order in self.working.values():
            if order.symbol == symbol:
                open_[order.side] += order.qty
        long, short = self.positions[symbol] + open_["buy"], open_["sell"] - self.positions[symbol]
        self.worst = max(self.worst, long, short)
        if max(long, short) > self.limits.max_position_qty:
            self._breach(f"{entry['type']} {entry['user_ref_num']}: {symbol} may come to {max(long, short)} shares")

    def _breach(self, what: str) -> None:
        self.breaches += 1
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(what)
