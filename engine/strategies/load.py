"""From a manifest's bytes to the kernel that an engine calls."""

import msgspec

from engine.core.engine import Loaded
from engine.core.signature import digest_of
from engine.messages import Manifest
from engine.strategies.registry import strategy

decode_manifest = msgspec.json.Decoder(Manifest).decode


def load_manifest(payload: bytes) -> Loaded:
    """What ``engine.core.engine.Engine`` asks of a manifest. BadInput for an unknown strategy."""
    manifest = decode_manifest(payload)
    registered = strategy(manifest.strategy)
    desk_key = digest_of(manifest.desk) if manifest.desk else 0
    strategy_key = digest_of(manifest.name or manifest.strategy)
    return Loaded(registered.kernel(), registered.interests, manifest.capital, desk_key, strategy_key)
