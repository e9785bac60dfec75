"""The book written to be obviously right: dicts, sorted at every question. The measure of ``engine.core.books``."""

from dataclasses import dataclass


@dataclass
class RestingOrder:
    instrument: int
    side: int  # 0 bid, 1 ask
    price: int
    qty: int


class ReferenceBooks:
    """The same operations as ``engine.core.books``, with the same answers."""

    def __init__(self) -> None:
        self.orders: dict[int, RestingOrder] = {}

    def add(self, instrument: int, side: int, order_id: int, price: int, qty: int) -> bool:
        if order_id == 0 or order_id in self.orders:
            return False
        self.orders[order_id] = RestingOrder(instrument, side, price, qty)
        return True

    def reduce(self, order_id: int, qty: int) -> int:
        order = self.orders.get(order_id)
        if order is None:
            return 0
        order.qty -= qty
        if order.qty <= 0:
            del self.orders[order_id]
        return order.price

    def delete(self, order_id: int) -> int:
        order = self.orders.pop(order_id, None)
        return order.price if order else 0

    def replace(self, old_id: int, new_id: int, price: int, qty: int) -> bool:
        order = self.orders.pop(old_id, None)
        return order is not None and self.add(order.instrument, order.side, new_id, price, qty)

    def clear(self) -> None:
        self.orders.clear()

    def levels(self, instrument: int, side: int) -> list[tuple[int, int, int]]:
        """(price, shares, orders) of one side, best first."""
        prices: dict[int, list[int]] = {}
        for order in self.orders.values():
            if (order.instrument, order.side) == (instrument, side):
                prices.setdefault(order.price, []).append(order.qty)
        return [(price, sum(qtys), len(qtys)) for price, qtys in sorted(prices.items(), reverse=side == 0)]
