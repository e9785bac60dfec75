"""Market data: books and touch of each venue, trades, the bar being built, and the session.

The session of all venues together is open while any of theirs is that is not stale: it opens with the first and closes
with the last of them, and the day's bars with it.
"""

from engine.core import books
from engine.core.activity import begin_day
from engine.core.bits import nonnegative
from engine.core.books import Refusal
from engine.core.compiled import njit
from engine.core.consolidated import consolidate, consolidate_all, forget_quotes, set_status, set_touch
from engine.core.events import Flag, Kind, Session, TradingStatus
from engine.core.exposure import mark_price, remark_all
from engine.core.outputs import emit, emit_anomaly
from engine.core.parents import forget_refusals
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
        return _take_touch(state, event.venue, instrument, event.bid, event.bid_size, event.ask, event.ask_size)
    if kind == BAR:
        _on_bar(state, instrument, event)
    elif kind == STATUS:
        _on_status(state, instrument, event)
    elif kind == TRADE:
        _trade(state, instrument, event.price, event.qty)
    else:
        _on_book_message(state, out, instrument, event)
        return _read_touch(state, event.venue, instrument)
    return False


@njit(cache=True)
def _on_book_message(state, out, instrument, event):
    answer = books.apply(state.books[nonnegative(event.venue)], event)
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
def _read_touch(state, venue, instrument):
    book = state.books[nonnegative(venue)]
    bid, bid_size = books.touch(book, instrument, 0)
    ask, ask_size = books.touch(book, instrument, 1)
    return _take_touch(state, venue, instrument, bid, bid_size, ask, ask_size)


@njit(cache=True, inline="always")
def _take_touch(state, venue, instrument, bid, bid_size, ask, ask_size):
    """A venue's touch; True when that of all venues is another for it."""
    if state.venue_count == 1:
        return set_touch(state.market[instrument], bid, bid_size, ask, ask_size)
    quote = state.quotes[venue, instrument]
    if not set_touch(quote, bid, bid_size, ask, ask_size):
        return False
    quote.changes += 1
    return consolidate(state, instrument)


@njit(cache=True, inline="always")
def _on_status(state, instrument, event):
    if event.flags & SHORT_SALE:
        state.securities[instrument].price_test = event.code
    else:
        trades = 1 if event.code == TRADING else 0
        set_status(state, event.venue, instrument, event.flags & OPERATIONAL, trades)


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
    """Moves a venue's phase, and with it that of all venues together; books begin empty each day.

    True when the event is the first of a phase that begins or the last of one that ends: then it holds for the day.
    """
    code = event.code
    fresh = code == START_OF_MESSAGES and event.date != state.date
    if fresh and state.phase == OPEN and state.venue_count > 1:
        _close_bars(state, out)  # a venue that was never heard to close has kept the day before open
    if code == START_OF_MESSAGES and (fresh or state.venue_count == 1):
        _begin_day(state, event.date)
    _move_venue(state, event)
    if not _holds_for_all(state, event.venue, code, fresh):
        state.phase = _common_phase(state)
        return False
    state.session_code = code
    if code == SESSION_OPEN:
        state.opened_at = event.ts_event
        _ask_again(state)
    state.phase = _common_phase(state)
    if code == SESSION_CLOSE:
        _close_bars(state, out)
    return True


@njit(cache=True)
def _move_venue(state, event):
    venue = state.venues[event.venue]
    venue.code = event.code
    if event.code == START_OF_MESSAGES:
        venue.date = event.date
        venue.phase = PRE_OPEN
        books.clear(state.books[event.venue])
        forget_quotes(state, event.venue, False)
    elif event.code == SESSION_OPEN:
        venue.phase = OPEN
    elif event.code == SESSION_CLOSE:
        venue.phase = CLOSED


@njit(cache=True)
def _holds_for_all(state, number, code, fresh):
    if state.venue_count == 1 or fresh:
        return True
    if state.venues[number].date != state.date or code <= state.session_code:
        return False
    if code <= SESSION_OPEN:
        return True
    for other in range(state.venue_count):
        venue = state.venues[other]
        if venue.date == state.date and not venue.stale and venue.code < code:
            return False
    return True


@njit(cache=True)
def _common_phase(state):
    """Of the day that is on; venues whose feed is stale count where all are."""
    if state.venue_count == 1:
        return state.venues[0].phase
    phase = CLOSED
    for number in range(state.venue_count):
        venue = state.venues[number]
        if venue.date == state.date and (not venue.stale or state.feed_stale):
            phase = max(phase, venue.phase)
    return phase


@njit(cache=True)
def on_venue_turned(state):
    """A venue's feed has become stale, or is so no more."""
    if state.venue_count > 1:
        state.phase = _common_phase(state)
        consolidate_all(state)


@njit(cache=True)
def _begin_day(state, date):
    if date != state.date:  # a day's messages may come again from their start
        begin_day(state)
    state.date = date
    end_all_schedules(state)
    for instrument in range(state.instruments):
        _start_bar(state.bars[instrument])


@njit(cache=True)
def _ask_again(state):
    """A session opens: what was refused in the one before may be asked for."""
    for strategy in range(len(state.slots)):
        if state.slots[strategy].state:
            for instrument in range(state.instruments):
                forget_refusals(state.parents[strategy, instrument])


@njit(cache=True)
def _close_bars(state, out):
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
