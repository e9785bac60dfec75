"""The content hash: what an approval names and an engine recomputes before it runs anything.

SHA-256 over canonical JSON of the files in the strategy's import closure, the engine build, the lock
file, parameters, limit envelope and data contract. Any change in any of them is another hash.
"""

import json
from hashlib import sha256
from typing import Any

import msgspec

from engine import PACKAGE, engine_build
from engine.messages import DataContract, LimitEnvelope, Plan
from engine.sources import import_closure
from engine.strategies.registry import strategy as registered

LOCK_FILE = PACKAGE.parent / "requirements.txt"


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values are equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def content_hash(strategy: str, parameters: dict[str, Any], envelope: LimitEnvelope, data: DataContract) -> str:
    """Hex digest. Raises BadInput for an unknown strategy or parameters that do not validate."""
    validated = registered(strategy).parameters(parameters)
    return sha256(
        canonical_json(
            {
                "strategy": strategy,
                "files": import_closure(f"strategies/{strategy}.py"),
                "engine": engine_build(),
                "lock": sha256(LOCK_FILE.read_bytes()).hexdigest(),
                "parameters": validated.model_dump(mode="json"),
                "envelope": msgspec.to_builtins(envelope),
                "data": msgspec.to_builtins(data),
            }
        )
    ).hexdigest()


def plan_hash(content: str, plan: Plan) -> str:
    """What a deployment's plan is known by, with the content hash of the version that it works for. Hex digest."""
    return sha256(canonical_json({"content_hash": content, "plan": msgspec.to_builtins(plan)})).hexdigest()
