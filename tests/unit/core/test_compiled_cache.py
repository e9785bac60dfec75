"""Compiled code is that of the sources as they are now, also where only a callee in another module was edited."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.caching import IndexDataCacheFile

import engine  # noqa: F401 - puts a lock around what numba writes

# A target at a mid between 100 and 200: the caller is ``parents.set_target``, the mid is made in ``exposure``.
SCRIPT = """
import json, sys
import engine, numba, numpy as np
from numba.core.caching import CacheImpl
if len(sys.argv) > 1:  # numba's own locators
    numba.config.CACHE_DIR = sys.argv[1]
    del CacheImpl._locator_classes[0]
from engine.core.parents import set_target
from engine.core.state import STATE
state = np.zeros(1, STATE)[0]
state["market"][0]["bid"], state["market"][0]["ask"] = 100, 200
set_target(state, 0, 0, 10)
price = int(state["parents"][0, 0]["arrival_price"])
print(json.dumps([price, sum(set_target.stats.cache_hits.values())]))
"""


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    shutil.copytree(root / "engine", tmp_path / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(checkout: Path, *cache: Path) -> list[int]:
    """[arrival price, functions that came from the cache] of a process that starts now."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "HELIOGRAPH_CACHE": str(checkout / "cache")}
    command = [sys.executable, "-c", SCRIPT, *map(str, cache)]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    answer: list[int] = json.loads(done.stdout)
    return answer


def edit_callee(checkout: Path) -> None:
    path = checkout / "engine" / "core" / "exposure.py"
    source = path.read_text()
    assert source.count("(market.bid + market.ask) // 2") == 1
    path.write_text(source.replace("(market.bid + market.ask) // 2", "(market.bid + market.ask) // 4"))


def test_an_edit_of_a_callee_in_another_module_runs_at_the_next_start(checkout: Path) -> None:
    assert run(checkout) == [150, 0]
    assert run(checkout) == [150, 1]  # the caller does come from the cache
    edit_callee(checkout)
    assert run(checkout) == [75, 0]


def test_an_edit_of_what_the_function_does_not_import_compiles_nothing(checkout: Path) -> None:
    assert run(checkout) == [150, 0]
    with (checkout / "engine" / "core" / "step.py").open("a") as source:
        source.write("EDITED = 1\n")
    assert run(checkout) == [150, 1]


def test_another_checkout_of_the_same_sources_loads_what_this_one_compiled(checkout: Path, tmp_path: Path) -> None:
    assert run(checkout) == [150, 0]
    other = tmp_path / "other"
    shutil.copytree(checkout / "engine", other / "engine")
    (other / "cache").symlink_to(checkout / "cache")
    assert run(other) == [150, 1]


def test_with_numbas_own_cache_it_would_run_the_callee_as_it_was(checkout: Path) -> None:
    cache = checkout / "one-for-all"
    assert run(checkout, cache) == [150, 0]
    edit_callee(checkout)
    assert run(checkout, cache) == [150, 1]


def save(folder: Path, first: int) -> None:
    cache = IndexDataCacheFile(str(folder), "function", "stamp")
    for key in range(first, first + 100):
        cache.save(key, f"code for {key}")


def test_processes_that_compile_one_function_for_different_types_at_once_mix_up_nothing(
    tmp_path: Path,
) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=save, args=(tmp_path, first)) for first in (0, 1_000, 2_000)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    cache = IndexDataCacheFile(str(tmp_path), "function", "stamp")
    for first in (0, 1_000, 2_000):
        assert [cache.load(key) for key in range(first, first + 100)] == [
            f"code for {key}" for key in range(first, first + 100)
        ]
