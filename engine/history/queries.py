"""What a history store answers from its rows alone, whichever store it is."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.core.events import Flag
from engine.errors import BadInput
from engine.history.tables import DAY, NO_PRICE, QUOTED, TABLES, Ticks, symbol_codes


def session_day(start: int | None) -> int | None:
    """The beginning of the UTC day of ``start`` (ns): from where on quotes count for trades after ``start``."""
    return None if start is None else start // DAY * DAY


def join_quotes(trades: pa.Table, quotes: pa.Table) -> pa.Table:
    """Trades with their symbol's last quote at or before each; both ordered by time and seq."""
    times, quoted_at = trades["time"].to_numpy(), quotes["time"].to_numpy()
    names, codes = symbol_codes(trades)
    of_quotes = pc.fill_null(pc.index_in(quotes["symbol"], pa.array(names, pa.string())), -1).to_numpy()
    found = np.full(len(times), -1)
    for code in range(len(names)):
        mine, theirs = np.flatnonzero(codes == code), np.flatnonzero(of_quotes == code)
        before = np.searchsorted(quoted_at[theirs], times[mine], side="right") - 1
        found[mine] = np.where(before >= 0, np.r_[theirs, -1][before], -1)
    columns = {"quote_time": "time", "bid": "bid", "bid_size": "bid_size", "ask": "ask", "ask_size": "ask_size"}
    for name, of_quote in columns.items():
        values = np.r_[quotes[of_quote].to_numpy(), 0][found]  # the last, 0, is what -1 takes
        trades = trades.append_column(pa.field(name, pa.int64(), nullable=False), pa.array(values))
    return trades.cast(QUOTED)


def printed(trades: pa.Table) -> pa.Table:
    """Trades that count as volume and as a last price."""
    flags = trades["flags"].to_numpy()
    keep = (flags & int(Flag.NON_PRINTABLE)) == 0
    return trades if keep.all() else trades.filter(pa.array(keep))


def bars_of_trades(trades: pa.Table, interval: int, origin: int = 0) -> pa.Table:
    """Bars of ``interval`` ns cut at ``origin``, of printed trades ordered by symbol, time and seq (see ``Ticks``)."""
    checked_interval(interval)
    if not trades.num_rows:
        return TABLES["bar"].empty_table()
    names, codes = symbol_codes(trades)
    number = (trades["time"].to_numpy() - origin) // interval
    starts = np.flatnonzero(np.r_[True, (np.diff(codes) != 0) | (np.diff(number) != 0)])
    stops = np.r_[starts[1:], len(codes)]
    price, rows = trades["price"].to_numpy(), np.arange(len(codes))
    prices = (trades["flags"].to_numpy() & NO_PRICE) == 0
    prices |= ~np.repeat(np.logical_or.reduceat(prices, starts), stops - starts)
    figures = {
        "time": (number[starts] + 1) * interval + origin,
        "open": price[np.minimum.reduceat(np.where(prices, rows, len(rows)), starts)],
        "high": np.maximum.reduceat(np.where(prices, price, 0), starts),
        "low": np.minimum.reduceat(np.where(prices, price, np.iinfo(np.int64).max), starts),
        "close": price[np.maximum.reduceat(np.where(prices, rows, 0), starts)],
        "volume": np.add.reduceat(trades["size"].to_numpy(), starts),
        "trades": stops - starts,
        "interval": np.full(len(starts), interval),
    }
    order = np.lexsort((codes[starts], figures["time"]))
    arrays = {name: pa.array(values[order]) for name, values in figures.items()}
    arrays["symbol"] = pa.array(names, pa.string()).take(pa.array(codes[starts][order]))
    arrays["seq"] = pa.array(np.arange(1, len(order) + 1))
    return pa.table([arrays[name] for name in TABLES["bar"].names], schema=TABLES["bar"])


def checked_interval(interval: int) -> None:
    if interval <= 0:
        raise BadInput("bad_interval", "interval", interval, "nanoseconds above 0")


def volume_curve(
    store: Ticks, dataset: str, symbols: Sequence[str], sessions: Sequence[tuple[int, int]], buckets: int
) -> NDArray[np.float64]:
    """See ``Ticks.volume_curve``: from bars that are cut at each session's open."""
    total, counted = np.zeros((len(symbols), buckets)), np.zeros((len(symbols), 1))
    for opened, closed in sessions:
        if buckets < 1 or closed - opened < buckets:
            raise BadInput("bad_session", "sessions", (opened, closed), f"open < close, in {buckets} buckets or fewer")
        width = -(-(closed - opened) // buckets)
        bars = store.trade_bars(dataset, width, symbols, opened, closed, origin=opened)
        volume = np.zeros_like(total)
        place = pc.index_in(bars["symbol"], pa.array(symbols, pa.string())).to_numpy()
        volume[place, (bars["time"].to_numpy() - opened) // width - 1] = bars["volume"].to_numpy()
        whole = volume.sum(axis=1, keepdims=True)
        total += np.divide(volume, whole, out=np.zeros_like(volume), where=whole > 0)
        counted += whole > 0
    return np.divide(total, counted, out=np.zeros_like(total), where=counted > 0)


def universe(store: Ticks, dataset: str, at: int) -> list[str]:
    """See ``Ticks.universe``: the last word of table ``listing`` on each symbol."""
    newest = store.last(dataset, "listing", None, at)
    return newest.filter(pc.equal(newest["listed"], 1))["symbol"].to_pylist()
