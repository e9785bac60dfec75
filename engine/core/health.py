"""Feed health: counted in the step from what is journaled, so that a replay makes the same records.

Of each trading day (all of it begins again with the start of messages), for the feed and for each instrument; what a
snapshot of the books says is not counted:

- messages; gaps (times the feed went stale: a hole in its sequence, or a start of the engine); messages recovered;
  duplicate packets; stale time;
- crossed time: bid at or above ask while the session is open and the instrument trades (a market that matches is
  never so: the book is wrong, or the venue is in trouble);
- outliers: trades further from the last believed one than ``OUTLIER_DEVIATIONS`` times the usual move, and at least
  ``OUTLIER_PPM``. The third in a row is believed: then it is the price that has moved;
- latency from the exchange's stamp to ours, of messages that came in their turn, as a histogram of half octaves.

A TIMER writes FEED_HEALTH for the feed and, in turn, for one in ``TIMERS_PER_ROUND`` of the instruments.
"""

import numpy as np

from engine.core import books
from engine.core.compiled import njit
from engine.core.consolidated import forget_quotes
from engine.core.events import Flag, HealthPage, Kind, Session, Stale
from engine.core.health_record import BUCKETS
from engine.core.market import on_venue_turned
from engine.core.outputs import emit
from engine.core.state import Phase

EXECUTE, TRADE, FEED_HEALTH = int(Kind.EXECUTE), int(Kind.TRADE), int(Kind.FEED_HEALTH)
NON_PRINTABLE, RECOVERED, SNAPSHOT = int(Flag.NON_PRINTABLE), int(Flag.RECOVERED), int(Flag.SNAPSHOT)
START_OF_MESSAGES, SESSION_CLOSE = int(Session.START_OF_MESSAGES), int(Session.CLOSE)
COUNTS, QUALITY = int(HealthPage.COUNTS), int(HealthPage.QUALITY)
FORGET = int(Stale.FORGET)
OPEN = int(Phase.OPEN)

OUTLIER_PPM = 10_000  # one per cent
OUTLIER_DEVIATIONS = 20
DOUBTED_AT_MOST = 2
TIMERS_PER_ROUND = 64


@njit(cache=True, inline="always")
def note_message(state, event):
    """After a market data message has been applied to its instrument."""
    health = state.health
    entry = health.instruments[event.instrument]
    if not event.flags & SNAPSHOT:
        health.messages += 1
        entry.messages += 1
        if event.flags & RECOVERED:
            entry.recovered += 1
        else:
            _note_latency(health, entry, event.ts_recv - event.ts_event)
    market = state.market[event.instrument]
    crossed = market.bid >= market.ask and market.bid > 0 and market.ask > 0 and state.phase == OPEN and market.trading
    if crossed != (entry.crossed_since > 0):
        _note_crossed(state, entry, crossed)
    if (event.kind == EXECUTE or event.kind == TRADE) and not event.flags & NON_PRINTABLE:
        _note_trade(health, entry, market.last)


@njit(cache=True, inline="always")
def bucket_of(latency):
    """The histogram's bucket for a latency in ns."""
    if latency < 1:
        return 0
    half_octaves = (np.float64(latency).view(np.int64) >> 51) - 2 * 1023
    return min(half_octaves + 1, BUCKETS - 1)


@njit(cache=True)
def bucket_end(bucket):
    """The latency (ns) that every one in the bucket stays below."""
    if bucket == 0:
        return 1
    return ((3 + (bucket - 1) % 2) << ((bucket - 1) // 2)) // 2 if bucket > 1 else 2


@njit(cache=True, inline="always")
def _note_latency(health, entry, latency):
    bucket = bucket_of(latency)
    health.latencies[bucket] += 1
    entry.latencies[bucket] += 1
    entry.latency_max = max(entry.latency_max, latency)
    health.latency_max = max(health.latency_max, latency)


@njit(cache=True)
def _note_crossed(state, entry, crossed):
    health = state.health
    if crossed:
        entry.crossed_since = state.now
        health.crossed_now += 1
        health.crossed_since += state.now
        return
    entry.crossed_ns += state.now - entry.crossed_since
    health.crossed_ns += state.now - entry.crossed_since
    health.crossed_now -= 1
    health.crossed_since -= entry.crossed_since
    entry.crossed_since = 0


@njit(cache=True)
def _note_trade(health, entry, price):
    if price <= 0:
        return
    if entry.price == 0:
        entry.price = price
        return
    move = abs(price - entry.price) * 1_000_000 // entry.price
    if move > max(OUTLIER_PPM, OUTLIER_DEVIATIONS * entry.deviation // 16) and entry.doubted < DOUBTED_AT_MOST:
        entry.outliers += 1
        entry.doubted += 1
        health.outliers += 1
        return
    if entry.doubted < DOUBTED_AT_MOST:  # a new level is not a usual move
        entry.deviation += move - entry.deviation // 16
    entry.price = price
    entry.doubted = 0


@njit(cache=True)
def on_stale(state, event):
    """A STALE record: the feed's own counts, and whether what is known of its venue is old."""
    state.health.recovered += event.recovered
    state.health.duplicates += event.duplicates
    stale = 1 if event.code else 0
    if stale != state.venues[event.venue].stale:
        _turn(state, event.venue, stale)
    if event.code == FORGET:
        books.clear(state.books[event.venue])
        _end_crossings(state)
        forget_quotes(state, event.venue, True)  # a snapshot names those that do not trade


@njit(cache=True)
def _turn(state, venue, stale):
    """A venue becomes stale, or is so no more. Stale time is that in which any of them is."""
    health = state.health
    before = state.stale_venues
    state.venues[venue].stale = stale
    state.stale_venues += 1 if stale else -1
    state.feed_stale = 1 if state.stale_venues == state.venue_count else 0
    if stale:
        health.gaps += 1
    if before == 0:
        health.stale_since = state.now
    elif state.stale_venues == 0:
        health.stale_ns += state.now - health.stale_since
    on_venue_turned(state)


@njit(cache=True)
def on_session_health(state, event):
    """After a SESSION record: a trading day begins with nothing counted; a closed market is not crossed."""
    if event.code == START_OF_MESSAGES:
        _begin_day(state)
    elif event.code == SESSION_CLOSE:
        _end_crossings(state)


@njit(cache=True)
def _end_crossings(state):
    for instrument in range(state.instruments):
        entry = state.health.instruments[instrument]
        if entry.crossed_since > 0:
            _note_crossed(state, entry, False)


@njit(cache=True)
def _begin_day(state):
    health = state.health
    health.messages = 0
    health.gaps = state.stale_venues
    health.recovered = 0
    health.duplicates = 0
    health.stale_ns = 0
    health.stale_since = state.now
    health.crossed_ns = 0
    health.crossed_now = 0
    health.crossed_since = 0
    health.outliers = 0
    health.latency_max = 0
    health.latencies[:] = 0
    for instrument in range(state.instruments):
        entry = health.instruments[instrument]
        entry.messages = 0
        entry.recovered = 0
        entry.crossed_ns = 0
        entry.crossed_since = 0
        entry.outliers = 0
        entry.price = 0
        entry.deviation = 0
        entry.doubted = 0
        entry.latency_max = 0
        entry.reported = 0
        entry.latencies[:] = 0


@njit(cache=True)
def percentile(latencies, permille, highest):
    """The latency (ns, rounded up to a bucket's end and at most ``highest``) that ``permille`` of them stay within."""
    total = 0
    for bucket in range(BUCKETS):
        total += latencies[bucket]
    wanted = (total * permille + 999) // 1000
    counted = 0
    for bucket in range(BUCKETS):
        counted += latencies[bucket]
        if counted >= wanted and counted > 0:
            return min(bucket_end(bucket), highest) if bucket < BUCKETS - 1 else highest
    return 0


@njit(cache=True)
def emit_health(state, out):
    """FEED_HEALTH of the feed, and of the instruments whose turn it is and of which there is news."""
    health = state.health
    stale = state.now - health.stale_since if state.stale_venues else 0
    record = emit(state, out, FEED_HEALTH, -1, 0, 0)
    record.flags = COUNTS
    record.messages = health.messages
    record.gaps = health.gaps
    record.recovered = health.recovered
    record.duplicates = health.duplicates
    record.stale_ns = health.stale_ns + stale
    record = emit(state, out, FEED_HEALTH, -1, 0, 0)
    record.flags = QUALITY
    record.crossed_ns = health.crossed_ns + health.crossed_now * state.now - health.crossed_since
    record.outliers = health.outliers
    record.latency_p50 = percentile(health.latencies, 500, health.latency_max)
    record.latency_p99 = percentile(health.latencies, 990, health.latency_max)
    record.latency_max = health.latency_max
    for _ in range(min(1 + state.instruments // TIMERS_PER_ROUND, state.instruments)):
        instrument = health.next_report if health.next_report < state.instruments else 0
        health.next_report = instrument + 1
        entry = health.instruments[instrument]
        if entry.messages != entry.reported or entry.crossed_since > 0 or (stale and entry.messages):
            _emit_instrument(state, out, instrument, health.stale_ns + stale)


@njit(cache=True)
def _emit_instrument(state, out, instrument, stale_ns):
    """A gap makes every instrument of the feed stale, so gaps and stale time are the feed's."""
    entry = state.health.instruments[instrument]
    entry.reported = entry.messages
    record = emit(state, out, FEED_HEALTH, instrument, 0, 0)
    record.flags = COUNTS
    record.messages = entry.messages
    record.gaps = state.health.gaps
    record.recovered = entry.recovered
    record.stale_ns = stale_ns
    record = emit(state, out, FEED_HEALTH, instrument, 0, 0)
    record.flags = QUALITY
    record.crossed_ns = entry.crossed_ns + (state.now - entry.crossed_since if entry.crossed_since else 0)
    record.outliers = entry.outliers
    record.latency_p50 = percentile(entry.latencies, 500, entry.latency_max)
    record.latency_p99 = percentile(entry.latencies, 990, entry.latency_max)
    record.latency_max = entry.latency_max
