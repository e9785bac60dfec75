"""QuantConnect LEAN equity archives: ticks, and bars of a minute or second, of one symbol and day each.

Format: Lean ``Data/equity/readme.md``: a zip of one csv without a header, named ``<day>_<symbol>_<resolution>_
<trade|quote>.csv`` (ticks: ``<day>_<symbol>_Trade_Tick.csv``). Times are milliseconds since midnight in New York,
prices are in 1/10,000, a bar's time is its beginning. Daily archives (``<symbol>.csv``) are read by
``engine.history.ingest``.
"""

import re
from collections.abc import Iterator
from typing import Any
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.events import Flag
from engine.errors import BadInput
from engine.history.tables import NO_PRICE, by_time
from engine.ingestion.rows import Batch, batches, local_midnight, numbers, read_member, rows_of

MEMBER = re.compile(r"(\d{8})_([a-z0-9.\-]+)_(?:(minute|second)_(trade|quote)|(trade|quote)_tick)\.csv", re.IGNORECASE)
MILLISECOND = 1_000_000
INTERVAL = {"minute": 60_000_000_000, "second": 1_000_000_000}
VENUES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # a venue is its letter's place, from 1; 0 unknown
ODD_LOT = 0x20000000  # of the sale conditions (Lean, TradeConditionFlags)
TICK_TRADE = ("ms", "price", "size", "exchange", "condition", "suspicious")
TICK_QUOTE = ("ms", "bid", "bid_size", "ask", "ask_size", "exchange", "condition", "suspicious")
BAR_TRADE = ("ms", "open", "high", "low", "close", "volume")
BAR_QUOTE = ("ms", "bid_open", "bid_high", "bid_low", "bid", "bid_size", "ask_open", "ask_high", "ask_low", "ask")
TEXT = ("exchange", "condition")


def is_lean(archive: ZipFile) -> bool:
    """Whether the archive is one of these."""
    names = archive.namelist()
    return len(names) == 1 and MEMBER.fullmatch(names[0]) is not None


def read(archive: ZipFile) -> Iterator[Batch]:
    """Rows of ``trade``, ``quote`` or ``bar``."""
    [name] = archive.namelist()
    found = MEMBER.fullmatch(name)
    assert found is not None, "the caller asked is_lean"
    day, symbol, resolution = found[1], found[2].upper(), found[3]
    kind = (found[4] or found[5]).lower()
    midnight = local_midnight(int(day))
    content = read_member(archive, name)
    readers = {(False, "trade"): _trades, (False, "quote"): _quotes, (True, "trade"): _bars, (True, "quote"): _closes}
    table, rows = readers[resolution is not None, kind](content, name, symbol, midnight, INTERVAL.get(resolution or ""))
    return batches(table, by_time(rows))


def _trades(content: bytes, name: str, symbol: str, midnight: int, _: int | None) -> tuple[str, pa.Table]:
    ticks = numbers(content, TICK_TRADE, name, TEXT)
    conditions = _conditions(ticks["condition"], name)
    flags = np.where(conditions & ODD_LOT, NO_PRICE, 0) | np.where(ticks["suspicious"] != 0, int(Flag.NON_PRINTABLE), 0)
    time = midnight + ticks["ms"] * MILLISECOND
    venue = _venues(ticks["exchange"])
    return "trade", rows_of("trade", symbol, time, price=ticks["price"], size=ticks["size"], venue=venue, flags=flags)


def _quotes(content: bytes, name: str, symbol: str, midnight: int, _: int | None) -> tuple[str, pa.Table]:
    """A row says one side or both; the other is what it was (0 before it was ever said)."""
    ticks = numbers(content, TICK_QUOTE, name, TEXT)
    sides: dict[str, Any] = {}
    for price, size in (("bid", "bid_size"), ("ask", "ask_size")):
        said = np.maximum.accumulate(np.where(ticks[price] > 0, np.arange(len(ticks[price])), -1))
        for column in (price, size):
            sides[column] = np.where(said >= 0, ticks[column][said], 0)
    time = midnight + ticks["ms"] * MILLISECOND
    return "quote", rows_of("quote", symbol, time, **sides, venue=_venues(ticks["exchange"]))


def _bars(content: bytes, name: str, symbol: str, midnight: int, interval: int | None) -> tuple[str, pa.Table]:
    assert interval
    bars = numbers(content, BAR_TRADE, name)
    figures: dict[str, Any] = {column: bars[column] for column in BAR_TRADE[1:]}
    closes = midnight + bars["ms"] * MILLISECOND + interval
    return "bar", rows_of("bar", symbol, closes, interval=interval, **figures)


def _closes(content: bytes, name: str, symbol: str, midnight: int, interval: int | None) -> tuple[str, pa.Table]:
    """Of a bar of quotes the last is kept, at the bar's close."""
    assert interval
    bars = numbers(content, (*BAR_QUOTE, "ask_size"), name)
    sides: dict[str, Any] = {column: bars[column] for column in ("bid", "bid_size", "ask", "ask_size")}
    return "quote", rows_of("quote", symbol, midnight + bars["ms"] * MILLISECOND + interval, **sides)


def _conditions(text: NDArray, name: str) -> NDArray[np.int64]:
    known, inverse = np.unique(text.astype(str), return_inverse=True)
    try:
        return np.array([int(one or "0", 16) for one in known], np.int64)[inverse]
    except ValueError as error:
        raise BadInput("damaged", "condition", f"{name}: {error}", "hexadecimal sale conditions") from error


def _venues(text: NDArray) -> NDArray[np.int64]:
    known, inverse = np.unique(text.astype(str), return_inverse=True)
    return np.array([VENUES.find(one) + 1 if len(one) == 1 else 0 for one in known], np.int64)[inverse]
