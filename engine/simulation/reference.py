"""The matching engine again, plain and slow: what ``engine.simulation.matching`` is compared with.

A side of a book is a list of orders, kept in the order in which they trade. Nothing here is shared with the
compiled engine but the meaning of its reports.
"""

from dataclasses import dataclass, field

from engine.simulation.matching import ReportKind


@dataclass
class Order:
    serial: int
    instrument: int
    side: int  # +1 buy, -1 sell
    price: int  # 1/10,000
    qty: int
    owner: int
    tag: int

    @property
    def priority(self) -> tuple[int, int]:
        """Orders trade from the smallest: better price first, then earlier entry."""
        return (-self.side * self.price, self.serial)


@dataclass(frozen=True)
class Report:
    kind: ReportKind
    serial: int
    side: int
    price: int
    qty: int
    remaining: int
    match_number: int = 0
    taker_serial: int = 0


@dataclass
class ReferenceMatching:
    """Same calls as the compiled engine, with serials for references."""

    next_serial: int = 1
    next_match: int = 1
    books: dict[tuple[int, int], list[Order]] = field(default_factory=dict)

    def side(self, instrument: int, side: int) -> list[Order]:
        return self.books.setdefault((instrument, side), [])

    def enter(
        self, instrument: int, side: int, price: int, qty: int, *, immediate: bool = False, owner: int = 0, tag: int = 0
    ) -> list[Report]:
        taker = Order(self.next_serial, instrument, side, price, qty, owner, tag)
        self.next_serial += 1
        reports = [_report(ReportKind.ENTERED, taker)]
        makers = self.side(instrument, -side)
        while taker.qty and makers and makers[0].price * side <= price * side:
            maker = makers[0]
            traded = min(taker.qty, maker.qty)
            maker.qty -= traded
            taker.qty -= traded
            reports.append(
                Report(
                    ReportKind.EXECUTED,
                    maker.serial,
                    maker.side,
                    maker.price,
                    traded,
                    maker.qty,
                    self.next_match,
                    taker.serial,
                )
            )
            self.next_match += 1
            if not maker.qty:
                makers.pop(0)
        if taker.qty and immediate:
            reports.append(_report(ReportKind.EXPIRED, taker))
        elif taker.qty:
            reports.append(_report(ReportKind.RESTED, taker))
            orders = self.side(instrument, side)
            orders.append(taker)
            orders.sort(key=lambda order: order.priority)
        return reports

    def reduce(self, serial: int, keep: int) -> list[Report]:
        for orders in self.books.values():
            for order in orders:
                if order.serial == serial and keep < order.qty:
                    return [self._cut(orders, order, max(keep, 0))]
        return []

    def _cut(self, orders: list[Order], order: Order, keep: int) -> Report:
        cut = order.qty - keep
        order.qty = keep
        if keep:
            return Report(ReportKind.REDUCED, order.serial, order.side, order.price, cut, keep)
        orders.remove(order)
        return Report(ReportKind.DELETED, order.serial, order.side, order.price, cut, 0)

    def resting_orders(self) -> list[tuple[int, int, int, int, int]]:
        """Instrument, side, price, qty, serial of each order: bids before asks, best first, oldest first."""
        return [
            (order.instrument, order.side, order.price, order.qty, order.serial)
            for _, orders in sorted(self.books.items(), key=lambda item: (item[0][0], -item[0][1]))
            for order in orders
        ]


def _report(kind: ReportKind, order: Order) -> Report:
    return Report(kind, order.serial, order.side, order.price, order.qty, order.qty)
