"""The replay form of the simulated venue: own orders as ghosts in a historic book, which they cannot change.

The historic messages go on as they were; a ghost stands in the queue where it would have stood.

- A marketable ghost takes displayed shares of the other side, best price first, oldest first. A ledger remembers how
  many shares of each historic order are taken: **no displayed share is ever sold twice**, to one ghost or to two.
- A resting ghost has the shares ahead of it that were displayed at its price when it came. Executions and cancels of
  those orders move it forward (``queue_position`` says how, when it is not known whose shares they were). A historic
  execution trades it when it has nobody ahead at its price, or its price is better; **no executed share fills two
  ghosts**, and none fills more shares than were executed.
- A historic order that comes in and would trade with a ghost trades with it, before it rests; what it traded is taken
  from it in the ledger.

Ghosts never trade with each other. Fees, latencies and impact are pieces of their own (``fees``, ``latency``,
``impact``). This is the plain form, written to be obviously right; ``compiled_replay`` is the fast one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.core.events import Kind, TimeInForce
from engine.simulation.impact import Impact, NoImpact
from engine.simulation.queue_position import ByOrder, QueuePosition


@dataclass
class Historic:
    """An order of the historic book; ``taken`` are the shares of it that ghosts have had."""

    order_id: int
    instrument: int
    side: int  # +1 bid, -1 ask
    price: int
    qty: int
    place: int  # rises with the time of entry
    taken: int = 0

    @property
    def free(self) -> int:
        return max(self.qty - self.taken, 0)


@dataclass
class Ghost:
    """An own order. ``ahead``: displayed shares that trade before it; ``place``: those that came later are behind."""

    order_id: int
    instrument: int
    side: int
    price: int
    qty: int  # open
    place: int = 0
    ahead: int = 0


@dataclass(frozen=True)
class Fill:
    order_id: int
    price: int  # 1/10,000, the impact in it
    qty: int
    flag: str  # A added, R removed


@dataclass(frozen=True)
class Ended:
    """What was left of a ghost is gone: cancelled by request, or not taken and immediate."""

    order_id: int
    qty: int


@dataclass
class ReplayVenue:
    """One venue, all instruments. Times are the caller's: orders are entered when their latency has passed."""

    queue_position: QueuePosition = field(default_factory=ByOrder)
    impact: Impact = field(default_factory=NoImpact)
    book: dict[int, Historic] = field(default_factory=dict)
    ghosts: dict[int, Ghost] = field(default_factory=dict)
    _next_place: int = 1

    # ---- own orders ----------------------------------------------------------------------------------

    def enter(self, ghost: Ghost, time_in_force: int = TimeInForce.DAY) -> list[Fill | Ended]:
        """Raises ``ValueError`` for an order id that is there, and for a price or quantity that is not positive."""
        if ghost.order_id in self.ghosts or ghost.qty <= 0 or ghost.price <= 0 or ghost.side not in (1, -1):
            raise ValueError(f"ghost: {ghost}, expected a new id, side 1 or -1, and positive price and qty")
        told: list[Fill | Ended] = []
        shown = sum(order.free for order in self._queue(ghost.instrument, -ghost.side))
        swept = 0
        for order in self._queue(ghost.instrument, -ghost.side):
            if not ghost.qty or order.price * ghost.side > ghost.price * ghost.side:
                break
            qty = min(ghost.qty, order.free)
            if qty:
                order.taken += qty
                ghost.qty -= qty
                price = self.impact.price(order.price, ghost.side, swept, shown)
                swept += qty
                told.append(Fill(ghost.order_id, price, qty, "R"))
        if ghost.qty and time_in_force == TimeInForce.IOC:
            told.append(Ended(ghost.order_id, ghost.qty))
        elif ghost.qty:
            ghost.place, self._next_place = self._next_place, self._next_place + 1
            ghost.ahead = sum(order.free for order in self._level(ghost))
            self.ghosts[ghost.order_id] = ghost
        return told

    def cancel(self, order_id: int) -> list[Fill | Ended]:
        """Nothing happens to what is not there."""
        ghost = self.ghosts.pop(order_id, None)
        return [Ended(order_id, ghost.qty)] if ghost else []

    # ---- history -------------------------------------------------------------------------------------

    def apply(
        self, instrument: int, kind: int, side: int, order_id: int, price: int, qty: int, old_id: int = 0
    ) -> list[Fill | Ended]:
        """One message of the historic feed; returns what it does to ghosts. Messages of unknown orders do nothing.

        TRADE (an execution against an order that nobody saw) has its price and quantity; ``side`` is not known.
        """
        if kind == Kind.ADD:
            return list(self._add(Historic(order_id, instrument, side, price, qty, 0)))
        if kind == Kind.TRADE:
            return list(self._trade_through(instrument, 1, price, qty)) or list(
                self._trade_through(instrument, -1, price, qty)
            )
        order = self.book.get(old_id if kind == Kind.REPLACE else order_id)
        if order is None:
            return []
        if kind == Kind.EXECUTE:
            return list(self._execute(order, price or order.price, min(qty, order.qty)))
        cut = order.qty if kind in (Kind.DELETE, Kind.REPLACE) else min(qty, order.qty)
        self._move_forward(order, min(cut, order.free), executed=False)
        self._cut(order, cut)
        if kind == Kind.REPLACE:
            return list(self._add(Historic(order_id, instrument, order.side, price, qty, 0)))
        return []

    def _add(self, order: Historic) -> Iterator[Fill]:
        order.place, self._next_place = self._next_place, self._next_place + 1
        self.book[order.order_id] = order
        for ghost in self._ghosts(order.instrument, -order.side):
            if not order.free or ghost.price * order.side > order.price * order.side:
                break
            qty = min(ghost.qty, order.free)
            order.taken += qty
            yield self._fill(ghost, ghost.price, qty)

    def _execute(self, order: Historic, price: int, qty: int) -> Iterator[Fill]:
        """Somebody took ``qty`` shares of ``order``: ghosts before it would have been met first."""
        left = qty
        for ghost in self._ghosts(order.instrument, order.side):
            better = ghost.price * ghost.side > price * ghost.side
            passed = ghost.price == order.price and self.queue_position.is_passed(ghost, order)
            if left and (better or passed):
                filled = min(left, ghost.qty)
                left -= filled
                yield self._fill(ghost, ghost.price, filled)
        self._move_forward(order, min(qty, order.free), executed=True)
        self._cut(order, qty)

    def _trade_through(self, instrument: int, side: int, price: int, qty: int) -> Iterator[Fill]:
        left = qty
        for ghost in self._ghosts(instrument, side):
            if left and ghost.price * side > price * side:
                filled = min(left, ghost.qty)
                left -= filled
                yield self._fill(ghost, ghost.price, filled)

    def _cut(self, order: Historic, qty: int) -> None:
        order.qty -= qty
        if order.qty <= 0:
            del self.book[order.order_id]

    def _move_forward(self, order: Historic, qty: int, *, executed: bool) -> None:
        """``qty`` shares that nobody has taken leave the level of ``order``."""
        for ghost in self._ghosts(order.instrument, order.side):
            if ghost.price == order.price:
                level = sum(other.free for other in self._level(ghost))
                ghost.ahead = self.queue_position.ahead_after(ghost, order, qty, level, executed=executed)

    # ---- who stands where ----------------------------------------------------------------------------

    def _queue(self, instrument: int, side: int) -> list[Historic]:
        """A side's historic orders in the order in which they trade."""
        orders = [order for order in self.book.values() if (order.instrument, order.side) == (instrument, side)]
        return sorted(orders, key=lambda order: (-side * order.price, order.place))

    def _level(self, ghost: Ghost) -> list[Historic]:
        return [order for order in self._queue(ghost.instrument, ghost.side) if order.price == ghost.price]

    def _ghosts(self, instrument: int, side: int) -> list[Ghost]:
        ghosts = [ghost for ghost in self.ghosts.values() if (ghost.instrument, ghost.side) == (instrument, side)]
        return sorted(ghosts, key=lambda ghost: (-side * ghost.price, ghost.place))

    def _fill(self, ghost: Ghost, price: int, qty: int) -> Fill:
        ghost.qty -= qty
        if not ghost.qty:
            del self.ghosts[ghost.order_id]
        return Fill(ghost.order_id, price, qty, "A")
