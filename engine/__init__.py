"""The trading engine: feeds, books, signals, limits, orders, positions, simulation, history.

Imports no Django and nothing of ``platform/`` or ``dashboards/``. Where compiled code is cached must be known before
anything is compiled, hence here.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.sources import PACKAGE, engine_build

__all__ = ["CACHE", "PACKAGE", "engine_build", "module_cache", "numba_cache", "uncollected"]
CACHE = Path(os.environ.get("HELIOGRAPH_CACHE", PACKAGE.parent / ".cache"))

# One BLAS thread: the matrices here are small, and threads cost six times what they save.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def module_cache() -> Path:
    """The folder of the compiled code of the engine's modules, of all builds; `engine.compiled_cache` says how."""
    return CACHE / "numba" / "modules"


def numba_cache() -> Path:
    """The folder of this build alone: what was compiled with it elsewhere than in the engine, and marks."""
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


def _point_numba_at_the_cache() -> None:
    with uncollected():
        import numba

        from engine import compiled_cache

    numba.config.CACHE_DIR = str(numba_cache())  # type: ignore[attr-defined]
    compiled_cache.install(module_cache())


_point_numba_at_the_cache()
