"""Asks a bundle's limits about orders: ``limits --bundle B.json --orders O.jsonl``, the same checks as in the step.

The bundle is a signed document (see ``engine/limits_bundle.py``); its signature is verified with ``--key``, a file with
the signer's public key in hex, and for the node ``--node`` (the bundle's own without it). Without ``--key`` it is read
and not verified, and the last line says ``"verified": false``.

Each line of the orders' file is one JSON object. Prices are whole numbers in 1/10,000, quantities whole shares, ``ts``
ns (as in the line before without it, 0 at first). An order:

    {"strategy": "d-1", "symbol": "KO", "side": "buy", "qty": 100, "price": 100200, "ts": 5, "venue": 0}

``strategy`` is a deployment that the bundle names. One that passes is held and works until it is cancelled or filled;
orders are numbered from 1 in the order of their lines. Lines with ``event`` change what orders meet; they are not
answered:

    {"event": "quote", "symbol": "KO", "bid": 100000, "ask": 100200}
    {"event": "trade", "symbol": "KO", "price": 100100}
    {"event": "open", "date": 20130102}            a trading day begins and opens; one has before the first line
    {"event": "fill", "order": 1, "qty": 50, "price": 100200}
    {"event": "cancel", "order": 1}
    {"event": "short_sale", "symbol": "KO", "code": 1}       Rule 201: 0 free, 1 and 2 restricted

Prints a line an order: ``ok``, ``limit``, ``level``, ``value`` (the limit's) and ``order_value``; then the counts.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numba import njit

from engine.core.activity import count_execution, note_cancel, note_sent, return_locate
from engine.core.capacities import INSTRUMENTS, STRATEGIES, VENUES
from engine.core.engine import FIRM, Engine, Loaded, blob
from engine.core.events import EVENT, BlobType, Flag, Kind, Session, TradingStatus
from engine.core.limit_names import Level, Limit
from engine.core.limit_tables import SignedBundle, canonical_bytes, decode_bundle
from engine.core.limits import check_order, sale_mark
from engine.core.orders import OrderState
from engine.core.positions import book_fill, hold
from engine.core.state import ORDERS
from engine.errors import BadInput
from engine.limits_bundle import read_public_key, verify

LIVE, DONE = int(OrderState.LIVE), int(OrderState.CANCELLED)
FIRST_DATE = 20000103  # of the day that has begun before the first line


Positive = Annotated[int, msgspec.Meta(gt=0, lt=1 << 62)]


class Line(msgspec.Struct, forbid_unknown_fields=True, tag_field="event"):
    """What every line may say."""

    ts: int | None = None


class OrderLine(Line, tag="order", kw_only=True):
    strategy: str
    symbol: str
    side: Literal["buy", "sell"]
    qty: Positive
    price: Positive
    venue: int = 0


class QuoteLine(Line, tag="quote", kw_only=True):
    symbol: str
    bid: int
    ask: int


class TradeLine(Line, tag="trade", kw_only=True):
    symbol: str
    price: Positive


class OpenLine(Line, tag="open", kw_only=True):
    date: Positive


class FillLine(Line, tag="fill", kw_only=True):
    order: Positive
    qty: Positive
    price: Positive


class CancelLine(Line, tag="cancel", kw_only=True):
    order: Positive


class ShortSaleLine(Line, tag="short_sale", kw_only=True):
    symbol: str
    code: Literal[0, 1, 2]


AnyLine = OrderLine | QuoteLine | TradeLine | OpenLine | FillLine | CancelLine | ShortSaleLine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, required=True, metavar="B.json")
    parser.add_argument("--orders", type=Path, required=True, metavar="O.jsonl")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the signer's public key, 64 hex digits")
    parser.add_argument("--node", help="the node that the bundle must be for, with --key")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises BadInput naming the line and the field."""
    document = _read(arguments.bundle, "--bundle").encode()
    signed = decode_bundle(document)
    if arguments.key:
        signed = verify(document, arguments.node or signed.bundle.node, read_public_key(arguments.key))
    lines = list(_lines(_read(arguments.orders, "--orders")))
    desk = _Desk(signed, lines)
    refused: Counter[str] = Counter()
    orders = 0
    for number, line in lines:
        answer = desk.take(number, line)
        if answer is not None:
            orders += 1
            refused[answer["limit"]] += not answer["ok"]
            print(json.dumps(answer))
    return {
        "orders": orders,
        "passed": orders - refused.total(),
        "refused": {name: count for name, count in sorted(refused.items()) if count},
        "verified": arguments.key is not None,
    }


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("unreadable", option, path, f"a readable file ({error})") from error


def _lines(text: str) -> Iterator[tuple[int, AnyLine]]:
    for number, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            fields = msgspec.json.decode(content, type=dict[str, Any])
            yield number, msgspec.convert({"event": "order"} | fields, AnyLine)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            reason, _, place = str(error).partition(" - at `$")
            named = place.strip("`.") or (reason.split("`")[1] if "`" in reason else "")
            raise BadInput("order_line", f"line {number}: {named}".rstrip(": "), content[:200], reason) from error


class _Desk:
    """An engine with the bundle's strategies, whose orders come from the file instead of kernels."""

    def __init__(self, signed: SignedBundle, lines: list[tuple[int, AnyLine]]) -> None:
        named = {
            line.symbol for _, line in lines if isinstance(line, OrderLine | QuoteLine | TradeLine | ShortSaleLine)
        }
        self._symbols = sorted(named)
        self._slots = {name: slot for slot, name in enumerate(sorted(signed.bundle.strategies))}
        if len(self._slots) > STRATEGIES or len(self._symbols) > INSTRUMENTS:
            held = len(self._slots), len(self._symbols)
            raise BadInput("too_many", "strategies, symbols", held, f"at most {STRATEGIES} and {INSTRUMENTS}")
        self._engine = Engine(lambda _: Loaded(0, frozenset(), 0))
        self._now = 0
        self._orders = 0
        self._blob(BlobType.INSTRUMENTS, json.dumps(self._symbols).encode())
        self._blob(BlobType.LIMITS, canonical_bytes(signed))
        for name, slot in self._slots.items():
            self._blob(BlobType.MANIFEST, b"{}", slot)
            self._blob(BlobType.LIMITS, canonical_bytes(signed.bundle.strategies[name]), slot)
        for instrument in range(len(self._symbols)):
            self._apply(Kind.STATUS, instrument, code=TradingStatus.TRADING)
        self._open(FIRST_DATE)

    def take(self, number: int, line: AnyLine) -> dict[str, Any] | None:
        """What an order's line is answered."""
        if line.ts is not None:
            if line.ts < self._now:
                raise BadInput("order_line", f"line {number}: ts", line.ts, f"at least {self._now}, as before it")
            self._now = line.ts
            self._apply(Kind.TIMER)
        if isinstance(line, OrderLine):
            return self._order(number, line)
        if isinstance(line, QuoteLine):
            touch = {"bid": line.bid, "bid_size": 1, "ask": line.ask, "ask_size": 1}
            self._apply(Kind.QUOTE, self._symbols.index(line.symbol), **touch)
        elif isinstance(line, TradeLine):
            self._apply(Kind.TRADE, self._symbols.index(line.symbol), price=line.price, qty=1)
        elif isinstance(line, ShortSaleLine):
            self._apply(Kind.STATUS, self._symbols.index(line.symbol), code=line.code, flags=Flag.SHORT_SALE)
        elif isinstance(line, OpenLine):
            self._open(line.date)
        else:
            self._end(number, line)
        return None

    def _order(self, number: int, line: OrderLine) -> dict[str, Any]:
        if line.strategy not in self._slots:
            raise BadInput("order_line", f"line {number}: strategy", line.strategy, "one that the bundle names")
        if not 0 <= line.venue < VENUES:
            raise BadInput("order_line", f"line {number}: venue", line.venue, f"0 to {VENUES - 1}")
        if self._orders + 1 >= ORDERS:
            raise BadInput("order_line", f"line {number}", self._orders + 1, f"fewer than {ORDERS} orders")
        self._orders += 1
        order = np.zeros(1, self._engine.state["orders"].dtype)
        order["order_id"], order["qty"], order["price"], order["venue"] = self._orders, line.qty, line.price, line.venue
        order["instrument"], order["strategy"] = self._symbols.index(line.symbol), self._slots[line.strategy]
        order["side"] = 1 if line.side == "buy" else -1
        limit, level, value, order_value = _check_and_send(self._engine.record, order)
        return {
            "ok": limit == Limit.NONE,
            "limit": Limit(limit).name.lower(),
            "level": Level(level).name.lower() if limit else "",
            "value": value,
            "order_value": order_value,
        }

    def _end(self, number: int, line: FillLine | CancelLine) -> None:
        qty = line.qty if isinstance(line, FillLine) else 0
        price = line.price if isinstance(line, FillLine) else 0
        order = self._engine.state["orders"][line.order] if 0 < line.order <= self._orders else None
        if order is None or order["state"] != LIVE:
            raise BadInput("order_line", f"line {number}: order", line.order, "an order that passed and still works")
        left = int(order["qty"]) - int(order["filled"])
        if isinstance(line, FillLine) and not (0 < qty <= left and 0 < price):
            raise BadInput("order_line", f"line {number}: qty", (qty, price), f"1 to {left} shares at a price above 0")
        _fill_or_cancel(self._engine.record, line.order, price, qty)

    def _open(self, date: int) -> None:
        self._apply(Kind.SESSION, code=Session.START_OF_MESSAGES, date=date)
        self._apply(Kind.SESSION, code=Session.OPEN, date=date)

    def _blob(self, blob_type: BlobType, payload: bytes, strategy: int = FIRM) -> None:
        self._engine.apply_blob(blob(blob_type, payload, strategy=strategy, ts=0), payload)

    def _apply(self, kind: Kind, instrument: int = -1, **payload: int) -> None:
        event = np.zeros(1, EVENT)
        event["kind"], event["instrument"] = kind, instrument
        event["ts_event"] = event["ts_recv"] = self._now
        for name, value in payload.items():
            event[name] = value
        self._engine.apply(event)


@njit(cache=True)
def _check_and_send(states, orders):
    """Checks an order; one that passes works from here on."""
    state, asked = states[0], orders[0]
    strategy, instrument, side = asked.strategy, asked.instrument, asked.side
    answer = check_order(state, strategy, instrument, side, asked.qty, asked.price, asked.venue)
    order = state.orders[asked.order_id]
    order.order_id = asked.order_id
    order.state = DONE
    if answer[0] == 0:
        order.strategy, order.instrument, order.side, order.venue = strategy, instrument, side, asked.venue
        order.qty, order.price, order.filled, order.state = asked.qty, asked.price, 0, LIVE
        order.mark = sale_mark(state, instrument, side, asked.qty, asked.price)
        note_sent(state, strategy, instrument, side, asked.qty, asked.price, order.mark)
        hold(state, strategy, instrument, side, asked.qty)
    return answer


@njit(cache=True)
def _fill_or_cancel(states, order_id, price, qty):
    """Fills ``qty`` shares of a working order; 0 cancels it."""
    state = states[0]
    order = state.orders[order_id]
    left = order.qty - order.filled
    hold(state, order.strategy, order.instrument, order.side, -(qty if qty else left))
    if qty:
        book_fill(state, order.strategy, order.instrument, order.side, price, qty, order.venue, 0)
        count_execution(state, order.strategy, order.instrument)
        order.filled += qty
    else:
        note_cancel(state, order.strategy, order.instrument)
        return_locate(state, order.instrument, left, order.mark)
    if qty == 0 or order.filled == order.qty:
        order.state = DONE
