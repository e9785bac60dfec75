"""Where the engine host's limits come from.

With ``limits_bundle`` in the configuration it is a document that somebody else has signed; ``limits_key`` names the
public key to verify it with. Without, the host signs its own ``firm_limits`` with a key that it makes under its folder:
the same document, the same verification, and the numbers of the person who wrote the configuration file.
"""

from pathlib import Path

import msgspec

from engine.core.limit_tables import SignedBundle, StrategyLimits, bundle_within, canonical_bytes, limits_within
from engine.errors import BadInput
from engine.limits_bundle import load_or_make_key, read_public_key, sign, verify, write_public_key
from engine.live.config import Config
from engine.messages import Manifest

KEY, PUBLIC_KEY = "limits.key", "limits.pub"
_ENVELOPE = ("max_order_qty", "max_order_notional", "max_gross_notional")


def node_limits(config: Config, known: SignedBundle | None) -> bytes:
    """The verified document to journal; ``known`` is the bundle that the engine has.

    A bundle of the host's own keeps its number while the configuration says the same, and takes the next one when not.
    Raises BadInput.
    """
    if config.limits_bundle:
        try:
            document = Path(config.limits_bundle).read_bytes()
        except OSError as error:
            raise BadInput("unreadable", "limits_bundle", config.limits_bundle, "a readable signed bundle") from error
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
    the approved envelope. Raises BadInput."""
    approved = limits_within(manifest.envelope)
    row = StrategyLimits(0, approved)
    if config.limits_bundle:
        signed = msgspec.json.decode(node_limits(config, None), type=SignedBundle)
        row = signed.bundle.strategies.get(manifest.deployment, row)
    bounds = {
        name: min(getattr(row.limits, name), getattr(approved, name))
        for name in (*_ENVELOPE, "max_long_qty", "max_short_qty")
    }
    return canonical_bytes(msgspec.structs.replace(row, limits=msgspec.structs.replace(row.limits, **bounds)))
