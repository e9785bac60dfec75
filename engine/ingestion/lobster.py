"""LOBSTER archives: a message and an order book file of one symbol and day (lobsterdata.com, "Output Structure").

Message: seconds after midnight in New York, type (1 new, 2 part cancelled, 3 deleted, 4 executed, 5 hidden executed,
6 cross, 7 halt), order id, size, price in 1/10,000, direction of the resting order. Book: ask price, ask size, bid
price, bid size for each level after the message of the same row; +-9999999999 is an empty level.
"""

import re
from collections.abc import Iterator
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.events import EVENT, Flag, Kind, TradingStatus
from engine.errors import BadInput
from engine.history.tables import event_rows
from engine.ingestion.rows import Batch, batches, local_midnight, numbers, read_member, rows_of

MEMBER = re.compile(r"([A-Z0-9.\-]+)_(\d{4}-\d\d-\d\d)_\d+_\d+_(message|orderbook)_\d+\.csv")
MESSAGE = ("seconds", "type", "order_id", "size", "price", "direction")
NEW, CANCEL, DELETE, EXECUTE, HIDDEN, CROSS, HALT = range(1, 8)
KINDS = np.array([0, Kind.ADD, Kind.REDUCE, Kind.DELETE, Kind.EXECUTE, Kind.TRADE, Kind.TRADE, Kind.STATUS], np.int64)
EMPTY = 9_999_999_999


def is_lobster(archive: ZipFile) -> bool:
    """Whether the archive is one of these."""
    return {found[3] for found in map(MEMBER.fullmatch, archive.namelist()) if found} == {"message", "orderbook"}


def read(archive: ZipFile) -> Iterator[Batch]:
    """Rows of ``event`` (instrument 0), ``trade`` and, where the best level changed, ``quote``."""
    names = {found[3]: found for found in map(MEMBER.fullmatch, archive.namelist()) if found}
    symbol, midnight = names["message"][1], local_midnight(int(names["message"][2].replace("-", "")))
    messages = numbers(read_member(archive, names["message"][0]), MESSAGE, names["message"][0])
    best = _best(read_member(archive, names["orderbook"][0]), names["orderbook"][0])
    if len(best["ask"]) != len(messages["type"]):
        raise BadInput("row_count", "orderbook", len(best["ask"]), f"{len(messages['type'])} rows, as messages")
    if not np.isin(messages["type"], range(1, 8)).all():
        raise BadInput("bad_type", "type", int(messages["type"].max()), "1 to 7")
    time = midnight + np.array([int(one.scaleb(9)) for one in messages["seconds"]], np.int64)
    yield from batches("event", event_rows(_events(messages, time), [symbol]))
    yield from batches("trade", _trades(messages, time, symbol))
    yield from batches("quote", _quotes(best, time, symbol))


def _best(content: bytes, name: str) -> dict[str, NDArray[np.int64]]:
    columns = content[: content.index(b"\n")].count(b",") + 1 if b"\n" in content else 4
    names = ["ask", "ask_size", "bid", "bid_size", *(f"deeper{at}" for at in range(4, columns))]
    found = numbers(content, names, name)
    for price, size in (("ask", "ask_size"), ("bid", "bid_size")):
        empty = np.abs(found[price]) == EMPTY
        found[price], found[size] = np.where(empty, 0, found[price]), np.where(empty, 0, found[size])
    return found


def _events(messages: dict[str, NDArray], time: NDArray[np.int64]) -> NDArray[np.void]:
    kind = messages["type"].astype(np.int64)
    events = np.zeros(len(time), EVENT)
    events["ts_event"] = events["ts_recv"] = time
    events["kind"], events["side"] = KINDS[kind], messages["direction"]
    halt, traded = kind == HALT, (kind == HIDDEN) | (kind == CROSS)
    events["order_id"] = np.where(traded, 0, messages["order_id"])
    events["price"] = np.where((kind == CANCEL) | (kind == DELETE), 0, messages["price"])
    events["qty"] = np.where(kind == DELETE, 0, messages["size"])
    events["flags"] = np.where(kind == CROSS, int(Flag.CROSS), 0)
    # A halt's price: -1 halted, 0 quoting resumes, 1 trading resumes.
    status = {-1: TradingStatus.HALTED, 0: TradingStatus.QUOTATION_ONLY, 1: TradingStatus.TRADING}
    for price, code in status.items():
        at = halt & (messages["price"] == price)
        events["code"][at], events["price"][at], events["qty"][at], events["side"][at] = code, 0, 0, 0
    return events


def _trades(messages: dict[str, NDArray], time: NDArray[np.int64], symbol: str) -> pa.Table:
    traded = np.isin(messages["type"], (EXECUTE, HIDDEN, CROSS))
    crossed = messages["type"][traded] == CROSS
    return rows_of(
        "trade",
        symbol,
        time[traded],
        price=messages["price"][traded],
        size=messages["size"][traded],
        side=np.where(crossed, 0, -messages["direction"][traded]),
        flags=np.where(crossed, int(Flag.CROSS), 0),
    )


def _quotes(best: dict[str, NDArray[np.int64]], time: NDArray[np.int64], symbol: str) -> pa.Table:
    sides = np.stack([best[name] for name in ("bid", "bid_size", "ask", "ask_size")])
    changed = np.r_[True, (np.diff(sides, axis=1) != 0).any(axis=0)]
    bid, bid_size, ask, ask_size = sides[:, changed]
    return rows_of("quote", symbol, time[changed], bid=bid, bid_size=bid_size, ask=ask, ask_size=ask_size)
