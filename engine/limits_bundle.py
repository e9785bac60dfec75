"""Limit bundles: this node's part of the firm's limits, versioned, for a time, signed with Ed25519 (RFC 8032).

The signature is over the bundle's canonical bytes (JSON with sorted keys and no spaces), not over the file: whatever
the file's layout, what is verified is what is read. A key's id is the first 16 hex digits of the SHA-256 of its 32 raw
public bytes.
"""

import os
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engine.core.capacities import DESKS as DESKS
from engine.core.limit_tables import Bundle as Bundle
from engine.core.limit_tables import DeskLimits as DeskLimits
from engine.core.limit_tables import Limits as Limits
from engine.core.limit_tables import SignedBundle as SignedBundle
from engine.core.limit_tables import StrategyLimits as StrategyLimits
from engine.core.limit_tables import bundle_within as bundle_within
from engine.core.limit_tables import canonical_bytes
from engine.core.limit_tables import decode_bundle as decode_bundle
from engine.core.limit_tables import limits_within as limits_within
from engine.errors import BadInput
from engine.files import replace_file

KEY_BYTES = 32


def key_id(public: Ed25519PublicKey) -> str:
    return sha256(public.public_bytes_raw()).hexdigest()[:16]


def sign(bundle: Bundle, key: Ed25519PrivateKey) -> bytes:
    """The signed document, which is also what is journaled."""
    signature = key.sign(canonical_bytes(bundle)).hex()
    return canonical_bytes(SignedBundle(bundle, key_id(key.public_key()), signature))


def verify(document: bytes, node: str, public: Ed25519PublicKey) -> SignedBundle:
    """The document's bundle. Raises BadInput when it is malformed, of another node, or not signed by this key."""
    signed = decode_bundle(document)
    if signed.key_id != key_id(public):
        raise BadInput("bundle_key", "key_id", signed.key_id, key_id(public))
    try:
        public.verify(bytes.fromhex(signed.signature), canonical_bytes(signed.bundle))
    except (InvalidSignature, ValueError) as error:
        raise BadInput("bundle_signature", "signature", signed.signature, f"one by key {signed.key_id}") from error
    if signed.bundle.node != node:
        raise BadInput("bundle_node", "bundle.node", signed.bundle.node, node)
    return signed


def load_or_make_key(path: Path) -> Ed25519PrivateKey:
    """The private key in ``path`` (32 raw bytes, mode 0600), made at the first call. Raises BadInput."""
    if not path.exists():
        descriptor = os.open(path.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw())
        path.with_suffix(".new").replace(path)
    content = path.read_bytes()
    if len(content) != KEY_BYTES:
        raise BadInput("limits_key", str(path), f"{len(content)} bytes", f"{KEY_BYTES} raw bytes of an Ed25519 key")
    return Ed25519PrivateKey.from_private_bytes(content)


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in ``path``: 64 hex digits. Raises BadInput."""
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(path.read_text().strip()))
    except (OSError, ValueError) as error:
        raise BadInput("limits_key", str(path), str(error), "64 hex digits, an Ed25519 public key") from error


def write_public_key(path: Path, public: Ed25519PublicKey) -> None:
    replace_file(path, public.public_bytes_raw().hex().encode() + b"\n")
