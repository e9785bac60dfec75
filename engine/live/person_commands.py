"""Commands that a person gives to a core: kills, re-arming, resolving a break. Who it was is journaled right before.

The core's answer says what the command found: ``orders_before`` is what worked in the scope, ``asked`` how many of
those are to end (all of them from "cancel" on), ``below`` the first order id that came after it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from engine.core.engine import FIRM, blob
from engine.core.events import BlobType, Break, Command, command_event
from engine.core.kill import DISCONNECT, KillLevel, Scope
from engine.core.orders import OrderState
from engine.core.signature import Signature, decode_signature
from engine.errors import BadInput
from engine.live.pipeline import Pipeline
from engine.live.scopes import LEVEL_NAMES, LEVELS, checked_level, scope_of
from engine.messages import KillOrder
from engine.strategies.load import decode_manifest

PERSONAL = frozenset({Command.RESOLVE_BREAK, Command.KILL, Command.REARM})
MS = 1_000_000

Send = Callable[[np.ndarray], None]
Venues = Sequence[str]  # names, in the engine's order


def take_person_command(pipeline: Pipeline, header: np.ndarray, payload: bytes, venues: Venues, send: Send) -> dict:
    """Journals the signature and the command (EVENT[1], stamped), sends what it causes. Raises BadInput."""
    signature = decode_signature(payload)
    scope, key = scope_of(signature.scope, pipeline.engine.instruments, venues)
    command = Command(int(header[0]["command"]))
    if command is Command.RESOLVE_BREAK:
        return _resolve(pipeline, header, payload, scope, key, send)
    if command is Command.KILL:
        checked_level(LEVEL_NAMES.get(int(header[0]["argument"]), ""), scope)
    header["scope"], header["ref"] = scope, key
    kills = pipeline.engine.state["kills"]
    if not int(header[0]["epoch"]):
        header["epoch"] = max(time.time_ns() // MS, int(kills["epoch"]) + 1)
    below = int(pipeline.engine.state["next_order_id"])
    before = int(np.count_nonzero(working(pipeline.engine.state, scope, key, below)))
    _sign_and_take(pipeline, header, payload, send)
    level = level_at(pipeline.engine.state, scope, key)
    if command is Command.REARM and level != KillLevel.ARMED:
        raise BadInput(
            "rearm_refused", "persons", signature.persons, "two persons, neither of whom killed it, and a newer epoch"
        )
    answer = {"orders_before": before, "below": below, "epoch": int(header[0]["epoch"]), "level": LEVEL_NAMES[level]}
    remaining = unacknowledged(pipeline.engine.state, signature.scope, below, pipeline.engine.instruments, venues)
    asked = before if level >= KillLevel.CANCEL else remaining
    return {
        **answer,
        "asked": asked,
        "strategies": int(np.count_nonzero(_strategies(pipeline.engine.state, scope, key))),
    }


def apply_kills(pipeline: Pipeline, orders: list[KillOrder], venues: Venues, ts: int, send: Send) -> None:
    """Kills of the latch file, as commands; what the engine knows already changes nothing."""
    for order in orders:
        header, payload = kill_request(order, via="latch file")
        header["ts_event"] = header["ts_recv"] = ts
        take_person_command(pipeline, header, payload, venues, send)


def kill_request(order: KillOrder, *, via: str) -> tuple[np.ndarray, bytes]:
    """The COMMAND record and the signature of ``order``. Raises BadInput for what no signature holds."""
    header = command_event(0, Command.REARM if order.level == "armed" else Command.KILL, FIRM)
    header["argument"], header["epoch"] = LEVELS[order.level], order.epoch
    payload = msgspec.json.encode(Signature(order.persons, via, order.scope, order.reason))
    decode_signature(payload)
    return header, payload


def signed(command: Command, signature: Signature, *, ref: int = 0) -> bytes:
    """The packet of a command that a person gives."""
    header = command_event(0, command, FIRM)
    header["ref"] = ref
    return b"R" + header.tobytes() + msgspec.json.encode(signature)


def break_scope(symbol: str) -> str:
    """A break's symbol ("": of all) as a scope."""
    return f"symbol:{symbol}" if symbol else "firm"


def _resolve(pipeline: Pipeline, header: np.ndarray, payload: bytes, scope: Scope, key: int, send: Send) -> dict:
    if scope not in (Scope.FIRM, Scope.SYMBOL):
        raise BadInput("scope", "scope", scope.name.lower(), "firm (what concerns all) or symbol:S")
    state = pipeline.engine.state
    broken = state["breaks"][key] if scope is Scope.SYMBOL else state["unexplained"]
    value = int(header[0]["ref"])
    if int(broken["code"]) == Break.RESOLVED or int(broken["value"]) != value:
        raise BadInput("no_such_break", "value", value, "the match number or order id of a break that is open")
    header["argument"] = key if scope is Scope.SYMBOL else -1
    _sign_and_take(pipeline, header, payload, send)
    return {"resolved": value}


def _sign_and_take(pipeline: Pipeline, header: np.ndarray, payload: bytes, send: Send) -> None:
    ts = int(header[0]["ts_recv"])
    pipeline.take_blob(blob(BlobType.SIGNATURE, payload, strategy=FIRM, ts=ts), payload)
    send(pipeline.take(header))


# ---- what is so now -----------------------------------------------------------------------------------


def _strategies(state: Any, scope: Scope, key: int) -> np.ndarray:
    """Which slots a scope covers, bool[STRATEGIES]."""
    slots = state["slots"]
    if scope is Scope.DESK:
        return (slots["state"] != 0) & (slots["desk_key"] == key)
    if scope is Scope.STRATEGY:
        return (slots["state"] != 0) & (slots["strategy_key"] == key)
    return slots["state"] != 0


def working(state: Any, scope: Scope, key: int, below: int) -> np.ndarray:
    """Which orders of a scope with ids below ``below`` the venue may still execute, bool[ORDERS]."""
    orders = state["orders"]
    open_ = (orders["state"] >= OrderState.PENDING_NEW) & (orders["state"] <= OrderState.SUSPENDED)
    chosen = open_ & (orders["order_id"] < below)
    if scope in (Scope.DESK, Scope.STRATEGY):
        return chosen & _strategies(state, scope, key)[orders["strategy"]]
    if scope is Scope.VENUE:
        return chosen & (orders["venue"] == key)
    return chosen & (orders["instrument"] == key) if scope is Scope.SYMBOL else chosen


def level_at(state: Any, scope: Scope, key: int) -> int:
    """The level of exactly that latch."""
    latches = state["kills"]["latches"][: int(state["kills"]["count"])]
    found = latches[(latches["scope"] == scope) & (latches["key"] == key)]
    return int(found[0]["level"]) if len(found) else int(KillLevel.ARMED)


def unacknowledged(state: Any, scope: str, below: int, symbols: list[str], venues: Venues) -> int:
    """Orders that a kill of ``scope`` ends and that the venue has not said to be at their end."""
    kind, key = scope_of(scope, symbols, venues)
    chosen = working(state, kind, key, below)
    if level_at(state, kind, key) < KillLevel.CANCEL:
        chosen &= state["orders"]["state"] == OrderState.PENDING_CANCEL
    return int(np.count_nonzero(chosen))


def disconnected(state: Any, venue: int) -> bool:
    """Whether a latch keeps the venue's order session closed."""
    if not int(state["kills"]["latched"]):
        return False
    latches = state["kills"]["latches"][: int(state["kills"]["count"])]
    here = (latches["scope"] != Scope.VENUE) | (latches["key"] == venue)
    return bool((here & (latches["level"] == DISCONNECT)).any())


def latches_now(pipeline: Pipeline, venues: Venues) -> list[dict[str, Any]]:
    """Every latch that there is or was, with its scope in words where they are known here."""
    state, engine = pipeline.engine.state, pipeline.engine
    manifests = [decode_manifest(manifest) for manifest in engine.manifests.values()]
    named = [f"desk:{one.desk}" for one in manifests if one.desk]
    named += [f"strategy:{one.name or one.strategy}" for one in manifests]
    named += ["firm", *(f"venue:{venue}" for venue in venues)]
    words = {scope_of(text, engine.instruments, venues): text for text in named}
    words |= {(Scope.SYMBOL, index): f"symbol:{symbol}" for index, symbol in enumerate(engine.instruments)}
    rows = state["kills"]["latches"][: int(state["kills"]["count"])]
    return [
        {
            "scope": words.get(
                (Scope(int(row["scope"])), int(row["key"])), Scope(int(row["scope"])).name.lower() + ":?"
            ),
            "level": LEVEL_NAMES[int(row["level"])],
            "epoch": int(row["epoch"]),
            "key": [int(row["scope"]), int(row["key"])],
        }
        for row in rows
    ]


def breaks_now(pipeline: Pipeline) -> list[dict[str, Any]]:
    state = pipeline.engine.state
    found = [
        (pipeline.engine.instruments[index], state["breaks"][index])
        for index in np.flatnonzero(state["breaks"]["code"])
    ]
    if int(state["unexplained"]["code"]):
        found.append(("", state["unexplained"]))
    return [
        {"symbol": symbol, "code": Break(int(row["code"])).name.lower(), "value": int(row["value"])}
        for symbol, row in found
    ]
