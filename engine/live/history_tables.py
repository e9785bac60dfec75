"""Journal records as rows of the history's tables (``engine.history.tables``); ``seq`` is the record's number.

Quotes and trades of each venue come from books that are kept here as the step keeps its own: a journal holds what the
venue said, order by order. Everything else is in the records. Nothing here looks further back than the beginning of
the trading day, and what has to be known of before (symbols, fees so far) is in ``Known``, so that whoever begins
again there makes the same rows.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from engine.core import books
from engine.core.capacities import INSTRUMENTS, MARKETS
from engine.core.carry import decode_carried
from engine.core.compiled import njit
from engine.core.events import BlobType, Flag, HealthPage, Kind, Session, Stale
from engine.core.orders import OrderState
from engine.core.state import BOOKS
from engine.history.tables import TABLES, event_rows
from engine.live.scan import Blob, Walk

DAY_NS = 86_400_000_000_000
MARKET = frozenset(Kind(kind) for kind in range(int(Kind.ADD), int(Kind.STALE) + 1))
OUTPUTS = frozenset(
    {Kind.ORDER_NEW, Kind.ORDER_REPLACE, Kind.ORDER_DONE, Kind.FILL, Kind.POSITION, Kind.EQUITY, Kind.FEED_HEALTH}
)
ADD, REPLACE, EXECUTE, TRADE = int(Kind.ADD), int(Kind.REPLACE), int(Kind.EXECUTE), int(Kind.TRADE)
QUOTE, BAR, SESSION, STALE = int(Kind.QUOTE), int(Kind.BAR), int(Kind.SESSION), int(Kind.STALE)
START, FORGET = int(Session.START_OF_MESSAGES), int(Stale.FORGET)
SNAPSHOT = int(Flag.SNAPSHOT)

TOUCH = np.dtype([("row", "<i8"), ("bid", "<i8"), ("bid_size", "<i8"), ("ask", "<i8"), ("ask_size", "<i8")])
PRINT = np.dtype([("row", "<i8"), ("price", "<i8"), ("qty", "<i8"), ("side", "<i8")])
FOLLOWED = np.dtype([("book", BOOKS), ("touch", TOUCH, (INSTRUMENTS,))])  # of one venue


class Known(msgspec.Struct):
    """What rows need to know of earlier trading days."""

    symbols: list[str] = []
    fees: dict[str, int] = {}  # "strategy/instrument": charged so far


@njit(cache=True, nogil=True)
def follow(venues, records, count, touches, prints):
    """Applies ``records`` (EVENT, market data) to the books of ``venues``; (touches that changed, trades) written.

    ``touches`` is TOUCH[n], ``prints`` PRINT[n]; ``row`` is the record's place.
    """
    changed = traded = 0
    for row in range(count):
        event = records[row]
        followed = venues[event.venue]
        if (event.kind == SESSION and event.code == START) or (event.kind == STALE and event.code == FORGET):
            books.clear(followed.book)
            for instrument in range(len(followed.touch)):
                _set(followed.touch[instrument], 0, 0, 0, 0)
        if not 0 <= event.instrument < len(followed.touch):
            continue
        price = event.price
        if ADD <= event.kind <= REPLACE:
            answer = books.apply(followed.book, event)
            if answer < 0:
                continue
            if event.kind == EXECUTE and price == 0:
                price = answer
            bid, bid_size = books.touch(followed.book, event.instrument, 0)
            ask, ask_size = books.touch(followed.book, event.instrument, 1)
        elif event.kind == QUOTE:
            bid, bid_size, ask, ask_size = event.bid, event.bid_size, event.ask, event.ask_size
        elif event.kind == TRADE:
            bid, bid_size = followed.touch[event.instrument].bid, followed.touch[event.instrument].bid_size
            ask, ask_size = followed.touch[event.instrument].ask, followed.touch[event.instrument].ask_size
        else:
            continue
        if event.kind in (EXECUTE, TRADE):
            printed, before = prints[traded], followed.touch[event.instrument]
            printed.row, printed.price, printed.qty = row, price, event.qty
            printed.side = 1 if 0 < before.ask <= price else -1 if price <= before.bid else 0
            traded += 1
        if _set(followed.touch[event.instrument], bid, bid_size, ask, ask_size) and not event.flags & SNAPSHOT:
            written = touches[changed]
            written.row = row
            _set(written, bid, bid_size, ask, ask_size)
            changed += 1
    return changed, traded


@njit(cache=True)
def _set(touch, bid, bid_size, ask, ask_size):
    """True when anything of it has changed."""
    same = touch.bid == bid and touch.bid_size == bid_size and touch.ask == ask and touch.ask_size == ask_size
    touch.bid, touch.bid_size, touch.ask, touch.ask_size = bid, bid_size, ask, ask_size
    return not same


class Rows:
    """Takes a journal's records in their order. ``started`` says of each venue with which record its trading day began,
    and what was known then: whoever begins again at the first of them makes the same rows from there on."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.started: dict[int, tuple[int, Known]] = {}
        self.date = 0
        self._venues = np.zeros(MARKETS, FOLLOWED)
        self._blobs, self._records = Walk(frozenset()), Walk(MARKET | OUTPUTS)
        self._orders: dict[int, tuple[int, int]] = {}  # price, size of those that may be open
        self._fills: dict[str, tuple[Any, ...]] = {}  # until the position behind them says the fee
        self._health: dict[int, list[int]] = {}  # the first page of an instrument's, until the second comes

    def take(self, first: int, records: np.ndarray) -> dict[str, pa.Table]:
        """Rows by table, of ``records`` (EVENT[n]), the first of which has number ``first``."""
        for found in self._blobs.feed(first, records):
            if isinstance(found, Blob):
                self._know(found)
        places = self._records.rows(records)
        chosen, numbers = records[places], first + places
        market = (chosen["kind"] <= STALE) & (chosen["kind"] != BAR)
        rows = self._market(chosen[market], numbers[market])
        made: dict[str, list[tuple[Any, ...]]] = {}
        for place in np.flatnonzero(~market).tolist():
            for table, *row in self._output(int(numbers[place]), chosen[place]):
                made.setdefault(table, []).append(tuple(row))
        return rows | {table: _table(table, those) for table, those in made.items()}

    def _know(self, blob: Blob) -> None:
        symbols = self.known.symbols
        if blob.blob_type is BlobType.INSTRUMENTS:
            self.known.symbols = json.loads(blob.payload)
        elif blob.blob_type is BlobType.CARRIED:
            for held in decode_carried(blob.payload).positions:
                self.known.fees[f"{held.strategy}/{held.instrument}"] = held.fees
        elif blob.blob_type is BlobType.SYMBOL_CHANGE:
            change = json.loads(blob.payload)
            if 0 <= change["instrument"] < len(symbols) and change["symbol"] not in symbols:
                symbols[change["instrument"]] = change["symbol"]

    def _market(self, records: np.ndarray, numbers: np.ndarray) -> dict[str, pa.Table]:
        if not len(records):
            return {}
        for place in np.flatnonzero((records["kind"] == SESSION) & (records["code"] == START)).tolist():
            self.date = int(records[place]["date"])
            known = Known(list(self.known.symbols), dict(self.known.fees))
            self.started[int(records[place]["venue"])] = (int(numbers[place]), known)
        touches, prints = np.zeros(len(records), TOUCH), np.zeros(len(records), PRINT)
        changed, traded = follow(self._venues, records, len(records), touches, prints)
        touches, prints = touches[:changed], prints[:traded]
        events = event_rows(records, self.known.symbols)
        events = events.set_column(events.schema.get_field_index("seq"), "seq", pa.array(numbers))
        quotes = records[touches["row"]], numbers[touches["row"]]
        trades = records[prints["row"]], numbers[prints["row"]]
        sizes = {name: touches[name] for name in ("bid", "bid_size", "ask", "ask_size")}
        made = {"price": prints["price"], "size": prints["qty"], "side": prints["side"]}
        return {
            "event": events.cast(TABLES["event"]),
            "quote": self._told("quote", *quotes, **sizes),
            "trade": self._told("trade", *trades, **made),
        }

    def _told(self, table: str, records: np.ndarray, numbers: np.ndarray, **columns: np.ndarray) -> pa.Table:
        """Rows of market data, with what their records say of time, symbol, venue and flags."""
        names = pa.array(self.known.symbols, pa.string()).take(pa.array(records["instrument"].astype(np.int64)))
        columns |= {"time": records["ts_recv"], "seq": numbers, "venue": records["venue"], "flags": records["flags"]}
        arrays = {name: pa.array(column.astype(np.int64)) for name, column in columns.items()} | {"symbol": names}
        return pa.table([arrays[name] for name in TABLES[table].names], schema=TABLES[table])

    def _output(self, number: int, record: np.void) -> Iterator[tuple[Any, ...]]:
        """(table, its columns in their order) of each row that a record makes."""
        kind, time, strategy = Kind(int(record["kind"])), int(record["ts_recv"]), int(record["strategy"])
        instrument = int(record["instrument"])
        head = (time, self.known.symbols[instrument] if 0 <= instrument < len(self.known.symbols) else "", number)
        if kind is Kind.BAR:
            prices = (int(record[name]) for name in ("open", "high", "low", "close", "volume"))
            yield ("bar", int(record["ts_event"]), *head[1:], DAY_NS, *prices, 0)
        elif kind is Kind.POSITION:
            figures = [int(record[name]) for name in ("position", "average_cost", "realised", "fees")]
            yield from self._filled(f"{strategy}/{instrument}", figures[-1])
            yield ("position", *head, strategy, *figures)
        elif kind is Kind.EQUITY:
            yield ("risk", *head, strategy, *(int(record[n]) for n in ("equity", "unrealised", "realised", "gross")))
        elif kind is Kind.FEED_HEALTH:
            yield from self._feed_health(head, record)
        elif kind is Kind.FILL:
            names = ("order_id", "ref", "side", "price", "qty")
            self._fills[f"{strategy}/{instrument}"] = ("fill", *head, *(int(record[name]) for name in names), strategy)
        else:
            yield self._order(head, kind, record)

    def _filled(self, held: str, fees: int) -> Iterator[tuple[Any, ...]]:
        fill = self._fills.pop(held, None)
        if fill is not None:
            yield (*fill[:-1], fees - self.known.fees.get(held, 0), fill[-1])
        self.known.fees[held] = fees

    def _order(self, head: tuple[int, str, int], kind: Kind, record: np.void) -> tuple[Any, ...]:
        order_id, strategy, side = int(record["order_id"]), int(record["strategy"]), int(record["side"])
        if kind is Kind.ORDER_DONE:
            price, size = self._orders.pop(order_id, (0, 0))
            filled, state = int(record["filled"]), int(record["order_state"])
            return ("order", *head, order_id, side, price, size, filled, state, strategy)
        price, size = int(record["price"]), int(record["qty"])
        self._orders[order_id] = (price, size)
        return ("order", *head, order_id, side, price, size, 0, int(OrderState.PENDING_NEW), strategy)

    def _feed_health(self, head: tuple[int, str, int], record: np.void) -> Iterator[tuple[Any, ...]]:
        instrument, page = int(record["instrument"]), HealthPage(int(record["flags"]))
        if page is HealthPage.COUNTS:
            counts = ("messages", "gaps", "recovered", "duplicates", "stale_ns")
            self._health[instrument] = [int(record[name]) for name in counts]
            return
        quality = ("crossed_ns", "outliers", "latency_p50", "latency_p99", "latency_max")
        counted = self._health.pop(instrument, None)
        if counted:
            yield ("feed_health", *head, *counted, *(int(record[name]) for name in quality))


def _table(table: str, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    schema, columns = TABLES[table], zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)
