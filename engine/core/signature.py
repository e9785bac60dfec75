"""Who gives a command: a SIGNATURE blob stands in the journal right before the COMMAND that it belongs to.

The step knows persons by digests of their names; two spellings of one name that differ in case or spaces are one
person. Who a name belongs to is for the control plane's sign-in, or the engine host's, to vouch for.
"""

from hashlib import sha256

import msgspec
import numpy as np

from engine.errors import BadInput

SIGNERS = 2
LONGEST = 200  # characters


class Signature(msgspec.Struct, frozen=True):
    """``via`` is where the persons stand: "host" or "web". ``scope`` says in words what the command is about."""

    persons: list[str]
    via: str
    scope: str = ""
    reason: str = ""


def digest_of(name: str) -> int:
    """First eight bytes of the SHA-256 of a name as a signed integer, which is never 0 (that is "nobody")."""
    return int.from_bytes(sha256(" ".join(name.casefold().split()).encode()).digest()[:8], "little", signed=True) or 1


def decode_signature(payload: bytes) -> Signature:
    """Raises BadInput for what names nobody, or more than a command needs."""
    try:
        signature = msgspec.json.decode(payload, type=Signature)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput("signature", "payload", f"{len(payload)} bytes", str(error)) from error
    named = [name for name in signature.persons if name.strip() and len(name) <= LONGEST]
    if not 1 <= len(signature.persons) <= SIGNERS or len(named) != len(signature.persons):
        raise BadInput("signature", "persons", signature.persons, f"one or {SIGNERS} names")
    return signature


def signers_of(signature: Signature) -> np.ndarray:
    """int64[SIGNERS] of digests, 0 for nobody."""
    signers = np.zeros(SIGNERS, np.int64)
    signers[: len(signature.persons)] = [digest_of(name) for name in signature.persons]
    return signers
