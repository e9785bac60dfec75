"""The trading engine: feeds, books, signals, limits, orders, positions, simulation, history.

Imports no Django and nothing of ``platform/`` or ``dashboards/``.

Numba's own cache does not notice an edit in another module than the cached function's own, so the
cache folder is named by a hash of every engine source and of the versions that shape machine code.
This must happen before anything compiles, hence here.
"""

import fcntl
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("HELIOGRAPH_CACHE", PACKAGE.parent / ".cache"))

# One BLAS thread: the matrices here are small, and threads cost six times what they save.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


@lru_cache(maxsize=1)
def engine_build() -> str:
    """SHA-256 (hex) of every engine source file and of the versions that shape the compiled code."""
    digest = sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(f"{package}={version(package)}\n".encode())
    digest.update(sys.version.encode())
    return digest.hexdigest()


def numba_cache() -> Path:
    """The folder of this build's compiled code."""
    return CACHE / "numba" / engine_build()[:16]


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection within: looking again and again through what is being imported takes a fifth of a start."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _point_numba_at_this_build() -> None:
    with uncollected():
        import numba

    numba.config.CACHE_DIR = str(numba_cache())  # type: ignore[attr-defined]


def _let_one_process_write_at_a_time() -> None:
    """numba reads a function's index, adds to it and writes it back without a lock: two processes that compile it for
    different types at once give both the same file, and one then loads the other's code."""
    from numba.core.caching import IndexDataCacheFile

    unlocked_save = IndexDataCacheFile.save

    def save(self: Any, key: Any, data: Any) -> None:
        with open(Path(self._cache_path) / "lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            unlocked_save(self, key, data)

    IndexDataCacheFile.save = save


_point_numba_at_this_build()
_let_one_process_write_at_a_time()
