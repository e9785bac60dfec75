"""A small exchange in virtual time for the tests beside it."""

from pathlib import Path
from typing import Any

import numpy as np

from engine.core.clock import SessionClock
from engine.protocols import itch, moldudp64, ouch
from engine.simulation import order_book
from engine.simulation.exchange import Exchange, Phase
from engine.simulation.market import Market
from engine.simulation.record import Record

SECOND = 1_000_000_000
EPOCH = 1_900_000_000 * SECOND
DATES = [20130102, 20130103, 20130104, 20130107]
SYMBOLS = ["KO", "PEP", "XOM"]
CLOSES = np.array([[37_6000, 69_5000, 0], [37_8000, 69_9000, 0], [38_0000, 69_1000, 0], [37_5000, 70_0000, 88_0000]])


class World:
    """One process lifetime of an exchange on ``folder``; days of two seconds, two accounts."""

    def __init__(self, folder: Path, seed: int = 7, **options: Any) -> None:
        self.market = Market(np.array(DATES), SYMBOLS, CLOSES, None, start=DATES[0], end=DATES[-1], seed=seed)
        self.record = Record(folder, ["ONE", "TWO"])
        left = self.market.after(self.record.state.started)
        self.clock = SessionClock(EPOCH, left or DATES[-1:], 2.0)
        self.exchange = Exchange(
            self.market, self.clock, self.record, ["ONE", "TWO"], seed=seed, finished=not left, **options
        )
        self.datagrams: list[bytes] = []
        self.now = EPOCH - SECOND
        self.cancelled_leftovers = self.exchange.cancel_leftovers()

    def run_until(self, wall_ns: int) -> None:
        while self.exchange.deadline() <= wall_ns:
            self.now = max(self.now, self.exchange.deadline())
            self.datagrams += self.exchange.on_time(self.now)
        self.now = wall_ns

    def open_market(self, day: int = 0) -> None:
        """To a moment well inside a session."""
        self.run_until(self.clock.open_wall_ns(day) + 330_000_000)
        assert self.exchange.phase is Phase.OPEN

    def close_market(self, day: int = 0) -> None:
        self.run_until(self.clock.close_wall_ns(day))

    def send(self, message: ouch.OuchMessage | bytes, account: str = "ONE") -> list[ouch.OuchMessage]:
        """What the account is told at once."""
        told = len(self.told(account))
        payload = message if isinstance(message, bytes) else ouch.encode(message)
        self.datagrams += self.exchange.on_order(account, payload, self.now)
        return self.told(account)[told:]

    def told(self, account: str = "ONE") -> list[ouch.OuchMessage]:
        return [ouch.decode_outbound(payload) for payload in self.record.streams[account].read(1, 1 << 30)]

    def market_data(self) -> dict[str, list[itch.ItchMessage]]:
        """Messages by session, checked to be numbered without a gap."""
        sessions: dict[str, list[itch.ItchMessage]] = {}
        for datagram in self.datagrams:
            packet = moldudp64.decode(datagram)
            messages = sessions.setdefault(packet.session, [])
            assert packet.sequence == len(messages) + 1
            messages += [itch.decode(message) for message in moldudp64.unframe(packet.block, packet.messages)]
        return sessions

    def quote(self, symbol: str, side: str) -> int:
        return int(order_book.best(self.exchange.books, SYMBOLS.index(symbol), 1 if side == "B" else -1))
