"""The rows of the live stream: what a browser gets, the same from a report as from the database.

A frame is ``{"seq", "ts", "kind": "snapshot" | "delta", "channel", "data"}``; ``seq`` grows by one a
frame and channel, ``ts`` is the publisher's wall clock in ms. ``data`` has any of these keys (a snapshot
has all of them), oldest first:

- ``equity``: ``[[ts, equity, unrealised, realised, gross], ...]``
- ``fills``: ``{ts, execution_id, order_id, symbol, side, price, qty, revision, busted}``; a fill that has just been
  reported has no ``revision``: it is the newest of its execution
- ``positions``: ``{ts, symbol, qty, average_cost, realised, fees}``
- ``orders``: ``{ts, order_id, symbol, side, state, price, qty, filled, reason, venue}``
- ``signals``: ``{ts, pair, z, spread, hedge_ratio, stance}``
- ``schedules``: ``{ts, symbol, parent_id, side, qty, planned, due, done}``: parents that a plan works
- ``rejects``: ``{ts, symbol, limit, level, value, order_value}``
- ``busts``: ``{ts, execution_id, side}`` of fills that the venue has undone; in deltas alone, and a page then asks for
  a new snapshot
- ``engine``: the newest heartbeat (``engine_row``), or ``{"link": "down"}``; ``{}`` before the first

``ts`` inside rows is ms UTC on the engine's clock; money and prices are decimal strings. Rows are keyed
(fills by date, id and side, positions by symbol, orders by id, signals by pair and ``ts``): a page that
sees one twice shows it once.
"""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from control.money import money
from control.trading import models
from engine import messages

Row = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def group(deployment: object) -> str:
    """The channel group (and the ``channel`` of the frames) of one deployment."""
    return f"deployment.{deployment}"


def moment(ns: int) -> datetime:
    """ns UTC as an aware datetime, cut to microseconds."""
    return EPOCH + timedelta(microseconds=ns // 1_000)


def milliseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


_FILL = ("execution_id", "order_id", "symbol", "side", "price", "qty")
_BUST = ("execution_id", "side")
_POSITION = ("symbol", "qty", "average_cost", "realised", "fees")
_ORDER = ("order_id", "symbol", "side", "state", "price", "qty", "filled", "reason", "venue")
_SIGNAL = ("pair", "z", "spread", "hedge_ratio", "stance")
_SCHEDULE = ("symbol", "parent_id", "side", "qty", "planned", "due", "done")
_REJECT = ("symbol", "limit", "level", "value", "order_value")
# The same fields from a report as from the row that is stored of it, beside ``ts``.
_FIELDS: dict[type, tuple[str, ...]] = {
    messages.FillReport: _FILL,
    messages.BustReport: _BUST,
    models.Fill: (*_FILL, "revision", "busted"),
    messages.PositionReport: _POSITION,
    models.Position: _POSITION,
    messages.OrderReport: _ORDER,
    models.Order: _ORDER,
    messages.SignalReport: _SIGNAL,
    models.SignalPoint: _SIGNAL,
    messages.ScheduleReport: _SCHEDULE,
    models.ScheduledParent: _SCHEDULE,
    messages.RejectReport: _REJECT,
    models.Reject: _REJECT,
}
_EQUITY = ("equity", "unrealised", "realised", "gross")
_MONEY = frozenset({"price", "average_cost", "realised", "fees"})  # a report counts it in 1/10,000


def reported(report: messages.Report) -> Row:
    """The row of what an engine has just reported."""
    row: Row = {"ts": report.ts // 1_000_000}
    for name in _FIELDS[type(report)]:
        value = getattr(report, name)
        row[name] = str(money(value)) if name in _MONEY else value
    return row


def stored(instance: Any) -> Row:
    """The row of what is in the database."""
    row: Row = {"ts": milliseconds(instance.ts)}
    for name in _FIELDS[type(instance)]:
        value = getattr(instance, name)
        row[name] = str(value) if name in _MONEY else value
    return row


def reported_equity(report: messages.EquityReport) -> list[Any]:
    return [report.ts // 1_000_000, *(str(money(getattr(report, name))) for name in _EQUITY)]


def stored_equity(point: models.EquityPoint) -> list[Any]:
    return [milliseconds(point.ts), *(str(getattr(point, name)) for name in _EQUITY)]


def engine_row(heartbeat: messages.Heartbeat, deployment: str, received_ms: int) -> Row:
    """The heartbeat as one deployment's page shows it; ``received`` is our wall clock in ms."""
    applied = next((one for one in heartbeat.deployments if one.deployment == deployment), None)
    return {
        "link": "up",
        "received": received_ms,
        "revision": heartbeat.revision,
        "core_alive": heartbeat.core_alive,
        "session_date": heartbeat.session_date,
        "session_phase": heartbeat.session_phase,
        "session_time": heartbeat.session_time // 1_000_000,
        "feed_age_ms": heartbeat.feed_age_ms,
        "venue_connected": heartbeat.venue_connected,
        "events": heartbeat.events,
        "anomalies": heartbeat.anomalies,
        "breaks": [one.symbol for one in heartbeat.breaks],
        "killed": [{"scope": one.scope, "level": one.level} for one in heartbeat.latches],
        "state": applied.state if applied else "",
        "reason": applied.reason if applied else "",
    }


def frame(kind: Literal["snapshot", "delta"], deployment: object, sequence: int, rows: Row) -> str:
    """A frame as it is sent, stamped now."""
    stamped = {"seq": sequence, "ts": time.time_ns() // 1_000_000, "kind": kind, "channel": group(deployment)}
    return json.dumps(stamped | {"data": rows}, separators=(",", ":"))
