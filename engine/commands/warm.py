"""Compiles every kernel into the cache of this build, and removes the caches of builds that are gone.

Does nothing but load what is compiled already; part of ``make install``.
"""

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

from engine import engine_build, numba_cache


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    cache = numba_cache()
    removed = _remove_other_builds(cache)
    _compile()
    return {
        "ok": True,
        "build": engine_build(),
        "cache": cache.name,
        "functions": sum(1 for _ in cache.rglob("*.nbi")),
        "removed_builds": removed,
        "seconds": round(time.perf_counter() - started, 3),
    }


def _compile() -> None:
    from engine.backtest.runner import warm as warm_backtest
    from engine.live.warm import warm as warm_live
    from engine.simulation.exchange import warm_up as warm_exchange

    warm_live()
    warm_backtest()
    warm_exchange()


def _remove_other_builds(cache: Path) -> int:
    others = [folder for folder in cache.parent.glob("*") if folder != cache] if cache.parent.is_dir() else []
    for folder in others:
        shutil.rmtree(folder)
    return len(others)
