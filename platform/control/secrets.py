"""Secrets that a run makes for itself, kept in ``var/secrets`` and readable by its owner only.

The file is made at first use. Two processes that start together agree: the content is written to a
temporary name and linked into place, and the one that comes second reads what the first has written.
"""

import json
import os
import secrets
from pathlib import Path

from engine.errors import BadInput


def django_secrets(var: Path) -> dict[str, str]:
    """``{"secret_key"}`` from ``var/secrets/django.json``, generated with mode 0600 at first use.

    Raises ``BadInput`` when the file is there and is not what this function wrote.
    """
    path = var / "secrets" / "django.json"
    if not path.exists():
        _write_once(path, {"secret_key": secrets.token_urlsafe(48)})
    try:
        values = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise BadInput(
            "secrets_file", str(path), error.msg, "a JSON object; delete the file to have it made anew"
        ) from error
    if not isinstance(values, dict) or not values.get("secret_key"):
        raise BadInput("secrets_file", str(path), "no secret_key", "a JSON object with a secret_key")
    return values


def _write_once(path: Path, values: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        return  # another process was first; its secrets are the ones
    finally:
        temporary.unlink()
