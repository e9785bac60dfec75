"""What limits count: orders and messages by rate, cancels, equal orders, executions in a row, the day itself.

Rates are leaky buckets on event time: a bucket takes one order at a time and empties at the limit's rate, so that a
limit of n lets n pass at one moment and one more each nth of a second.
"""

from engine.core.capacities import RECENT_ORDERS, STRATEGIES
from engine.core.compiled import njit
from engine.core.exposure import LEVELS, level_row, note_own_price, profit
from engine.core.limit_names import Limit, Mark
from engine.core.risk_record import LEVEL_ROWS

SECOND = 1_000_000_000
ONE = SECOND  # an order, in the unit of a bucket: one that holds n * ONE is empty after a second at a rate of n
ORDER_RATE, MESSAGE_RATE = int(Limit.ORDER_RATE), int(Limit.MESSAGE_RATE)
EXECUTIONS = int(Limit.EXECUTIONS)
LONG = int(Mark.LONG)
RATIO_ORDERS = 100  # a day's cancel ratio is judged as if it had at least this many orders


@njit(cache=True, inline="always")
def leaked(bucket, leaked_at, rate, now):
    """What is left in a bucket at ``now``."""
    return max(bucket - min(now - leaked_at, SECOND) * rate, 0)


@njit(cache=True, inline="always")
def _leak(level, now):
    level.order_bucket = leaked(level.order_bucket, level.leaked_at, level.limit[ORDER_RATE], now)
    level.message_bucket = leaked(level.message_bucket, level.leaked_at, level.limit[MESSAGE_RATE], now)
    level.leaked_at = now


@njit(cache=True, inline="always")
def recent_slot(instrument, signed_qty, price):
    """Where an order is remembered among its strategy's recent ones."""
    mixed = (instrument * 0x9E3779B1 + signed_qty * 0x85EBCA77 + price * 0xC2B2AE3D) & 0x7FFF_FFFF_FFFF
    return (mixed ^ mixed >> 15) & (RECENT_ORDERS - 1)


@njit(cache=True, inline="always")
def equal_orders(state, strategy, instrument, signed_qty, price):
    """Equal orders in a row, with this one, each within the window after the one before."""
    recent = state.recent[strategy, recent_slot(instrument, signed_qty, price)]
    same = recent.instrument == instrument and recent.qty == signed_qty and recent.price == price
    return recent.count + 1 if same and state.now - recent.at <= state.bundle.duplicate_window else 1


@njit(cache=True)
def note_sent(state, strategy, instrument, side, qty, price, mark):
    """An order goes to the venue; its hold is taken after this."""
    for level in range(LEVELS):
        entry = state.levels[level_row(state, strategy, instrument, level)]
        _leak(entry, state.now)
        entry.order_bucket += ONE
        entry.message_bucket += ONE
        entry.orders += 1
    count = equal_orders(state, strategy, instrument, side * qty, price)
    recent = state.recent[strategy, recent_slot(instrument, side * qty, price)]
    recent.instrument = instrument
    recent.qty = side * qty
    recent.price = price
    recent.at = state.now
    recent.count = count
    security = state.securities[instrument]
    if mark != LONG:
        security.located += qty
    if side > 0 and state.holdings[0, instrument].working_buy == 0:
        security.own_bid = 0
    elif side < 0 and state.holdings[0, instrument].working_sell == 0:
        security.own_ask = 0
    note_own_price(state, instrument, side, price)


@njit(cache=True)
def note_cancel(state, strategy, instrument):
    """A cancel goes to the venue. It is counted and never refused."""
    for level in range(LEVELS):
        entry = state.levels[level_row(state, strategy, instrument, level)]
        _leak(entry, state.now)
        entry.message_bucket += ONE
        entry.cancels += 1


@njit(cache=True, inline="always")
def return_locate(state, instrument, qty, mark):
    """Shares of a short sale that will not be executed any more."""
    if mark != LONG:
        state.securities[instrument].located = max(state.securities[instrument].located - qty, 0)


@njit(cache=True)
def count_execution(state, strategy, instrument):
    """Counts an execution; what goes beyond a level's limit is latched there until a person re-enables it."""
    for level in range(LEVELS):
        entry = state.levels[level_row(state, strategy, instrument, level)]
        entry.executions += 1
        if entry.executions > entry.limit[EXECUTIONS]:
            entry.throttled = 1


@njit(cache=True)
def reenable(state, row, person):
    """A named person lets a level go on: its executions are counted anew, its drawdown from here."""
    entry = state.levels[row]
    entry.throttled = 0
    entry.executions = 0
    entry.peak = profit(entry)
    entry.drawdown = 0
    entry.reenabled_by = person
    entry.reenabled_at = state.now


@njit(cache=True)
def begin_day(state):
    """Daily counters, losses and locates begin anew; what is latched, and the drawdown, do not."""
    for row in range(LEVEL_ROWS):
        entry = state.levels[row]
        entry.day_began = profit(entry)
        entry.day_loss = 0
        entry.orders = 0
        entry.cancels = 0
        if not entry.throttled:
            entry.executions = 0
    for instrument in range(len(state.securities)):
        state.securities[instrument].located = 0
    for strategy in range(STRATEGIES):
        for slot in range(RECENT_ORDERS):
            state.recent[strategy, slot].count = 0
