"""Node tokens: made once, shown once, kept only as a hash."""

import secrets
from hashlib import sha256


def token_new() -> str:
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is kept of a token: it is 32 random bytes, so a plain SHA-256 gives nothing to guess."""
    return sha256(token.encode()).hexdigest()
