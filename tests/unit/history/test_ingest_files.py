"""Files into bars: both forms, every packing, and each fault named by row and column."""

import gzip
import lzma
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import BadInput
from engine.history.ingest import read_bars

WIDE = "Date,KO,PEP\n2020-01-02,55.25,136.00\n2020-01-03,54.95,\n"
LONG = (
    "date,open,high,low,close,volume,Name\n"
    "2013-02-08,45.07,45.35,45.0,45.08,1824755,A\n"
    "2013-02-11,45.17,45.18,44.45,44.6,2915405,A\n"
    "2013-02-08,15.07,15.12,14.63,14.75,8407500,AAL\n"
)


def write(tmp_path: Path, text: str | bytes, name: str = "prices.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def errors_of(tmp_path: Path, text: str) -> list[tuple[int, str, str]]:
    return [(error.row, error.column, error.reason) for error in read_bars(write(tmp_path, text)).errors]


def refusal_of(tmp_path: Path, text: str | bytes, name: str = "prices.csv") -> BadInput:
    with pytest.raises(BadInput) as refused:
        read_bars(write(tmp_path, text, name))
    return refused.value


def test_the_wide_form_gives_closes_and_leaves_out_empty_cells(tmp_path: Path) -> None:
    found = read_bars(write(tmp_path, WIDE))
    rows = [(r["date"], r["symbol"], r["open"], r["close"], r["volume"]) for r in found.bars.to_pylist()]
    assert rows == [
        (20200102, "KO", None, 552500, None),
        (20200103, "KO", None, 549500, None),
        (20200102, "PEP", None, 1360000, None),
    ]
    assert (found.form, found.rejected, found.errors) == ("wide", 0, [])


def test_the_long_form_gives_whole_bars_in_ten_thousandths(tmp_path: Path) -> None:
    found = read_bars(write(tmp_path, LONG))
    assert found.form == "long"
    assert found.bars.to_pylist()[0] == {
        "date": 20130208,
        "symbol": "A",
        "open": 450700,
        "high": 453500,
        "low": 450000,
        "close": 450800,
        "volume": 1824755,
    }
    assert found.bars["symbol"].to_pylist() == ["A", "A", "AAL"]


@pytest.mark.parametrize(
    ("name", "pack"), [("p.csv", bytes), ("p.csv.gz", gzip.compress), ("p.csv.xz", lzma.compress), ("P.CSV", bytes)]
)
def test_every_packing_gives_the_same_bars(tmp_path: Path, name: str, pack) -> None:  # type: ignore[no-untyped-def]
    assert read_bars(write(tmp_path, pack(LONG.encode()), name)).bars == read_bars(write(tmp_path, LONG)).bars


def test_parquet_gives_the_same_bars_with_text_or_typed_columns(tmp_path: Path) -> None:
    expected = read_bars(write(tmp_path, WIDE)).bars
    for dates in (["2020-01-02", "2020-01-03"], [datetime(2020, 1, 2), datetime(2020, 1, 3)], [20200102, 20200103]):
        path = tmp_path / "p.parquet"
        pq.write_table(pa.table({"date": dates, "KO": [55.25, 54.95], "PEP": [136.0, None]}), path)
        assert read_bars(path).bars == expected


@pytest.mark.parametrize(
    "text", ["\ufeff" + LONG, LONG.replace("\n", "\r\n"), LONG + "\n\n", LONG.replace("Name", "TICKER"), LONG.upper()]
)
def test_marks_line_ends_blank_lines_and_letter_case_make_no_difference(tmp_path: Path, text: str) -> None:
    found = read_bars(write(tmp_path, text))
    assert found.bars == read_bars(write(tmp_path, LONG, "plain.csv")).bars
    assert not found.errors


def test_symbols_that_are_called_like_a_column_stay_symbols(tmp_path: Path) -> None:
    found = read_bars(write(tmp_path, "date,LOW,OPEN\n2020-01-02,1.5,2.5\n"))
    assert found.bars["symbol"].to_pylist() == ["LOW", "OPEN"]


def test_letters_in_a_price_are_named_by_row_and_column(tmp_path: Path) -> None:
    assert errors_of(tmp_path, LONG.replace("44.6,", "abc,")) == [(3, "close", "'abc' is not a number")]
    assert errors_of(tmp_path, WIDE.replace("54.95", "5x")) == [(3, "KO", "'5x' is not a number")]


@pytest.mark.parametrize("price", ["-45.08", "0", "0.00001", "1e300", "1e400"])
def test_prices_that_no_price_can_be_are_named(tmp_path: Path, price: str) -> None:
    [(row, column, reason)] = errors_of(tmp_path, LONG.replace("45.08", price))
    assert (row, column) == (2, "close")
    assert price in reason


@pytest.mark.parametrize("text", ["inf", "-inf", "0x10", "1,5".replace(",", "_"), "$5"])
def test_what_only_looks_like_a_number_is_no_price(tmp_path: Path, text: str) -> None:
    assert errors_of(tmp_path, LONG.replace("45.08", text)) == [(2, "close", f"'{text}' is not a number")]


def test_volumes_are_whole_and_not_negative(tmp_path: Path) -> None:
    assert errors_of(tmp_path, LONG.replace("1824755", "-1"))[0][:2] == (2, "volume")
    assert errors_of(tmp_path, LONG.replace("1824755", "1.5"))[0][:2] == (2, "volume")
    assert errors_of(tmp_path, LONG.replace("1824755", "1824755.0")) == []


@pytest.mark.parametrize("day", ["2013-02-30", "08/02/2013", "", "yesterday", "1850-01-02", "2013-02-08 10:30:00"])
def test_what_is_no_day_is_named(tmp_path: Path, day: str) -> None:
    [(row, column, reason)] = errors_of(tmp_path, LONG.replace("2013-02-08,45.07", f"{day},45.07"))
    assert (row, column) == (2, "date")
    assert "date" in reason


def test_the_same_day_twice_is_named_with_the_row_it_repeats(tmp_path: Path) -> None:
    first = LONG.splitlines()[1]
    same = read_bars(write(tmp_path, LONG + first + "\n"))
    assert [(e.row, e.column, e.reason) for e in same.errors] == [(5, "date", "repeats row 2: the same day twice")]
    assert (same.bars.num_rows, same.rejected) == (3, 1)
    contradicting = read_bars(write(tmp_path, LONG + first.replace("45.08", "45.09") + "\n"))
    assert contradicting.errors[0].reason == "contradicts row 2: the same day twice"
    assert (contradicting.bars.num_rows, contradicting.rejected) == (2, 2), "nobody knows which of the two is right"


def test_a_day_twice_in_the_wide_form_is_one_fault_of_the_row(tmp_path: Path) -> None:
    found = read_bars(write(tmp_path, WIDE + "2020-01-02,1,2\n"))
    assert [(e.row, e.column) for e in found.errors] == [(4, "Date")]
    assert found.bars["date"].to_pylist() == [20200103]


def test_a_missing_open_is_unknown_but_a_missing_close_is_a_fault(tmp_path: Path) -> None:
    found = read_bars(write(tmp_path, LONG.replace("45.07", "").replace("45.35", "NaN")))
    assert not found.errors
    assert found.bars.to_pylist()[0]["open"] is None
    assert found.bars.to_pylist()[0]["high"] is None
    assert {(f.kind, f.symbol, f.date) for f in found.quality} >= {
        ("missing_open", "A", 20130208),
        ("missing_high", "A", 20130208),
    }
    assert errors_of(tmp_path, LONG.replace("45.08", "")) == [(2, "close", "close is missing")]


def test_a_row_of_another_length_is_named_and_later_rows_keep_their_numbers(tmp_path: Path) -> None:
    text = LONG.replace("2013-02-11,45.17,", "2013-02-11,").replace("14.75", "x")
    assert [(row, column) for row, column, _ in errors_of(tmp_path, text)] == [(3, ""), (4, "close")]


def test_every_fault_of_a_file_is_listed_in_the_order_of_its_rows(tmp_path: Path) -> None:
    text = LONG.replace("14.75", "-1").replace("44.6", "abc").replace("45.08", "").replace("1824755", "many")
    assert [(row, column) for row, column, _ in errors_of(tmp_path, text)] == [
        (2, "close"),
        (2, "volume"),
        (3, "close"),
        (4, "close"),
    ]


def test_a_symbol_that_no_exchange_could_carry_is_named(tmp_path: Path) -> None:
    assert errors_of(tmp_path, LONG.replace(",AAL", ",NINELETTE"))[0][:2] == (4, "Name")
    assert refusal_of(tmp_path, WIDE.replace("PEP", "=cmd()")).code == "bad_symbol"


@pytest.mark.parametrize("column", ["date", "open", "high", "low", "close", "volume", "Name"])
def test_a_missing_column_refuses_the_file_and_is_named(tmp_path: Path, column: str) -> None:
    lines = [line.split(",") for line in LONG.splitlines()]
    place = lines[0].index(column)
    text = "\n".join(",".join(v for at, v in enumerate(line) if at != place) for line in lines)
    refused = refusal_of(tmp_path, text)
    assert refused.code == "missing_column"
    assert refused.value == ("symbol" if column == "Name" else column)


def test_text_that_is_not_utf8_refuses_the_file_and_names_the_row(tmp_path: Path) -> None:
    refused = refusal_of(tmp_path, LONG.encode().replace(b"14.75", b"14\xa075"))
    assert (refused.code, refused.field) == ("encoding", "row 4")
    assert refusal_of(tmp_path, LONG.encode("utf-16")).code == "encoding"
    assert refusal_of(tmp_path, LONG.encode("utf-16-le")).code == "encoding"


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (b"", "p.csv", "empty"),
        (b"\n\n", "p.csv", "empty"),
        (LONG.splitlines()[0].encode(), "p.csv", "empty"),
        (b"", "p.parquet", "empty"),
        (b"not parquet", "p.parquet", "damaged"),
        (b"not gzip", "p.csv.gz", "damaged"),
        (gzip.compress(LONG.encode())[:-20], "p.csv.gz", "damaged"),
        (lzma.compress(LONG.encode())[:-20], "p.csv.xz", "damaged"),
        (LONG.encode(), "p.xlsx", "unknown_form"),
        (b"date,KO,ko\n2020-01-02,1,2\n", "p.csv", "duplicate_column"),
        (b"date,,KO\n2020-01-02,1,2\n", "p.csv", "unnamed_column"),
        (b"date\n2020-01-02\n", "p.csv", "missing_column"),
        (LONG.replace(",", ";").encode(), "p.csv", "missing_column"),
    ],
)
def test_a_file_that_is_unusable_as_a_whole_says_why(tmp_path: Path, content: bytes, name: str, code: str) -> None:
    assert refusal_of(tmp_path, content, name).code == code


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(BadInput, match="no_such_file"):
            read_bars(path)


def test_a_parquet_column_of_another_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"date": ["2020-01-02"], "KO": [[1.0, 2.0]]}), path)
    with pytest.raises(BadInput, match="KO"):
        read_bars(path)
