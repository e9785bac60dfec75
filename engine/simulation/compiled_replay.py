"""The replay form of the simulated venue, compiled: ``replay_venue`` says what it does, and is what it is held to.

The historic book is kept as the matching engine keeps its own (``order_book``): of an order ``qty`` is what history has
left of it, ``display`` the shares that ghosts have taken, ``visible`` those that are free, so that a queue's ``shares``
are a level's free ones. Ghosts stand in one short array, sorted by instrument, side, price and time.
"""

from enum import IntEnum

import numpy as np

from engine.core.compiled import njit
from engine.core.events import Kind, TimeInForce
from engine.simulation.matching_records import DISPLAYED, MATCHING, NONE, ORDERS, SLOT_BITS, matching_state
from engine.simulation.order_book import level_index, queue_of, rest, slot_of, take_out, take_slot

GHOSTS = 256
SLOTS = 4 * ORDERS  # of the table of ids; a power of two
SCATTER = 0x9E3779B97F4A7C15 - (1 << 64)


class Position(IntEnum):
    """How a ghost's place in a queue is judged: the models of ``queue_position``."""

    BY_ORDER = 0
    PESSIMISTIC = 1
    PROPORTIONAL = 2


ID = np.dtype([("order_id", "<i8"), ("reference", "<i8")])  # reference 0: free
GHOST = np.dtype(
    [
        ("order_id", "<i8"),
        ("instrument", "<i8"),
        ("side", "<i8"),
        ("price", "<i8"),
        ("qty", "<i8"),  # open
        ("place", "<i8"),  # those that came later are behind
        ("ahead", "<i8"),  # displayed shares that trade before it
    ]
)
REPLAY = np.dtype(
    [
        ("book", MATCHING),
        ("ids", ID, (SLOTS,)),
        ("ghosts", GHOST, (GHOSTS,)),
        ("count", "<i8"),
        ("position", "<i8"),  # Position
        ("impact", "<i8"),  # basis points for taking all that is displayed (``impact.LinearImpact``)
        ("dropped", "<i8"),  # historic orders and ghosts for which there was no room
    ]
)
TOLD = np.dtype([("order_id", "<i8"), ("price", "<i8"), ("qty", "<i8"), ("flag", "<i8")])  # flag: A, R; 0 for an end
ADDED, REMOVED, ENDED = ord("A"), ord("R"), 0
ADD, EXECUTE, REDUCE, DELETE = int(Kind.ADD), int(Kind.EXECUTE), int(Kind.REDUCE), int(Kind.DELETE)
REPLACE, TRADE, IOC = int(Kind.REPLACE), int(Kind.TRADE), int(TimeInForce.IOC)
BY_ORDER, PROPORTIONAL = int(Position.BY_ORDER), int(Position.PROPORTIONAL)


def replay_state(instruments: int, position: Position = Position.BY_ORDER, impact_basis_points: int = 0) -> np.ndarray:
    """REPLAY[1] with empty books. Raises ``ValueError`` for more instruments than a matching engine has."""
    states = np.zeros(1, REPLAY)
    states[0]["book"] = matching_state(instruments)
    states["position"], states["impact"] = position, impact_basis_points
    return states


@njit(cache=True)
def enter(states, order_id, instrument, side, price, qty, time_in_force, told):
    """An own order arrives; how many rows of ``told`` (TOLD[n]) say what became of it. Its id must be new."""
    state = states[0]
    book, index, written, left = state.book, (1 + side) >> 1, 0, qty
    shown = _shown(book, instrument, index) if state.impact else 0
    for position in range(book.depth[instrument, index] - 1, -1, -1):
        level = book.levels[instrument, index, position]
        if left == 0 or level.price * side > price * side:
            break
        slot = level.queues[DISPLAYED].head
        while slot != NONE and left:
            order = book.orders[slot]
            taken = min(left, order.visible)
            if taken:
                paid = _with_impact(state, order.price, side, qty - left, shown)
                order.display += taken
                order.visible -= taken
                level.queues[DISPLAYED].shares -= taken
                left -= taken
                written = _tell(told, written, order_id, paid, taken, REMOVED)
            slot = order.next
    if left and (time_in_force == IOC or state.count == GHOSTS):
        state.dropped += time_in_force != IOC
        return _tell(told, written, order_id, 0, left, ENDED)
    if left:
        _stand(state, order_id, instrument, side, price, left)
    return written


@njit(cache=True)
def cancel(states, order_id, told):
    """Takes an own order out; nothing happens to what is not there."""
    state = states[0]
    for index in range(state.count):
        if state.ghosts[index].order_id == order_id:
            qty = state.ghosts[index].qty
            _remove(state, index)
            return _tell(told, 0, order_id, 0, qty, ENDED)
    return 0


@njit(cache=True)
def apply(states, instrument, kind, side, order_id, price, qty, old_id, told):
    """One message of the historic feed; how many rows of ``told`` say what it does to ghosts."""
    state = states[0]
    if kind == ADD:
        return _add(state, instrument, side, order_id, price, qty, told)
    if kind == TRADE:
        written = _trade_through(state, instrument, 1, price, qty, told)
        return written if written else _trade_through(state, instrument, -1, price, qty, told)
    slot = slot_of(state.book, _reference(state, old_id if kind == REPLACE else order_id))
    if slot == NONE or not EXECUTE <= kind <= REPLACE:
        return 0
    order = state.book.orders[slot]
    if kind == EXECUTE:
        return _execute(state, slot, price if price else order.price, min(qty, order.qty), told)
    cut = min(qty, order.qty) if kind == REDUCE else order.qty
    own_side = order.side
    _move_forward(state, slot, min(cut, order.visible), False)
    _cut(state, slot, cut)
    return _add(state, instrument, own_side, order_id, price, qty, told) if kind == REPLACE else 0


@njit(cache=True)
def apply_events(states, events, told):
    """`apply` for EVENT[n] of one feed; how many rows of ``told`` were written."""
    written = 0
    for index in range(len(events)):
        event = events[index]
        if ADD <= event.kind <= TRADE and event.instrument >= 0:
            rows = told[written:]
            written += apply(
                states,
                event.instrument,
                event.kind,
                event.side,
                event.order_id,
                event.price,
                event.qty,
                event.ref,
                rows,
            )
    return written


# ---- history ---------------------------------------------------------------------------------------------


@njit(cache=True)
def _add(state, instrument, side, order_id, price, qty, told):
    book = state.book
    earlier = slot_of(book, _reference(state, order_id))
    if earlier != NONE:
        _drop(state, earlier)
    if book.free == NONE:
        state.dropped += 1
        return 0
    slot = take_slot(book)
    order = book.orders[slot]
    order.price, order.qty, order.visible, order.display = price, qty, qty, 0
    order.instrument, order.side, order.queue, order.tag = instrument, side, DISPLAYED, order_id
    if not rest(book, slot):
        state.dropped += 1
        order.reference, order.next, book.free = 0, book.free, slot
        return 0
    _remember(state, order_id, order.reference)
    written, index, queue = 0, 0, queue_of(book, order)
    while index < state.count and order.visible:
        ghost = state.ghosts[index]
        if ghost.instrument != instrument or ghost.side != -side:
            index += 1
            continue
        if ghost.price * side > price * side:
            break
        filled = min(ghost.qty, order.visible)
        order.display += filled
        order.visible -= filled
        queue.shares -= filled
        written, index = _fill(state, index, filled, told, written)
    return written


@njit(cache=True)
def _execute(state, slot, price, qty, told):
    order, left, written, index = state.book.orders[slot], qty, 0, 0
    while index < state.count and left:
        ghost = state.ghosts[index]
        mine = ghost.instrument == order.instrument and ghost.side == order.side
        if mine and (ghost.price * ghost.side > price * ghost.side or _is_passed(state, ghost, order)):
            filled = min(left, ghost.qty)
            left -= filled
            written, index = _fill(state, index, filled, told, written)
        else:
            index += 1
    _move_forward(state, slot, min(qty, order.visible), True)
    _cut(state, slot, qty)
    return written


@njit(cache=True)
def _trade_through(state, instrument, side, price, qty, told):
    left, written, index = qty, 0, 0
    while index < state.count and left:
        ghost = state.ghosts[index]
        if ghost.instrument == instrument and ghost.side == side and ghost.price * side > price * side:
            filled = min(left, ghost.qty)
            left -= filled
            written, index = _fill(state, index, filled, told, written)
        else:
            index += 1
    return written


@njit(cache=True)
def _is_passed(state, ghost, order):
    if ghost.price != order.price:
        return False
    return order.reference >> SLOT_BITS > ghost.place if state.position == BY_ORDER else ghost.ahead == 0


@njit(cache=True)
def _move_forward(state, slot, qty, executed):
    """``qty`` shares that nobody has taken leave the level of an order."""
    order = state.book.orders[slot]
    for index in range(state.count):
        ghost = state.ghosts[index]
        if ghost.instrument == order.instrument and ghost.side == order.side and ghost.price == order.price:
            ghost.ahead = _ahead_after(state, ghost, order, qty, executed)


@njit(cache=True)
def _ahead_after(state, ghost, order, qty, executed):
    if state.position == BY_ORDER:
        return max(ghost.ahead - qty, 0) if order.reference >> SLOT_BITS < ghost.place else ghost.ahead
    if executed:
        return max(ghost.ahead - qty, 0)
    level = queue_of(state.book, order).shares
    remaining = max(level - qty, 0)
    if state.position == PROPORTIONAL and level > 0:
        return min(max(ghost.ahead - qty * ghost.ahead // level, 0), remaining)
    return min(ghost.ahead, remaining)


@njit(cache=True)
def _cut(state, slot, qty):
    order = state.book.orders[slot]
    order.qty -= qty
    if order.qty <= 0:
        _drop(state, slot)
        return
    free = max(order.qty - order.display, 0)
    queue_of(state.book, order).shares -= order.visible - free
    order.visible = free


@njit(cache=True)
def _drop(state, slot):
    _forget(state, state.book.orders[slot].tag)
    take_out(state.book, slot)


# ---- own orders ------------------------------------------------------------------------------------------


@njit(cache=True)
def _stand(state, order_id, instrument, side, price, qty):
    """Puts a ghost into its place among the others."""
    place = state.book.next_serial
    state.book.next_serial += 1
    at = state.count
    while at and _is_behind(state.ghosts[at - 1], instrument, side, price):
        state.ghosts[at] = state.ghosts[at - 1]
        at -= 1
    ghost = state.ghosts[at]
    ghost.order_id, ghost.instrument, ghost.side = order_id, instrument, side
    ghost.price, ghost.qty, ghost.place = price, qty, place
    ghost.ahead = _level_shares(state.book, instrument, side, price)
    state.count += 1


@njit(cache=True)
def _is_behind(other, instrument, side, price):
    if other.instrument != instrument or other.side != side:
        return (other.instrument, other.side) > (instrument, side)
    return other.price * side < price * side


@njit(cache=True)
def _fill(state, index, qty, told, written):
    """Fills a ghost; (rows written, where the next ghost stands)."""
    ghost = state.ghosts[index]
    ghost.qty -= qty
    written = _tell(told, written, ghost.order_id, ghost.price, qty, ADDED)
    if ghost.qty:
        return written, index + 1
    _remove(state, index)
    return written, index


@njit(cache=True)
def _remove(state, index):
    for moved in range(index, state.count - 1):
        state.ghosts[moved] = state.ghosts[moved + 1]
    state.count -= 1


@njit(cache=True)
def _tell(told, written, order_id, price, qty, flag):
    row = told[written]
    row.order_id, row.price, row.qty, row.flag = order_id, price, qty, flag
    return written + 1


@njit(cache=True)
def _shown(book, instrument, index):
    shares = 0
    for position in range(book.depth[instrument, index]):
        shares += book.levels[instrument, index, position].queues[DISPLAYED].shares
    return shares


@njit(cache=True)
def _level_shares(book, instrument, side, price):
    index, position = (1 - side) >> 1, level_index(book, instrument, side, price)
    if position == book.depth[instrument, index] or book.levels[instrument, index, position].price != price:
        return 0
    return book.levels[instrument, index, position].queues[DISPLAYED].shares


@njit(cache=True)
def _with_impact(state, price, side, swept, shown):
    """``impact.LinearImpact``, rounded against the taker."""
    if state.impact == 0 or shown <= 0:
        return price
    return price + side * -(-price * state.impact * swept // (shown * 10_000))


# ---- ids -------------------------------------------------------------------------------------------------


@njit(cache=True)
def _home(order_id):
    return (order_id * SCATTER >> 32) & (SLOTS - 1)


@njit(cache=True)
def _place_of(state, order_id):
    """Where an id stands in the table, or would be put."""
    place = _home(order_id)
    while state.ids[place].reference and state.ids[place].order_id != order_id:
        place = (place + 1) & (SLOTS - 1)
    return place


@njit(cache=True)
def _reference(state, order_id):
    return state.ids[_place_of(state, order_id)].reference


@njit(cache=True)
def _remember(state, order_id, reference):
    entry = state.ids[_place_of(state, order_id)]
    entry.order_id, entry.reference = order_id, reference


@njit(cache=True)
def _forget(state, order_id):
    """Takes an id out, and moves up those that were put behind it because it was there."""
    hole = _place_of(state, order_id)
    state.ids[hole].reference = 0
    place = (hole + 1) & (SLOTS - 1)
    while state.ids[place].reference:
        away = (place - _home(state.ids[place].order_id)) & (SLOTS - 1)
        if away >= (place - hole) & (SLOTS - 1):
            state.ids[hole] = state.ids[place]
            state.ids[place].reference = 0
            hole = place
        place = (place + 1) & (SLOTS - 1)
