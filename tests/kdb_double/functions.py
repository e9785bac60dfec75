"""The functions of ``deploy/kdb/store.q`` once more, plain and slow, over lists of rows.

Written from what the q functions promise (deploy/kdb/README.md), not from the embedded store: the contract tests hold
both to the same answers. The order of columns is that of ``deploy/kdb/schema.q``.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from kdb_double.wire import NULL_LONG, QError, Symbols

DAY_NS = 86_400_000_000_000
COLUMNS = {
    "event": "ts_event instrument kind side venue flags payload0 payload1 payload2 payload3 payload4",
    "trade": "price size side venue flags",
    "quote": "bid bid_size ask ask_size venue flags",
    "bar": "interval open high low close volume trades",
    "order": "order_id side price size filled state strategy",
    "fill": "order_id match side price size fee strategy",
    "position": "strategy position average_cost realised fees",
    "risk": "strategy equity unrealised realised gross",
    "feed_health": "messages gaps recovered duplicates stale_ns crossed_ns outliers "
    "latency_p50 latency_p99 latency_max",
    "news": "source headline body",
    "listing": "listed",
    "corporate_action": "code numerator denominator amount",
}
NON_PRINTABLE, NO_PRICE = 1, 64
Row = dict[str, Any]


class Reference:
    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], list[Row]] = {}
        self.positions: dict[tuple[str, str, str, int], int] = {}
        self.daily: dict[str, tuple[bytes, list[Row]]] = {}

    def functions(self) -> dict[str, Callable[..., Any]]:
        own = ("append", "position", "days", "eod", "rows", "last", "bars", "asof")
        return {f".hg.{name}": getattr(self, name) for name in own} | {
            ".hg.dailyMeta": self.daily_meta,
            ".hg.dailyRows": self.daily_rows,
            ".hg.dailyPut": self.daily_put,
            ".hg.reset": self.reset,
        }

    def reset(self, _: None) -> None:
        """Forget everything, as the q function does for a server that was started for tests."""
        self.stored.clear()
        self.positions.clear()
        self.daily.clear()

    # ---- rows

    def append(self, dataset: str, table: str, source: str, rows: Row) -> int:
        new = [row for row in _rows(rows) if not source or row["seq"] > self._known(dataset, table, source, row)]
        self.stored.setdefault((dataset, table), []).extend(new)
        for row in new if source else ():
            key = (dataset, table, source, row["time"] // DAY_NS)
            self.positions[key] = max(self.positions.get(key, 0), row["seq"])
        return len(new)

    def _known(self, dataset: str, table: str, source: str, row: Row) -> int:
        return self.positions.get((dataset, table, source, row["time"] // DAY_NS), 0)

    def position(self, dataset: str, table: str, source: str) -> int:
        found = [seq for key, seq in self.positions.items() if key[:3] == (dataset, table, source)]
        return max(found, default=0)

    def days(self, dataset: str, table: str) -> np.ndarray:
        days = {row["time"] // DAY_NS for row in self._all(dataset, table)}
        first = datetime(1970, 1, 1, tzinfo=UTC)
        return np.array([int(f"{first + timedelta(days=day):%Y%m%d}") for day in sorted(days)], np.int64)

    def eod(self, day: int) -> None:
        """There is one form of rows here."""

    def rows(self, dataset: str, table: str, symbols: Symbols | None, start: int, end: int) -> Row:
        found = sorted(self._range(dataset, table, symbols, start, end), key=_by_time)
        return _table(found, ["time", "sym", "seq", *COLUMNS[table].split()])

    def last(self, dataset: str, table: str, symbols: Symbols | None, at: int) -> Row:
        newest: dict[str, Row] = {}
        for row in sorted(self._range(dataset, table, symbols, NULL_LONG, at + 1), key=_by_time):
            newest[row["sym"]] = row
        return _table([newest[sym] for sym in sorted(newest)], ["time", "sym", "seq", *COLUMNS[table].split()])

    def bars(self, dataset: str, interval: int, symbols: Symbols | None, start: int, end: int, origin: int) -> Row:
        grouped: dict[tuple[int, str], list[Row]] = {}
        for row in sorted(self._range(dataset, "trade", symbols, start, end), key=_by_time):
            if not row["flags"] & NON_PRINTABLE:
                closes = (row["time"] - origin) // interval * interval + interval + origin
                grouped.setdefault((closes, row["sym"]), []).append(row)
        bars = []
        for (time, sym), trades in sorted(grouped.items()):
            prices = [trade["price"] for trade in trades if not trade["flags"] & NO_PRICE]
            prices = prices or [trade["price"] for trade in trades]
            bar = {"time": time, "sym": sym, "seq": len(bars) + 1, "interval": interval}
            bar |= {"open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1]}
            bars.append(bar | {"volume": sum(trade["size"] for trade in trades), "trades": len(trades)})
        return _table(bars, ["time", "sym", "seq", *COLUMNS["bar"].split()])

    def asof(self, dataset: str, symbols: Symbols | None, start: int, end: int) -> Row:
        quotes = sorted(self._range(dataset, "quote", symbols, start // DAY_NS * DAY_NS, end), key=_by_time)
        joined = []
        for trade in sorted(self._range(dataset, "trade", symbols, start, end), key=_by_time):
            standing = [q for q in quotes if q["sym"] == trade["sym"] and q["time"] <= trade["time"]][-1:]
            quote = standing[0] if standing else dict.fromkeys(("time", "bid", "bid_size", "ask", "ask_size"), 0)
            of_quote = {name: quote[name] for name in ("bid", "bid_size", "ask", "ask_size")}
            joined.append({**trade, "quote_time": quote["time"], **of_quote})
        names = ["time", "sym", "seq", *COLUMNS["trade"].split(), "quote_time", "bid", "bid_size", "ask", "ask_size"]
        return _table(joined, names)

    def _all(self, dataset: str, table: str) -> list[Row]:
        known = sorted({name for name, _ in self.stored})
        if dataset not in known:
            raise QError(f"unknown_dataset {dataset}: one of: {', '.join(known) or 'none yet'}")
        return self.stored.get((dataset, table), [])

    def _range(self, dataset: str, table: str, symbols: Symbols | None, start: int, end: int) -> list[Row]:
        rows = self._all(dataset, table)
        return [row for row in rows if start <= row["time"] < end and (symbols is None or row["sym"] in symbols)]

    # ---- daily bars

    def daily_meta(self, _: None) -> Row:
        return {"name": Symbols(self.daily), "description": [meta for meta, _ in self.daily.values()]}

    def daily_rows(self, dataset: str, symbols: Symbols | None, first: int, last: int) -> Row:
        if dataset not in self.daily:
            raise QError(f"unknown_dataset {dataset}: one of: {', '.join(self.daily) or 'none yet'}")
        rows = self.daily[dataset][1]
        wanted = [row for row in rows if first <= row["date"] <= last and (symbols is None or row["sym"] in symbols)]
        wanted.sort(key=lambda row: (row["date"], row["sym"]))
        return _table(wanted, ["date", "sym", "open", "high", "low", "close", "volume"])

    def daily_put(self, dataset: str, before: bytes, meta: bytes, rows: Row) -> None:
        standing = self.daily.get(dataset, (b'"data_hash":""', []))[0]
        if b'"data_hash":"' + before + b'"' not in standing:
            raise QError(f"overtaken {dataset}: nobody else writing the dataset")
        self.daily[dataset] = (meta, _rows(rows))


def _by_time(row: Row) -> tuple[int, int, str]:
    return row["time"], row["seq"], row["sym"]


def _rows(columns: Row) -> list[Row]:
    plain = {name: _plain(values) for name, values in columns.items()}
    return [dict(zip(plain, values, strict=True)) for values in zip(*plain.values(), strict=True)]


def _plain(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray):
        return values.astype(np.int64).tolist()  # a timestamp: ns since 1970
    if isinstance(values, Symbols):
        return list(values)
    return [one.encode() if isinstance(one, str) else one for one in values]  # a text of one character is a char


def _table(rows: list[Row], names: list[str]) -> Row:
    columns: Row = {}
    for name in names:
        values = [row[name] for row in rows]
        if name == "sym":
            columns[name] = Symbols(values)
        elif name in COLUMNS["news"].split():
            columns[name] = values
        else:
            numbers = np.array(values, np.int64)
            columns[name] = numbers.view("M8[ns]") if name in ("time", "quote_time") else numbers
    return columns
