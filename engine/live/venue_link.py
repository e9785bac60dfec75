"""What the core has of one venue: its feed, its order session, and the sockets of both."""

import logging
from select import EPOLLOUT, epoll
from typing import Any

import numpy as np

from engine.core.events import Stale
from engine.live.config import VenueConfig, load_account, read_json
from engine.live.connection import Connection
from engine.live.feed import MarketFeed, stale_event
from engine.live.feed_lines import FeedLines
from engine.live.loop import Gateway
from engine.live.loop_records import Market, Session
from engine.live.order_session import OrderSession, order_session_event
from engine.live.outside import HOST, Outside
from engine.live.recovery import InputState
from engine.live.snapshot_connection import SnapshotConnection

log = logging.getLogger("engine.core")

SECOND = 1_000_000_000
RECONNECT_NS = (SECOND // 5, 2 * SECOND)
DISCONNECT_NS = 2 * SECOND  # how long a kill that disconnects waits for its cancels
LOOPBACK = "127.0.0.1"


class VenueLink:
    """Inputs for the journal come back from each call, as from feed and order session. Times are steady ns, ``ts`` of
    the session clock. ``number`` is the venue's in orders and events, ``market`` and ``codec`` are what all venues
    share."""

    def __init__(
        self,
        number: int,
        config: VenueConfig,
        symbols: list[str],
        resume: InputState,
        poll: epoll,
        *,
        market: Market,
        codec: Session,
        outside: Outside = HOST,
    ) -> None:
        self._clocks, self._connect_to = outside.clocks, outside.connect
        account = load_account(config.account_file)
        self.number, self.config = number, config
        self.feed = MarketFeed(symbols, resume, account, config.snapshot_after, venue=number, market=market)
        self.orders = OrderSession(account, symbols, resume, venue=number, codec=codec)
        self.lines = FeedLines(config.itch_addresses, outside.bind)
        self.gateway = Gateway(self.feed, self.orders, self.lines.filenos)
        self._poll = poll
        self._snapshots = SnapshotConnection(self.feed, poll, outside.connect)
        self._connection: Connection | None = None
        self._connect_at, self._backoff = 0, RECONNECT_NS[0]
        self._retransmit: tuple[str, int] | None = None
        self._ouch: tuple[str, int] | None = None
        self._disconnect_by = 0

    def begin(self, ts: int, unanswered: int) -> list[np.ndarray]:
        """Whatever was known before this start is old: nothing trades here until feed and order session have caught up.
        ``unanswered``: queries that were sent without a core."""
        self.orders.unanswered += unanswered
        session = order_session_event(ts, up=False, venue=self.number, unanswered=self.orders.unanswered)
        return [session, stale_event(ts, Stale.GAP, venue=self.number)]

    def lend(self) -> None:
        """Tells the loop which connection it is to serve."""
        standing = self._connection if self._connection is not None and self._connection.established else None
        self.gateway.connection = standing.fileno if standing else -1
        self.gateway.direct = standing is not None and not standing.waiting

    def deadlines(self) -> list[int | None]:
        due = [self.feed.deadline(), self.orders.deadline()]
        return [*due, self._connect_at] if self._connection is None else due

    def close(self) -> None:
        """Lets go of its sockets."""
        if self._connection is not None:
            self._connection.close()
        self._snapshots.close()
        self.lines.close()

    # ---- market data ---------------------------------------------------------------------------------------

    def ask_again(self, now: int) -> None:
        for request in self.feed.joiner.requests(now):
            if self._retransmit is not None:
                self.lines.request(request, self._retransmit)

    # ---- the order session ---------------------------------------------------------------------------------

    def send_bytes(self, content: bytes = b"") -> bool:
        """Sends ``content``, or what the order session has to say; False when the connection is lost."""
        content = content or self.orders.take_bytes()
        return not content or self._connection is None or self._connection.send(content)

    def owns(self, descriptor: int) -> bool:
        return self._snapshots.owns(descriptor) or self._is_connection(descriptor)

    def _is_connection(self, descriptor: int) -> bool:
        return self._connection is not None and descriptor == self._connection.fileno

    def on_ready(self, descriptor: int, events: int, ts: int) -> list[np.ndarray]:
        """One of its own descriptors is ready."""
        if not self._is_connection(descriptor):
            return self._snapshots.on_event(self._clocks.monotonic_ns(), ts)
        assert self._connection is not None
        if not events & EPOLLOUT and self._connection.established:
            return []
        was_established = self._connection.established
        if not self._connection.on_writable():
            return self.disconnect(ts)
        if self._connection.established and not was_established:
            self.orders.connect(self._clocks.monotonic_ns())
        return []

    def caught_up(self) -> None:
        """The session is up: the next loss is met by a quick attempt again."""
        self._backoff = RECONNECT_NS[0]

    def check_session(self, ts: int) -> list[np.ndarray]:
        """Closes a connection whose session has ended."""
        if self._connection is not None and self._connection.established and not self.orders.connected:
            return self.disconnect(ts)
        return []

    def disconnect(self, ts: int) -> list[np.ndarray]:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._connect_at = self._clocks.monotonic_ns() + self._backoff
        return self.orders.lost(ts)

    def connect_if_due(self, now: int, ts: int) -> list[np.ndarray]:
        if self._connection is not None or now < self._connect_at:
            return []
        self._connect_at = now + self._backoff
        self._backoff = min(2 * self._backoff, RECONNECT_NS[1])
        if self._ouch is None:
            return []
        self._connection = Connection(self._ouch, self._poll, self._connect_to)
        return self.disconnect(ts) if self._connection.failed else []

    def keep_disconnected(self, now: int, killed: bool, waiting: int) -> bool:
        """A kill of the last level: whether the session is to be ended now, for every cancel is answered or those
        answers stay away (``waiting`` for so many)."""
        if not killed:
            self._disconnect_by = 0
            return False
        if self._connection is None:
            self._connect_at = now + RECONNECT_NS[1]  # nothing is due while nobody has re-armed it
            return False
        self._disconnect_by = self._disconnect_by or now + DISCONNECT_NS
        return now >= self._disconnect_by or not waiting

    # ---- now and then --------------------------------------------------------------------------------------

    def on_snapshot_time(self, now: int) -> None:
        self._snapshots.on_time(now)

    def read_ports(self) -> None:
        """Where the venue listens, once it has said so."""
        ports = read_json(self.config.ports_file)
        if ports:
            self._retransmit = (LOOPBACK, int(ports["itch_retransmit"]))
            self._ouch = (LOOPBACK, int(ports["ouch"]))
            self._snapshots.address = (LOOPBACK, int(ports["glimpse"])) if "glimpse" in ports else None

    def feed_age_ms(self) -> int:
        """Since the newest datagram, -1 before the first."""
        return (self._clocks.monotonic_ns() - self.feed.heard_at) // 1_000_000 if self.feed.heard_at else -1

    def status(self, state: np.void) -> dict[str, Any]:
        """``state`` is the step's VENUE_STATE of it."""
        return {
            "name": self.config.name,
            "dark": self.config.dark,
            "connected": self.orders.up,
            "stale": bool(state["stale"]),
            "feed_age_ms": self.feed_age_ms(),
        }
