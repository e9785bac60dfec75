"""The rows of the live stream: what a browser gets, the same from a report as from the database.

A frame is ``{"seq", "ts", "kind": "snapshot" | "delta", "channel", "data"}``; ``seq`` grows by one a
frame and channel, ``ts`` is the publisher's wall clock in ms. ``data`` has any of these keys (a snapshot
has all of them), oldest first:

- ``equity``: ``[[ts, equity, unrealised, realised, gross], ...]``
- ``fills``: ``{ts, execution_id, order_id, symbol, side, price, qty}``
- ``positions``: ``{ts, symbol, qty, average_cost, realised, fees}``
- ``orders``: ``{ts, order_id, symbol, side, state, price, qty, filled, reason}``
- ``signals``: ``{ts, pair, z, spread, hedge_ratio, stance}``
- ``rejects``: ``{ts, symbol, limit, level, value, order_value}``
- ``engine``: the newest heartbeat (``engine_row``), or ``{"link": "down"}``; ``{}`` before the first

``ts`` inside rows is ms UTC on the engine's clock; money and prices are decimal strings. Rows are keyed
(fills by date, id and side, positions by symbol, orders by id, signals by pair and ``ts``): a page that
sees one twice shows it once.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

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


# ---- from the engine's reports ---------------------------------------------------------------------


def fill_row(report: messages.FillReport) -> Row:
    return {
        "ts": report.ts // 1_000_000,
        "execution_id": report.execution_id,
        "order_id": report.order_id,
        "symbol": report.symbol,
        "side": report.side,
        "price": str(money(report.price)),
        "qty": report.qty,
    }


def position_row(report: messages.PositionReport) -> Row:
    return {
        "ts": report.ts // 1_000_000,
        "symbol": report.symbol,
        "qty": report.qty,
        "average_cost": str(money(report.average_cost)),
        "realised": str(money(report.realised)),
        "fees": str(money(report.fees)),
    }


def order_row(report: messages.OrderReport) -> Row:
    return {
        "ts": report.ts // 1_000_000,
        "order_id": report.order_id,
        "symbol": report.symbol,
        "side": report.side,
        "state": report.state,
        "price": str(money(report.price)),
        "qty": report.qty,
        "filled": report.filled,
        "reason": report.reason,
    }


def signal_row(report: messages.SignalReport) -> Row:
    return {
        "ts": report.ts // 1_000_000,
        "pair": report.pair,
        "z": report.z,
        "spread": report.spread,
        "hedge_ratio": report.hedge_ratio,
        "stance": report.stance,
    }


def reject_row(report: messages.RejectReport) -> Row:
    return {
        "ts": report.ts // 1_000_000,
        "symbol": report.symbol,
        "limit": report.limit,
        "level": report.level,
        "value": report.value,
        "order_value": report.order_value,
    }


def equity_row(report: messages.EquityReport) -> list[Any]:
    amounts = (report.equity, report.unrealised, report.realised, report.gross)
    return [report.ts // 1_000_000, *(str(money(amount)) for amount in amounts)]


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
        "state": applied.state if applied else "",
        "reason": applied.reason if applied else "",
    }


# ---- from the database -----------------------------------------------------------------------------


def _from_model(*fields: str) -> Callable[[Any], Row]:
    def row(instance: Any) -> Row:
        values: Row = {"ts": milliseconds(instance.ts)}
        for field in fields:
            value = getattr(instance, field)
            values[field] = str(value) if isinstance(value, Decimal) else value
        return values

    return row


stored_fill = _from_model("execution_id", "order_id", "symbol", "side", "price", "qty")
stored_position = _from_model("symbol", "qty", "average_cost", "realised", "fees")
stored_order = _from_model("order_id", "symbol", "side", "state", "price", "qty", "filled", "reason")
stored_signal = _from_model("pair", "z", "spread", "hedge_ratio", "stance")
stored_reject = _from_model("symbol", "limit", "level", "value", "order_value")


def stored_equity(point: models.EquityPoint) -> list[Any]:
    amounts = (point.equity, point.unrealised, point.realised, point.gross)
    return [milliseconds(point.ts), *(str(amount) for amount in amounts)]
