"""Daily bars as the events that a step would have seen, in their order.

*Next open*: the session starts and opens, every instrument is quoted at its open (half a spread each side) and again at
its close, every bar closes, the session closes. Where the history has no opens the quotes stand at the close, so an
order decided at one close fills at the next; nothing is ever filled at a price that was known when it was decided.

*Close*: the session starts, every bar closes, the session closes; then it opens once more, for orders on the close
alone, with every instrument quoted at its close, and a timer marks what is held. What a close decided is so filled at
that close: the convention of other daily backtesters, and more than a real order can have.
"""

from enum import StrEnum

import numpy as np

from engine.core.clock import CLOSE_AFTER_MIDNIGHT_NS, OPEN_AFTER_MIDNIGHT_NS, PRE_OPEN_NS, midnight_ns
from engine.core.events import EVENT, Kind, Session, TradingStatus

DISPLAYED = 1_000_000_000  # shares: a bar says nothing of depth
LEAST_HALF_SPREAD = 1  # 1/10,000: a locked market takes no orders
CROSS_AFTER_CLOSE_NS = 1_000_000_000


class Fill(StrEnum):
    """Where an order that a close decided is filled."""

    NEXT_OPEN = "next-open"
    CLOSE = "close"


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


def fill_prices(opens: np.ndarray, closes: np.ndarray, fill: Fill) -> np.ndarray:
    """What an order of each day is filled at before half a spread; 0 where nothing is known."""
    return closes if fill is Fill.CLOSE else np.where(opens > 0, opens, closes)


def day_events(
    dates: np.ndarray, opens: np.ndarray, closes: np.ndarray, half_spread_bps: float, fill: Fill = Fill.NEXT_OPEN
) -> np.ndarray:
    """Events of all ``dates`` (int64 yyyymmdd); prices int64 [days, instruments] in 1/10,000, 0 = none."""
    midnights = np.array([midnight_ns(int(date)) for date in dates], np.int64)[:, None]
    opening, closing = midnights + OPEN_AFTER_MIDNIGHT_NS, midnights + CLOSE_AFTER_MIDNIGHT_NS
    start = _session(dates, opening - PRE_OPEN_NS, Session.START_OF_MESSAGES)
    closed = _session(dates, closing, Session.CLOSE)
    bars = _bars(closing, opens, closes)
    at_close = _quotes(closing, closes, half_spread_bps)
    if fill is Fill.CLOSE:
        cross = closing + CROSS_AFTER_CLOSE_NS
        at_close["ts_event"] = cross
        blocks = [start, bars, closed, _session(dates, cross, Session.OPEN), at_close, _timer(cross)]
    else:
        first = fill_prices(opens, closes, fill)
        at_open = _quotes(np.where(opens > 0, opening, closing), first, half_spread_bps)
        if not opens.any():
            at_close = at_close[:, :0]  # the same as at_open
        blocks = [start, _session(dates, opening, Session.OPEN), at_open, at_close, bars, closed]
    events = _side_by_side(blocks)
    events["ts_recv"] = events["ts_event"]
    traded = np.take_along_axis(closes > 0, np.maximum(events["instrument"], 0), axis=1)
    return events[traded | (events["instrument"] < 0)]


def _side_by_side(blocks: list[np.ndarray]) -> np.ndarray:
    """Joined along a day; as raw bytes, for numpy would repack the overlapping payload."""
    return np.concatenate([np.ascontiguousarray(block).view("V64") for block in blocks], axis=1).view(EVENT)


def _session(dates: np.ndarray, ts: np.ndarray, code: Session) -> np.ndarray:
    events = np.zeros((len(dates), 1), EVENT)
    events["kind"] = Kind.SESSION
    events["code"] = code
    events["date"] = dates[:, None]
    events["instrument"] = -1
    events["ts_event"] = ts
    return events


def _timer(ts: np.ndarray) -> np.ndarray:
    events = np.zeros((len(ts), 1), EVENT)
    events["kind"] = Kind.TIMER
    events["instrument"] = -1
    events["ts_event"] = ts
    return events


def _quotes(ts: np.ndarray, mid: np.ndarray, half_spread_bps: float) -> np.ndarray:
    events = np.zeros(mid.shape, EVENT)
    half_spread = np.maximum(np.ceil(mid * half_spread_bps / 10_000).astype(np.int64), LEAST_HALF_SPREAD)
    events["kind"] = Kind.QUOTE
    events["instrument"] = np.arange(mid.shape[1])
    events["ts_event"] = ts
    events["bid"], events["ask"] = mid - half_spread, mid + half_spread
    events["bid_size"] = events["ask_size"] = DISPLAYED
    return events


def _bars(ts: np.ndarray, opens: np.ndarray, closes: np.ndarray) -> np.ndarray:
    events = np.zeros(closes.shape, EVENT)
    first = np.where(opens > 0, opens, closes)
    events["kind"] = Kind.BAR
    events["instrument"] = np.arange(closes.shape[1])
    events["ts_event"] = ts
    events["open"] = first
    events["high"], events["low"] = np.maximum(first, closes), np.minimum(first, closes)
    events["close"] = closes
    return events
