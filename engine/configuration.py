"""Configuration files of the engine's processes: one JSON object each, checked before anything starts."""

from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who sends orders to a venue."""

    username: str
    password: str


def read_configuration(path: Path | str, kind: Any, field: str) -> Any:
    """The file at ``path`` as a ``kind`` (a msgspec type). ``field`` says which file it is in an error.

    Raises ``BadInput``: ``unreadable``, or ``bad_config`` with what is missing or wrong in it.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=kind)
    except OSError as error:
        raise BadInput("unreadable", field, str(path), f"a readable JSON file ({error.strerror})") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput("bad_config", field, f"{path}: {error}", "the fields of this file") from error


def host_and_port(text: str, field: str, *, least: int = 1) -> tuple[str, int]:
    """``host:port``; ``least=0`` allows port 0, any free one. Raises ``BadInput`` ``bad_address``."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not least <= int(port) < 65_536:
        raise BadInput("bad_address", field, text, "host:port")
    return host, int(port)
