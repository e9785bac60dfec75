"""The matching engine again, plain and slow: what ``engine.simulation.matching`` and ``auction`` are compared with.

A side of a book is one list of orders; whoever trades next is found by sorting it. What an order would get is found by
letting it trade in a copy of the book. Nothing here is shared with the compiled engine but the orders that come in
and the meaning of the reports.
"""

from copy import deepcopy
from dataclasses import dataclass, field, replace

from msgspec import structs

from engine.simulation.matching_records import (
    INSTRUMENTS,
    NewOrder,
    OrderKind,
    Phase,
    Prevention,
    Reason,
    Report,
    ReportKind,
    TimeInForce,
)

UNLIMITED = 1 << 62


@dataclass
class Order:
    new: NewOrder
    serial: int
    shown: int  # serial of its priority, and of its name in the market data
    qty: int
    visible: int = 0
    reason: Reason = Reason.NONE  # why it takes no more

    @property
    def is_peg(self) -> bool:
        return self.new.kind == OrderKind.MIDPOINT

    @property
    def auction(self) -> int:
        return self.new.time_in_force if self.new.time_in_force >= TimeInForce.OPENING else 0

    @property
    def limit(self) -> int:
        """A price that is never worse than any other, where the order has no limit."""
        without = self.new.kind == OrderKind.MARKET or not self.new.price
        return self.new.side * UNLIMITED if without else self.new.price

    @property
    def is_displayed(self) -> bool:
        return self.new.display > 0 and not self.is_peg and not self.auction

    @property
    def queue(self) -> int:
        return self.auction or (2 if self.is_peg else 0 if self.is_displayed else 1)

    def accepts(self, price: int) -> bool:
        return self.limit * self.new.side >= price * self.new.side


@dataclass
class ReferenceMatching:
    """Same calls as the compiled engine, with serials for references. It has room for everything."""

    tick: int = 1
    collar: int = 0
    instruments: int = INSTRUMENTS
    next_serial: int = 1
    next_match: int = 1
    books: dict[int, list[Order]] = field(default_factory=dict)
    phases: dict[int, Phase] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)

    # ---- calls ---------------------------------------------------------------------------------------

    def enter(self, new: NewOrder) -> list[Report]:
        self.reports = []
        reason = self._why_refused(new)
        if reason:
            price = new.price
            return [Report(ReportKind.REFUSED, 0, new.side, price, new.qty, reason=reason)]
        order = Order(new, self.next_serial, self.next_serial, new.qty)
        self.next_serial += 1
        self._report(ReportKind.ENTERED, order, order.qty)
        if self._phase(new.instrument) is Phase.CONTINUOUS and not order.auction:
            self._trade_incoming(order)
        if order.qty:
            self._rest_or_expire(order)
        self._settle_midpoint(new.instrument)
        return self.reports

    def reduce(self, serial: int, keep: int) -> list[Report]:
        self.reports = []
        found = [order for orders in self.books.values() for order in orders if order.serial == serial]
        for order in found:
            if keep < order.qty:
                self._cut(order, max(keep, 0), Reason.NONE)
                self._settle_midpoint(order.new.instrument)
        return self.reports

    def set_phase(self, instrument: int, phase: Phase) -> None:
        self.phases[instrument] = phase

    def delete_all(self, instrument: int) -> list[Report]:
        self.reports = []
        rank = {2: 0, 3: 1, 4: 1, 0: 2, 1: 2}
        for peg in (True, False):
            for side in (1, -1):
                orders = [order for order in self._listed(instrument, side) if order.is_peg == peg]
                for order in sorted(orders, key=lambda order: rank[order.queue]):
                    self._cut(order, 0, Reason.NONE)
        return self.reports

    def resting_orders(self) -> list[tuple[int, ...]]:
        return [
            (
                instrument,
                side,
                order.queue,
                0 if abs(order.limit) == UNLIMITED else order.limit,
                order.qty,
                order.visible,
                order.serial,
                order.shown,
            )
            for instrument in sorted(self.books)
            for side in (1, -1)
            for order in self._listed(instrument, side)
        ]

    def _listed(self, instrument: int, side: int) -> list[Order]:
        """Book, midpoint, opening, closing; in the book by price, then displayed before hidden, then by priority."""
        place = {0: 0, 1: 0, 2: 1, 3: 2, 4: 3}

        def key(order: Order) -> tuple[int, ...]:
            price = 0 if order.is_peg else -side * order.limit
            return (place[order.queue], price, order.queue, order.shown)

        return sorted(self._on_side(instrument, side), key=key)

    def _on_side(self, instrument: int, side: int) -> list[Order]:
        return [order for order in self.books.get(instrument, []) if order.new.side == side]

    def _remove(self, order: Order) -> None:
        orders = self.books[order.new.instrument]
        del orders[next(place for place, other in enumerate(orders) if other is order)]

    # ---- what comes in -------------------------------------------------------------------------------

    def _phase(self, instrument: int) -> Phase:
        return self.phases.get(instrument, Phase.CONTINUOUS)

    def _why_refused(self, new: NewOrder) -> Reason:
        if self._is_malformed(new):
            return Reason.MALFORMED
        phase = self._phase(new.instrument)
        if phase is Phase.HALTED:
            return Reason.HALTED
        immediate = new.time_in_force in (TimeInForce.IMMEDIATE, TimeInForce.FILL_OR_KILL)
        if phase is Phase.COLLECTING and immediate:
            return Reason.WRONG_PHASE
        if phase is not Phase.COLLECTING and new.time_in_force == TimeInForce.OPENING:
            return Reason.WRONG_PHASE
        return Reason.NONE

    def _is_malformed(self, new: NewOrder) -> bool:
        largest = 2**32 - 1
        day = new.time_in_force == TimeInForce.DAY
        auction = new.time_in_force in (TimeInForce.OPENING, TimeInForce.CLOSING)
        limit_order, peg = new.kind == OrderKind.LIMIT, new.kind == OrderKind.MIDPOINT
        return (
            not 0 <= new.instrument < self.instruments
            or new.side not in (1, -1)
            or not 0 < new.qty <= largest
            or new.display < 0
            or (limit_order and (not 0 < new.price <= largest or new.price % self.tick != 0))
            or (new.kind == OrderKind.MARKET and (day or new.post_only))
            or (peg and (auction or not 0 <= new.price <= largest))
            or (new.post_only and not day)
            or not 0 <= new.min_qty <= new.qty
            or (new.min_qty > 0 and (auction or (limit_order and day and new.display > 0)))
        )

    def _trade_incoming(self, order: Order) -> None:
        new, middle = order.new, self._midpoint(order.new.instrument)
        if order.is_peg and not middle:
            return
        worst = middle if order.is_peg else self._collar_price(new.instrument, new.side)
        limit = new.side * min(new.side * worst, new.side * order.limit)
        order.reason = self._hindrance(order, middle, limit)
        if not order.reason:
            self._match(order, middle, limit)
        beyond_collar = not order.is_peg and limit != order.limit and new.time_in_force == TimeInForce.DAY
        if beyond_collar and order.reason in (Reason.NONE, Reason.MINIMUM):
            order.reason = Reason.COLLAR

    def _collar_price(self, instrument: int, side: int) -> int:
        base = self._touch(instrument, -side) or self.last.get(instrument, 0)
        if not self.collar or not base:
            return side * UNLIMITED
        worst = base * (10_000 + side * self.collar) // 10_000
        return side * (side * worst // self.tick) * self.tick

    def _hindrance(self, order: Order, middle: int, limit: int) -> Reason:
        new = order.new
        if new.post_only and self._available(replace(order, new=structs.replace(new, group=0)), middle, limit):
            return Reason.POST_ONLY
        if new.time_in_force == TimeInForce.FILL_OR_KILL and self._available(order, middle, limit) < order.qty:
            return Reason.UNFILLED
        if new.min_qty and self._available(order, middle, limit) < new.min_qty:
            return Reason.MINIMUM
        return Reason.NONE

    def _available(self, order: Order, middle: int, limit: int) -> int:
        """What the order gets in a copy of the book, where meeting its own group ends it (or is passed over)."""
        instrument, copy = order.new.instrument, deepcopy(order)
        others = [deepcopy(other) for other in self.books.get(instrument, []) if other.serial != order.serial]
        if order.new.group and order.new.prevention == Prevention.CANCEL_OLDEST:
            others = [other for other in others if other.new.group != order.new.group]
        elif order.new.prevention == Prevention.DECREMENT_BOTH:
            copy.new = structs.replace(order.new, prevention=Prevention.CANCEL_NEWEST)
        world = ReferenceMatching(next_serial=self.next_serial, books={instrument: others})
        world._match(copy, middle, limit)
        return order.qty - copy.qty

    def _rest_or_expire(self, order: Order) -> None:
        reason = order.reason
        if order.new.time_in_force in (TimeInForce.IMMEDIATE, TimeInForce.FILL_OR_KILL):
            reason = reason or Reason.IMMEDIATE
        elif reason == Reason.MINIMUM:
            reason = Reason.NONE
        if reason:
            self._report(ReportKind.EXPIRED, order, order.qty, reason=reason)
            return
        order.reason = Reason.NONE
        order.visible = min(order.new.display, order.qty) if order.is_displayed else 0
        self.books.setdefault(order.new.instrument, []).append(order)
        self._report(ReportKind.RESTED, order, order.qty, order.visible)

    # ---- trading -------------------------------------------------------------------------------------

    def _touch(self, instrument: int, side: int) -> int:
        shown = [order.limit for order in self._on_side(instrument, side) if order.is_displayed]
        return side * max(side * price for price in shown) if shown else 0

    def _midpoint(self, instrument: int) -> int:
        bid, ask = self._touch(instrument, 1), self._touch(instrument, -1)
        return (bid + ask) // 2 if 0 < bid < ask else 0

    def _next_maker(self, taker: Order, middle: int, limit: int, passed: set[int]) -> tuple[Order, int] | None:
        """Who trades next with ``taker``, and at which price; ``passed`` have been asked and did not agree."""
        found = []
        for maker in self._on_side(taker.new.instrument, -taker.new.side):
            price = middle if maker.is_peg else maker.limit
            if maker.auction or not price or price * taker.new.side > limit * taker.new.side:
                continue
            if maker.serial not in passed:
                found.append((price * taker.new.side, maker.queue, maker.shown, maker, price))
        if not found:
            return None
        *_, maker, price = min(found, key=lambda one: one[:3])
        return maker, price

    def _match(self, taker: Order, middle: int, limit: int) -> None:
        passed: set[int] = set()
        while taker.qty and not taker.reason:
            following = self._next_maker(taker, middle, limit, passed)
            if following is None:
                return
            maker, price = following
            if not maker.accepts(price) or min(maker.new.min_qty, maker.qty) > taker.qty:
                passed.add(maker.serial)
            elif self._is_own(maker, taker):
                self._prevent(taker, maker)
                passed.add(maker.serial)
            else:
                self._trade(taker, maker, price)

    @staticmethod
    def _is_own(maker: Order, taker: Order) -> bool:
        same = taker.new.group != 0 and maker.new.group == taker.new.group
        return same and taker.new.prevention != Prevention.ALLOW

    def _trade(self, taker: Order, maker: Order, price: int) -> None:
        qty = min(taker.qty, maker.visible if maker.is_displayed else maker.qty)
        taker.qty -= qty
        seen = self._take(maker, qty)
        self._report(
            ReportKind.EXECUTED,
            maker,
            qty,
            seen,
            price=price,
            match_number=self.next_match,
            taker_serial=taker.serial,
        )
        self.next_match += 1
        self.last[taker.new.instrument] = price
        self._tidy(maker)

    def _take(self, order: Order, qty: int) -> int:
        """Takes shares off, displayed ones first; returns how many of them were displayed."""
        seen = min(order.visible, qty)
        order.qty -= qty
        order.visible -= seen
        return seen

    def _tidy(self, order: Order) -> None:
        """An order that is done leaves; an iceberg that shows nothing shows its next slice, last in its queue."""
        if not order.qty:
            self._remove(order)
        elif order.is_displayed and not order.visible:
            order.visible = min(order.new.display, order.qty)
            order.shown = self.next_serial
            self.next_serial += 1
            self._report(ReportKind.REFRESHED, order, order.qty, order.visible)

    def _prevent(self, taker: Order, maker: Order) -> None:
        prevention = taker.new.prevention
        if prevention == Prevention.CANCEL_NEWEST:
            taker.reason = Reason.SELF_MATCH
            return
        off = maker.qty if prevention == Prevention.CANCEL_OLDEST else min(maker.qty, taker.qty)
        self._cut(maker, maker.qty - off, Reason.SELF_MATCH)
        if prevention == Prevention.DECREMENT_BOTH:
            taker.qty -= off
            kind = ReportKind.REDUCED if taker.qty else ReportKind.EXPIRED
            self._report(kind, taker, off, reason=Reason.SELF_MATCH)

    def _cut(self, order: Order, keep: int, reason: Reason) -> None:
        off, seen = order.qty - keep, max(order.visible - keep, 0)
        order.qty, order.visible = keep, order.visible - seen
        self._report(ReportKind.REDUCED if keep else ReportKind.DELETED, order, off, seen, reason=reason)
        if not keep:
            self._remove(order)

    def _settle_midpoint(self, instrument: int) -> None:
        middle = self._midpoint(instrument)
        if self._phase(instrument) is not Phase.CONTINUOUS or not middle:
            return
        for side in (1, -1):
            pegs = [order for order in self._on_side(instrument, side) if order.is_peg]
            for order in sorted(pegs, key=lambda order: order.shown):
                limit = side * min(side * middle, side * order.limit)
                if order.qty and self._available(order, middle, limit) >= min(order.new.min_qty, order.qty):
                    self._match(order, middle, limit)
                    if order.reason:
                        self._report(ReportKind.EXPIRED, order, order.qty, reason=order.reason)
                    if order.reason or not order.qty:
                        self._remove(order)

    # ---- auctions ------------------------------------------------------------------------------------

    def _taking_part(self, instrument: int, side: int, auction: int) -> list[Order]:
        """In the order in which they are executed."""

        def key(order: Order) -> tuple[int, ...]:
            return (-side * order.limit, not order.is_displayed, order.shown)

        orders = self._on_side(instrument, side)
        part = [order for order in orders if order.auction in (0, auction) and not order.is_peg]
        return sorted((order for order in part if not order.new.min_qty), key=key)

    def cross_price(self, instrument: int, auction: int, reference: int) -> tuple[int, int, int]:
        """By trying every price there is."""
        sides = {side: self._taking_part(instrument, side, auction) for side in (1, -1)}
        limits = [order.limit for orders in sides.values() for order in orders if abs(order.limit) != UNLIMITED]
        prices = set(range(min(limits), max(limits) + 1, self.tick)) if limits else set()
        results = []
        for price in prices | ({reference} if reference else set()):
            bought, sold = (sum(order.qty for order in sides[side] if order.accepts(price)) for side in (1, -1))
            results.append((-min(bought, sold), abs(bought - sold), abs(price - reference), price, bought - sold))
        if not results or min(results)[0] == 0:
            return 0, 0, 0
        volume, _, _, price, imbalance = min(results)
        return price, -volume, imbalance

    def uncross(self, instrument: int, auction: int, reference: int) -> list[Report]:
        self.reports = []
        price, volume, _ = self.cross_price(instrument, auction, reference)
        left = volume
        while left:
            buy, sell = (self._taking_part(instrument, side, auction)[0] for side in (1, -1))
            qty = min(left, buy.qty, sell.qty)
            for order in (buy, sell):
                seen = self._take(order, qty)
                self._report(ReportKind.CROSSED, order, qty, seen, price=price, match_number=self.next_match)
                self._tidy(order)
            self.next_match += 1
            left -= qty
        if volume:
            self.last[instrument] = price
            self.reports.append(Report(ReportKind.CROSS, price=price, qty=volume, match_number=self.next_match))
            self.next_match += 1
        for side in (1, -1):
            for order in self._taking_part(instrument, side, auction):
                if order.auction:
                    self._report(ReportKind.EXPIRED, order, order.qty, reason=Reason.AUCTION_OVER)
                    self._remove(order)
        self.set_phase(instrument, Phase.CONTINUOUS)
        self._settle_midpoint(instrument)
        return self.reports

    def _report(self, kind: ReportKind, order: Order, qty: int, visible: int = 0, *, price: int = -1, **fields) -> None:
        limit = 0 if abs(order.limit) == UNLIMITED else order.limit
        self.reports.append(
            Report(
                kind,
                order.serial,
                order.new.side,
                limit if price < 0 else price,
                qty,
                order.qty,
                visible,
                order.shown,
                **fields,
            )
        )
