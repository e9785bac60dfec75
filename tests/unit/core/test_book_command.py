"""``python -m engine book``: rows at message counts, symbols, and what it refuses."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from engine.__main__ import main
from engine.protocols import binaryfile, itch


def directory(symbol: str, locate: int) -> bytes:
    fields = (locate, 0, 1, symbol, "Q", "N", 100, "N", "C", "Z", "P", "N", "N", "1", "N", 0, "N")
    return itch.encode(itch.StockDirectory(*fields))


def add(order: int, side: str, price: int, shares: int = 100, locate: int = 1) -> bytes:
    return itch.encode(itch.AddOrder(locate, 0, order, order, side, shares, "ANY", price))


DAY = [
    directory("ONE", 1),
    add(1, "B", 1_000_000),
    add(2, "B", 1, 7),
    add(3, "S", 2_000_000_000, 9),
    itch.encode(itch.OrderExecutedWithPrice(1, 0, 9, 1, 40, 5, "N", 999_000)),
    itch.encode(itch.OrderReplace(1, 0, 9, 1, 4, 30, 1_000_100)),
    itch.encode(itch.OrderDelete(1, 0, 9, 4)),
]


@pytest.fixture
def book(tmp_path: Path, capsys: pytest.CaptureFixture):
    def call(messages: list[bytes], counts: list[int], *options: str, packed: bool = False):
        name = tmp_path / ("day.itch.gz" if packed else "day.itch")
        binaryfile.write(name, messages, end_mark=packed)
        index = np.array(counts, "<u4").tobytes()
        (tmp_path / "index").write_bytes(gzip.compress(index) if packed else index)
        out = str(tmp_path / "out.npy")
        command = ["book", str(name), "--levels", "2", "--at", str(tmp_path / "index"), "--out", out, *options]
        code = main(command)
        answer = json.loads(capsys.readouterr().out.splitlines()[-1])
        return code, answer, np.load(out).tolist() if code == 0 else None

    return call


@pytest.mark.parametrize("packed", [False, True])
def test_a_row_is_the_book_after_that_many_messages(book, packed):
    code, answer, rows = book(DAY, [0, 2, 2, 4, 5, 6, 7], packed=packed)
    assert (code, answer["rows"], answer["messages"], answer["symbol"]) == (0, 7, 7, "ONE")
    none, far = [0, 0, 0, 0], [2_000_000_000, 9]
    assert rows == [
        [none, none],
        [[0, 0, 1_000_000, 100], none],
        [[0, 0, 1_000_000, 100], none],
        [[*far, 1_000_000, 100], [0, 0, 1, 7]],
        [[*far, 1_000_000, 60], [0, 0, 1, 7]],
        [[*far, 1_000_100, 30], [0, 0, 1, 7]],
        [[*far, 1, 7], none],
    ]


def test_of_several_symbols_one_is_chosen_by_name(book):
    day = [directory("ONE", 1), directory("TWO", 2), add(1, "B", 50_000), add(2, "S", 60_000, locate=2)]
    assert book(day, [4], "--symbol", "TWO")[2] == [[[60_000, 100, 0, 0], [0, 0, 0, 0]]]
    code, answer, _ = book(day, [4])
    assert (code, answer["error"]["field"]) == (2, "symbol")
    code, answer, _ = book(day, [4], "--symbol", "SIX")
    assert (code, answer["error"]["code"]) == (2, "unknown_symbol")


@pytest.mark.parametrize("counts", [[3, 2], [8]])
def test_an_index_that_goes_down_or_beyond_the_file_is_refused(book, counts):
    code, answer, _ = book(DAY, counts)
    assert (code, answer["error"]["field"]) == (2, "INDEX")
