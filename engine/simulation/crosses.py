"""Auctions and halts of the exchange's books, with the ITCH messages that speak of them.

Net Order Imbalance Indicator (I, section 1.6), Stock Trading Action (H, 1.2.2) and, by ``wire``, Cross Trade (Q,
1.5.2). The far price of an I is not worked out and is 0; its near price is the auction's if it were held now.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from engine.errors import BadInput
from engine.protocols import itch
from engine.simulation import auction, flow, wire
from engine.simulation.accounts import CROSS_FLAGS, OrderEntry
from engine.simulation.matching_records import CLOSING, COLLECTING, HALTED, OPENING

AUCTIONS = {"O": OPENING, "C": CLOSING, "H": OPENING}  # by ITCH's cross type
SECOND = 1_000_000_000
IMBALANCES_BEFORE_CLOSE = 600 * SECOND  # from then on, interest in the closing auction is published


class Halt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A halt, every trading day; times in New York, hh:mm or hh:mm:ss. Without ``resume`` it lasts until the close."""

    symbol: str
    begin: str
    collect: str = ""  # orders for the reopening are taken from here on
    resume: str = ""

    def transitions(self) -> list[tuple[int, str]]:
        """(ns since midnight, ITCH trading state), in order. Raises ``BadInput``."""
        named = [("begin", self.begin, "H"), ("collect", self.collect, "Q"), ("resume", self.resume, "T")]
        found = [(_since_midnight(f"halts.{name}", text), state) for name, text, state in named if text]
        if [at for at, _ in found] != sorted({at for at, _ in found}) or (self.resume and not self.collect):
            raise BadInput("out_of_order", "halts", self.symbol, "begin, then collect, then resume, in this order")
        return found


def _since_midnight(field: str, text: str) -> int:
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or not all(part.isdecimal() and int(part) < 60 for part in parts):
        raise BadInput("bad_time", field, text, "hh:mm or hh:mm:ss")
    hours, minutes, seconds = (*map(int, parts), 0)[:3]
    if hours > 23:
        raise BadInput("bad_time", field, text, "hh:mm or hh:mm:ss")
    return (hours * 3600 + minutes * 60 + seconds) * SECOND


class Crosses:
    """Acts on ``books`` and encodes into ``frames`` what the market is told; accounts are told through ``orders``."""

    def __init__(
        self, books: np.record, crowd: np.record, frames: np.record, orders: OrderEntry, halts: Sequence[Halt]
    ) -> None:
        self._books, self._crowd, self._frames, self._orders = books, crowd, frames, orders
        for halt in halts:
            if halt.symbol not in orders.instruments:
                raise BadInput("unknown_symbol", "halts", halt.symbol, "a symbol that is traded here")
        self._schedule = sorted((at, halt.symbol, state) for halt in halts for at, state in halt.transitions())
        self._done = 0

    def start_day(self, *, collecting: bool) -> None:
        """Sets every book's phase; symbols that do not trade today are halted."""
        self._done = 0
        phases = np.zeros(len(self._orders.symbols), np.int32)
        phases[:] = COLLECTING if collecting else 0
        phases[list(self._orders.halted)] = HALTED
        self._books["phase"][: len(phases)] = phases
        self._books["last"][: len(phases)] = self.references()

    def references(self) -> np.ndarray:
        """The price on the tick that is nearest to each symbol's fundamental price; 0 where none is traded."""
        agents = self._crowd["agents"][: len(self._orders.symbols)]
        ticks = np.maximum(np.rint(np.exp(agents["fundamental"]) / flow.TICK), 1)
        return np.where(agents["active"] > 0, ticks * flow.TICK, 0).astype(np.int64)

    def state_of(self, index: int) -> str:
        """ITCH's trading state."""
        phase = int(self._books["phase"][index])
        if index in self._orders.halted or phase == HALTED:
            return "H"
        return "Q" if phase == COLLECTING and self._orders.now.open and self._done else "T"

    # ---- auctions ------------------------------------------------------------------------------------

    def hold(self, index: int, cross_type: str, reference: int) -> int:
        """Holds one book's auction; the number of reports, which are encoded and told already."""
        n = int(auction.uncross(self._books, index, AUCTIONS[cross_type], reference, self._orders.reports, 0))
        self._frames["cross_type"] = ord(cross_type)
        self._orders.cross_flag = CROSS_FLAGS[cross_type]
        flow.absorb(self._crowd, self._orders.reports, 0, n)
        wire.encode(self._frames, self._orders.now.since_midnight, self._orders.reports, n)
        self._orders.tell_owners(n)
        return n

    def hold_all(self, cross_type: str) -> None:
        """The opening or closing of every book that is not halted."""
        for index, reference in enumerate(self.references().tolist()):
            if int(self._books["phase"][index]) != HALTED:
                self.hold(index, cross_type, reference)

    def imbalances(self, cross_type: str) -> Iterable[bytes]:
        """An I for every book that is not halted and has orders of the auction, or is collecting them."""
        references = self.references().tolist()
        for index, reference in enumerate(references):
            waiting = self._books["auctions"][index, AUCTIONS[cross_type] - OPENING]["head"]
            phase = int(self._books["phase"][index])
            if phase != HALTED and (phase == COLLECTING or (waiting >= 0).any()):
                yield self.imbalance(index, cross_type, reference)

    def imbalance(self, index: int, cross_type: str, reference: int) -> bytes:
        price, volume, imbalance = auction.cross_price(self._books, index, AUCTIONS[cross_type], reference)
        message = itch.NetOrderImbalance(
            stock_locate=index + 1,
            tracking_number=0,
            timestamp=self._orders.now.since_midnight,
            paired_shares=volume,
            imbalance_shares=abs(imbalance),
            imbalance_direction="O" if not price else "B" if imbalance > 0 else "S" if imbalance < 0 else "N",
            stock=self._orders.symbols[index],
            far_price=0,
            near_price=price,
            current_reference_price=reference,
            cross_type=cross_type,
            price_variation_indicator=price_variation(price, reference),
        )
        return itch.encode(message)

    # ---- halts ---------------------------------------------------------------------------------------

    def on_time(self) -> Iterable[bytes]:
        """Halts and reopens what is due; yields messages, each before the frames that follow from it."""
        while self._done < len(self._schedule) and self._schedule[self._done][0] <= self._orders.now.since_midnight:
            _, symbol, state = self._schedule[self._done]
            self._done += 1
            index = self._orders.instruments[symbol]
            if index not in self._orders.halted:
                yield from self._change(index, state)

    def _change(self, index: int, state: str) -> Iterable[bytes]:
        if state == "T":
            reference = int(self._books["last"][index])
            yield self.imbalance(index, "H", reference)
            yield self.trading_action(index, "T", "R4")
            self.hold(index, "H", reference)
        else:
            self._books["phase"][index] = HALTED if state == "H" else COLLECTING
            yield self.trading_action(index, state, "T1")

    def trading_action(self, index: int, state: str, reason: str) -> bytes:
        symbol, timestamp = self._orders.symbols[index], self._orders.now.since_midnight
        return itch.encode(itch.StockTradingAction(index + 1, 0, timestamp, symbol, state, " ", reason))


def price_variation(price: int, reference: int) -> str:
    """How far it is from the reference: L below 1 %, 1 to 9 for whole per cents, A, B and C from 10, 20 and 30."""
    if not price or not reference:
        return " "
    per_cent = abs(price - reference) * 100 // reference
    return "L123456789"[per_cent] if per_cent < 10 else "ABC"[min(per_cent // 10, 3) - 1]
