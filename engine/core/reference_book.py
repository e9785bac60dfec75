"""The book written to be obviously right: dicts, sorted at every question. The measure of ``engine.core.books``."""

from collections import Counter
from dataclasses import astuple, dataclass
from hashlib import sha256

from engine.core.books import MAX_PRICE, MAX_QTY, Refusal, Touch
from engine.core.events import Kind


@dataclass
class RestingOrder:
    instrument: int
    side: int  # 0 bid, 1 ask
    price: int
    qty: int


class ReferenceBooks:
    """The same messages as ``engine.core.books``, with the same answers; it is never full."""

    def __init__(self) -> None:
        self.orders: dict[int, RestingOrder] = {}
        self.refused: Counter[Refusal] = Counter()
        self.excess = 0

    def apply(self, instrument: int, kind: int, side: int, order_id: int, price: int, qty: int, old_id: int = 0) -> int:
        """The resting order's price, or minus the Refusal, which is counted."""
        if kind in (Kind.ADD, Kind.REPLACE):
            if order_id == 0 or not (0 < price <= MAX_PRICE and 0 < qty <= MAX_QTY):
                return self._refuse(Refusal.MALFORMED)
            if order_id in self.orders:
                return self._refuse(Refusal.DUPLICATE)
        if kind == Kind.ADD:
            if side == 0:
                return self._refuse(Refusal.MALFORMED)
            self.orders[order_id] = RestingOrder(instrument, 0 if side > 0 else 1, price, qty)
            return price
        wanted = old_id if kind == Kind.REPLACE else order_id
        order = self.orders.get(wanted)
        if order is None:
            return self._refuse(Refusal.UNKNOWN)
        if order.instrument != instrument:
            return self._refuse(Refusal.ELSEWHERE)
        if kind in (Kind.DELETE, Kind.REPLACE):
            del self.orders[wanted]
            if kind == Kind.REPLACE:
                self.orders[order_id] = RestingOrder(instrument, order.side, price, qty)
            return price if kind == Kind.REPLACE else order.price
        if qty <= 0:
            return self._refuse(Refusal.MALFORMED)
        self.excess += qty > order.qty
        order.qty -= qty
        if order.qty <= 0:
            del self.orders[wanted]
        return order.price

    def clear(self) -> None:
        self.orders.clear()

    def levels(self, instrument: int, side: int) -> list[tuple[int, int, int]]:
        """(price, shares, orders) of one side, best first."""
        prices: dict[int, list[int]] = {}
        for order in self.orders.values():
            if (order.instrument, order.side) == (instrument, side):
                prices.setdefault(order.price, []).append(order.qty)
        return [(price, sum(qtys), len(qtys)) for price, qtys in sorted(prices.items(), reverse=side == 0)]

    def touch_state(self, instrument: int) -> Touch:
        bids, asks = self.levels(instrument, 0), self.levels(instrument, 1)
        if not bids or not asks or bids[0][0] < asks[0][0]:
            return Touch.ORDINARY
        return Touch.LOCKED if bids[0][0] == asks[0][0] else Touch.CROSSED

    def content(self) -> tuple[list[tuple], list[tuple]]:
        """Sorted orders (id, instrument, side, price, shares) and levels (instrument, side, price, shares, orders)."""
        orders = sorted((order_id, *astuple(order)) for order_id, order in self.orders.items())
        totals: dict[tuple[int, int, int], list[int]] = {}
        for _, instrument, side, price, qty in orders:
            totals.setdefault((instrument, side, price), []).append(qty)
        return orders, sorted((*key, sum(qtys), len(qtys)) for key, qtys in totals.items())

    def _refuse(self, reason: Refusal) -> int:
        self.refused[reason] += 1
        return -int(reason)


def content_hash(content: tuple[list[tuple], list[tuple]]) -> str:
    """SHA-256 (hex) of a content, of the reference's or of ``books.book_content``."""
    digest = sha256()
    for rows in content:
        digest.update(len(rows).to_bytes(8, "little"))
        for row in rows:
            digest.update(",".join(map(str, row)).encode() + b"\n")
    return digest.hexdigest()
