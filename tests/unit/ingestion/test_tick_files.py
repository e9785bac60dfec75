"""Tick files by form: what a row becomes, what is refused. Real files are in tests/conformance/test_tick_data.py."""

import gzip
import struct
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pytest

from engine.core.events import Flag, Kind
from engine.errors import BadInput
from engine.history.tables import NO_PRICE, event_records
from engine.ingestion import open_ticks

NINE_THIRTY = np.datetime64("2013-10-07T13:30", "ns").astype(np.int64)  # 09:30 in New York, which is UTC-4 then


def archive(folder: Path, members: dict[str, str], name: str = "file.zip") -> Path:
    with ZipFile(folder / name, "w") as file:
        for member, content in members.items():
            file.writestr(member, content)
    return folder / name


def tables(path: Path, day: int | None = None) -> dict[str, pa.Table]:
    found: dict[str, list[pa.Table]] = {}
    for table, rows in open_ticks(path, day).batches:
        found.setdefault(table, []).append(rows)
    return {table: pa.concat_tables(parts) for table, parts in found.items()}


def test_lean_trades_are_utc_with_odd_lots_and_suspicious_ones_marked(tmp_path: Path) -> None:
    text = "34200000,1815200,283,P,1,0\n34200001,1815300,20,N,20000020,0\n34200001,1,5,,0,1\n"
    rows = tables(archive(tmp_path, {"20131007_ibm_Trade_Tick.csv": text}))["trade"].to_pylist()
    assert [(row["time"] - NINE_THIRTY, row["price"], row["size"], row["flags"]) for row in rows] == [
        (0, 1815200, 283, 0),
        (1_000_000, 1815300, 20, NO_PRICE),
        (1_000_000, 1, 5, int(Flag.NON_PRINTABLE)),
    ]
    assert [row["seq"] for row in rows] == [1, 2, 3]
    assert {row["symbol"] for row in rows} == {"IBM"}
    assert [row["venue"] for row in rows] == [16, 14, 0]


def test_a_winter_day_in_new_york_is_five_hours_behind(tmp_path: Path) -> None:
    rows = tables(archive(tmp_path, {"20140107_ibm_Trade_Tick.csv": "0,1,1,P,1,0\n"}))["trade"]
    assert rows["time"][0].as_py() == np.datetime64("2014-01-07T05:00", "ns").astype(np.int64)


def test_a_lean_quote_of_one_side_leaves_the_other_as_it_was(tmp_path: Path) -> None:
    text = "0,0,0,1836300,100,Q,1,0\n1,1800100,300,0,0,P,1,0\n2,0,0,1818000,3000,P,1,0\n"
    rows = tables(archive(tmp_path, {"20131007_ibm_Quote_Tick.csv": text}))["quote"].to_pylist()
    assert [(row["bid"], row["bid_size"], row["ask"], row["ask_size"]) for row in rows] == [
        (0, 0, 1836300, 100),
        (1800100, 300, 1836300, 100),
        (1800100, 300, 1818000, 3000),
    ]


def test_a_lean_bar_stands_at_its_close(tmp_path: Path) -> None:
    rows = tables(archive(tmp_path, {"20131007_ibm_minute_trade.csv": "34200000,10,12,9,11,500\n"}))["bar"].to_pylist()
    [bar] = rows
    assert bar["time"] == NINE_THIRTY + 60 * 10**9 == NINE_THIRTY + bar["interval"]
    assert [bar[name] for name in ("open", "high", "low", "close", "volume")] == [10, 12, 9, 11, 500]


LOBSTER = {
    "GOOG_2013-10-07_34200000_57600000_message_1.csv": (
        "34200.000000001,1,7,10,5800000,1\n34200.5,4,7,4,5800000,1\n34201,2,7,1,5800000,1\n"
        "34202,5,0,3,5801000,-1\n34203,3,7,5,5800000,1\n34204,7,0,0,-1,-1\n"
    ),
    "GOOG_2013-10-07_34200000_57600000_orderbook_1.csv": (
        "9999999999,0,5800000,10\n9999999999,0,5800000,6\n9999999999,0,5800000,5\n"
        "9999999999,0,5800000,5\n9999999999,0,-9999999999,0\n9999999999,0,-9999999999,0\n"
    ),
}


def test_lobster_rows_become_events_trades_and_the_quotes_that_changed(tmp_path: Path) -> None:
    found = tables(archive(tmp_path, LOBSTER))
    events = event_records(found["event"])
    kinds = [Kind.ADD, Kind.EXECUTE, Kind.REDUCE, Kind.TRADE, Kind.DELETE, Kind.STATUS]
    assert events["kind"].tolist() == kinds
    assert events["ts_event"][:2].tolist() == [NINE_THIRTY + 1, NINE_THIRTY + 500_000_000]
    assert events["qty"].tolist()[:4] == [10, 4, 1, 3]
    assert [(row["price"], row["size"], row["side"]) for row in found["trade"].to_pylist()] == [
        (5800000, 4, -1),  # a resting buy was hit by a seller
        (5801000, 3, 1),
    ]
    assert [(row["bid"], row["bid_size"], row["ask"]) for row in found["quote"].to_pylist()] == [
        (5800000, 10, 0),
        (5800000, 6, 0),
        (5800000, 5, 0),
        (0, 0, 0),
    ]


def test_lobster_files_of_different_length_are_refused(tmp_path: Path) -> None:
    [message, book] = LOBSTER
    with pytest.raises(BadInput, match="row_count"):
        tables(archive(tmp_path, {message: LOBSTER[message], book: "1,1,1,1\n"}))


def test_a_binance_capture_gives_trades_quotes_and_its_gaps(tmp_path: Path) -> None:
    lines = [
        '1000 {"data":{"e":"trade","s":"BTCUSDT","p":"61837.63000000","q":"0.02000000","m":true}}',
        '2000 {"data":{"u":1,"s":"BTCUSDT","b":"61837.63","B":"3.5","a":"61837.64","A":"1.5"}}',
        '3000 {"data":{"e":"depthUpdate","s":"BTCUSDT","U":1,"u":5,"b":[],"a":[]}}',
        '4000 {"data":{"e":"depthUpdate","s":"BTCUSDT","U":6,"u":7,"b":[],"a":[]}}',
        '5000 {"data":{"e":"depthUpdate","s":"BTCUSDT","U":9,"u":9,"b":[],"a":[]}}',
    ]
    path = tmp_path / "capture.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    file = open_ticks(path)
    found = dict(file.batches)
    [trade] = found["trade"].to_pylist()
    assert (trade["time"], trade["price"], trade["size"], trade["side"]) == (1000, 618376300, 2_000_000, -1)
    [quote] = found["quote"].to_pylist()
    assert (quote["bid"], quote["bid_size"], quote["ask_size"]) == (618376300, 350_000_000, 150_000_000)
    assert file.gaps() == 1


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"20131007_ibm_Trade_Tick.csv": ""}, "empty"),
        ({"20131007_ibm_Trade_Tick.csv": "1,2\n"}, "damaged"),
        ({"20131007_ibm_Trade_Tick.csv": "1,x,3,P,1,0\n"}, "damaged"),
        ({"20131007_ibm_Trade_Tick.csv": "1,2,3,P,zz,0\n"}, "damaged"),
        ({"20131399_ibm_Trade_Tick.csv": "1,2,3,P,1,0\n"}, "bad_date"),
        ({"readme.txt": "nothing"}, "unknown_form"),
    ],
)
def test_archives_that_cannot_be_read_are_refused(tmp_path: Path, members: dict[str, str], code: str) -> None:
    with pytest.raises(BadInput) as refused:
        tables(archive(tmp_path, members))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.zip", b"PK not an archive", "damaged"),
        ("a.gz", b"\x1f\x8b cut", "damaged"),
        ("a.gz", b"anything else", "unknown_form"),
        ("a.gz", b'1000 {"data":{"e":"trade","s":"A"}}', "bad_row"),
        ("a.gz", b'1000 {"data":', "bad_row"),
        ("a.itch", struct.pack(">H", 9) + b"R", "truncated"),
        ("a.itch", struct.pack(">H", 1) + b"Z", "no_directory"),
    ],
)
def test_files_that_are_damaged_or_unknown_are_refused(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput) as refused:
        tables(tmp_path / name, 20131007)
    assert refused.value.code == code


def test_itch_without_a_day_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "a.itch").write_bytes(b"")
    with pytest.raises(BadInput, match="--date"):
        open_ticks(tmp_path / "a.itch")
