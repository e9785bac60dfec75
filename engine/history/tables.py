"""The tables of a history store beside daily bars: what each row is, and the queries that every store answers.

Every row begins with ``time`` (ns UTC: when it arrived, of a bar its close), ``symbol`` ("" where it concerns none) and
``seq`` (its number in its source; rows of one time stand in its order). Prices and money are int64 in 1/10,000, sizes
whole shares; 0 is unknown. Nothing is null.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.core.events import EVENT
from engine.errors import BadInput

DAY = 86_400_000_000_000  # ns
KEY = ("time", "symbol", "seq")
TEXT = ("source", "headline", "body")
PAYLOAD = ("payload0", "payload1", "payload2", "payload3", "payload4")
HEADER = ("ts_event", "instrument", "kind", "side", "venue", "flags")
NO_PRICE = 64  # of a trade's flags, beside those of Flag: an odd lot, which is volume but makes no price
FIRST_TIME, LAST_TIME = -(10**18) * 2, 4 * 10**18  # 1906 to 2096: what lies outside is another unit

_COLUMNS: dict[str, tuple[str, ...]] = {
    "event": (*HEADER, *PAYLOAD),  # one EVENT record; time is its ts_recv
    "trade": ("price", "size", "side", "venue", "flags"),  # side: who was the aggressor, 0 unknown
    "quote": ("bid", "bid_size", "ask", "ask_size", "venue", "flags"),
    "bar": ("interval", "open", "high", "low", "close", "volume", "trades"),  # interval in ns
    "order": ("order_id", "side", "price", "size", "filled", "state", "strategy"),
    "fill": ("order_id", "match", "side", "price", "size", "fee", "strategy"),
    "position": ("strategy", "position", "average_cost", "realised", "fees"),
    "risk": ("strategy", "equity", "unrealised", "realised", "gross"),
    "feed_health": ("messages", "gaps", "recovered", "duplicates", "stale_ns", "crossed_ns", "outliers")
    + ("latency_p50", "latency_p99", "latency_max"),
    "news": TEXT,
    "listing": ("listed",),  # 1: belongs to the universe from here on, 0: no longer
    "corporate_action": ("code", "numerator", "denominator", "amount"),  # as Kind.CORPORATE_ACTION has it
}


def _schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema(
        [
            pa.field(name, pa.string() if name == "symbol" or name in TEXT else pa.int64(), nullable=False)
            for name in (*KEY, *columns)
        ]
    )


TABLES = {name: _schema(columns) for name, columns in _COLUMNS.items()}
QUOTED = pa.schema(  # a trade beside the quote that stood when it came; quote_time 0: none stood
    [
        *TABLES["trade"],
        *(pa.field(name, pa.int64(), nullable=False) for name in ("quote_time", "bid", "bid_size", "ask", "ask_size")),
    ]
)


class Ticks(Protocol):
    """What a history store keeps beside daily bars. Time ranges are ns UTC, ``start`` inclusive, ``end`` exclusive.

    ``symbols`` None asks for all. A dataset comes into being with its first rows; reading one that is unknown raises
    ``BadInput``, a table of it without rows is empty. Days are those of UTC.
    """

    def append(self, dataset: str, table: str, rows: pa.Table, *, source: str = "") -> int:
        """Add rows (schema ``TABLES[table]``, any order) and return how many were new.

        With a ``source``, rows whose ``seq`` is not above what that source has brought for the row's day are left out:
        whoever writes from a journal may begin again anywhere before where it broke off. Raises ``BadInput`` and
        changes nothing where a row breaks the schema.
        """
        ...

    def position(self, dataset: str, table: str, source: str) -> int:
        """The highest ``seq`` that a source has brought, 0 for none."""
        ...

    def rows(
        self,
        dataset: str,
        table: str,
        symbols: Sequence[str] | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> pa.Table:
        """Rows ordered by time, seq and symbol."""
        ...

    def last(self, dataset: str, table: str, symbols: Sequence[str] | None = None, at: int | None = None) -> pa.Table:
        """The newest row of each symbol at or before ``at``, ordered by symbol."""
        ...

    def trade_bars(
        self,
        dataset: str,
        interval: int,
        symbols: Sequence[str] | None = None,
        start: int | None = None,
        end: int | None = None,
        *,
        origin: int = 0,
    ) -> pa.Table:
        """Bars (schema ``TABLES["bar"]``, ordered by time and symbol) of ``interval`` ns, cut at ``origin``, of trades.

        A bar holds the trades of [time - interval, time). Intervals without a trade have no bar; trades that print
        neither volume nor price (``Flag.NON_PRINTABLE``) count for nothing. Those that are volume alone (``NO_PRICE``)
        make the prices of a bar only where it has no others. seq counts from 1 in the answer.
        """
        ...

    def trades_with_quotes(
        self, dataset: str, symbols: Sequence[str] | None = None, start: int | None = None, end: int | None = None
    ) -> pa.Table:
        """Trades (schema ``QUOTED``, ordered as ``rows``), each with its symbol's last quote at or before it.

        Quotes of the UTC day of ``start`` and later are looked at: a quote does not outlive its trading day by far.
        """
        ...

    def volume_curve(
        self, dataset: str, symbols: Sequence[str], sessions: Sequence[tuple[int, int]], buckets: int
    ) -> NDArray[np.float64]:
        """Share of a session's volume [symbols, buckets], averaged over ``sessions`` (open, close in ns UTC).

        Sessions without volume of the symbol count for nothing; a row is 0 where there is none at all.
        """
        ...

    def universe(self, dataset: str, at: int) -> list[str]:
        """Symbols that belong to the universe at a time, by what table ``listing`` knew then; sorted."""
        ...

    def days(self, dataset: str, table: str) -> list[int]:
        """Days (yyyymmdd) that have rows, ordered."""
        ...

    def close_day(self, dataset: str, day: int) -> None:
        """Put a day's rows into their lasting form. Readers and their answers do not notice; rows may still come."""
        ...


# ---- rows


def conform(table: str, rows: pa.Table) -> pa.Table:
    """Rows as ``TABLES[table]``, ordered by symbol, time and seq. Raises ``BadInput`` for what no row may be."""
    schema = schema_of(table)
    missing = [name for name in schema.names if name not in rows.column_names]
    if missing:
        raise BadInput("missing_column", "rows", missing, f"columns {schema.names}")
    try:
        rows = rows.select(schema.names).cast(schema).combine_chunks()
    except (pa.ArrowInvalid, ValueError) as error:
        raise BadInput("bad_column", "rows", str(error), f"columns of table {table}, without null") from error
    span = pc.min_max(rows["time"]).as_py()
    if rows.num_rows and not FIRST_TIME <= span["min"] <= span["max"] <= LAST_TIME:
        raise BadInput("bad_time", "time", span, "ns UTC")
    return by_symbol(rows)


def schema_of(table: str) -> pa.Schema:
    """The schema of a table. Raises ``BadInput`` for an unknown name."""
    if table not in TABLES:
        raise BadInput("unknown_table", "table", table, f"one of: {', '.join(TABLES)}")
    return TABLES[table]


def by_symbol(rows: pa.Table) -> pa.Table:
    """Ordered by symbol, time and seq."""
    order = _order(rows, by_time=False)
    return rows if order is None else rows.take(pa.array(order)).combine_chunks()


def by_time(rows: pa.Table) -> pa.Table:
    """Ordered by time, seq and symbol."""
    order = _order(rows, by_time=True)
    return rows if order is None else rows.take(pa.array(order)).combine_chunks()


def symbol_codes(rows: pa.Table) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct symbols, sorted, and each row's place among them."""
    encoded = rows["symbol"].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    return [names[at] for at in order], place[codes] if len(names) else codes.astype(np.int64)


def _order(rows: pa.Table, *, by_time: bool) -> NDArray[np.int64] | None:
    """The order, or None where the rows have it: what comes from a feed nearly always has."""
    time, seq = rows["time"].to_numpy(), rows["seq"].to_numpy()
    names, codes = symbol_codes(rows)
    if len(names) < 1 << 16:
        codes = codes.astype(np.uint16)  # a stable sort of small integers is a radix sort
    if by_time:
        return None if _ascend(time, seq, codes) else np.lexsort((codes, seq, time))
    if _ascend(codes, time, seq):
        return None
    order = np.argsort(codes, kind="stable")  # enough where each symbol's rows are in order already
    return order if _ascend(codes[order], time[order], seq[order]) else np.lexsort((seq, time, codes))


def _ascend(first: NDArray[Any], second: NDArray[Any], third: NDArray[Any]) -> bool:
    """Whether rows of three keys never fall, the first key counting most."""
    if (first[1:] < first[:-1]).any():
        return False
    same = np.flatnonzero(first[1:] == first[:-1])
    if (second[same + 1] < second[same]).any():
        return False
    same = same[second[same + 1] == second[same]]
    return not (third[same + 1] < third[same]).any()


def day_of(time: NDArray[np.int64]) -> NDArray[np.int64]:
    """The UTC day (yyyymmdd) of times [n] in ns."""
    days, inverse = np.unique(time // DAY, return_inverse=True)
    names = [int(str(np.datetime64(int(day), "D")).replace("-", "")) for day in days]
    return np.array(names, np.int64)[inverse]


def midnight(day: int) -> int:
    """The beginning of a UTC day (yyyymmdd), ns."""
    text = str(day)
    return int(np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:]}", "ns").astype(np.int64))


# ---- events


def event_rows(records: NDArray[np.void], symbols: Sequence[str], first: int = 1) -> pa.Table:
    """EVENT records [n] as rows of table ``event``; ``symbols`` by instrument, ``first`` the seq of the first.

    Raises ``BadInput`` for an instrument without a symbol.
    """
    words = np.ascontiguousarray(records).view("<i8").reshape(len(records), 8)
    instrument = records["instrument"]
    if len(records) and int(instrument.max()) >= len(symbols):
        raise BadInput("unknown_instrument", "instrument", int(instrument.max()), f"below {len(symbols)}")
    names = pa.array(["", *symbols], pa.string()).take(pa.array(np.maximum(instrument, -1) + 1))
    arrays = [
        pa.array(records["ts_recv"].astype(np.int64)),
        names,
        pa.array(np.arange(first, first + len(records))),
        *(pa.array(records[name].astype(np.int64)) for name in HEADER),
        *(pa.array(np.ascontiguousarray(words[:, 3 + at])) for at in range(len(PAYLOAD))),
    ]
    return pa.table(arrays, schema=TABLES["event"])


def event_records(rows: pa.Table) -> NDArray[np.void]:
    """Rows of table ``event`` as EVENT records [n], byte for byte what ``event_rows`` was given."""
    records = np.zeros(rows.num_rows, EVENT)
    words = records.view("<i8").reshape(len(records), 8)
    for name in HEADER:
        records[name] = rows[name].to_numpy()
    records["ts_recv"] = rows["time"].to_numpy()
    for at, name in enumerate(PAYLOAD):
        words[:, 3 + at] = rows[name].to_numpy()
    return records
