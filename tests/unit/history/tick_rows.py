"""Rows of the tick tables for tests, made from what a test says and zeros for the rest."""

from typing import Any

import numpy as np
import pyarrow as pa

from engine.history.tables import TABLES, TEXT

NOON = int(np.datetime64("2026-03-02T12:00", "ns").astype(np.int64))
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


def table_of(table: str, *rows: dict[str, Any]) -> pa.Table:
    """Rows by column name; ``seq`` counts from 1 where it is not given, other columns are 0 or empty."""
    filled = []
    for number, row in enumerate(rows, start=1):
        empty = {name: "" if name in ("symbol", *TEXT) else 0 for name in TABLES[table].names}
        filled.append({**empty, "seq": number, **row})
    return pa.Table.from_pylist(filled, schema=TABLES[table])


def trade(seconds: float, symbol: str, price: int, size: int = 100, **others: Any) -> dict[str, Any]:
    return {"time": NOON + round(seconds * SECOND), "symbol": symbol, "price": price, "size": size, **others}


def quote(seconds: float, symbol: str, bid: int, ask: int, **others: Any) -> dict[str, Any]:
    sizes = {"bid_size": 100, "ask_size": 100}
    return {"time": NOON + round(seconds * SECOND), "symbol": symbol, "bid": bid, "ask": ask, **sizes, **others}
