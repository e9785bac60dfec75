"""The simulated exchange, without sockets: wall time and messages in, datagrams and streams out.

A trading day: half an hour before the opening the start-of-day messages (O, a directory and a trading state for each
symbol, S); at 09:30 Q and the makers' first quotes; a step of the crowd each ``STEP_NS`` of wall time; at 16:00 M, then
every order that is left expires, E, C, and the MoldUDP64 session (named by the date) ends. Orders match when they come.

With ``auctions`` orders are taken, and not matched, from the start-of-day messages on; the opening auction is held at
09:30 behind the makers' first quotes, the closing auction at 16:00 before M. Interest in them is published (I).

What a call returns may be sent at once: everything that an account is told in it is in the record already.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

import numpy as np

from engine.core.clock import SessionClock, midnight_ns
from engine.protocols import glimpse, itch, moldudp64
from engine.protocols.moldudp64_sender import RetransmissionStore, Sender
from engine.simulation import auction, flow, matching, matching_records, wire
from engine.simulation.accounts import OrderEntry
from engine.simulation.crosses import IMBALANCES_BEFORE_CLOSE, Crosses, Halt
from engine.simulation.fees import NO_FEES, Fees
from engine.simulation.market import Market
from engine.simulation.matching_records import CLOSING, OPENING
from engine.simulation.order_instructions import CANCELED_TIMEOUT
from engine.simulation.record import Record

log = logging.getLogger(__name__)

SECOND = 1_000_000_000
STEP_NS = 50_000_000
KEPT_SESSIONS = 3  # trading days whose messages can be asked for again
QUIET_DAY_SECONDS = 2.0  # the day length for which the crowd's rates are written down
MESSAGES_PER_SECOND = 600.0
COLLAR = 2_000  # 1/10,000 of the touch that an order may trade through
REPORTS_AT_ONCE = 1_024  # of several messages, before their market data leaves
THRESHOLD_SHARE = 0.35  # of a session's deviation: about 600 messages a second from 20 symbols in days of two seconds


class Phase(Enum):
    WAITING = "waiting"  # for the next day's start-of-day messages
    PRE_OPEN = "pre_open"
    OPEN = "open"
    FINISHED = "finished"  # no trading days are left


def warm_up(*, auctions: bool = True) -> None:
    """Compiles all that a trading day needs, on books of its own: seconds, better spent before the day begins."""
    books, crowd, frames = matching_records.matching_state(1), flow.flow_state(1, 0), wire.wire_state(["A"])
    reports = matching_records.report_buffer()
    price = np.array([100_0000.0])
    flow.start_day(crowd, price, price, np.array([0.01]), 1.0)
    for before, after in ((0.0, 0.0), (0.0, 0.5), (0.5, 1.0)):
        wire.encode(frames, 0, reports, flow.step(books, crowd, before, after, reports))
    order = matching_records.NewOrder(0, 1, flow.TICK, 1, owner=1, tag=1)
    flow.absorb(crowd, reports, 0, matching.enter_order(books, order, reports))
    matching.reduce(books, int(reports[0]["reference"]), 0, reports, 0)
    for which in (OPENING, CLOSING) if auctions else ():
        flow.enter_auction_orders(books, crowd, which, reports)
        auction.cross_price(books, 0, which, flow.TICK)
        flow.absorb(crowd, reports, 0, auction.uncross(books, 0, which, flow.TICK, reports, 0))
    flow.expire_all(books, crowd, reports)
    wire.encode_book(frames, 0, books)
    for _ in wire.drain(frames):
        continue


class Exchange:
    """``clock`` runs over the days that are left to trade; ``finished`` says from the start that there are none."""

    def __init__(
        self,
        market: Market,
        clock: SessionClock,
        record: Record,
        accounts: list[str],
        *,
        seed: int,
        messages_per_second: float = MESSAGES_PER_SECOND,
        finished: bool = False,
        auctions: bool = False,
        collar: int = COLLAR,
        halts: Sequence[Halt] = (),
        fees: Fees = NO_FEES,
        activity: float = 1.0,
        leader: "Exchange | None" = None,
        dark: bool = False,
    ) -> None:
        """``activity`` multiplies how often noise traders act; the makers stand where those of ``leader`` do. A
        ``dark`` one takes midpoint orders alone, and tells of trades alone."""
        self.market, self.clock, self.record = market, clock, record
        symbols = market.symbols
        self.books = matching_records.matching_state(
            len(symbols), record.first_free_match_number, tick=flow.TICK, collar=collar
        )
        busy = clock.day_seconds / QUIET_DAY_SECONDS
        self._leader = leader
        self.crowd = flow.flow_state(len(symbols), seed ^ clock.dates[0], max(busy, 1.0) * activity, dark=dark)
        share = THRESHOLD_SHARE * (len(symbols) / 20 / busy * MESSAGES_PER_SECOND / messages_per_second) ** 0.5
        self._threshold_share = min(max(share, 0.02), 1.5)
        self._wire = wire.wire_state(symbols, dark=dark)
        self._store = RetransmissionStore(max_sessions=KEPT_SESSIONS)
        self._sender: Sender | None = None
        self.orders = OrderEntry(symbols, accounts, self.books, self.crowd, record, fees, dark=dark)
        self.auctions = auctions
        self._crosses = Crosses(self.books, self.crowd, self._wire, self.orders, halts)
        self.phase = Phase.FINISHED if finished else Phase.WAITING
        self._day = 0  # index into the clock's dates
        self._step = 0  # the last step of the crowd
        self._sent_at = 0  # wall time
        self._system_events: list[str] = []  # of the day so far

    @property
    def trade_date(self) -> int:
        """The day (yyyymmdd) of the session that was begun last, 0 before the first."""
        return self.orders.now.trade_date

    def cancel_leftovers(self) -> int:
        """After a restart: tells accounts that what was working is cancelled; returns how many orders that were."""
        self.orders.now.trade_date = self.record.state.started
        self.orders.now.midnight = midnight_ns(self.record.state.started) if self.record.state.started else 0
        self.orders.now.ts = self._closing_time()
        cancelled = self.orders.cancel_leftovers()
        self.record.commit()
        return cancelled

    def _closing_time(self) -> int:
        """The close of the day that was cut off (it is over when anyone hears of it)."""
        started = self.record.state.started
        return SessionClock(0, [started], 1.0).close_ns(0) if started else 0

    # ---- time --------------------------------------------------------------------------------------

    def deadline(self) -> int:
        """The wall time (ns) at which ``on_time`` has something to do next."""
        due = self._due()
        if self._sender is None:
            return due
        return min(due, self._sent_at + SECOND)

    def _due(self) -> int:
        if self.phase is Phase.WAITING:
            return self.clock.pre_open_wall_ns(self._day)
        if self.phase is Phase.PRE_OPEN:
            return self.clock.open_wall_ns(self._day)
        if self.phase is Phase.OPEN:
            next_step = self.clock.open_wall_ns(self._day) + (self._step + 1) * STEP_NS
            return min(next_step, self.clock.close_wall_ns(self._day))
        return 1 << 62

    def on_time(self, wall_ns: int) -> list[bytes]:
        """Does everything that is due at ``wall_ns``; returns the datagrams to send to every receiver."""
        datagrams: list[bytes] = []
        while self._due() <= wall_ns:
            if self.phase is Phase.WAITING:
                datagrams += self._begin_day(wall_ns)
            elif self.phase is Phase.PRE_OPEN:
                datagrams += self._open(wall_ns)
            elif wall_ns >= self.clock.close_wall_ns(self._day):
                datagrams += self._close(wall_ns)
            else:
                datagrams += self._let_crowd_act(wall_ns)
        self.record.commit()
        if self._sender and wall_ns - self._sent_at >= SECOND and not datagrams:
            datagrams = [beat for beat in [self._sender.heartbeat(wall_ns)] if beat]
        if datagrams:
            self._sent_at = wall_ns
        return datagrams

    def _set_time(self, session_ns: int) -> None:
        """Time never goes back, whatever the wall clock does."""
        self.orders.now.ts = max(self.orders.now.ts, session_ns)

    def _begin_day(self, wall_ns: int) -> list[bytes]:
        date = self.clock.dates[self._day]
        self.record.start_day(date)
        day = self.market.day(date)
        flow.start_day(self.crowd, day.opens, day.closes, day.deviations, self._threshold_share)
        now = self.orders.now
        now.trade_date, now.midnight = date, midnight_ns(date)
        self._set_time(self.clock.session_ns(self.clock.pre_open_wall_ns(self._day)))
        self.orders.halted = {index for index, close in enumerate(day.closes) if close <= 0}
        self._crosses.start_day(collecting=self.auctions)
        now.open = self.auctions
        self._sender = Sender(str(date), self._store, now=wall_ns)
        self._system_events = []
        self.orders.tell_all("S")
        self.phase = Phase.PRE_OPEN
        return self._sender.send([self._event("O"), *self._directory(), self._event("S")], wall_ns)

    def _open(self, wall_ns: int) -> list[bytes]:
        self._set_time(self.clock.open_ns(self._day))
        self.phase, self._step = Phase.OPEN, 0
        self.orders.now.open = True
        if not self.auctions:
            datagrams = self._send([self._event("Q")], wall_ns)
            return datagrams + self._publish(self._act(0.0, 0.0), wall_ns)
        datagrams = self._publish(self._act(0.0, 0.0), wall_ns)
        datagrams += self._hold_auctions(OPENING, "O", wall_ns)
        return datagrams + self._send([self._event("Q")], wall_ns)

    def _act(self, before: float, after: float) -> int:
        """The crowd acts once; how many reports that makes."""
        if self._leader is not None:
            flow.follow(self.crowd, self._leader.crowd)
        return int(flow.step(self.books, self.crowd, before, after, self.orders.reports))

    def _hold_auctions(self, which: int, cross_type: str, wall_ns: int) -> list[bytes]:
        """The crowd's orders for it, an I for each symbol, then the auction."""
        n = flow.enter_auction_orders(self.books, self.crowd, which, self.orders.reports)
        datagrams = self._publish(n, wall_ns)
        datagrams += self._send(self._crosses.imbalances(cross_type), wall_ns)
        self._crosses.hold_all(cross_type)
        return datagrams + self._packets(wall_ns)

    def _let_crowd_act(self, wall_ns: int) -> list[bytes]:
        """One step for all the time since the last one: a late wake-up costs steps, not days."""
        opened, closes = self.clock.open_wall_ns(self._day), self.clock.close_wall_ns(self._day)
        step = (wall_ns - opened) // STEP_NS
        before, after = (min(k * STEP_NS / (closes - opened), 1.0) for k in (self._step, step))
        self._step = step
        self._set_time(self.clock.session_ns(wall_ns))
        self._watch_match_numbers()
        datagrams = self._halt_and_resume(wall_ns)
        if self.auctions and self.clock.close_ns(self._day) - self.orders.now.ts <= IMBALANCES_BEFORE_CLOSE:
            datagrams += self._send(self._crosses.imbalances("C"), wall_ns)
        n = self._act(before, after)
        return datagrams + self._publish(n, wall_ns)

    def _halt_and_resume(self, wall_ns: int) -> list[bytes]:
        datagrams = []
        for message in self._crosses.on_time():
            datagrams += self._packets(wall_ns) + self._send([message], wall_ns)
        return datagrams + self._packets(wall_ns)

    def _watch_match_numbers(self) -> None:
        next_match = int(self.books["next_match"])
        if self.record.runs_short(next_match):
            self.record.reserve_match_numbers(next_match)

    def _close(self, wall_ns: int) -> list[bytes]:
        opened, closes = self.clock.open_wall_ns(self._day), self.clock.close_wall_ns(self._day)
        before = min(self._step * STEP_NS / (closes - opened), 1.0)
        self._set_time(self.clock.close_ns(self._day))
        datagrams = self._publish(self._act(before, 1.0), wall_ns)
        if self.auctions:
            datagrams += self._hold_auctions(CLOSING, "C", wall_ns)
        self.orders.now.open = False
        datagrams += self._send([self._event("M")], wall_ns)
        expired = flow.expire_all(self.books, self.crowd, self.orders.reports)
        datagrams += self._publish(expired, wall_ns, CANCELED_TIMEOUT)
        self.orders.tell_all("E")
        datagrams += self._send([self._event("E"), self._event("C")], wall_ns)
        assert self._sender is not None
        datagrams.append(self._sender.end(wall_ns))
        self.record.commit()
        self.record.finish_day(self.clock.dates[self._day])
        self._day += 1
        self.phase = Phase.WAITING
        if self._day == len(self.clock.dates):
            self.phase = Phase.FINISHED
            log.info("the last trading day, %d, is over: nothing is quoted any more", self.trade_date)
        return datagrams

    # ---- messages ----------------------------------------------------------------------------------

    def on_order(self, account: str, payload: bytes, wall_ns: int) -> list[bytes]:
        """``on_orders`` of one."""
        return self.on_orders([(account, payload)], wall_ns)

    def on_orders(self, messages: Sequence[tuple[str, bytes]], wall_ns: int) -> list[bytes]:
        """Handles (account, OUCH message) in turn, after all that was due before; returns datagrams.

        All that they cause is recorded in one write, and before anything of it is sent.
        """
        datagrams = self.on_time(wall_ns)
        if self.orders.now.open:
            self._set_time(self.clock.session_ns(wall_ns))
        unsent = 0  # reports since the last packet was cut
        for account, payload in messages:
            if self.orders.now.open:
                self._watch_match_numbers()
            n = self.orders.on_message(account, payload)
            if unsent and unsent + n > REPORTS_AT_ONCE:
                datagrams += self._packets(wall_ns)
                unsent = 0
            if n:
                wire.encode(self._wire, self.orders.now.since_midnight, self.orders.reports, n)
                unsent += n
        self.record.commit()
        return datagrams + self._packets(wall_ns)

    def respond(self, request: bytes) -> list[bytes]:
        """Datagrams that answer a MoldUDP64 request packet."""
        return self._store.respond(request)

    def snapshot(self) -> glimpse.Spin | None:
        """The day's state as of now for those who come late; None before the first day."""
        if self._sender is None:
            return None
        timestamp = self.orders.now.since_midnight
        events = [itch.encode(itch.SystemEvent(0, 0, timestamp, code)) for code in self._system_events]
        wire.encode_book(self._wire, timestamp, self.books)
        orders = (message for block, count in wire.drain(self._wire) for message in moldudp64.unframe(block, count))
        return glimpse.spin(
            self._sender.session, self._sender.next_sequence, events[:1], self._directory(), events[1:], orders
        )

    def _publish(self, n: int, wall_ns: int, reason: str = CANCELED_TIMEOUT) -> list[bytes]:
        """Market data of ``n`` reports, and to accounts what became of their orders; ``reason`` for cancels."""
        wire.encode(self._wire, self.orders.now.since_midnight, self.orders.reports, n)
        if self.orders.working:
            self.orders.tell_owners(n, reason)
        return self._packets(wall_ns)

    def _packets(self, wall_ns: int) -> list[bytes]:
        return [self._send_block(block, count, wall_ns) for block, count in wire.drain(self._wire)]

    def _send_block(self, block: bytes, count: int, wall_ns: int) -> bytes:
        assert self._sender is not None
        return self._sender.send_packet(block, count, wall_ns)

    def _send(self, messages: Iterable[bytes], wall_ns: int) -> list[bytes]:
        assert self._sender is not None
        return self._sender.send(messages, wall_ns)

    def _event(self, code: str) -> bytes:
        """A system event, which the day's snapshots repeat from now on."""
        self._system_events.append(code)
        return itch.encode(itch.SystemEvent(0, 0, self.orders.now.since_midnight, code))

    def _directory(self) -> Iterator[bytes]:
        timestamp = self.orders.now.since_midnight
        for index, symbol in enumerate(self.market.symbols):
            yield itch.encode(
                itch.StockDirectory(
                    stock_locate=index + 1,
                    tracking_number=0,
                    timestamp=timestamp,
                    stock=symbol,
                    market_category="Q",
                    financial_status_indicator="N",
                    round_lot_size=100,
                    round_lots_only="N",
                    issue_classification="C",
                    issue_sub_type="Z",
                    authenticity="T",
                    short_sale_threshold_indicator="N",
                    ipo_flag="N",
                    luld_reference_price_tier="1",
                    etp_flag="N",
                    etp_leverage_factor=0,
                    inverse_indicator="N",
                )
            )
            yield self._crosses.trading_action(index, self._crosses.state_of(index), "")
