"""Matches the orders of a JSON-lines file and prints every event, a JSON object a line. See docs/matching.md.

The last line has ``orders``, ``trades`` and ``book_hash`` (of what rests at the end). A line of the file that makes no
sense ends it: exit code 2 and an error that names line and field.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.errors import BadInput
from engine.simulation.compiled import CompiledMatching, book_hash
from engine.simulation.matching_records import (
    EVERYTHING,
    INSTRUMENTS,
    NewOrder,
    OrderKind,
    Phase,
    Prevention,
    Reason,
    Report,
    ReportKind,
    TimeInForce,
)
from engine.simulation.reference import ReferenceMatching

SIDES = {"buy": 1, "sell": -1}
SIDE_NAMES = {1: "buy", -1: "sell"}
KINDS = {"limit": OrderKind.LIMIT, "market": OrderKind.MARKET, "midpoint": OrderKind.MIDPOINT}
TIMES = {
    "day": TimeInForce.DAY,
    "ioc": TimeInForce.IMMEDIATE,
    "fok": TimeInForce.FILL_OR_KILL,
    "on_open": TimeInForce.OPENING,
    "on_close": TimeInForce.CLOSING,
}
PREVENTIONS = {prevention.name.lower(): prevention for prevention in Prevention}
PHASES = {"halt": Phase.HALTED, "collect": Phase.COLLECTING}
AUCTIONS = {"opening": TimeInForce.OPENING, "closing": TimeInForce.CLOSING}
Price = int | str  # 1/10,000, or a decimal in the currency


class New(msgspec.Struct, tag="new", forbid_unknown_fields=True):
    id: str
    symbol: str
    side: Literal["buy", "sell"]
    qty: int
    price: Price = 0
    order: Literal["limit", "market", "midpoint"] = "limit"
    time_in_force: Literal["day", "ioc", "fok", "on_open", "on_close"] = "day"
    display: int = EVERYTHING
    min_qty: int = 0
    post_only: bool = False
    group: int = 0
    prevention: Literal["cancel_newest", "cancel_oldest", "decrement_both", "allow"] = "cancel_newest"


class Cancel(msgspec.Struct, tag="cancel", forbid_unknown_fields=True):
    id: str


class Reduce(msgspec.Struct, tag="reduce", forbid_unknown_fields=True):
    id: str
    qty: int  # what is left open


class Halt(msgspec.Struct, tag="halt", forbid_unknown_fields=True):
    symbol: str


class Collect(msgspec.Struct, tag="collect", forbid_unknown_fields=True):
    symbol: str


class Uncross(msgspec.Struct, tag="uncross", forbid_unknown_fields=True):
    symbol: str
    auction: Literal["opening", "closing"] = "opening"
    reference_price: Price = 0


Line = New | Cancel | Reduce | Halt | Collect | Uncross
_decode = msgspec.json.Decoder(Line).decode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--orders", type=Path, required=True, metavar="O.jsonl")
    parser.add_argument("--tick", type=int, default=1, help="limit prices are multiples of it, in 1/10,000")
    parser.add_argument("--collar", type=int, default=0, help="1/10,000 of the touch that an order may trade through")
    parser.add_argument("--plain", action="store_true", help="by the plain engine that the compiled one is held to")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    for name, least in (("tick", 1), ("collar", 0)):
        if getattr(arguments, name) < least:
            raise BadInput("out_of_range", name, getattr(arguments, name), f"at least {least}")
    engine = (ReferenceMatching if arguments.plain else CompiledMatching)(arguments.tick, arguments.collar)
    session = _Session(engine)
    try:
        with arguments.orders.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if raw.strip():
                    for event in session.take(number, raw):
                        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
    except OSError as error:
        raise BadInput("unreadable", "orders", arguments.orders, error.strerror or "a readable file") from error
    return session.summary()


class _Session:
    """What the lines so far have done: names of orders and symbols, and the counts of the last line."""

    def __init__(self, engine: CompiledMatching | ReferenceMatching) -> None:
        self._engine = engine
        self._symbols: dict[str, int] = {}
        self._serials: dict[str, int] = {}  # by id; 0: refused
        self._ids: dict[int, str] = {}
        self._counts: Counter[str] = Counter()
        self._line = 0

    def take(self, number: int, raw: bytes) -> Iterator[dict[str, Any]]:
        """The events of one line. Raises ``BadInput`` when it is none of the things that may stand there."""
        self._line = number
        line = self._parse(raw)
        if isinstance(line, New):
            yield from self._enter(line)
        elif isinstance(line, Cancel | Reduce):
            yield from self._reduce(line)
        elif isinstance(line, Uncross):
            reference = self._price("reference_price", line.reference_price)
            reports = self._engine.uncross(self._instrument(line.symbol), AUCTIONS[line.auction], reference)
            yield from self._events(reports, line.symbol)
        else:
            kind = "halt" if isinstance(line, Halt) else "collect"
            self._engine.set_phase(self._instrument(line.symbol), PHASES[kind])
            yield {"event": PHASES[kind].name.lower(), "line": number, "symbol": line.symbol}

    def summary(self) -> dict[str, Any]:
        rows = self._engine.resting_orders()
        return {
            "orders": self._counts["orders"],
            "trades": self._counts["trades"],
            "refused": self._counts["refused"],
            "resting": len(rows),
            "book_hash": book_hash(rows),
        }

    def _bad(self, code: str, field: str, value: Any, expected: str) -> BadInput:
        return BadInput(code, f"line {self._line}: {field}", value, expected)

    def _parse(self, raw: bytes) -> Line:
        try:
            return _decode(raw)
        except msgspec.ValidationError as error:
            expected, _, place = str(error).partition(" - at `$")
            field = place.strip("`.") or "object"
            raise self._bad("bad_field", field, raw.decode(errors="replace").strip(), expected) from error
        except msgspec.DecodeError as error:
            raise self._bad("bad_json", "object", raw.decode(errors="replace").strip(), f"JSON ({error})") from error

    def _price(self, field: str, price: Price) -> int:
        if isinstance(price, int):
            return price
        try:
            scaled = Decimal(price) * 10_000
        except InvalidOperation:
            raise self._bad("bad_field", field, price, "a decimal number") from None
        if not scaled.is_finite() or scaled != scaled.to_integral_value():
            raise self._bad("bad_field", field, price, "at most four decimal places")
        return int(scaled)

    def _instrument(self, symbol: str) -> int:
        if symbol not in self._symbols and len(self._symbols) == INSTRUMENTS:
            raise self._bad("too_many", "symbol", symbol, f"at most {INSTRUMENTS} symbols")
        return self._symbols.setdefault(symbol, len(self._symbols))

    def _whole(self, field: str, value: int) -> int:
        if not -(1 << 31) < value < 1 << 33:
            raise self._bad("out_of_range", field, value, "a number of at most 32 bits")
        return value

    def _enter(self, line: New) -> Iterator[dict[str, Any]]:
        if line.id in self._serials:
            raise self._bad("not_unique", "id", line.id, "an id that no other order has")
        price = self._whole("price", self._price("price", line.price))
        for field in ("qty", "display", "min_qty"):
            self._whole(field, getattr(line, field))
        if not 0 <= line.group < 1 << 31:
            raise self._bad("out_of_range", "group", line.group, "0 to 2**31 - 1")
        reports = self._engine.enter(
            NewOrder(
                self._instrument(line.symbol),
                SIDES[line.side],
                price,
                line.qty,
                KINDS[line.order],
                TIMES[line.time_in_force],
                line.display,
                line.min_qty,
                line.post_only,
                line.group,
                PREVENTIONS[line.prevention],
            )
        )
        self._counts["orders"] += 1
        self._serials[line.id] = reports[0].serial
        self._ids[reports[0].serial] = line.id
        yield from self._events(reports, line.symbol)

    def _reduce(self, line: Cancel | Reduce) -> Iterator[dict[str, Any]]:
        if line.id not in self._serials:
            raise self._bad("unknown_order", "id", line.id, "the id of an order above")
        keep = line.qty if isinstance(line, Reduce) else 0
        reports = self._engine.reduce(self._serials[line.id], self._whole("qty", keep))
        if not reports:
            yield {"event": "ignored", "line": self._line, "id": line.id}
        yield from self._events(reports)

    def _events(self, reports: list[Report], symbol: str = "") -> Iterator[dict[str, Any]]:
        crossed = sum(report.kind is ReportKind.CROSSED for report in reports) // 2
        self._counts["trades"] += crossed + sum(report.kind is ReportKind.EXECUTED for report in reports)
        for report in reports:
            self._counts["refused"] += report.kind is ReportKind.REFUSED
            yield self._event(report, symbol)

    def _event(self, report: Report, symbol: str) -> dict[str, Any]:
        event: dict[str, Any] = {"event": report.kind.name.lower(), "line": self._line}
        if symbol:
            event["symbol"] = symbol
        if report.kind is not ReportKind.CROSS:
            event |= {"id": self._ids[report.serial], "side": SIDE_NAMES[report.side]}
        event |= {"price": report.price, "qty": report.qty}
        if report.kind is not ReportKind.CROSS:
            event |= {"remaining": report.remaining, "visible": report.visible}
        if report.match_number:
            event["match_number"] = report.match_number
        if report.taker_serial:
            event["taker_id"] = self._ids[report.taker_serial]
        if report.reason is not Reason.NONE:
            event["reason"] = report.reason.name.lower()
        return event
