"""The order session with one venue: OUCH 5.0 in SoupBinTCP, without sockets.

After a login the venue sends again every message behind the newest one in the journal; an account query
follows, and its answer, which the venue queues behind all that, says that everything has come and which
order id it expects next. The answer to a query that an earlier connection sent may come first: how many
are unanswered is journaled before each query.
"""

import logging

import numpy as np

from engine.configuration import Account
from engine.core.events import EVENT, Kind
from engine.core.state import OUTPUTS
from engine.live.compiled_loop import encode_orders_of
from engine.live.loop_records import ORDER_SIDE, Session, new_session
from engine.live.recovery import InputState
from engine.protocols import ouch
from engine.protocols.feed import new_feed, set_date, symbol_keys
from engine.protocols.ouch_events import MAX_ORDER_BYTES, decode_report, firm_key
from engine.protocols.soupbintcp_session import (
    ClientSession,
    EndOfSession,
    LoggedIn,
    LoginRejected,
    Lost,
    Sequenced,
    State,
)

log = logging.getLogger(__name__)

ORDER_SESSION = int(Kind.ORDER_SESSION)
NOT_SENT = 0xFFFF  # the reason of an order that cannot be put into a message
QUERY_PATIENCE_NS = 500_000_000  # how long an answer that was counted on may fail to come


def order_session_event(
    ts: int,
    *,
    up: bool,
    venue: int = 0,
    next_id: int = 0,
    unanswered: int = 0,
    sequence: int = 0,
    missing: int = 0,
) -> np.ndarray:
    """EVENT[1] of kind ORDER_SESSION; ``qty`` counts the account queries without an answer, ``missing`` the reports
    that the venue does not have (any more)."""
    event = np.zeros(1, EVENT)
    event["ts_event"] = event["ts_recv"] = ts
    event["instrument"] = -1
    event["kind"], event["venue"] = ORDER_SESSION, venue
    event["code"], event["ref"] = int(up), next_id
    event["qty"], event["sequence"], event["missing"] = unanswered, sequence, missing
    return event


class OrderSession:
    """Inputs for the journal come back from each call; only once they are journaled may ``take_bytes`` be sent.

    ``codec`` is what all venues of a loop share, ``venue`` the row of this one."""

    def __init__(
        self,
        account: Account,
        symbols: list[str],
        resume: InputState,
        *,
        venue: int = 0,
        codec: Session | None = None,
    ) -> None:
        self.account, self.venue = account, venue
        self.codec = codec or new_session(symbol_keys(symbols), 1)
        self.up = False
        self.sequence = resume.order_sequence
        self.unanswered = resume.unanswered_queries
        self._symbols = self.codec.symbols
        self._feed = self.codec.feeds[venue]
        self._session: ClientSession | None = None
        self._next_id = 0
        self._answered_at = 0
        self._event = np.zeros(1, EVENT)
        self._side = np.zeros(1, ORDER_SIDE)
        self._side["firm"] = firm_key(account.username)
        self._refused = np.zeros(OUTPUTS, EVENT)

    @property
    def connected(self) -> bool:
        return self._session is not None

    def connect(self, now: int) -> None:
        """A connection is open: asks for everything behind the newest message that the journal has."""
        self._session = ClientSession(self.account.username, self.account.password, next_sequence=self.sequence + 1)
        self._session.connect(now)
        self._answered_at = 0

    def lend(self, side: np.void, date: int) -> None:
        """Makes the compiled loop ready (``side`` is its ORDER_SIDE record): reports are decoded, and orders encoded
        and sent, there. ``date`` is the trading date, 0 while it is not known."""
        self._follow(date)
        side["logged_in"] = self._session is not None and self._session.state is State.LOGGED_IN
        side["firm"], side["up"], side["sequence"] = self._side[0]["firm"], self.up, self._expected()
        side["heard_at"] = side["sent_at"] = 0

    def take_back(self, side: np.void) -> None:
        """Learns what the compiled loop has taken and sent."""
        messages = int(side["sequence"]) - self._expected()
        if self._session is not None:
            self._session.took(messages, int(side["heard_at"]), int(side["sent_at"]))
        if messages:
            self.sequence = int(side["sequence"])

    def _expected(self) -> int:
        """Number of the sequenced message before the next one, as the connection counts."""
        return self._session.next_sequence - 1 if self._session is not None else self.sequence

    def take_bytes(self) -> bytes:
        return self._session.take() if self._session else b""

    def deadline(self) -> int | None:
        """Steady time at which ``on_time`` has something to do."""
        if self._session is None:
            return None
        due = self._session.deadline()
        if self._answered_at and not self.up:
            patience = self._answered_at + QUERY_PATIENCE_NS
            return patience if due is None else min(due, patience)
        return due

    def receive(self, chunk: bytes, now: int, ts: int, date: int) -> list[np.ndarray]:
        """Inputs of the bytes in ``chunk``; after them ``connected`` may be False."""
        if self._session is None:
            return []
        self._follow(date)
        self._feed["ts_recv"] = ts
        inputs: list[np.ndarray] = []
        for event in self._session.receive(chunk, now):
            inputs += self._take(event, now, ts)
        return inputs

    def on_time(self, now: int, ts: int) -> list[np.ndarray]:
        if self._session is None:
            return []
        inputs: list[np.ndarray] = []
        for event in self._session.on_time(now):
            inputs += self._take(event, now, ts)
        if self._answered_at and not self.up and now >= self._answered_at + QUERY_PATIENCE_NS:
            inputs.append(self._caught_up(ts))
        return inputs

    def lost(self, ts: int) -> list[np.ndarray]:
        """The connection is gone: orders are in doubt from here on."""
        if self._session is None:
            return []
        self._session.connection_lost()
        self._session, was_up, self.up = None, self.up, False
        return [order_session_event(ts, up=False, venue=self.venue, unanswered=self.unanswered)] if was_up else []

    def send(self, orders: np.ndarray, now: int, ts: int) -> list[np.ndarray]:
        """Encodes what the step orders of this venue; returns a REJECTED input for each that OUCH cannot hold.

        Orders made while the session is down are in doubt like any other, and are resolved after the login.
        """
        side = self._side[0]
        side["up"], side["refused"] = self.up, 0
        out = self.codec.out[self.venue]
        size = encode_orders_of(self._side, orders, len(orders), self.venue, self._symbols, out, self._refused)
        if size and self._session is not None:
            self._session.send_packets(out[:size].tobytes(), now)
        return self.refuse(self._refused[: int(side["refused"])], ts)

    def refuse(self, orders: np.ndarray, ts: int) -> list[np.ndarray]:
        """A REJECTED input for each of these orders, which OUCH cannot hold."""
        refused: list[np.ndarray] = []
        for order in orders:
            log.error("order %d cannot be encoded", order["order_id"])
            refused += _not_sent(order, ts)
        return refused

    def _follow(self, date: int) -> None:
        if date and date != self._feed["date"]:
            set_date(self._feed, date)

    def logout(self, now: int) -> None:
        if self._session is not None:
            self._session.logout(now)

    def _take(self, event: object, now: int, ts: int) -> list[np.ndarray]:
        if isinstance(event, Sequenced):
            return self._report(event, now, ts)
        if isinstance(event, LoggedIn):
            return self._logged_in(event, now, ts)
        if isinstance(event, LoginRejected):
            why = (
                "user name or password are wrong" if event.reason == "A" else "the venue's stream is not the journal's"
            )
            log.error("the venue refused the login of %s (%s): %s", self.account.username, event.reason, why)
            return self.lost(ts)
        if isinstance(event, Lost | EndOfSession):
            log.warning("order session lost: %s", event)
            return self.lost(ts)
        return []

    def _logged_in(self, event: LoggedIn, now: int, ts: int) -> list[np.ndarray]:
        assert self._session is not None
        if event.sequence != event.requested:
            log.error("the venue goes on at message %d, %d was asked for", event.sequence, event.requested)
        self.unanswered += 1
        self._session.send_unsequenced(ouch.encode(ouch.AccountQuery()), now)
        missing = abs(event.sequence - event.requested)
        return [order_session_event(ts, up=False, venue=self.venue, unanswered=self.unanswered, missing=missing)]

    def _report(self, event: Sequenced, now: int, ts: int) -> list[np.ndarray]:
        message = np.frombuffer(event.payload, np.uint8)
        made = decode_report(message, 0, len(message), self._feed, self._symbols, self._event, 0)
        self.sequence = event.sequence
        if not made:
            return []
        if int(self._event[0]["kind"]) != ORDER_SESSION:
            self._event["sequence"] = event.sequence
            return [self._event.copy()]
        self.unanswered = max(self.unanswered - 1, 0)
        self._next_id, self._answered_at = int(self._event[0]["ref"]), now
        return [self._caught_up(ts)] if self.unanswered == 0 and not self.up else []

    def _caught_up(self, ts: int) -> np.ndarray:
        self.up, self.unanswered = True, 0
        return order_session_event(ts, up=True, venue=self.venue, next_id=self._next_id, sequence=self.sequence)


def warm_codecs(symbol: str) -> None:
    """Compiles the codecs, on an order that cannot be encoded and a message that is none."""
    event, content, symbols = np.zeros(1, EVENT), np.zeros(MAX_ORDER_BYTES, np.uint8), symbol_keys([symbol])
    encode_orders_of(np.zeros(1, ORDER_SIDE), event, 1, 0, symbols, content, np.zeros(1, EVENT))
    decode_report(np.frombuffer(b"\0", np.uint8), 0, 1, new_feed(), symbols, event, 0)


def _not_sent(order: np.void, ts: int) -> list[np.ndarray]:
    if int(order["kind"]) == Kind.ORDER_CANCEL:
        return []
    event = np.zeros(1, EVENT)
    event["ts_event"] = event["ts_recv"] = ts
    event["instrument"], event["venue"] = order["instrument"], order["venue"]
    event["kind"] = Kind.REJECTED
    event["order_id"], event["reason"] = order["order_id"], NOT_SENT
    return [event]
