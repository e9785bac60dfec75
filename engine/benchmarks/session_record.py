"""What a core has journaled of a day at several venues, beside what the exchange has recorded of it."""

from collections import Counter
from enum import IntEnum

import numpy as np

from engine.benchmarks.venue_stage import VenueStage
from engine.core.events import Kind
from engine.core.limit_names import Limit
from engine.core.router_records import Reason
from engine.core.state import Anomaly
from engine.live.journal import Reader
from engine.live.scan import Walk
from engine.simulation.order_instructions import RejectReason

COUNTED = frozenset(kind for kind in Kind if kind <= Kind.STATUS) | {
    *(Kind.ORDER_NEW, Kind.ORDER_CANCEL, Kind.ORDER_REPLACE, Kind.ORDER_DONE, Kind.ROUTE),
    *(Kind.LIMIT_REJECT, Kind.FILL, Kind.REJECTED, Kind.ANOMALY),
}
AT_ONCE = 1 << 18
Key = tuple[str, int, str]  # venue, match number, side
Execution = tuple[int, str, int, int]  # order, symbol, price, shares


class SessionJournal:
    """Counts, and executions (order, symbol, price, shares), of all that the core has journaled."""

    def __init__(self, stage: VenueStage) -> None:
        self._stage, self._names = stage, [name for name, _, _ in stage.venues]
        self.kinds: Counter[str] = Counter()
        self.by_venue = {group: Counter[str]() for group in ("messages", "orders", "fills")}
        self.by_reason = {group: Counter[str]() for group in ("routes", "rejects", "anomalies", "venue_rejects")}
        self.fills: dict[Key, Execution] = {}
        reader, walk, position = Reader(stage.folder / "engine" / "journal"), Walk(COUNTED), 0
        while len(records := reader.read(position, AT_ONCE)):
            position += len(records)
            self._take(records[walk.rows(records)])

    def _take(self, found: np.ndarray) -> None:
        kinds = found["kind"]
        for kind, count in zip(*np.unique(kinds, return_counts=True), strict=True):
            self.kinds[Kind(int(kind)).name] += int(count)
        chosen = {"messages": kinds <= Kind.STATUS, "orders": kinds == Kind.ORDER_NEW, "fills": kinds == Kind.FILL}
        for group, rows in chosen.items():
            for venue, count in zip(*np.unique(found["venue"][rows], return_counts=True), strict=True):
                self.by_venue[group][self._names[int(venue)]] += int(count)
        self.by_reason["routes"].update(_named(found["reason"][kinds == Kind.ROUTE], Reason))
        self.by_reason["rejects"].update(_named(found["code"][kinds == Kind.LIMIT_REJECT], Limit))
        self.by_reason["anomalies"].update(_named(found["code"][kinds == Kind.ANOMALY], Anomaly))
        self.by_reason["venue_rejects"].update(_named(found["reason"][kinds == Kind.REJECTED], RejectReason))
        for fill in found[kinds == Kind.FILL]:
            key = self._names[int(fill["venue"])], int(fill["ref"]), "buy" if fill["side"] > 0 else "sell"
            symbol = self._stage.symbols[int(fill["instrument"])]
            self.fills[key] = (int(fill["order_id"]), symbol, int(fill["price"]), int(fill["qty"]))


def _named(codes: np.ndarray, names: type[IntEnum]) -> list[str]:
    return [names(code).name.lower() for code in codes.tolist()]


def reconcile(stage: VenueStage, fills: dict[Key, Execution]) -> dict[str, int]:
    """The exchange's executions against the engine's."""
    theirs = {
        (venue, entry["match_number"], entry["side"]): (
            entry["user_ref_num"],
            entry["symbol"],
            entry["price"],
            entry["qty"],
        )
        for venue, entry in stage.executions()
    }
    held: Counter[str] = Counter()
    for rows, sign in ((theirs, 1), (fills, -1)):
        for (_, _, side), (_, symbol, _, qty) in rows.items():
            held[symbol] += sign * (qty if side == "buy" else -qty)
    return {
        "executions": len(theirs),
        "missing": len(theirs.keys() - fills.keys()),
        "extra": len(fills.keys() - theirs.keys()),
        "different": sum(fills[key] != theirs[key] for key in theirs.keys() & fills.keys()),
        "positions_differ": sum(qty != 0 for qty in held.values()),
    }
