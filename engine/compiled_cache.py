"""Where numba keeps the engine's compiled code.

Numba's own cache does not notice an edit in another module than the cached function's own. Here each module has a
folder that is named by a hash of all that it imports, so an edit compiles what can call the edited code and nothing
else, and checkouts may share a cache.
"""

import fcntl
from pathlib import Path
from typing import Any

from numba.core.caching import CacheImpl, IndexDataCacheFile, _CacheLocator

from engine.sources import PACKAGE, module_build

HASH_LETTERS = 16


class EngineLocator(_CacheLocator):  # type: ignore[misc]
    """Of functions of the engine's own modules."""

    root = Path()

    def __init__(self, function: Any, path: Path) -> None:
        self._path, self._line = path, function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(self.root / folder_name(self._path))

    def get_source_stamp(self) -> str:
        return module_build(self._path)

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, function: Any, path: str) -> "EngineLocator | None":
        if not Path(path).is_relative_to(PACKAGE):
            return None
        self = cls(function, Path(path))
        self.ensure_cache_path()
        return self


def folder_name(path: Path) -> str:
    """Of a module of the engine, in the cache."""
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return f"{module}-{module_build(path)[:HASH_LETTERS]}"


def install(root: Path) -> None:
    """Numba keeps what the engine compiles under ``root``. Before anything is decorated."""
    EngineLocator.root = root
    CacheImpl._locator_classes.insert(0, EngineLocator)
    _let_one_process_write_at_a_time()


def _let_one_process_write_at_a_time() -> None:
    """numba reads a function's index, adds to it and writes it back without a lock: two processes that compile it for
    different types at once give both the same file, and one then loads the other's code."""
    unlocked_save = IndexDataCacheFile.save

    def save(self: Any, key: Any, data: Any) -> None:
        with open(Path(self._cache_path) / "lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            unlocked_save(self, key, data)

    IndexDataCacheFile.save = save
