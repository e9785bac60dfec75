"""What a core says of itself each half second, and when it is asked: what the agent reports and decides by."""

import os
from typing import Any

import msgspec

from engine import engine_build
from engine.core.state import Phase
from engine.live.journal_names import STATE_NAMES
from engine.live.limits import limits_in_force, only_reduces
from engine.live.loop import Loop
from engine.live.person_commands import breaks_now, latches_now
from engine.live.pipeline import Pipeline
from engine.live.python_strategies import PythonStrategies
from engine.live.venue_link import VenueLink
from engine.strategies.load import decode_manifest


def core_status(
    pipeline: Pipeline, venues: list[VenueLink], loop: Loop, python: PythonStrategies, now: int
) -> dict[str, Any]:
    """As JSON has it. ``now`` is session time; ages are in ms, -1 for none yet."""
    engine, state = pipeline.engine, pipeline.engine.state
    return {
        "pid": os.getpid(),
        "build": engine_build(),
        "journal": pipeline.writer.journal,
        "events": pipeline.writer.last,
        "date": int(state["date"]),
        "phase": Phase(int(state["phase"])).name.lower(),
        "time": now,
        "feed_age_ms": min((age for age in (venue.feed_age_ms() for venue in venues) if age >= 0), default=-1),
        "stale": bool(state["feed_stale"]),
        "venue_connected": any(venue.orders.up for venue in venues),
        "venues": [venue.status(state["venues"][venue.number]) for venue in venues],
        "anomalies": int(state["anomalies"]),
        "send_ns": loop.send_ns(),
        "send_histogram": loop.send_histogram(),
        "itch_ports": [port for venue in venues for port in venue.lines.ports],
        "breaks": breaks_now(pipeline),
        "latches": latches_now(pipeline, [venue.config.name for venue in venues]),
        "kill_epoch": int(state["kills"]["epoch"]),
        "limits": msgspec.to_builtins(limits_in_force(engine)),
        "slots": [_slot(pipeline, python, slot, manifest) for slot, manifest in engine.manifests.items()],
    }


def _slot(pipeline: Pipeline, python: PythonStrategies, slot: int, manifest: bytes) -> dict[str, Any]:
    state = pipeline.engine.state
    return {
        "slot": slot,
        "deployment": decode_manifest(manifest).deployment,
        "state": STATE_NAMES[int(state["slots"][slot]["state"])],
        "flat": not state["positions"][slot]["position"].any(),
        "only_reduces": only_reduces(pipeline.engine, slot),
        "process": python.status(slot),
    }
