"""Tables of rows, in every store: ranges, idempotent writing, bars, quotes beside trades, last values, curves."""

from collections import defaultdict
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tick_rows import DAY, NOON, SECOND, quote, table_of, trade

from engine.core.events import EVENT, Flag, Kind
from engine.errors import BadInput
from engine.history import History
from engine.history.tables import NO_PRICE, QUOTED, TABLES, event_records, event_rows

TRADES = table_of("trade", trade(0, "A", 100), trade(1, "B", 200), trade(2, "A", 101), trade(3, "A", 99))


def listed(rows: pa.Table, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in columns) for row in rows.to_pylist()]


@pytest.mark.parametrize("table", TABLES)
def test_rows_of_every_table_come_back_as_they_went_in(history: History, table: str) -> None:
    random = np.random.default_rng(len(table))
    columns = {
        field.name: [f"{field.name} é {n}" for n in range(9)]
        if field.type == pa.string()
        else random.integers(-(2**62), 2**62, 9).tolist()
        for field in TABLES[table]
    }
    columns |= {"time": [NOON + n for n in range(9)], "symbol": [*"ABCABCAB", ""], "seq": list(range(1, 10))}
    rows = pa.table(columns, schema=TABLES[table])
    assert history.append("d", table, rows) == 9
    found = history.rows("d", table)
    assert found.schema == TABLES[table]
    assert found.to_pylist() == rows.to_pylist()


def test_events_come_back_as_the_same_64_bytes(history: History) -> None:
    random = np.random.default_rng(3)
    records = np.frombuffer(random.bytes(64 * 100), EVENT).copy()
    records["ts_recv"] = NOON + np.arange(100)
    records["instrument"] = np.arange(100) % 3 - 1
    history.append("d", "event", event_rows(records, ["A", "B"], first=7))
    found = history.rows("d", "event")
    assert event_records(found).tobytes() == records.tobytes()
    assert found["seq"].to_pylist() == list(range(7, 107))
    only = event_records(history.rows("d", "event", ["B"]))
    assert only.tobytes() == records[records["instrument"] == 1].tobytes()


def test_an_event_of_an_instrument_without_a_symbol_is_refused() -> None:
    records = np.zeros(1, EVENT)
    records["kind"], records["instrument"] = Kind.ADD, 2
    with pytest.raises(BadInput, match="unknown_instrument"):
        event_rows(records, ["A", "B"])


def test_a_range_takes_its_start_and_leaves_its_end(history: History) -> None:
    history.append("d", "trade", TRADES)
    assert listed(history.rows("d", "trade", start=NOON + SECOND, end=NOON + 3 * SECOND), "symbol", "price") == [
        ("B", 200),
        ("A", 101),
    ]
    assert listed(history.rows("d", "trade", ["A"], NOON + 1), "price") == [(101,), (99,)]
    assert history.rows("d", "trade", ["C"]).num_rows == 0
    assert history.rows("d", "trade", []).num_rows == 0
    assert history.rows("d", "trade", start=NOON + 9 * SECOND) == TABLES["trade"].empty_table()


def test_a_range_over_days_and_appends_is_in_order_of_time_then_seq(history: History) -> None:
    history.append("d", "trade", table_of("trade", trade(5, "A", 5, seq=9), trade(5, "A", 4, seq=8)))
    history.append("d", "trade", table_of("trade", trade(86_400, "A", 6), trade(-86_400, "B", 1), trade(1, "A", 3)))
    assert [price for (price,) in listed(history.rows("d", "trade"), "price")] == [1, 3, 4, 5, 6]
    assert history.days("d", "trade") == [20260301, 20260302, 20260303]
    assert history.days("d", "quote") == []


def test_closing_a_day_changes_no_answer_and_rows_may_still_come(history: History) -> None:
    for second in range(5):
        history.append("d", "trade", table_of("trade", trade(second, "AB"[second % 2], 100 + second, seq=second + 1)))
    before = history.rows("d", "trade")
    history.close_day("d", 20260302)
    assert history.rows("d", "trade") == before
    history.append("d", "trade", table_of("trade", trade(2.5, "A", 777)))
    history.close_day("d", 20260302)
    assert [p for (p,) in listed(history.rows("d", "trade"), "price")] == [100, 101, 102, 777, 103, 104]
    history.close_day("d", 20260309)
    assert history.rows("d", "trade").num_rows == 6


def test_a_source_that_begins_again_brings_no_row_twice(history: History) -> None:
    assert history.position("d", "trade", "journal-1") == 0
    assert history.append("d", "trade", TRADES.slice(0, 3), source="journal-1") == 3
    assert history.position("d", "trade", "journal-1") == 3
    assert history.append("d", "trade", TRADES, source="journal-1") == 1
    assert history.append("d", "trade", TRADES, source="journal-1") == 0
    assert history.rows("d", "trade").num_rows == 4
    assert history.append("d", "trade", TRADES, source="journal-2") == 4, "another source counts for itself"
    assert history.position("d", "quote", "journal-1") == 0, "and so does another table"
    history.close_day("d", 20260302)
    assert history.position("d", "trade", "journal-1") == 4, "closing a day forgets no position"


@pytest.mark.parametrize(
    ("table", "rows", "code"),
    [
        ("trades", TRADES, "unknown_table"),
        ("trade", TRADES.drop_columns(["price"]), "missing_column"),
        ("trade", TRADES.set_column(3, "price", pa.array([1, None, 2, 3])), "bad_column"),
        ("trade", TRADES.set_column(3, "price", pa.array(["1", "x", "2", "3"])), "bad_column"),
        ("trade", TRADES.set_column(0, "time", pa.array([2**62] * 4)), "bad_time"),
    ],
)
def test_rows_that_break_the_schema_are_refused_and_leave_nothing(
    history: History, table: str, rows: pa.Table, code: str
) -> None:
    history.append("d", "quote", table_of("quote", quote(0, "A", 1, 2)))
    with pytest.raises(BadInput) as refused:
        history.append("d", table, rows)
    assert refused.value.code == code
    assert history.rows("d", "trade").num_rows == 0


def test_unknown_datasets_and_tables_are_named(history: History) -> None:
    history.append("d", "trade", TRADES)
    with pytest.raises(BadInput, match="unknown_dataset.*one of: d"):
        history.rows("e", "trade")
    with pytest.raises(BadInput, match="unknown_table.*quote"):
        history.rows("d", "trades")
    with pytest.raises(BadInput, match="bad_name"):
        history.append("../d", "trade", TRADES)


def test_bars_hold_the_trades_from_their_beginning_up_to_their_time(history: History) -> None:
    history.append(
        "d",
        "trade",
        table_of(
            "trade",
            trade(0, "A", 100, 10),
            trade(30, "A", 90, 5),
            trade(59.999999999, "A", 95, 1),
            trade(60, "A", 120, 7),
            trade(61, "A", 500, 9, flags=int(Flag.NON_PRINTABLE)),
            trade(185, "A", 121, 2),
            trade(60, "B", 10, 3),
        ),
    )
    bars = history.trade_bars("d", 60 * SECOND)
    assert bars.schema == TABLES["bar"]
    figures = ("symbol", "open", "high", "low", "close", "volume", "trades")
    minutes = [(row["time"] - NOON) // SECOND for row in bars.to_pylist()]
    assert list(zip(minutes, listed(bars, *figures), strict=True)) == [
        (60, ("A", 100, 100, 90, 95, 16, 3)),
        (120, ("A", 120, 120, 120, 120, 7, 1)),
        (120, ("B", 10, 10, 10, 10, 3, 1)),
        (240, ("A", 121, 121, 121, 121, 2, 1)),
    ]
    assert bars["interval"].to_pylist() == [60 * SECOND] * 4
    assert history.trade_bars("d", DAY, ["B"])["time"].to_pylist() == [NOON + DAY // 2]
    shifted = history.trade_bars("d", 60 * SECOND, ["A"], origin=NOON + 30 * SECOND)
    assert listed(shifted, "volume") == [(10,), (13,), (2,)]
    with pytest.raises(BadInput, match="bad_interval"):
        history.trade_bars("d", 0)


def test_an_odd_lot_is_volume_and_makes_a_price_only_where_nothing_else_did(history: History) -> None:
    rows = [trade(0, "A", 1, 5), trade(1, "A", 50, 100), trade(2, "A", 60, 100), trade(3, "A", 99, 5)]
    rows += [trade(60, "A", 70, 1), trade(61, "A", 71, 2)]
    for number in (0, 3, 4, 5):
        rows[number]["flags"] = NO_PRICE
    history.append("d", "trade", table_of("trade", *rows))
    bars = history.trade_bars("d", 60 * SECOND)
    assert listed(bars, "open", "high", "low", "close", "volume") == [(50, 60, 50, 60, 210), (70, 71, 70, 71, 3)]


def test_trades_of_one_time_make_a_bar_in_the_order_of_their_seq(history: History) -> None:
    history.append("d", "trade", table_of("trade", trade(0, "A", 3, seq=3), trade(0, "A", 1, seq=1)))
    history.append("d", "trade", table_of("trade", trade(0, "A", 2, seq=2)))
    assert listed(history.trade_bars("d", SECOND), "open", "close") == [(1, 3)]


def test_each_trade_stands_beside_the_last_quote_at_or_before_it(history: History) -> None:
    history.append(
        "d",
        "quote",
        table_of("quote", quote(1, "A", 10, 11), quote(2, "A", 11, 12), quote(2, "A", 12, 13), quote(3, "B", 50, 51)),
    )
    history.append(
        "d",
        "trade",
        table_of("trade", trade(0.5, "A", 1), trade(1.5, "A", 2), trade(2, "A", 3), trade(9, "A", 4), trade(9, "C", 5)),
    )
    joined = history.trades_with_quotes("d")
    assert joined.schema == QUOTED
    assert listed(joined, "price", "bid", "ask") == [(1, 0, 0), (2, 10, 11), (3, 12, 13), (4, 12, 13), (5, 0, 0)]
    assert [time and (time - NOON) // SECOND for (time,) in listed(joined, "quote_time")] == [0, 1, 2, 2, 0]
    later = history.trades_with_quotes("d", ["A"], NOON + 8 * SECOND)
    assert listed(later, "price", "bid") == [(4, 12)], "a quote before the range still stands in it"


def test_last_values_are_those_known_at_a_time(history: History) -> None:
    history.append("d", "trade", TRADES)
    history.append("d", "trade", table_of("trade", trade(86_400, "B", 999)))
    assert listed(history.last("d", "trade"), "symbol", "price") == [("A", 99), ("B", 999)]
    assert listed(history.last("d", "trade", ["B"], NOON + SECOND), "price") == [(200,)]
    assert listed(history.last("d", "trade", at=NOON + 2 * SECOND), "symbol", "price") == [("A", 101), ("B", 200)]
    assert listed(history.last("d", "trade", ["A", "C"]), "symbol", "price") == [("A", 99)]
    assert history.last("d", "trade", at=NOON - 1).num_rows == 0
    assert history.last("d", "quote").num_rows == 0


def test_a_volume_curve_is_the_mean_share_of_the_sessions_that_traded(history: History) -> None:
    days = [
        table_of("trade", trade(0, "A", 1, 30), trade(35, "A", 1, 10), trade(0, "B", 1, 5)),
        table_of("trade", trade(86_400, "A", 1, 10), trade(86_430, "A", 1, 10), trade(86_459, "A", 1, 20)),
    ]
    for rows in days:
        history.append("d", "trade", rows)
    sessions = [(NOON, NOON + 60 * SECOND), (NOON + DAY, NOON + DAY + 60 * SECOND)]
    curve = history.volume_curve("d", ["B", "A", "C"], sessions, 2)
    assert curve.tolist() == [[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]]  # A: (3/4 + 1/4) / 2, (1/4 + 3/4) / 2


def test_the_universe_is_what_was_known_to_be_listed_at_the_time(history: History) -> None:
    def row(day: int, symbol: str, listed: int) -> dict[str, Any]:
        return {"time": NOON + day * DAY, "symbol": symbol, "listed": listed}

    history.append("d", "listing", table_of("listing", row(0, "A", 1), row(0, "B", 1), row(5, "A", 0), row(9, "C", 1)))
    assert history.universe("d", NOON - 1) == []
    assert history.universe("d", NOON) == ["A", "B"]
    assert history.universe("d", NOON + 5 * DAY) == ["B"]
    assert history.universe("d", NOON + 9 * DAY) == ["B", "C"]


SOME_TRADES = st.lists(
    st.tuples(st.integers(0, 3 * DAY), st.sampled_from(["A", "B", "C"]), st.integers(1, 10**6), st.integers(1, 1000)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trades=SOME_TRADES, interval=st.integers(1, DAY), pieces=st.integers(1, 4))
def test_bars_of_any_interval_are_those_of_a_plain_loop_over_the_trades(
    history: History, trades: list[tuple[int, str, int, int]], interval: int, pieces: int
) -> None:
    name = f"d{uuid4().hex}"  # one store for all examples, a dataset for each
    rows = table_of("trade", *[{"time": t, "symbol": s, "price": p, "size": q} for t, s, p, q in trades])
    for piece in range(pieces):
        history.append(name, "trade", rows.take(pa.array(range(piece, len(trades), pieces), pa.int64())))
    expected: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for _, (time, symbol, price, size) in sorted(enumerate(trades), key=lambda item: (item[1][0], item[0])):
        expected[time // interval * interval + interval, symbol].append((price, size))
    found = history.trade_bars(name, interval)
    assert listed(found, "time", "symbol", "open", "high", "low", "close", "volume") == [
        (time, symbol, ps[0][0], max(p for p, _ in ps), min(p for p, _ in ps), ps[-1][0], sum(q for _, q in ps))
        for (time, symbol), ps in sorted(expected.items())
    ]
