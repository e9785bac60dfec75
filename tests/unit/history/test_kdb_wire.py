"""The double speaks the protocol: byte for byte what PyKX makes, and what PyKX takes, also compressed.

The vectors were made by ``pykx.serialize`` of PyKX 4.2.0 on 2026-11-25; the tests beside them ask the PyKX at hand.
"""

import socket
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.history import open_history
from engine.history.kdb_connection import HistoryUnavailable, KdbConnection, parse_url, pykx
from kdb_double import wire
from kdb_double.server import PASSWORD, USER, KdbDouble
from kdb_double.wire import Symbol, Symbols

VECTORS: list[tuple[Any, str]] = [
    (1, "0100000011000000f90100000000000000"),
    (1.5, "0100000011000000f7000000000000f83f"),
    (True, "010000000a000000ff01"),
    (None, "010000000a0000006500"),
    (Symbol("abc"), "010000000d000000f561626300"),
    (b"abc", "01000000110000000a0003000000616263"),
    ([1, 2], "0100000020000000000002000000f90100000000000000f90200000000000000"),
    ([1, Symbol("a")], "010000001a000000000002000000f90100000000000000f56100"),
    (np.arange(3), "0100000026000000070003000000000000000000000001000000000000000200000000000000"),
    (np.arange(2, dtype=np.int32), "01000000160000000600020000000000000001000000"),
    (np.arange(2, dtype=np.uint8), "01000000100000000400020000000001"),
    (np.array([1, 2], "M8[ns]"), "010000001e0000000c00020000000100bdad30b3dcf20200bdad30b3dcf2"),
    (Symbols(["a", "b"]), "01000000120000000b000200000061006200"),
    (
        {"sym": Symbols(["a", "b"]), "p": np.arange(2)},
        "010000003d0000006200630b000200000073796d0070000000020000000b00020000006100620007000200000000000000000000000100"
        "000000000000",
    ),
]


def same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[name], right[name]) for name in left)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    return type(left) is type(right) and left == right


@pytest.mark.parametrize(("value", "made_by_pykx"), VECTORS, ids=lambda value: str(value)[:12])
def test_objects_have_the_bytes_that_pykx_made_and_are_read_from_them(value: Any, made_by_pykx: str) -> None:
    content = bytes.fromhex(made_by_pykx)
    assert wire.message(wire.ASYNC, value) == content
    assert same(wire.parse(content).value, value)


def test_the_pykx_at_hand_makes_the_same_bytes_of_a_table() -> None:
    columns = {"t": np.arange(5).view("M8[ns]"), "s": ["A", "B", "", "É", "A"], "n": np.arange(5) - 2, "x": np.ones(5)}
    ours = {**columns, "s": Symbols(columns["s"])}
    table = pa.table(columns)
    assert bytes(pykx().serialize(pykx().toq(table))) == wire.message(wire.ASYNC, ours)
    back = pykx().deserialize(wire.message(wire.RESPONSE, ours)).pa()
    assert {name: back[name].cast(table[name].type).to_pylist() for name in columns} == table.to_pydict()


@given(st.lists(st.integers(-3, 3), max_size=3000), st.integers(0, 2**32))
def test_a_compressed_message_is_the_plain_one_once_it_is_read(few: list[int], seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, 50)
    plain = wire.message(wire.RESPONSE, np.r_[few, noise, np.zeros(500, np.int64)])
    packed = wire.compress(plain)
    assert packed is None or (len(packed) < len(plain) / 2 and wire.decompress(packed) == plain)


def test_pykx_reads_what_the_double_compresses() -> None:
    value = {"n": np.arange(4000) % 7, "s": Symbols(["ABC", "D"] * 2000)}
    packed = wire.compress(wire.message(wire.RESPONSE, value))
    assert packed is not None
    assert len(packed) < len(wire.message(wire.RESPONSE, value)) / 2
    assert pykx().deserialize(packed).pa().to_pydict() == {"n": value["n"].tolist(), "s": value["s"]}


@pytest.mark.parametrize("content", [b"\xf9\x01", b"\xf9" + bytes(9), b"\x0b\x00\x02\x00\x00\x00a\0"])
def test_bytes_that_are_no_object_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="object|subsection|byte"):
        wire.decode(content)


def test_a_message_of_q_text_or_of_another_function_is_refused() -> None:
    with KdbDouble() as double:
        call = KdbConnection(double.url)
        for asked in ("1+1", ".hg.nothing", "select from trade"):
            with pytest.raises(HistoryUnavailable, match="not_allowed"):
                call(asked, 1)


def test_large_answers_come_compressed_and_an_asynchronous_message_gets_no_answer() -> None:
    with KdbDouble("small", compressed=True) as double:
        call = KdbConnection(double.url)
        assert call(".t.zeros", 20_000).pa().num_rows == 20_000
        _, connection = call._connected()
        connection(".t.hear", 7, wait=False)
        assert call(".t.heard", None).np().tolist() == [7]


def test_a_double_of_the_handshake_answers_one_byte_or_closes() -> None:
    with KdbDouble("small") as double:
        for greeting, answer in ((f"{USER}:{PASSWORD}\x06\0", b"\x03"), (f"{USER}:wrong\x03\0", b"")):
            with socket.create_connection(("127.0.0.1", double.port), 5) as client:
                client.sendall(greeting.encode())
                assert client.recv(8) == answer


def test_wrong_credentials_and_a_server_that_is_not_there_are_told_without_the_password() -> None:
    with KdbDouble("small") as double:
        wrong = double.url.replace(PASSWORD, "secret")
        with pytest.raises(HistoryUnavailable, match="Authentication") as refused:
            KdbConnection(wrong)(".hg.days")
        assert "secret" not in str(refused.value)
    with pytest.raises(HistoryUnavailable, match="127.0.0.1"):
        KdbConnection(double.url)(".hg.days")


def test_a_connection_that_broke_is_opened_anew_at_the_next_call() -> None:
    with KdbDouble("small") as double, KdbDouble("small") as other:
        call = KdbConnection(double.url)
        process = call(".t.process", None).py()
        with pytest.raises(HistoryUnavailable):
            call(".t.die", None)
        call.address = parse_url(other.url)
        assert call(".t.process", None).py() != process


def test_an_answer_that_never_comes_ends_in_an_error() -> None:
    with KdbDouble("small") as double, pytest.raises(HistoryUnavailable, match="no answer in 0.5 s"):
        KdbConnection(double.url, timeout=0.5)(".t.wait", None)


def test_what_a_function_signals_arrives_as_the_same_refusal_as_from_the_embedded_store() -> None:
    with KdbDouble("small") as double, pytest.raises(BadInput) as refused:
        KdbConnection(double.url)(".t.signal", None)
    assert (refused.value.code, refused.value.value, refused.value.expected) == ("unknown_dataset", "e", "one of: d")


@pytest.mark.parametrize("url", ["http://u:p@h", "kdb://", "kdb://u:p@h:99999", "h:5000"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="KDB_URL"):
        parse_url(url)


def test_an_address_gives_host_port_and_decoded_credentials() -> None:
    assert parse_url("kdb://u:p%40ss@h:6000") == ("h", 6000, "u", "p@ss", False)
    assert parse_url("kdbs://h") == ("h", 5000, "", "", True)


def test_kdb_url_chooses_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    with KdbDouble() as double:
        monkeypatch.setenv("KDB_URL", double.url)
        assert open_history(tmp_path).datasets() == []
        assert type(open_history(tmp_path)).__name__ == "KdbHistory"
    monkeypatch.delenv("KDB_URL")
    assert type(open_history(tmp_path)).__name__ == "ParquetHistory"
