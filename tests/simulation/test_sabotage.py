"""Each patch of tests/sabotage breaks the system in one place; sessions in virtual time must find every one of them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine import CACHE, PACKAGE

CHECKOUT = PACKAGE.parent
PATCHES = sorted((CHECKOUT / "tests" / "sabotage").glob("*.patch"))
SEEDS = 60  # at most; the first that fails ends it


def _names(patches: list[Path]) -> list[str]:
    return [patch.stem for patch in patches]


@pytest.mark.sabotage
@pytest.mark.parametrize("patch", PATCHES, ids=_names(PATCHES))
def test_a_sabotage_is_found_by_a_seed_that_fails(patch: Path, tmp_path: Path):
    shutil.copytree(PACKAGE, tmp_path / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "apply", str(patch)], cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "engine", "simulate", "--seeds", str(SEEDS), "--stop"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "HELIOGRAPH_CACHE": str(CACHE)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    result = json.loads(ended.stdout.splitlines()[-1])
    assert ended.returncode == 1, result
    assert result["failures"] == 1, result
    print(f"{patch.stem}: seed {result['failed'][0]['seed']}: {result['failed'][0]['problem']}")


def test_there_are_sabotages_of_all_that_the_sessions_must_see():
    asked_for = {"journal_append_skipped", "deduplication_dropped", "hold_released_twice", "limit_off_by_one"}
    assert asked_for <= set(_names(PATCHES))
