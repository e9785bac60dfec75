"""A journal record as JSON, with the names that its payload has for its kind."""

from typing import Any

import numpy as np

from engine.core.events import HEALTH_FIELDS, HealthPage, Kind

_ORDER = ("order_id", "price", "qty", "ref", "strategy")
PAYLOAD: dict[Kind, tuple[str, ...]] = {
    Kind.ADD: ("order_id", "price", "qty"),
    Kind.EXECUTE: ("order_id", "price", "qty", "ref"),
    Kind.REDUCE: ("order_id", "qty"),
    Kind.DELETE: ("order_id",),
    Kind.REPLACE: ("order_id", "price", "qty", "ref"),
    Kind.TRADE: ("price", "qty", "ref"),
    Kind.QUOTE: ("bid", "bid_size", "ask", "ask_size"),
    Kind.BAR: ("open", "high", "low", "close", "volume"),
    Kind.STATUS: ("code",),
    Kind.SESSION: ("code", "date"),
    Kind.STALE: ("code", "date", "recovered", "duplicates", "sequence"),
    Kind.ACCEPTED: ("order_id", "price", "qty", "ref", "sequence"),
    Kind.EXECUTION: ("order_id", "price", "qty", "ref", "sequence"),
    Kind.CANCELED: ("order_id", "qty", "reason", "sequence"),
    Kind.REJECTED: ("order_id", "reason", "sequence"),
    Kind.ORDER_SESSION: ("code", "missing", "ref", "sequence"),
    Kind.REPLACED: ("order_id", "price", "qty", "ref", "sequence"),
    Kind.CANCEL_REJECTED: ("order_id", "reason", "sequence"),
    Kind.BUST: ("order_id", "ref", "sequence"),
    Kind.CORRECTION: ("order_id", "price", "qty", "ref", "sequence"),
    Kind.RESTATED: ("order_id", "reason", "sequence"),
    Kind.ORDER_NEW: _ORDER,
    Kind.ORDER_REPLACE: _ORDER,
    Kind.FILL_BUSTED: _ORDER,
    Kind.BREAK: ("code", "value"),
    Kind.KILL: ("code", "scope", "ref", "epoch"),
    Kind.ORDER_CANCEL: ("order_id", "strategy"),
    Kind.MASS_CANCEL: ("order_id",),
    Kind.ROUTE: ("order_id", "action", "rate", "reason", "strategy"),
    Kind.SCHEDULE: ("parent_id", "due", "planned", "done", "strategy"),
    Kind.LIMIT_REJECT: ("code", "value", "level", "order_value", "strategy"),
    Kind.FILL: _ORDER,
    Kind.POSITION: ("position", "average_cost", "realised", "fees", "strategy"),
    Kind.TARGET: ("parent_id", "target", "strategy"),
    Kind.SIGNAL: ("pair", "z_micro", "spread_micro", "hedge_micro", "strategy"),
    Kind.EQUITY: ("equity", "unrealised", "realised", "gross", "strategy"),
    Kind.ORDER_DONE: ("order_id", "order_state", "filled", "reason", "strategy"),
    Kind.ANOMALY: ("code", "value", "ref"),
    Kind.STRATEGY_STATE: ("code", "strategy"),
    Kind.LEG: ("pair", "target", "strategy"),
    Kind.TIMER: ("deadline",),
    Kind.COMMAND: ("command", "argument", "level", "person", "epoch"),
    Kind.CORPORATE_ACTION: ("code", "numerator", "denominator", "amount"),
    Kind.ADJUSTMENT: ("price", "qty", "person", "strategy"),
    Kind.INTENT: ("pair", "target", "strategy"),
    Kind.BLOB: ("blob_type", "length", "digest", "strategy"),
}
HEADER = ("ts_event", "ts_recv", "instrument", "side", "venue", "flags")


def record_fields(record: np.void) -> dict[str, Any]:
    """Header and payload of an EVENT record; ``kind`` by name."""
    kind = Kind(int(record["kind"]))
    payload = PAYLOAD.get(kind, ())
    if kind is Kind.FEED_HEALTH:
        payload = HEALTH_FIELDS[HealthPage(int(record["flags"]))]
    return {"kind": kind.name, **{name: int(record[name]) for name in (*HEADER, *payload)}}
