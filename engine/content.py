"""The content hash: what an approval names and an engine recomputes before it runs anything.

SHA-256 over canonical JSON of the files in the strategy's import closure, the engine build, the lock
file, parameters, limit envelope and data contract. Any change in any of them is another hash.
"""

import ast
import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from engine import PACKAGE, engine_build
from engine.messages import DataContract, LimitEnvelope
from engine.strategies.registry import strategy as registered

LOCK_FILE = PACKAGE.parent / "requirements.txt"


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values are equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


@cache
def import_closure(strategy: str) -> dict[str, str]:
    """Relative path -> SHA-256 of every engine source that the strategy's module imports, itself included."""
    waiting = [Path(f"strategies/{strategy}.py")]
    found: dict[str, str] = {}
    while waiting:
        relative = waiting.pop()
        if relative.as_posix() in found:
            continue
        source = (PACKAGE / relative).read_bytes()
        found[relative.as_posix()] = sha256(source).hexdigest()
        waiting.extend(_imported_files(source))
    return dict(sorted(found.items()))


def content_hash(strategy: str, parameters: dict[str, Any], envelope: LimitEnvelope, data: DataContract) -> str:
    """Hex digest. Raises BadInput for an unknown strategy or parameters that do not validate."""
    validated = registered(strategy).parameters(parameters)
    return sha256(
        canonical_json(
            {
                "strategy": strategy,
                "files": import_closure(strategy),
                "engine": engine_build(),
                "lock": sha256(LOCK_FILE.read_bytes()).hexdigest(),
                "parameters": validated.model_dump(mode="json"),
                "envelope": msgspec.to_builtins(envelope),
                "data": msgspec.to_builtins(data),
            }
        )
    ).hexdigest()


def _imported_files(source: bytes) -> list[Path]:
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
    files = []
    for name in names:
        if not name.startswith("engine."):
            continue
        stem = Path(*name.split(".")[1:])
        files += [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if (PACKAGE / path).is_file()]
    return files
