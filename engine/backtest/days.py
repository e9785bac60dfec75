"""Daily bars as the events that a step would have seen, in their order.

For each day: the session starts, opens, every instrument is quoted at its open (half a spread each side),
every bar closes, the session closes. Where the history has no opens the quote stands at the close, so an
order decided at one close fills at the next; nothing is ever filled at a price that was known when it was
decided.
"""

import numpy as np

from engine.core.clock import CLOSE_AFTER_MIDNIGHT_NS, OPEN_AFTER_MIDNIGHT_NS, PRE_OPEN_NS, midnight_ns
from engine.core.events import EVENT, Kind, Session, TradingStatus

DISPLAYED = 1_000_000_000  # shares: a bar says nothing of depth


def opening_events(instruments: int, ts: int) -> np.ndarray:
    """The venue is up and every instrument trades: EVENT[instruments + 1]."""
    events = np.zeros(instruments + 1, EVENT)
    events["ts_event"] = events["ts_recv"] = ts
    events["instrument"][1:] = np.arange(instruments)
    events["kind"][0] = Kind.ORDER_SESSION
    events["code"][0] = 1
    events["ref"][0] = 1
    events["kind"][1:] = Kind.STATUS
    events["code"][1:] = TradingStatus.TRADING
    return events


def day_events(dates: np.ndarray, opens: np.ndarray, closes: np.ndarray, half_spread_bps: float) -> np.ndarray:
    """Events of all ``dates`` (int64 yyyymmdd); prices int64 [days, instruments] in 1/10,000, 0 = none."""
    days, instruments = closes.shape
    fill_at = np.where(opens > 0, opens, closes)
    half_spread = np.ceil(fill_at * half_spread_bps / 10_000).astype(np.int64)
    events = np.zeros((days, 2 * instruments + 3), EVENT)
    midnights = np.array([midnight_ns(int(date)) for date in dates], np.int64)[:, None]
    start, opened, quotes = events[:, 0], events[:, 1], events[:, 2 : 2 + instruments]
    bars, closed = events[:, 2 + instruments : -1], events[:, -1]
    events["ts_event"] = midnights + OPEN_AFTER_MIDNIGHT_NS
    start["ts_event"] -= PRE_OPEN_NS
    quotes["ts_event"] = midnights + np.where(opens > 0, OPEN_AFTER_MIDNIGHT_NS, CLOSE_AFTER_MIDNIGHT_NS)
    bars["ts_event"] = midnights + CLOSE_AFTER_MIDNIGHT_NS
    closed["ts_event"] = midnights[:, 0] + CLOSE_AFTER_MIDNIGHT_NS
    for record, code in ((start, Session.START_OF_MESSAGES), (opened, Session.OPEN), (closed, Session.CLOSE)):
        record["kind"] = Kind.SESSION
        record["code"] = code
        record["date"] = dates
        record["instrument"] = -1
    for block in (quotes, bars):
        block["instrument"] = np.arange(instruments)
    quotes["kind"] = Kind.QUOTE
    quotes["bid"], quotes["ask"] = fill_at - half_spread, fill_at + half_spread
    quotes["bid_size"] = quotes["ask_size"] = DISPLAYED
    bars["kind"] = Kind.BAR
    bars["open"] = fill_at
    bars["high"], bars["low"] = np.maximum(fill_at, closes), np.minimum(fill_at, closes)
    bars["close"] = closes
    events["ts_recv"] = events["ts_event"]
    known = np.ones(events.shape, bool)
    known[:, 2 : 2 + instruments] = known[:, 2 + instruments : -1] = closes > 0
    return events[known]
