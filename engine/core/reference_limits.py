"""The limit checks written to be obviously right: everything is added up from positions, orders and marks. The measure
of ``engine.core.limits`` and of the totals in ``engine.core.exposure``.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from engine.core.capacities import DESKS
from engine.core.limit_names import Level, Limit
from engine.core.limits import BEYOND, FLOOR, MOST
from engine.core.orders import OrderState
from engine.core.risk_record import DESK_LEVELS, STRATEGY_LEVELS, SYMBOL_LEVELS

OPEN_STATES = range(OrderState.PENDING_NEW, OrderState.PENDING_CANCEL + 1)
Answer = tuple[Limit, Level, int, int]
PASSED: Answer = (Limit.NONE, Level.FIRM, 0, 0)


@dataclass(frozen=True)
class Holding:
    """One strategy's position in one instrument, at a mark."""

    strategy: int
    instrument: int
    position: int
    cost: int
    banked: int  # realised less fees
    buys: int
    sells: int
    mark: int

    @property
    def exposure(self) -> int:
        return max(abs(self.position + self.buys), abs(self.position - self.sells))

    def worst(self, side: int) -> int:
        return self.position + self.buys if side > 0 else self.sells - self.position


@dataclass(frozen=True)
class Totals:
    """Over some holdings, as ``engine.core.exposure`` keeps them."""

    gross: int
    net: int
    buying: int
    selling: int
    profit: int


def mark(market: Any) -> int:
    if market["bid"] > 0 and market["ask"] > 0:
        return (int(market["bid"]) + int(market["ask"])) // 2
    return int(market["last"] if market["last"] > 0 else market["close"])


def bps(distance: int, price: int) -> int:
    return -(-distance * 10_000 // price) if distance > 0 and price > 0 else 0


class ReferenceLimits:
    """Answers for one STATE record as it is when the first question about a level is asked."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.under, self.here, self.totals = cache(self._under), cache(self._here), cache(self._totals)
        is_open = np.isin(state["orders"]["state"], list(OPEN_STATES))
        where = ("instrument", "venue", "side", "price")
        self._open = [tuple(int(row[name]) for name in where) for row in state["orders"][is_open]]

    @cached_property
    def holdings(self) -> list[Holding]:
        state, found = self.state, []
        held = state["positions"]
        touched = (held["position"] != 0) | (held["working_buy"] != 0) | (held["working_sell"] != 0)
        touched |= (held["realised"] != 0) | (held["fees"] != 0) | (held["cost"] != 0)
        for strategy, instrument in zip(*touched.nonzero(), strict=True):
            row = held[strategy, instrument]
            position, cost, buys, sells = (
                int(row[name]) for name in ("position", "cost", "working_buy", "working_sell")
            )
            banked = int(row["realised"]) - int(row["fees"])
            at = mark(state["market"][instrument])
            found.append(Holding(int(strategy), int(instrument), position, cost, banked, buys, sells, at))
        return found

    def _under(self, level: Level, strategy: int, instrument: int) -> list[Holding]:
        """The holdings that count at the level which an order of this strategy in this instrument meets."""
        desks = self.state["slots"]["desk"]
        return [
            held
            for held in self.holdings
            if level is Level.FIRM
            or (level is Level.DESK and desks[held.strategy] == desks[strategy])
            or (level is Level.STRATEGY and held.strategy == strategy)
            or (level is Level.SYMBOL and held.instrument == instrument)
        ]

    def row(self, level: Level, strategy: int, instrument: int) -> Any:
        places = {
            Level.FIRM: 0,
            Level.DESK: DESK_LEVELS + int(self.state["slots"][strategy]["desk"]) % DESKS,
            Level.STRATEGY: STRATEGY_LEVELS + strategy,
            Level.SYMBOL: SYMBOL_LEVELS + instrument,
        }
        return self.state["levels"][places[level]]

    def _totals(self, level: Level, strategy: int, instrument: int) -> Totals:
        holdings = self.under(level, strategy, instrument)
        return Totals(
            gross=sum(held.exposure * held.mark for held in holdings),
            net=sum(held.position * held.mark for held in holdings),
            buying=sum(held.buys * held.mark for held in holdings),
            selling=sum(held.sells * held.mark for held in holdings),
            profit=sum(held.banked + held.position * held.mark - held.cost for held in holdings),
        )

    def check(self, strategy: int, instrument: int, side: int, qty: int, price: int, venue: int = 0) -> Answer:
        """As ``limits.check_order``."""
        own = sum(held.worst(side) for held in self.here(Level.STRATEGY, strategy, instrument))
        reduces = own + qty <= 0
        order = self._order_values(strategy, instrument, side, qty, price, reduces)
        bundle = self.state["bundle"]
        if not bundle["valid_from"] <= self.state["now"] <= bundle["valid_until"]:
            if not reduces:
                return Limit.BUNDLE, Level.FIRM, int(bundle["valid_until"]), int(self.state["now"])
            floor = {Limit(limit): FLOOR[limit] for limit in range(1, len(FLOOR))}
            for limit, most in floor.items():
                if order[limit] > most:
                    return limit, Level.FIRM, most, order[limit]
            return self._conditions(instrument, venue, side, qty, price, reduces)
        for level in Level:
            values = order | self._level_values(level, strategy, instrument, side, qty, price, reduces)
            entry = self.row(level, strategy, instrument)
            for limit in sorted(values):
                most = int(entry["limit"][limit])
                if values[limit] > most:
                    return limit, level, max(most, 0), values[limit]
            if not reduces and (refused := self._permission(entry, level, instrument, venue)):
                return refused
        return self._conditions(instrument, venue, side, qty, price, reduces)

    def _here(self, level: Level, strategy: int, instrument: int) -> list[Holding]:
        """Of them, those in the order's instrument."""
        return [held for held in self.under(level, strategy, instrument) if held.instrument == instrument]

    def _order_values(
        self, strategy: int, instrument: int, side: int, qty: int, price: int, reduces: bool
    ) -> dict[Limit, int]:
        state, market = self.state, self.state["market"][instrument]
        sized = 0 < qty <= MOST and 0 < price <= MOST
        bid, ask = int(market["bid"]), int(market["ask"])
        near, far = (bid, ask) if side > 0 else (ask, bid)
        reference = int(market["last"] if market["last"] > 0 else market["close"])
        priced = sized and (near > 0 or far > 0 or reference > 0)
        values = {
            Limit.ORDER_QTY: qty,
            Limit.ORDER_NOTIONAL: qty * price if sized else BEYOND,
            Limit.COLLAR_REFERENCE: bps(abs(price - reference), reference) if priced else BEYOND,
            Limit.COLLAR_NEAR_TOUCH: bps((near - price) * side, near) if priced else BEYOND,
            Limit.COLLAR_FAR_TOUCH: bps((price - far) * side, far) if priced else BEYOND,
        }
        if not reduces:
            security, now = state["securities"][instrument], int(state["now"])
            values[Limit.QUOTE_AGE] = BEYOND if state["feed_stale"] else now - int(security["heard_at"])
            values[Limit.CLOCK_SKEW] = abs(int(security["skew"]))
            values[Limit.DUPLICATE_ORDERS] = self._equal_orders(strategy, instrument, side * qty, price)
        return values

    def _equal_orders(self, strategy: int, instrument: int, signed_qty: int, price: int) -> int:
        state = self.state
        known = state["recent"][strategy]
        same = (known["instrument"] == instrument) & (known["qty"] == signed_qty) & (known["price"] == price)
        fresh = same & (known["count"] > 0) & (state["now"] - known["at"] <= state["bundle"]["duplicate_window"])
        return int(known["count"][fresh].max(initial=0)) + 1

    def _level_values(
        self, level: Level, strategy: int, instrument: int, side: int, qty: int, price: int, reduces: bool
    ) -> dict[Limit, int]:
        here = self.here(level, strategy, instrument)
        totals, entry = self.totals(level, strategy, instrument), self.row(level, strategy, instrument)
        at = self._mark(instrument)
        worst = sum(held.worst(side) for held in here) + qty
        sized = 0 < qty <= MOST and 0 < price <= MOST
        own = self.here(Level.STRATEGY, strategy, instrument)
        before = sum(held.exposure for held in own)
        grown = (max(sum(held.worst(side) for held in own) + qty, before) - before) * max(price, at)
        values: dict[Limit, int] = {}
        if worst > 0:
            values[Limit.LONG_POSITION if side > 0 else Limit.SHORT_POSITION] = worst
            on_side = totals.buying if side > 0 else totals.selling
            added = qty * max(price, at) if sized else BEYOND
            values[Limit.NET_NOTIONAL] = max(side * totals.net + on_side + added, 0)
        if worst > 0 and grown > 0:
            values[Limit.GROSS_NOTIONAL] = totals.gross + grown
            values[Limit.CONCENTRATION] = sum(held.exposure for held in here) * at + grown
        if not reduces:
            values[Limit.DAY_LOSS] = max(int(entry["day_began"]) - totals.profit, 0)
            values[Limit.DRAWDOWN] = int(entry["peak"]) - totals.profit
            values[Limit.ORDER_RATE] = self._in_bucket(entry, "order_bucket", Limit.ORDER_RATE)
            values[Limit.MESSAGE_RATE] = self._in_bucket(entry, "message_bucket", Limit.MESSAGE_RATE)
            values[Limit.CANCEL_RATIO] = int(entry["cancels"]) * 1_000 // max(int(entry["orders"]), 100)
            values[Limit.EXECUTIONS] = int(entry["executions"])
        return values

    def _mark(self, instrument: int) -> int:
        return mark(self.state["market"][instrument])

    def _in_bucket(self, entry: Any, bucket: str, limit: Limit) -> int:
        second = 1_000_000_000
        elapsed = min(int(self.state["now"]) - int(entry["leaked_at"]), second)
        left = max(int(entry[bucket]) - elapsed * int(entry["limit"][limit]), 0)
        return 1 - (-left // second)

    def _permission(self, entry: Any, level: Level, instrument: int, venue: int) -> Answer | None:
        since_open = int(self.state["now"]) - int(self.state["opened_at"])
        if entry["throttled"]:
            return Limit.EXECUTIONS, level, max(int(entry["limit"][Limit.EXECUTIONS]), 0), int(entry["executions"])
        if not int(entry["instruments"][instrument // 64]) >> instrument % 64 & 1:
            return Limit.INSTRUMENT, level, 0, instrument
        if not int(entry["venues"]) >> venue & 1:
            return Limit.VENUE, level, int(entry["venues"]), venue
        if not entry["hours_from"] <= since_open < entry["hours_until"]:
            return Limit.HOURS, level, int(entry["hours_until"]), since_open
        return None

    def _conditions(self, instrument: int, venue: int, side: int, qty: int, price: int, reduces: bool) -> Answer:
        market, security = self.state["market"][instrument], self.state["securities"][instrument]
        bid, ask = int(market["bid"]), int(market["ask"])
        if not reduces and security["restricted"]:
            return Limit.RESTRICTED, Level.SYMBOL, 0, qty
        if not reduces and bid >= ask > 0:
            return Limit.CROSSED_MARKET, Level.SYMBOL, ask, bid
        if side < 0 and self.is_short(instrument, qty):
            if security["price_test"] and price <= bid:
                return Limit.PRICE_TEST, Level.SYMBOL, bid, price
            if security["located"] + qty > security["locate"]:
                return Limit.LOCATE, Level.SYMBOL, int(security["locate"]), int(security["located"]) + qty
        meeting = [at for what, where, on, at in self._open if (what, where, on) == (instrument, venue, -side)]
        best = (min(meeting) if side > 0 else max(meeting)) if meeting else 0
        if meeting and (price - best) * side >= 0:
            return Limit.SELF_TRADE, Level.FIRM, best, price
        return PASSED

    def is_short(self, instrument: int, qty: int) -> bool:
        here = self.here(Level.SYMBOL, 0, instrument)
        free = sum(held.position for held in here) - sum(held.sells for held in here)
        return qty > free + int(self.state["securities"][instrument]["allotted"])
