"""Binance WebSocket captures: a line a message, the local time in ns before its JSON (Binance, "WebSocket Streams").

Streams ``trade`` and ``bookTicker`` become rows of ``trade`` and ``quote``; sizes are in 1e-8 of the base asset, for
coins trade in fractions. ``depthUpdate`` has no table of its own: its updates are followed for gaps, which are counted.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import numpy as np

from engine.core.events import PRICE_SCALE
from engine.errors import BadInput
from engine.ingestion.rows import BATCH, Batch, rows_of

SIZE_SCALE = 100_000_000
TRADE = ("price", "size", "side")
QUOTE = ("bid", "bid_size", "ask", "ask_size")


class Capture:
    """Reads the lines of a capture; ``gaps`` are breaks in the sequence of depth updates, known once it was read."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines, self.gaps = lines, 0
        self._last_update: dict[str, int] = {}
        self._rows: dict[tuple[str, str], list[tuple[int, ...]]] = {}
        self._written = {"trade": 0, "quote": 0}

    def read(self) -> Iterator[Batch]:
        """Batches of trades and quotes, those of a symbol together."""
        for number, line in enumerate(self._lines, start=1):
            if line.strip():
                self._take(number, line)
            if number % BATCH == 0:
                yield from self._flush()
        yield from self._flush()

    def _take(self, number: int, line: bytes) -> None:
        try:
            local, _, text = line.partition(b" ")
            message: Any = msgspec.json.decode(text)
            body = message.get("data", message)
            kind = body.get("e", "bookTicker" if "A" in body else "")
            if kind == "trade":
                side = -1 if body["m"] else 1  # m: the buyer was the maker
                self._add("trade", body["s"], (int(local), _price(body["p"]), _size(body["q"]), side))
            elif kind == "bookTicker":
                sides = (_price(body["b"]), _size(body["B"]), _price(body["a"]), _size(body["A"]))
                self._add("quote", body["s"], (int(local), *sides))
            elif kind == "depthUpdate":
                last = self._last_update.get(body["s"])
                self.gaps += last is not None and body["U"] != last + 1
                self._last_update[body["s"]] = body["u"]
        except (msgspec.DecodeError, KeyError, ValueError, AttributeError, TypeError, InvalidOperation) as error:
            raise BadInput("bad_row", f"row {number}", str(error)[:200], "local time in ns, then JSON") from error

    def _add(self, table: str, symbol: str, row: tuple[int, ...]) -> None:
        self._rows.setdefault((table, symbol), []).append(row)

    def _flush(self) -> Iterator[Batch]:
        for (table, symbol), found in self._rows.items():
            columns = np.array(found, np.int64).T
            names = TRADE if table == "trade" else QUOTE
            first = self._written[table] + 1
            self._written[table] += len(found)
            yield table, rows_of(table, symbol, columns[0], begin=first, **dict(zip(names, columns[1:], strict=True)))
        self._rows.clear()


def _price(text: str) -> int:
    return _scaled(text, PRICE_SCALE)


def _size(text: str) -> int:
    return _scaled(text, SIZE_SCALE)


def _scaled(text: str, scale: int) -> int:
    value = Decimal(text) * scale
    if value != int(value):
        raise ValueError(f"{text} is finer than 1/{scale}")
    return int(value)
