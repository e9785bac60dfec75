"""What all venues together say of an instrument: the best prices with the shares there, and whether it trades.

A venue whose feed is stale, or that does not trade the instrument, is left out. With one venue nothing is consolidated:
its own touch is written straight into MARKET.
"""

from engine.core.compiled import njit
from engine.core.exposure import remark

TRADES, HALTED = 1, 2  # VENUE_QUOTE's ``trading``


@njit(cache=True, inline="always")
def set_touch(quote, bid, bid_size, ask, ask_size):
    """True when anything of it (MARKET or VENUE_QUOTE) has changed."""
    same = (quote.bid == bid) & (quote.bid_size == bid_size) & (quote.ask == ask) & (quote.ask_size == ask_size)
    quote.bid = bid
    quote.bid_size = bid_size
    quote.ask = ask
    quote.ask_size = ask_size
    return not same


@njit(cache=True)
def consolidate(state, instrument):
    """True when the touch over all venues is another than before."""
    bid = bid_size = ask = ask_size = 0
    for venue in range(state.venue_count):
        quote = state.quotes[venue, instrument]
        if state.venues[venue].stale or quote.halted:
            continue
        if quote.bid > bid:
            bid, bid_size = quote.bid, quote.bid_size
        elif quote.bid == bid:
            bid_size += quote.bid_size
        if quote.ask > 0 and (quote.ask < ask or ask == 0):
            ask, ask_size = quote.ask, quote.ask_size
        elif quote.ask == ask:
            ask_size += quote.ask_size
    return set_touch(state.market[instrument], bid, bid_size, ask, ask_size)


@njit(cache=True)
def consolidate_all(state):
    """After a venue has dropped out or come back."""
    if state.venue_count > 1:
        for instrument in range(state.instruments):
            consolidate(state, instrument)
            _consolidate_status(state, instrument)
            remark(state, instrument)


@njit(cache=True)
def set_status(state, venue, instrument, operational, trades):
    """A trading state that a venue has told: of the security, or (``operational``) of its own book."""
    if state.venue_count == 1:
        if operational:
            state.market[instrument].venue_halted = 1 - trades
        else:
            state.market[instrument].trading = trades
        return
    quote = state.quotes[venue, instrument]
    if operational:
        quote.halted = 1 - trades
        consolidate(state, instrument)
    else:
        quote.trading = TRADES if trades else HALTED
    _consolidate_status(state, instrument)


@njit(cache=True)
def _consolidate_status(state, instrument):
    """A security trades where some venue says so and none says that it is halted."""
    market = state.market[instrument]
    trades = halted = 0
    market.venue_halted = 1
    for venue in range(state.venue_count):
        quote = state.quotes[venue, instrument]
        if state.venues[venue].stale:
            continue
        trades |= quote.trading == TRADES
        halted |= quote.trading == HALTED
        market.venue_halted &= quote.halted
    market.trading = trades & ~halted & 1


@njit(cache=True)
def forget_quotes(state, venue, halts):
    """The venue's books are empty from here on; ``halts``: and what it has halted is not known any more."""
    for instrument in range(state.instruments):
        if state.venue_count == 1:
            market = state.market[instrument]
            set_touch(market, 0, 0, 0, 0)
            if halts:
                market.venue_halted = 0
        else:
            quote = state.quotes[venue, instrument]
            set_touch(quote, 0, 0, 0, 0)
            if halts:
                quote.halted = 0
            consolidate(state, instrument)
            _consolidate_status(state, instrument)
        remark(state, instrument)
