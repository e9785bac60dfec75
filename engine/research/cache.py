"""Results of research remembered in files: JSON, put in place by rename, checked when read.

A file that is damaged or of another form is computed again and replaced: the cache is never the record.
"""

import logging
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.files import replace_file

log = logging.getLogger(__name__)
T = TypeVar("T")


@lru_cache(maxsize=1)
def research_build() -> str:
    """SHA-256 (hex) of the sources of ``engine.research`` and of the libraries that make its figures."""
    digest = sha256()
    folder = Path(__file__).resolve().parent
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for package in ("numpy", "scipy", "statsmodels"):
        digest.update(f"{package}={version(package)}\n".encode())
    return digest.hexdigest()


class FormationCache(Generic[T]):
    """Lists of ``kind`` (a msgspec struct) by key, one file each in ``root``. Safe for several processes."""

    def __init__(self, root: Path | str, kind: type[T]) -> None:
        self.root = Path(root)
        self._decode = msgspec.json.Decoder(dict[str, Any]).decode
        self._kind = kind

    def key(self, what: str, names: list[Any], arrays: list[NDArray[Any]], parameters: dict[str, Any]) -> str:
        """SHA-256 (hex) of what is computed, from which names and arrays, with which parameters, by which build."""
        digest = sha256(msgspec.json.encode([what, names, sorted(parameters.items()), research_build()]))
        for array in arrays:
            digest.update(f"{array.shape}{array.dtype.str}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def get(self, key: str, data_hash: str, compute: Callable[[], list[T]]) -> list[T]:
        """The remembered list, or ``compute()``, which is then remembered."""
        path = self.root / key[:2] / f"{key}.json"
        found = self._read(path)
        if found is None:
            found = compute()
            self._write(path, key, data_hash, found)
        return found

    def _read(self, path: Path) -> list[T] | None:
        try:
            entry = self._decode(path.read_bytes())
            found = msgspec.convert(entry["found"], list[self._kind])  # type: ignore[name-defined]
            intact = entry["digest"] == _digest(found)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, KeyError, TypeError):
            intact = False
        if not intact:
            log.warning("formation cache entry %s is damaged, it is computed again", path.name)
            return None
        return found

    def _write(self, path: Path, key: str, data_hash: str, found: list[T]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        entry = {"key": key, "data_hash": data_hash, "digest": _digest(found), "found": found}
        replace_file(path, msgspec.json.format(msgspec.json.encode(entry)))


def _digest(found: list[Any]) -> str:
    return sha256(msgspec.json.encode(found)).hexdigest()
