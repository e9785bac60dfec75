"""Compiles every kernel into the cache, and removes what is of no use to this build.

Does nothing but load what is compiled already; part of ``make install``. What does not depend on one another is
compiled by two processes side by side.
"""

import argparse
import multiprocessing
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from numba.core.registry import cpu_target

from engine import PACKAGE, engine_build, module_cache, numba_cache
from engine.compiled_cache import folder_name

# Parts, each of functions that compile or load what they stand for. STEP is within all that stands BEHIND it.
STEP = ("engine.live.warm:warm_step",)
BESIDE = (
    ("engine.live.warm:warm_inputs",),
    ("engine.commands.book:warm", "engine.benchmarks.books:warm"),  # the books at their LARGE size
    ("engine.simulation.exchange:warm_up",),
)
BEHIND = (("engine.live.warm:warm_pipeline",), ("engine.backtest.runner:warm",))
PROCESSES = 2
WHOLE = "whole"  # a file in the cache that says of which processor it holds everything


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    cache = numba_cache()
    cache.mkdir(parents=True, exist_ok=True)
    removed = _remove_other_builds(cache)
    whole, processor = cache / WHOLE, repr(cpu_target.target_context.codegen().magic_tuple())
    if whole.is_file() and whole.read_text() == processor:
        for part in (STEP, *BESIDE, *BEHIND):
            _warm(part)
    else:
        _compile()
        whole.write_text(processor)
    return {
        "ok": True,
        "build": engine_build(),
        "cache": cache.name,
        "functions": sum(1 for _ in module_cache().rglob("*.nbi")),
        "removed_builds": removed,
        "seconds": round(time.perf_counter() - started, 3),
    }


def _compile() -> None:
    """All parts, in processes that start from nothing: a fork would share the compiler's locks and threads."""
    workers = min(PROCESSES, len(os.sched_getaffinity(0)))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        step = pool.submit(_warm, STEP)
        parts = [pool.submit(_warm, part) for part in BESIDE]
        step.result()
        for part in (*parts, *(pool.submit(_warm, part) for part in BEHIND)):
            part.result()


def _warm(part: tuple[str, ...]) -> None:
    for name in part:
        module, _, function = name.partition(":")
        getattr(import_module(module), function)()


def _remove_other_builds(cache: Path) -> int:
    modules = {folder_name(path) for path in PACKAGE.rglob("*.py")}
    others = [folder for folder in cache.parent.glob("*") if folder not in (cache, module_cache())]
    others += [folder for folder in module_cache().glob("*") if folder.name not in modules]
    for folder in others:
        shutil.rmtree(folder)
    return len(others)
