"""Bytes of an ITCH feed to full order-by-order books, against the pure-Python book of the same file in the same run.

Three things run over the whole file. *Books*: what the live core does with a message block, `decode_whole` into
events and `apply_events` into books of LARGE capacity. *Live path*: the same file in MoldUDP64 datagrams of 1,400
bytes, through the receiver's in-order path, or the `Receiver` where a packet is anything else, then the same. *Check*:
at half of the file and at its end all content of the books (every order, every level) has the reference book's hash.
Reading the file and packing datagrams is not timed, neither here nor in the peer. Rates are medians of wall time.
"""

import argparse
import json
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.benchmarks import itch_file
from engine.benchmarks.surroundings import commit, machine, peak_rss_mb, peer_script
from engine.core import books, memory
from engine.core.compiled import njit
from engine.core.events import EVENT, Kind
from engine.core.reference_book import ReferenceBooks, content_hash
from engine.errors import BadInput
from engine.protocols.feed import FEED, new_locate_map, set_date
from engine.protocols.itch_events import decode_whole
from engine.protocols.moldudp64_inorder import InOrder
from engine.protocols.moldudp64_receiver import Data, Receiver

BLOCK_EVENTS = 256
BATCH_EVENTS = 1_024
PEER = "bench_itch_python.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", type=Path, required=True, metavar="FILE", help="a plain ITCH 5.0 BinaryFILE")
    parser.add_argument("--rounds", type=int, default=6, help="runs over the file, of which the median counts")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    peer = peer_script(PEER)
    symbols = itch_file.symbols_of(arguments.input)
    if len(symbols) > books.LARGE_INSTRUMENTS:
        raise BadInput("instruments", "input", len(symbols), f"at most {books.LARGE_INSTRUMENTS} symbols")
    bench = _Bench(arguments.input, symbols)
    bench.run_blocks(0.02)
    bench.run_datagrams(0.02)
    rates: list[float] = []
    live_rates: list[float] = []
    for half in range(2):
        for _ in range(max(arguments.rounds // 2, 1)):
            rates.append(bench.run_blocks())
            live_rates.append(bench.run_datagrams())
        if half == 0:
            peak = peak_rss_mb()
            floor = _floor(peer, arguments.input)
    checks = _check(arguments.input, symbols)
    rate, live_rate = statistics.median(rates), statistics.median(live_rates)
    return {
        "bench": "books",
        "ok": all(check["equal"] for check in checks),
        "ours": round(rate),
        "peer": floor,
        "ratio": round(rate / floor, 2),
        "unit": "messages/s",
        "n": len(rates),
        "commit": commit(),
        "machine": machine(),
        "messages": bench.messages,
        "symbols": len(symbols),
        "msgs_per_s": round(rate),
        "python_floor_msgs_per_s": floor,
        "live_path_msgs_per_s": round(live_rate),
        "live_path_ratio": round(live_rate / floor, 2),
        "peak_rss_mb": peak,
        "msgs_per_s_of_runs": [round(one) for one in rates],
        "live_path_msgs_per_s_of_runs": [round(one) for one in live_rates],
        "checks": checks,
    }


def warm() -> None:
    """Compiles, or loads from the cache, what is measured: the books at their LARGE size, on no message."""
    nothing, symbols = np.frombuffer(b"", np.uint8), np.zeros(1, np.int64)
    book, events = memory.zeros(books.LARGE), np.zeros(1, EVENT)
    book_block(nothing, np.zeros(1, FEED), new_locate_map(), symbols, events, book)
    books.apply_events(book, events, 0)
    books.clear(book[0])


def _floor(script: Path, path: Path) -> int:
    """Messages a second of the unmodified peer, as it stands (its own median)."""
    command = [sys.executable, str(script), "--input", str(path), "--case", "book"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(json.loads(answer.splitlines()[-1])["msgs_per_s"])


class _Bench:
    def __init__(self, path: Path, symbols: np.ndarray) -> None:
        self.path, self.symbols = path, symbols
        self.messages = 0
        self._books = memory.zeros(books.LARGE)
        self._events = np.zeros(BLOCK_EVENTS, EVENT)
        self._batch = np.zeros(BATCH_EVENTS, EVENT)

    def _start(self) -> None:
        books.clear(self._books[0])
        self.feed = np.zeros(1, FEED)
        set_date(self.feed[0], int(itch_file.SESSION))  # type: ignore[arg-type]
        self.locates = new_locate_map()

    def run_blocks(self, share: float = 1.0) -> float:
        """Messages a second, from bytes to books."""
        self._start()
        seconds = 0.0
        for piece in itch_file.pieces(self.path):
            started = time.perf_counter()
            book_block(piece, self.feed, self.locates, self.symbols, self._events, self._books)
            seconds += time.perf_counter() - started
            if share < 1:
                break
        return self._rate(seconds)

    def run_datagrams(self, share: float = 1.0) -> float:
        """Messages a second, from datagrams to books."""
        self._start()
        packer, receiver = itch_file.Packer(), Receiver()
        in_order = InOrder(receiver)
        seconds = 0.0
        for piece in itch_file.pieces(self.path):
            datagrams, ends = packer.pack(piece)
            started = time.perf_counter()
            self._receive(in_order, datagrams, ends)
            seconds += time.perf_counter() - started
            if share < 1:
                break
        return self._rate(seconds)

    def _receive(self, in_order: InOrder, datagrams: np.ndarray, ends: np.ndarray) -> None:
        taken, feed, batch = 0, self.feed, self._batch
        while taken < len(ends):
            packets, events = in_order.take(datagrams, ends, taken, feed, self.locates, self.symbols, batch)
            books.apply_events(self._books, batch, events)
            taken += packets
            if not packets:  # not plainly the next packet: the state machine's
                start = ends[taken - 1] if taken else 0
                for event in in_order.receiver.on_datagram(datagrams[start : ends[taken]].tobytes(), 0):
                    if isinstance(event, Data):
                        block = np.frombuffer(event.block, np.uint8)
                        book_block(block, feed, self.locates, self.symbols, self._events, self._books)
                taken += 1

    def _rate(self, seconds: float) -> float:
        self.messages = int(self.feed[0]["messages"])
        return self.messages / seconds


@njit(cache=True, nogil=True)
def book_block(block, feeds, locate_map, symbols, events, book):
    """Decodes and books a block of whole messages; arrays of one for FEED and books."""
    start = 0
    while start < len(block):
        count = decode_whole(block, start, len(block), feeds[0], locate_map, symbols, events)
        books.apply_events(book, events, count)
        start = feeds[0].position


def _check(path: Path, symbols: np.ndarray) -> list[dict[str, Any]]:
    """Content of the books and of the reference's at half of the file and at its end."""
    bench, reference = _Bench(path, symbols), ReferenceBooks()
    bench._start()
    instruments = {int(key): index for index, key in enumerate(symbols)}
    locates: dict[int, int] = {}
    half, done, checks = path.stat().st_size // 2, 0, []
    for piece in itch_file.pieces(path):
        book_block(piece, bench.feed, bench.locates, symbols, bench._events, bench._books)
        _reference_block(piece.tobytes(), reference, locates, instruments)
        before, done = done, done + len(piece)
        if before < half <= done or done == path.stat().st_size:
            ours = content_hash(books.book_content(bench._books[0]))
            theirs = content_hash(reference.content())
            checks.append(
                {
                    "messages": int(bench.feed[0]["messages"]),
                    "orders": len(reference.orders),
                    "book_hash": ours,
                    "equal": ours == theirs,
                }
            )
    return checks


_ADD, _EXECUTE, _PART = struct.Struct(">HH6sQcI8sI"), struct.Struct(">HH6sQI"), struct.Struct(">HH6sQ")
_REPLACE = struct.Struct(">HH6sQQII")


def _reference_block(block: bytes, reference: ReferenceBooks, locates: dict[int, int], known: dict[int, int]) -> None:
    """An own plain reading of the messages, so that the decoder is checked too."""
    position = 0
    while position < len(block):
        size = block[position] << 8 | block[position + 1]
        letter, at = block[position + 2], position + 3
        position += 2 + size
        if letter in b"AF":
            locate, _, _, order, side, qty, _, price = _ADD.unpack_from(block, at)
            reference.apply(locates[locate], Kind.ADD, 1 if side == b"B" else -1, order, price, qty)
        elif letter == ord("D"):
            locate, _, _, order = _PART.unpack_from(block, at)
            reference.apply(locates[locate], Kind.DELETE, 0, order, 0, 0)
        elif letter == ord("U"):
            locate, _, _, old, order, qty, price = _REPLACE.unpack_from(block, at)
            reference.apply(locates[locate], Kind.REPLACE, 0, order, price, qty, old)
        elif letter in b"ECX":
            locate, _, _, order, qty = _EXECUTE.unpack_from(block, at)
            reference.apply(locates[locate], Kind.REDUCE, 0, order, 0, qty)
        elif letter == ord("R"):
            locate = int.from_bytes(block[at : at + 2], "big")
            locates[locate] = known[int.from_bytes(block[at + 10 : at + 18], "big")]
