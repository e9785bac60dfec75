"""From a manifest's bytes to the kernel that an engine calls."""

import msgspec

from engine.core.engine import Loaded
from engine.messages import Manifest
from engine.strategies.registry import strategy

decode_manifest = msgspec.json.Decoder(Manifest).decode


def load_manifest(payload: bytes) -> Loaded:
    """What ``engine.core.engine.Engine`` asks of a manifest. BadInput for an unknown strategy."""
    manifest = decode_manifest(payload)
    registered = strategy(manifest.strategy)
    return Loaded(registered.kernel(), registered.interests, manifest.capital)
