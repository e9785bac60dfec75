"""What a new journal takes over from one that this build does not make again: positions, open orders, ids.

Strategies do not go on from it: their memory is not carried, so they come up paused, to be flattened or
stopped. Money in 1/10,000 of the currency, prices in 1/10,000, quantities in shares.
"""

from typing import Any

import msgspec
import numpy as np

from engine.core.capacities import LOTS
from engine.core.kill import KILLERS, LATCHES
from engine.core.orders import LAST_OPEN, ORDER, PENDING_NEW
from engine.core.state import INSTRUMENTS, STRATEGIES, StrategyState
from engine.errors import BadInput


class CarriedPosition(msgspec.Struct, frozen=True):
    strategy: int
    instrument: int
    position: int
    cost: int
    realised: int
    fees: int
    fifo_realised: int = 0
    lots: list[tuple[int, int]] = []  # signed quantity and cost, oldest first


class CarriedOrder(msgspec.Struct, frozen=True):
    """An order that may still work at the venue; ``state`` is an OrderState, ``trade_date`` the day it is of.

    ``origin`` is the order that it is to replace and has not yet (0: none), ``before`` what its chain had executed.
    """

    order_id: int
    parent: int
    strategy: int
    instrument: int
    side: int
    price: int
    qty: int
    filled: int
    state: int
    trade_date: int
    origin: int = 0
    before: int = 0
    mark: int = 0  # Mark: how a sell was marked
    venue: int = 0
    immediate: int = 0
    action: int = 0  # router_records.Action
    known: int = 0  # to its venue: orders.KNOWN


class CarriedLatch(msgspec.Struct, frozen=True):
    """One of the kill ladder (``engine.core.kill``); ``level`` 0 for one that was re-armed."""

    scope: int
    key: int
    level: int
    epoch: int
    killers: list[int]


class CarriedBreak(msgspec.Struct, frozen=True):
    instrument: int  # -1: of all
    code: int
    value: int


class Carried(msgspec.Struct, frozen=True):
    journal: str  # the earlier one
    next_order_id: int
    next_parent: int
    positions: list[CarriedPosition]
    orders: list[CarriedOrder]
    latches: list[CarriedLatch] = []
    breaks: list[CarriedBreak] = []


def decode_carried(payload: bytes) -> Carried:
    """Raises BadInput."""
    try:
        carried = msgspec.json.decode(payload, type=Carried)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput("carried", "payload", f"{len(payload)} bytes", str(error)) from error
    rows: list[CarriedPosition | CarriedOrder] = [*carried.positions, *carried.orders]
    for row in rows:
        if not (0 <= row.strategy < STRATEGIES and 0 <= row.instrument < INSTRUMENTS):
            raise BadInput(
                "carried", "payload", (row.strategy, row.instrument), "a strategy and an instrument in range"
            )
    for held in carried.positions:
        if held.lots and (len(held.lots) > LOTS or sum(qty for qty, _ in held.lots) != held.position):
            raise BadInput("carried", "positions", held.lots, f"at most {LOTS} lots that make up the position")
    if len(carried.latches) > LATCHES or any(len(row.killers) != KILLERS for row in carried.latches):
        raise BadInput("carried", "latches", len(carried.latches), f"at most {LATCHES} with {KILLERS} killers each")
    for broken in carried.breaks:
        if not -1 <= broken.instrument < INSTRUMENTS:
            raise BadInput("carried", "breaks", broken.instrument, "an instrument in range")
    for order in carried.orders:
        if not (PENDING_NEW <= order.state <= LAST_OPEN and 0 < order.order_id < carried.next_order_id):
            raise BadInput("carried", "orders", order.order_id, "an open order with an id that was given")
    return carried


def carry_in(state: Any, carried: Carried) -> None:
    """Puts it into ``state`` (a STATE record), with the holds of open orders. All strategies are paused.

    Totals are the caller's to recount: a day's losses and a drawdown begin there.
    """
    state["next_order_id"] = max(int(state["next_order_id"]), carried.next_order_id)
    state["next_parent"] = max(int(state["next_parent"]), carried.next_parent)
    for row in carried.positions:
        position = state["positions"][row.strategy][row.instrument]
        for name in ("position", "cost", "realised", "fees", "fifo_realised"):
            position[name] = getattr(row, name)
        _fill_lots(state["lots"][row.strategy][row.instrument], row)
        state["parents"][row.strategy][row.instrument]["target"] = row.position
    open_shares = {order.order_id: order.qty - order.filled for order in carried.orders}
    for order in sorted(carried.orders, key=lambda order: order.order_id):
        _carry_order(state, order, open_shares.get(order.origin, 0))
    _carry_kills(state["kills"], carried.latches)
    for one in carried.breaks:
        broken = state["unexplained"] if one.instrument < 0 else state["breaks"][one.instrument]
        broken["code"], broken["value"] = one.code, one.value
    loaded = state["slots"]["state"] != StrategyState.NONE
    state["slots"]["state"] = np.where(loaded, StrategyState.PAUSED, StrategyState.NONE)


def _fill_lots(ring: Any, row: CarriedPosition) -> None:
    lots = row.lots or ([(row.position, row.cost)] if row.position else [])
    ring["first"], ring["count"] = 0, len(lots)
    for index, (qty, cost) in enumerate(lots):
        ring["qty"][index], ring["cost"][index] = qty, cost


def _carry_kills(kills: Any, latches: list[CarriedLatch]) -> None:
    for index, row in enumerate(latches):
        latch = kills["latches"][index]
        latch["scope"], latch["key"], latch["level"], latch["epoch"] = row.scope, row.key, row.level, row.epoch
        latch["killers"] = row.killers
    kills["count"], kills["latched"] = len(latches), sum(row.level > 0 for row in latches)
    kills["epoch"] = max((row.epoch for row in latches), default=0)


def _carry_order(state: Any, row: CarriedOrder, origin_leaves: int) -> None:
    """A replace that is not answered holds what it wants beyond its origin's ``origin_leaves``."""
    order = state["orders"][row.order_id % len(state["orders"])]
    for name in ORDER.names or ():
        order[name] = getattr(row, name, 0)
    order["held"] = held = max(row.qty - row.filled - origin_leaves, 0)
    if row.origin:
        state["orders"][row.origin % len(state["orders"])]["successor"] = row.order_id
    else:
        parent = state["parents"][row.strategy][row.instrument]
        order["sibling"], parent["child"] = parent["child"], row.order_id
    position = state["positions"][row.strategy][row.instrument]
    position["working_buy" if row.side > 0 else "working_sell"] += held
    if row.mark:
        state["securities"][row.instrument]["located"] += row.qty - row.filled
