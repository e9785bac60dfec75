"""Writes the book of one instrument of an ITCH 5.0 BinaryFILE (plain or gzipped) at given message counts.

INDEX is a row of little-endian unsigned 32-bit integers, never going down: for each, the book after that many
messages of the file. OUT gets one row each: int64 (rows, N, 4) = ask price, ask size, bid price, bid size, in 1/10,000
and shares;
a level that is not there is zeros.
"""

import argparse
import gzip
from pathlib import Path
from typing import Any

import numpy as np

from engine.core import books, memory
from engine.core.compiled import njit
from engine.core.events import EVENT
from engine.errors import BadInput
from engine.protocols import binaryfile
from engine.protocols.feed import new_feed, new_locate_map, symbol_keys
from engine.protocols.itch_events import decode_whole
from engine.protocols.layout import WireError
from engine.protocols.unaligned import load_u16, load_u64

R = ord("R")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--levels", type=int, required=True, metavar="N")
    parser.add_argument("--at", type=Path, required=True, metavar="INDEX", help="message counts, uint32 little-endian")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.npy")
    parser.add_argument("--symbol", metavar="S", help="which, where the file has several")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises BadInput for files that cannot be read, an INDEX that goes down or beyond the file, an unknown symbol."""
    if not 1 <= arguments.levels <= 100_000:
        raise BadInput("out_of_range", "levels", arguments.levels, "1 to 100000")
    try:
        content = binaryfile.load(arguments.file)
    except OSError as error:
        raise BadInput("unreadable", "FILE", arguments.file, error.strerror or "a readable file") from error
    wanted = _read_index(arguments.at)
    symbol = _choose_symbol(content, arguments.symbol)
    rows = np.zeros((len(wanted), arguments.levels, 4), np.int64)
    book = memory.zeros(books.LARGE)
    written, messages = _book(content, wanted, symbol, book, rows)
    if written < len(wanted):
        raise BadInput("out_of_range", "INDEX", int(wanted[written]), f"at most the file's {messages} messages")
    with open(arguments.out, "wb") as file:
        np.save(file, rows)
    refused = {reason.name.lower(): int(book[0]["refused"][reason]) for reason in books.Refusal}
    return {
        "rows": len(rows),
        "messages": messages,
        "symbol": symbol,
        "levels": arguments.levels,
        "refused": {reason: count for reason, count in refused.items() if count},
    }


def warm() -> None:
    """Compiles, or loads from the cache, what the command calls."""
    nothing = np.frombuffer(b"", np.uint8)
    _directory(nothing, np.zeros(1, np.int64))
    _book(nothing, np.zeros(0, np.int64), "A", memory.zeros(books.LARGE), np.zeros((0, 1, 4), np.int64))


def _book(content: np.ndarray, wanted: np.ndarray, symbol: str, book: np.ndarray, rows: np.ndarray) -> tuple[int, int]:
    """(rows written, messages read)."""
    feed, symbols, events = new_feed(), symbol_keys([symbol]), np.zeros(256, EVENT)
    prices, shares = np.zeros((2, rows.shape[1]), np.int64)
    written = _write_rows(content, wanted, book, feed, new_locate_map(), symbols, events, prices, shares, rows)
    return int(written), int(feed["messages"])


def _read_index(path: Path) -> np.ndarray:
    """Message counts, int64 (n,)."""
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError) as error:
        raise BadInput("unreadable", "INDEX", path, str(error)) from error
    if len(raw) % 4:
        raise BadInput("wrong_length", "INDEX", len(raw), "a multiple of 4 bytes")
    counts = np.frombuffer(raw, "<u4").astype(np.int64)
    if (np.diff(counts) < 0).any():
        raise BadInput("bad_field", "INDEX", path, "message counts that never go down")
    return counts


def _choose_symbol(content: np.ndarray, asked: str | None) -> str:
    keys = np.zeros(65_536, np.int64)
    found = [
        int(key).to_bytes(8, "big", signed=True).decode("latin-1").rstrip() for key in keys[: _directory(content, keys)]
    ]
    symbols = sorted(set(found))
    if asked is not None and asked not in symbols:
        raise BadInput("unknown_symbol", "symbol", asked, f"one of the file's {len(symbols)} symbols")
    if asked is None and len(symbols) != 1:
        shown = ", ".join(symbols[:5])
        raise BadInput("missing", "symbol", None, f"--symbol, for the file has {len(symbols)} symbols ({shown} ...)")
    symbol = asked or symbols[0]
    try:
        symbol_keys([symbol])
    except WireError as error:
        raise BadInput("bad_field", "symbol", symbol, "1 to 8 ASCII characters") from error
    return symbol


@njit(cache=True)
def _directory(content, keys):
    """Symbols of the Stock Directory messages into ``keys``; how many there were (at most len(keys))."""
    position, count = 0, 0
    while position + 2 <= len(content) and count < len(keys):
        size = load_u16(content, position)
        if size >= 19 and position + 2 + size <= len(content) and content[position + 2] == R:
            keys[count] = load_u64(content, position + 13)
            count += 1
        position += 2 + size
    return count


@njit(cache=True)
def _write_rows(content, wanted, book, feed, locate_map, symbols, events, prices, shares, rows):
    """Books the messages of the file and writes a row at each message count that is wanted; returns the rows written.

    ``prices`` and ``shares`` (int64, a level each) are room to work in. The file is decoded to its end, or end mark.
    """
    start = stop = messages = written = 0
    more = True
    while more:
        target = wanted[written] if written < len(wanted) else np.iinfo(np.int64).max
        while messages < target:
            if stop + 2 > len(content) or load_u16(content, stop) == 0:  # the file's end, or its end mark
                break
            if stop + 2 + load_u16(content, stop) > len(content):
                break
            stop += 2 + load_u16(content, stop)
            messages += 1
        while start < stop:
            count = decode_whole(content, start, stop, feed, locate_map, symbols, events)
            books.apply_events(book, events, count)
            start = feed.position
        more = messages == target
        if not more:
            break
        for side in range(2):
            for level in range(books.depth(book[0], 0, side, prices, shares)):
                rows[written, level, 2 - 2 * side] = prices[level]
                rows[written, level, 3 - 2 * side] = shares[level]
        written += 1
    return written
