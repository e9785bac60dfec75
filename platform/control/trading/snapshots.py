"""The snapshot that a page of the live stream starts from: rows from PostgreSQL, telemetry from Valkey."""

import json
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from control.trading import frames
from control.trading.models import EquityPoint, Fill, Order, Position, Reject, ScheduledParent, SignalPoint

NEWEST_FILLS = NEWEST_ORDERS = 200
NEWEST_REJECTS = 50
NEWEST_CLOSES = 2_000  # the window that a chart shows
NEWEST_SIGNALS = 2_000


def snapshot_rows(deployment: UUID) -> dict[str, Any]:
    """The stored part of a snapshot's ``data``: oldest first, the newest of each kind."""
    return {
        "equity": _rows(EquityPoint.objects.all(), deployment, ["-ts"], NEWEST_CLOSES, frames.stored_equity),
        "fills": _rows(Fill.objects.select_related("bust"), deployment, ["-ts", "-pk"], NEWEST_FILLS, frames.stored),
        "positions": [
            frames.stored(position) for position in Position.objects.filter(deployment=deployment).order_by("symbol")
        ],
        "orders": _rows(Order.objects.all(), deployment, ["-ts", "-order_id"], NEWEST_ORDERS, frames.stored),
        "schedules": [
            frames.stored(parent) for parent in ScheduledParent.objects.filter(deployment=deployment).order_by("symbol")
        ],
        "signals": _rows(SignalPoint.objects.all(), deployment, ["-ts", "pair"], NEWEST_SIGNALS, frames.stored),
        "rejects": _rows(Reject.objects.all(), deployment, ["-ts", "-pk"], NEWEST_REJECTS, frames.stored),
    }


def with_telemetry(rows: dict[str, Any], telemetry: dict[Any, Any]) -> dict[str, Any]:
    """``rows`` with what is streamed and not stored: equity since the last close, and the heartbeat.

    ``telemetry`` is the hash in Valkey, JSON as bytes by field.
    """
    kept = {key.decode(): json.loads(value) for key, value in telemetry.items()}
    equity = rows["equity"]
    newest = kept.get("equity")
    if newest and (not equity or newest[0] > equity[-1][0]):
        equity = [*equity, newest]
    return rows | {"equity": equity, "engine": kept.get("engine", {})}


def _rows(rows: QuerySet, deployment: UUID, order: Iterable[str], count: int, row: Callable[[Any], Any]) -> list[Any]:
    newest = rows.filter(deployment=deployment).order_by(*order)[:count]
    return [row(one) for one in reversed(newest)]
