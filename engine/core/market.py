"""Market data: books, the touch, trades, the bar being built."""

from engine.core import books
from engine.core.activity import begin_day
from engine.core.books import Refusal
from engine.core.compiled import njit
from engine.core.events import Flag, Kind, Session, TradingStatus
from engine.core.exposure import mark_price, remark_all
from engine.core.outputs import emit, emit_anomaly
from engine.core.scheduling import end_all_schedules
from engine.core.state import Anomaly, Phase

EXECUTE = int(Kind.EXECUTE)
TRADE = int(Kind.TRADE)
QUOTE = int(Kind.QUOTE)
BAR = int(Kind.BAR)
STATUS = int(Kind.STATUS)
TRADING = int(TradingStatus.TRADING)
NON_PRINTABLE, OPERATIONAL = int(Flag.NON_PRINTABLE), int(Flag.OPERATIONAL)
SHORT_SALE = int(Flag.SHORT_SALE)
START_OF_MESSAGES = int(Session.START_OF_MESSAGES)
SESSION_OPEN = int(Session.OPEN)
SESSION_CLOSE = int(Session.CLOSE)
BOOK_UNKNOWN_ORDER = int(Anomaly.BOOK_UNKNOWN_ORDER)
BOOK_FULL = int(Anomaly.BOOK_FULL)
BOOK_REFUSED = int(Anomaly.BOOK_REFUSED)
UNKNOWN, ELSEWHERE = int(Refusal.UNKNOWN), int(Refusal.ELSEWHERE)
TABLE_FULL, LEVELS_FULL = int(Refusal.TABLE_FULL), int(Refusal.LEVELS_FULL)
PRE_OPEN, OPEN, CLOSED = int(Phase.PRE_OPEN), int(Phase.OPEN), int(Phase.CLOSED)


@njit(cache=True)
def on_market_data(state, out, event):
    """Applies one message to its instrument's book, touch and bar; True when the touch is another than before."""
    kind = event.kind
    instrument = event.instrument
    if kind == QUOTE:
        return _set_touch(state.market[instrument], event.bid, event.bid_size, event.ask, event.ask_size)
    if kind == BAR:
        _on_bar(state, instrument, event)
    elif kind == STATUS:
        _on_status(state, instrument, event)
    elif kind == TRADE:
        _trade(state, instrument, event.price, event.qty)
    else:
        _on_book_message(state, out, instrument, event)
        return _read_touch(state, instrument)
    return False


@njit(cache=True)
def _on_book_message(state, out, instrument, event):
    answer = books.apply(state.books, event)
    if answer < 0:
        anomaly = BOOK_REFUSED
        if -answer in (UNKNOWN, ELSEWHERE):
            anomaly = BOOK_UNKNOWN_ORDER
        elif -answer in (TABLE_FULL, LEVELS_FULL):
            anomaly = BOOK_FULL
        emit_anomaly(state, out, anomaly, instrument, event.kind, event.order_id)
    elif event.kind == EXECUTE and not event.flags & NON_PRINTABLE:
        _trade(state, instrument, event.price if event.price > 0 else answer, event.qty)


@njit(cache=True, inline="always")
def _read_touch(state, instrument):
    bid, bid_size = books.touch(state.books, instrument, 0)
    ask, ask_size = books.touch(state.books, instrument, 1)
    return _set_touch(state.market[instrument], bid, bid_size, ask, ask_size)


@njit(cache=True, inline="always")
def _set_touch(market, bid, bid_size, ask, ask_size):
    """True when anything of it has changed."""
    same = (market.bid == bid) & (market.bid_size == bid_size) & (market.ask == ask) & (market.ask_size == ask_size)
    market.bid = bid
    market.bid_size = bid_size
    market.ask = ask
    market.ask_size = ask_size
    return not same


@njit(cache=True, inline="always")
def _on_status(state, instrument, event):
    market = state.market[instrument]
    if event.flags & SHORT_SALE:
        state.securities[instrument].price_test = event.code
    elif event.flags & OPERATIONAL:
        market.venue_halted = 0 if event.code == TRADING else 1
    else:
        market.trading = 1 if event.code == TRADING else 0


@njit(cache=True, inline="always")
def taker_side(market, price):
    """Who took, by the touch before the trade: +1 a buyer, -1 a seller. At the mid, or without a touch, by the tick: a
    trade at the last price is of the side of the last one. After Lee and Ready (1991), "Inferring trade direction from
    intraday data", section III."""
    from_mid = 2 * price - market.bid - market.ask
    if market.bid > 0 and market.ask > 0 and from_mid != 0:
        return 1 if from_mid > 0 else -1
    if market.last > 0 and price != market.last:
        return 1 if price > market.last else -1
    return market.last_side


@njit(cache=True)
def _trade(state, instrument, price, qty):
    market = state.market[instrument]
    market.last_side = taker_side(market, price)
    market.last_qty = qty
    market.last = price
    bar = state.bars[instrument]
    if bar.volume == 0:
        bar.open = price
        bar.high = price
        bar.low = price
    bar.high = max(bar.high, price)
    bar.low = min(bar.low, price)
    bar.close = price
    bar.volume += qty


@njit(cache=True)
def _on_bar(state, instrument, event):
    """A bar that arrives closed (daily history) stands for the one the step would have closed."""
    market = state.market[instrument]
    market.open = event.open
    market.high = event.high
    market.low = event.low
    market.close = event.close
    market.volume = event.volume
    market.last = event.close
    market.bar_date = state.date


@njit(cache=True)
def on_session(state, out, event):
    """Moves the session's phase; books begin empty each day, bars close with the session."""
    if event.code == START_OF_MESSAGES:
        if event.date != state.date:  # a day's messages may come again from their start
            begin_day(state)
        state.date = event.date
        state.phase = PRE_OPEN
        books.clear(state.books)
        end_all_schedules(state)
        for instrument in range(state.instruments):
            market = state.market[instrument]
            market.bid = 0
            market.bid_size = 0
            market.ask = 0
            market.ask_size = 0
            _start_bar(state.bars[instrument])
        remark_all(state)
    elif event.code == SESSION_OPEN:
        state.phase = OPEN
        state.opened_at = event.ts_event
        for strategy in range(len(state.slots)):
            if state.slots[strategy].state:
                for instrument in range(state.instruments):
                    state.parents[strategy, instrument].refused = 0
    elif event.code == SESSION_CLOSE:
        state.phase = CLOSED
        for instrument in range(state.instruments):
            _close_bar(state, out, instrument)
        remark_all(state)


@njit(cache=True, inline="always")
def _start_bar(bar):
    bar.open = 0
    bar.high = 0
    bar.low = 0
    bar.close = 0
    bar.volume = 0


@njit(cache=True)
def _close_bar(state, out, instrument):
    """Closes the session's bar: from its trades, or without any from the mark, with volume 0."""
    market = state.market[instrument]
    if market.bar_date == state.date:
        return
    bar = state.bars[instrument]
    if bar.volume:
        market.open, market.high, market.low, market.close = bar.open, bar.high, bar.low, bar.close
    else:
        mark = mark_price(market)
        if mark == 0:
            return
        market.open, market.high, market.low, market.close = mark, mark, mark, mark
    market.volume = bar.volume
    market.bar_date = state.date
    record = emit(state, out, BAR, instrument, 0, 0)
    record.open = market.open
    record.high = market.high
    record.low = market.low
    record.close = market.close
    record.volume = market.volume
