"""Where the engine host's limits come from.

With ``limits_bundle`` in the configuration it is a document that somebody else has signed; ``limits_key`` names the
public key to verify it with. With ``limits_link`` the agent brings such documents from the control plane and keeps the
newest in the node's folder, and a core that runs takes it from there. With neither the host signs its own
``firm_limits`` with a key that it makes under its folder: the same document, the same verification, and the numbers of
the person who wrote the configuration file.
"""

import logging
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.core.engine import FIRM, Engine, blob, blob_digest
from engine.core.events import PRICE_SCALE, BlobType
from engine.core.limit_names import Limit
from engine.core.limit_tables import SignedBundle, StrategyLimits, bundle_within, canonical_bytes, limits_within
from engine.core.risk_record import DESK_LEVELS, STRATEGY_LEVELS
from engine.errors import BadInput
from engine.files import replace_file
from engine.limits_bundle import load_or_make_key, read_public_key, sign, verify, write_public_key
from engine.live.config import Config
from engine.live.pipeline import Pipeline
from engine.messages import LimitsInForce, LimitsUse, Manifest
from engine.strategies.load import decode_manifest

log = logging.getLogger("engine.core")

KEY, PUBLIC_KEY = "limits.key", "limits.pub"
_LOSSES = {Limit.DAY_LOSS: "day_loss", Limit.DRAWDOWN: "drawdown"}  # to the field of a level
_ENVELOPE = ("max_order_qty", "max_order_notional", "max_gross_notional")


def node_limits(config: Config, known: SignedBundle | None) -> bytes:
    """The verified document to journal; b"" while none has come over the link. ``known`` is the bundle that the engine
    has.

    A bundle of the host's own keeps its number while the configuration says the same, and takes the next one when not.
    Raises BadInput.
    """
    if config.bundle_file:
        try:
            document = Path(config.bundle_file).read_bytes()
        except FileNotFoundError as error:
            if config.limits_link:
                return b""
            raise BadInput("unreadable", "limits_bundle", config.bundle_file, "a readable signed bundle") from error
        except OSError as error:
            raise BadInput("unreadable", "limits_bundle", config.bundle_file, "a readable signed bundle") from error
        return canonical_bytes(verify(document, config.node, read_public_key(Path(config.limits_key))))
    wanted = bundle_within(config.firm_limits, node=config.node)
    number = known.bundle.number if known else 1
    if known and known.bundle != msgspec.structs.replace(wanted, number=number):
        number += 1
    key = load_or_make_key(config.folder / KEY)
    write_public_key(config.folder / PUBLIC_KEY, key.public_key())
    document = sign(msgspec.structs.replace(wanted, number=number), key)
    return canonical_bytes(verify(document, config.node, key.public_key()))


def manifest_limits(config: Config, manifest: Manifest) -> bytes:
    """The payload of a deployment's LIMITS blob: its row in the host's bundle, within what was approved; without a row
    the approved envelope, on its own desk where the bundle has that. Raises BadInput."""
    approved = limits_within(manifest.envelope)
    row = StrategyLimits(0, approved)
    document = node_limits(config, None) if config.bundle_file else b""
    if document:
        bundle = msgspec.json.decode(document, type=SignedBundle).bundle
        desks = [desk.name for desk in bundle.desks]
        own = desks.index(manifest.desk) if manifest.desk in desks else 0
        row = bundle.strategies.get(manifest.deployment, StrategyLimits(own, approved))
    bounds = {
        name: min(getattr(row.limits, name), getattr(approved, name))
        for name in (*_ENVELOPE, "max_long_qty", "max_short_qty")
    }
    return canonical_bytes(msgspec.structs.replace(row, limits=msgspec.structs.replace(row.limits, **bounds)))


def take_limits(pipeline: Pipeline, config: Config) -> bool:
    """Journals the node's limits where they are not what the engine has; whether they were not. Raises BadInput."""
    document = node_limits(config, pipeline.engine.limits)
    if not document or int(pipeline.engine.state["bundle"]["digest"]) == blob_digest(document):
        return False
    _take(pipeline, FIRM, document)
    return True


def renew_limits(pipeline: Pipeline, config: Config) -> None:
    """While the core runs: takes a bundle that has come, and puts strategies on the desks that it names. One that
    cannot be verified, or is older, is said and changes nothing."""
    try:
        if not take_limits(pipeline, config):
            return
        for slot, manifest in pipeline.engine.manifests.items():
            limits = manifest_limits(config, decode_manifest(manifest))
            if msgspec.json.decode(limits, type=StrategyLimits).desk != int(
                pipeline.engine.state["slots"][slot]["desk"]
            ):
                _take(pipeline, slot, limits)
    except BadInput as error:
        log.error("the limits that have come are refused: %s", error)


def _take(pipeline: Pipeline, strategy: int, document: bytes) -> None:
    pipeline.take_blob(blob(BlobType.LIMITS, document, strategy=strategy, ts=pipeline.last_ts), document)


def bundle_stamp(config: Config) -> tuple[int, int]:
    """Which file the kept bundle is, and when it was written; another one says that there is a new bundle."""
    try:
        found = os.stat(config.bundle_file)
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


def keep_bundle(config: Config, document: str) -> bool:
    """The agent's part: keeps a bundle that has come over the link, if this node's signer has signed it and it is newer
    than what is kept; whether it was. Raises BadInput."""
    signed = verify(document.encode(), config.node, read_public_key(Path(config.limits_key)))
    kept = node_limits(config, None)
    if kept and msgspec.json.decode(kept, type=SignedBundle).bundle.number >= signed.bundle.number:
        return False
    replace_file(Path(config.bundle_file), canonical_bytes(signed))
    return True


def limits_in_force(engine: Engine) -> LimitsInForce | None:
    """What the step checks by, and how much of it is used at worst."""
    if engine.limits is None:
        return None
    state, desks = engine.state, [desk.name for desk in engine.limits.bundle.desks]
    rows = [("", 0, 0)] + [(name, 1 + index, DESK_LEVELS + index) for index, name in enumerate(desks) if name]
    uses = [
        LimitsUse(name, _most_shares(state["holdings"][holding]), int(state["levels"][level]["gross"]))
        for name, holding, level in rows
    ]
    return LimitsInForce(int(state["bundle"]["number"]), int(state["bundle"]["valid_until"]), uses)


def only_reduces(engine: Engine, slot: int) -> str:
    """Why nothing of a strategy that adds risk passes, whatever its size: a loss beyond a limit, or latched executions,
    of its own, its desk or the firm. "" where neither. Nothing in it moves while that lasts."""
    if engine.limits is None:
        return ""
    levels, desk = engine.state["levels"], int(engine.state["slots"][slot]["desk"])
    named = (("the strategy", STRATEGY_LEVELS + slot), ("its desk", DESK_LEVELS + desk), ("the firm", 0))
    return next((f"it only reduces: {whose} {why}" for whose, row in named if (why := _stopped(levels[row]))), "")


def _stopped(level: Any) -> str:
    if level["throttled"]:
        most = max(int(level["limit"][Limit.EXECUTIONS]), 0)
        return f"has had more executions than {most:,}; a person has to re-enable it"
    for limit, name in _LOSSES.items():
        if int(level[name]) > int(level["limit"][limit]):
            most = max(int(level["limit"][limit]), 0)
            return f"is beyond its {name.replace('_', ' ')} limit of USD {most / PRICE_SCALE:,.2f}"
    return ""


def _most_shares(holdings: Any) -> int:
    """Of the symbol with most: ``exposure.largest_exposure`` of each of HOLDING[n]."""
    long, short = holdings["position"] + holdings["working_buy"], holdings["position"] - holdings["working_sell"]
    return int(max(np.abs(long).max(), np.abs(short).max()))
