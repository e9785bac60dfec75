"""A new journal in place of one that this build does not make again.

The code's decisions have changed while positions were open, so replay cannot lead to a state that this
build vouches for. What happened is in the old journal all the same: fills make the positions, orders
without an end may still work at the venue. These are carried into a new journal; the old one is kept
beside it, and the agent ships what is left of it first. Strategies come up paused (their memory is not
carried, and a version must be approved for this build before it may run).
"""

import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.core.adjustments import pay_dividend, split_position
from engine.core.breaks import outlasts
from engine.core.capacities import LOTS, VENUES
from engine.core.carry import Carried, CarriedBreak, CarriedLatch, CarriedOrder, CarriedPosition
from engine.core.engine import FIRM, Engine, blob
from engine.core.events import POST_ONLY, Action, BlobType, Kind, Session, TimeInForce
from engine.core.kill import KILLERS, KillLevel
from engine.core.limit_names import MARK_SHIFT
from engine.core.limit_tables import decode_bundle, decode_strategy_limits
from engine.core.orders import KNOWN, NOT_YET, OrderState
from engine.core.positions import apply_fill, apply_to_lots, fee_a_share
from engine.core.risk_record import LOT_RING, VENUE_FEE
from engine.core.router_records import Action as RouterAction
from engine.core.signature import decode_signature, signers_of
from engine.core.state import INSTRUMENTS, POSITION, STRATEGIES
from engine.errors import BadInput
from engine.live.journal import Reader, Writer
from engine.live.order_session import order_session_event
from engine.live.pipeline import Pipeline
from engine.live.recovery import InputState, InputTracker, new_inputs
from engine.live.scan import Blob, Walk
from engine.strategies.load import load_manifest

log = logging.getLogger("engine.core")

EARLIER = "journal-"  # folders of journals that were replaced, named by the journal
SHIPPED = "shipped"  # a file there: the control plane has committed all of it
UNFINISHED = "journal.new"
OF_A_SLOT = frozenset({BlobType.MANIFEST, BlobType.PARAMETERS, BlobType.LIMITS, BlobType.ARTIFACT})
OF_THE_NODE = (BlobType.INSTRUMENTS, BlobType.SETTINGS, BlobType.VENUE_FEES, BlobType.VENUES)
IN_FORCE = (1 << MARK_SHIFT) - 1 & ~POST_ONLY
_CARRIED_FIELDS = ("position", "cost", "realised", "fees", "fifo_realised")


class Estate:
    """Reads an old journal from its first record and knows at the end what it leaves behind."""

    _WANTED = frozenset(
        {Kind.SESSION, Kind.ACCEPTED, Kind.CANCELED, Kind.REPLACED, Kind.FILL, Kind.FILL_BUSTED, Kind.ORDER_DONE}
        | {Kind.ORDER_NEW, Kind.ORDER_CANCEL, Kind.ORDER_REPLACE, Kind.BREAK, Kind.KILL}
        | {Kind.CORPORATE_ACTION, Kind.ADJUSTMENT}
    )

    def __init__(self) -> None:
        self.blobs: dict[tuple[int, BlobType], Blob] = {}
        self.last_ts = 0
        self._walk, self._every = Walk(self._WANTED), Walk(frozenset(Kind) - {Kind.BLOB, Kind.CELL})
        self._positions = np.zeros((STRATEGIES, INSTRUMENTS), POSITION)
        self._lots = np.zeros((STRATEGIES, INSTRUMENTS), LOT_RING)
        self._orders: dict[int, dict[str, int]] = {}
        self._latches: dict[tuple[int, int], CarriedLatch] = {}
        self._breaks: dict[int, CarriedBreak] = {}
        self._signer = 0
        self._fee, self._venue_fees = 0, np.zeros(VENUES, VENUE_FEE)
        self._date = 0
        self._next_order_id = self._next_parent = 1

    def take(self, first: int, records: np.ndarray) -> None:
        rows = self._every.rows(records)
        if len(rows):
            self.last_ts = max(self.last_ts, int(records[rows[-1]]["ts_recv"]))
        for found in self._walk.feed(first, records):
            if isinstance(found, Blob):
                self._blob(found)
            else:
                self._record(found[1][0])

    def carried(self, journal: str) -> Carried:
        touched = [self._positions[name] != 0 for name in ("position", "fees", "realised")]
        held = np.argwhere(np.logical_or.reduce(touched))
        positions = [
            CarriedPosition(
                strategy=int(slot),
                instrument=int(instrument),
                lots=_lots(self._lots[slot, instrument]),
                **{name: int(row[name]) for name in _CARRIED_FIELDS},
            )
            for slot, instrument in held
            for row in [self._positions[slot, instrument]]
        ]
        names = [name for name in CarriedOrder.__struct_fields__ if name != "order_id"]
        orders = [
            CarriedOrder(order_id=order_id, **{name: order[name] for name in names})
            for order_id, order in self._orders.items()
        ]
        latches, breaks = list(self._latches.values()), list(self._breaks.values())
        return Carried(journal, self._next_order_id, self._next_parent, positions, orders, latches, breaks)

    def _blob(self, found: Blob) -> None:
        self.last_ts = max(self.last_ts, int(found.header[0]["ts_recv"]))
        if found.blob_type is BlobType.SIGNATURE:
            self._signer = int(signers_of(decode_signature(found.payload))[0])
        if found.blob_type is BlobType.SETTINGS:
            self._fee = int(msgspec.json.decode(found.payload)["fee_per_share"])
        if found.blob_type is BlobType.VENUE_FEES:
            for row, (adding, taking) in zip(self._venue_fees, msgspec.json.decode(found.payload), strict=False):
                row["adding"], row["taking"] = adding, taking
        if found.blob_type is BlobType.SYMBOL_CHANGE:
            self._change_symbol(**msgspec.json.decode(found.payload))
        if found.blob_type is BlobType.MANIFEST:
            self._positions[found.strategy] = 0
            self._lots[found.strategy] = np.zeros((), LOT_RING)
            for blob_type in OF_A_SLOT:
                self.blobs.pop((found.strategy, blob_type), None)
        self.blobs[found.strategy, found.blob_type] = found
        if found.blob_type is BlobType.CARRIED:
            self._take_over(msgspec.json.decode(found.payload, type=Carried))

    def _change_symbol(self, instrument: int, symbol: str) -> None:
        table = self.blobs[FIRM, BlobType.INSTRUMENTS]
        symbols = msgspec.json.decode(table.payload)
        symbols[instrument] = symbol
        self.blobs[FIRM, BlobType.INSTRUMENTS] = replace(table, payload=msgspec.json.encode(symbols))

    def _take_over(self, earlier: Carried) -> None:
        self._next_order_id, self._next_parent = earlier.next_order_id, earlier.next_parent
        self._latches = {(latch.scope, latch.key): latch for latch in earlier.latches}
        self._breaks = {broken.instrument: broken for broken in earlier.breaks}
        for row in earlier.positions:
            position = self._positions[row.strategy, row.instrument]
            for name in _CARRIED_FIELDS:
                position[name] = getattr(row, name)
            ring = self._lots[row.strategy, row.instrument]
            ring["count"] = len(row.lots)
            for index, (qty, cost) in enumerate(row.lots):
                ring["qty"][index], ring["cost"][index] = qty, cost
        for order in earlier.orders:
            fields = msgspec.to_builtins(order)
            self._orders[fields.pop("order_id")] = fields

    def _record(self, record: Any) -> None:
        kind, order_id = Kind(int(record["kind"])), int(record["order_id"])
        if kind is Kind.SESSION:
            if int(record["code"]) == Session.START_OF_MESSAGES:
                self._date = int(record["date"])
        elif kind is Kind.BREAK:
            self._break(record)
        elif kind is Kind.KILL:
            self._kill(record)
        elif kind is Kind.ORDER_NEW:
            self._order_new(record, order_id, int(record["qty"]), int(record["ref"]))
        elif kind is Kind.ORDER_REPLACE:
            self._order_replace(record, order_id)
        elif kind is Kind.FILL:
            self._fill(record, order_id)
        elif kind is Kind.FILL_BUSTED:
            self._fill_busted(record, order_id)
        elif kind is Kind.CORPORATE_ACTION:
            self._corporate_action(record)
        elif kind is Kind.ADJUSTMENT:
            if int(record["person"]) > 0:
                self._book(record, 0)
        elif kind is Kind.ORDER_DONE:
            self._order_done(order_id)
        elif order_id in self._orders and self._orders[order_id]["venue"] == int(record["venue"]):
            self._move(kind, record, self._orders[order_id])

    def _break(self, record: Any) -> None:
        instrument, code, value = (int(record[name]) for name in ("instrument", "code", "value"))
        if not code:
            self._breaks.pop(instrument, None)
        elif instrument not in self._breaks or not outlasts(self._breaks[instrument].code, code):
            self._breaks[instrument] = CarriedBreak(instrument, code, value)

    def _kill(self, record: Any) -> None:
        scope, key, level, epoch = (int(record[name]) for name in ("scope", "ref", "code", "epoch"))
        before = self._latches.get((scope, key))
        killers = [killer for killer in before.killers if killer] if before and level != KillLevel.ARMED else []
        if level != KillLevel.ARMED and self._signer not in killers:
            killers = [*killers[: KILLERS - 1], self._signer]
        killers += [0] * (KILLERS - len(killers))
        self._latches[scope, key] = CarriedLatch(scope, key, level, epoch, killers)

    def _order_new(self, record: Any, order_id: int, qty: int, parent: int) -> None:
        self._next_order_id = max(self._next_order_id, order_id + 1)
        self._next_parent = max(self._next_parent, parent + 1)
        self._orders[order_id] = {
            "parent": parent,
            "strategy": int(record["strategy"]),
            "instrument": int(record["instrument"]),
            "side": int(record["side"]),
            "price": int(record["price"]),
            "qty": qty,
            "filled": 0,
            "state": int(OrderState.PENDING_NEW),
            "trade_date": self._date,
            "origin": 0,
            "before": 0,
            "mark": int(record["flags"]) >> MARK_SHIFT & 3,
            "venue": int(record["venue"]),
            "immediate": int(int(record["flags"]) & IN_FORCE == TimeInForce.IOC),
            "action": int(RouterAction.POST if int(record["flags"]) & POST_ONLY else RouterAction.TAKE),
            "known": NOT_YET,
        }

    def _order_replace(self, record: Any, order_id: int) -> None:
        origin_id = int(record["ref"])
        origin = self._orders[origin_id]
        before = origin["before"] + origin["filled"]
        self._order_new(record, order_id, int(record["qty"]) - before, origin["parent"])
        self._orders[order_id] |= {"origin": origin_id, "before": before}
        origin["state"] = int(OrderState.PENDING_REPLACE)

    def _order_done(self, order_id: int) -> None:
        """What was to replace it stands or falls by records of its own; a replace that is done leaves its origin."""
        done = self._orders.pop(order_id, None)
        origin = self._orders.get(done["origin"]) if done else None
        if origin is not None and origin["state"] == OrderState.PENDING_REPLACE:
            origin["state"] = int(OrderState.PARTIALLY_FILLED if origin["filled"] else OrderState.LIVE)

    def _fill_busted(self, record: Any, order_id: int) -> None:
        self._book(record, -self._fee_of(record), undone=True)
        order = self._orders.get(order_id)
        if order:
            order["filled"] -= int(record["qty"])
            order["qty"] -= int(record["qty"])

    def _fill(self, record: Any, order_id: int) -> None:
        self._book(record, self._fee_of(record))
        order = self._orders.get(order_id)
        if order:
            order["known"] = KNOWN
            order["filled"] += int(record["qty"])
            for successor in self._orders.values():
                if successor["origin"] == order_id:
                    successor["qty"] = max(successor["qty"] - int(record["qty"]), successor["filled"])
                    successor["before"] += int(record["qty"])
            if order["state"] not in (OrderState.PENDING_CANCEL, OrderState.PENDING_REPLACE):
                order["state"] = int(OrderState.PARTIALLY_FILLED)

    def _fee_of(self, record: Any) -> int:
        return int(fee_a_share(self._fee, self._venue_fees, int(record["venue"]), int(record["flags"])))

    def _book(self, record: Any, fee: int, undone: bool = False) -> None:
        side, price, qty = (int(record[name]) for name in ("side", "price", "qty"))
        side = -side if undone else side
        where = int(record["strategy"]), int(record["instrument"])
        position = self._positions[where]
        apply_fill(position, side, price, qty, fee)
        position["fifo_realised"] += apply_to_lots(self._lots[where], side, price, qty)

    def _corporate_action(self, record: Any) -> None:
        instrument, code = int(record["instrument"]), int(record["code"])
        numerator, denominator = int(record["numerator"]), int(record["denominator"])
        split = code == Action.SPLIT
        for strategy in range(STRATEGIES):
            position = self._positions[strategy, instrument]
            if split:
                split_position(position, self._lots[strategy, instrument], numerator, denominator)
            elif code == Action.DIVIDEND:
                pay_dividend(position, int(record["amount"]))
        for order in self._orders.values():
            if order["instrument"] == instrument and split:
                for name in ("qty", "filled"):
                    order[name] = order[name] * numerator // denominator
                order["price"] = order["price"] * denominator // numerator
            elif order["instrument"] == instrument and order["side"] > 0:
                order["price"] = max(order["price"] - int(record["amount"]), 1)

    def _move(self, kind: Kind, record: Any, order: dict[str, int]) -> None:
        if kind is not Kind.ORDER_CANCEL:
            order["known"] = KNOWN
        if kind is Kind.ORDER_CANCEL:
            order["state"] = int(OrderState.PENDING_CANCEL)
        elif kind is Kind.CANCELED and 0 < int(record["qty"]) < order["qty"] - order["filled"]:
            order["qty"] -= int(record["qty"])
        elif kind is Kind.REPLACED:
            order["origin"], order["price"] = 0, int(record["price"])
            order["qty"] = int(record["qty"]) + order["filled"]
            if order["state"] == OrderState.PENDING_NEW:
                order["state"] = int(OrderState.LIVE)
        elif kind is Kind.ACCEPTED and order["state"] == OrderState.PENDING_NEW:
            order["state"] = int(OrderState.LIVE)


def carry_over(folder: Path, journal: Path, segment_bytes: int) -> tuple[Pipeline, list[InputState]]:
    """Writes the new journal beside the old one, then puts it in its place; a crash in between begins again.

    Raises BadInput when this build cannot load a strategy that still holds something, JournalFull.
    """
    reader, estate, inputs = Reader(journal), Estate(), InputTracker(new_inputs())
    position = 0
    while len(records := reader.read(position, 1 << 18)):
        estate.take(position + 1, records)
        inputs.take(records)
        position += len(records)
    carried = estate.carried(reader.journal)
    fresh = folder / UNFINISHED
    shutil.rmtree(fresh, ignore_errors=True)
    pipeline = Pipeline(Engine(load_manifest), Writer.create(fresh, segment_bytes=segment_bytes))
    _fill_in(pipeline, estate, carried, inputs.states)
    pipeline.writer.close()
    os.rename(journal, folder / f"{EARLIER}{reader.journal}")
    os.rename(fresh, journal)
    log.warning(
        "journal %s was not made by this build: %d positions and %d open orders are carried into a new one",
        reader.journal,
        len(carried.positions),
        len(carried.orders),
    )
    pipeline.writer = Writer.open(journal, segment_bytes=segment_bytes)
    # The feed is read again from the session's start: the books are not carried.
    return pipeline, [
        InputState(order_sequence=each.order_sequence, unanswered_queries=each.unanswered_queries)
        for each in inputs.states
    ]


def finish_carry_over(folder: Path, journal: Path) -> None:
    """Completes a change of journals that a crash interrupted between its two renames."""
    if not journal.exists() and (folder / UNFINISHED).exists():
        os.rename(folder / UNFINISHED, journal)


def earlier_journals(folder: Path) -> list[Path]:
    """Journals that were replaced and of which the control plane may lack something, oldest first."""
    return [path for path in replaced_journals(folder) if not (path / SHIPPED).exists()]


def replaced_journals(folder: Path) -> list[Path]:
    """Those that a newer one carries on from, oldest first."""
    return sorted(folder.glob(EARLIER + "*"), key=lambda path: Reader(path).origins[0].wall_ns)


def _lots(ring: np.void) -> list[tuple[int, int]]:
    places = [(int(ring["first"]) + number) % LOTS for number in range(int(ring["count"]))]
    return [(int(ring["qty"][place]), int(ring["cost"][place])) for place in places]


def _readable(found: Blob) -> bool:
    """Limits of a build that wrote them otherwise are left behind: until there are new ones nothing that adds risk goes
    out, which is what a strategy that comes up paused needs."""
    if found.blob_type is not BlobType.LIMITS:
        return True
    try:
        decode_bundle(found.payload) if found.strategy == FIRM else decode_strategy_limits(found.payload)
    except BadInput as error:
        log.warning("limits of the earlier journal cannot be read: %s", error)
        return False
    return True


def _fill_in(pipeline: Pipeline, estate: Estate, carried: Carried, inputs: list[InputState]) -> None:
    needed = {FIRM} | {row.strategy for row in carried.positions} | {row.strategy for row in carried.orders}
    order = [*OF_THE_NODE, *OF_A_SLOT]
    due = [found for key, found in estate.blobs.items() if key[0] in needed and key[1] in order and _readable(found)]
    due.sort(key=lambda found: (found.strategy, found.blob_type is not BlobType.MANIFEST, found.number))
    for found in due:
        header = blob(found.blob_type, found.payload, strategy=found.strategy, ts=estate.last_ts)
        pipeline.take_blob(header, found.payload)
    payload = msgspec.json.encode(carried)
    pipeline.take_blob(blob(BlobType.CARRIED, payload, strategy=FIRM, ts=estate.last_ts), payload)
    for venue in range(int(pipeline.engine.state["venue_count"])):
        where = {"unanswered": inputs[venue].unanswered_queries, "sequence": inputs[venue].order_sequence}
        pipeline.take(order_session_event(estate.last_ts, up=False, venue=venue, **where))
