"""The agent's side of strategies that run in processes of their own: starts one for each slot whose core asks for it.

The core says in its status which rings (which generation, 0 for none) wait for a process. One that has failed is
killed and another is started, after a wait that doubles; after ``MOST_FAILURES`` within ``FORGIVEN_AFTER`` seconds none
is, until a person has paused or stopped the strategy.
"""

import asyncio
import json
import logging
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.live.shared_ring import folder_of

log = logging.getLogger("engine.agent")

ENDED = frozenset({"stopped", "faulted"})
FIRST_WAIT = 0.5  # seconds, doubled with each failure; by the first the core has said what it makes of it
MOST_FAILURES = 5
FORGIVEN_AFTER = 600.0
STOP_SECONDS = 2.0


@dataclass
class _Child:
    generation: int = 0
    process: asyncio.subprocess.Process | None = None
    failures: list[float] = field(default_factory=list)  # when
    reason: str = ""

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None


class StrategyProcesses:
    """Of one engine; ``reasons`` says of each deployment why its process is not there, or was not."""

    def __init__(self, folder: Path) -> None:
        self.reasons: dict[str, str] = {}
        self._folder = folder
        self._children: dict[int, _Child] = {}

    async def keep(self, status: dict[str, Any], running: frozenset[str]) -> None:
        """One pass. ``running`` are the deployments that are desired to run."""
        wanted = {slot["slot"]: slot for slot in status["slots"] if slot.get("process") and slot["state"] not in ENDED}
        for number in [number for number in self._children if number not in wanted]:
            await _end(self._children.pop(number))
        for number, slot in wanted.items():
            child = self._children.setdefault(number, _Child())
            await self._keep_one(number, child, slot, slot["deployment"] in running)

    async def stop(self) -> None:
        for child in self._children.values():
            await _end(child)
        self._children.clear()

    async def _keep_one(self, number: int, child: _Child, slot: dict[str, Any], running: bool) -> None:
        place, now = slot["process"], asyncio.get_running_loop().time()
        if not running:
            child.failures.clear()  # a person has looked at it
        if child.alive and place["generation"] == child.generation:
            if place["attached"]:
                self.reasons.pop(slot["deployment"], None)
            return
        if child.process is not None:  # it has ended, or the core has given it up
            child.failures.append(now)
            child.reason = place["fault"] if child.alive else await _last_words(child.process)
            await _end(child)
        if not place["generation"]:
            self.reasons[slot["deployment"]] = f"its process {place['fault']}"
            return
        child.failures = [moment for moment in child.failures if now - moment < FORGIVEN_AFTER]
        self.reasons[slot["deployment"]] = _reason(child)
        wait = FIRST_WAIT * 2 ** len(child.failures) if child.failures else 0.0
        if len(child.failures) < MOST_FAILURES and (not child.failures or now - child.failures[-1] >= wait):
            child.process = await self._start(number, place["generation"])
            child.generation = place["generation"]

    async def _start(self, number: int, generation: int) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "engine.live.strategy_host", "--folder", str(folder_of(self._folder, number))]
        command += ["--generation", str(generation), "--parent", str(os.getpid())]
        return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)


def _reason(child: _Child) -> str:
    if not child.failures:
        return "its process is starting"
    if len(child.failures) < MOST_FAILURES:
        return f"its process failed ({child.reason}) and is started again"
    minutes = f"{FORGIVEN_AFTER / 60:.0f} minutes"
    return f"its process failed {len(child.failures)} times in {minutes} (last: {child.reason}); pause it to try again"


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """Why it has ended, as it said itself."""
    assert process.stdout is not None
    lines = (await process.stdout.read()).decode().strip().splitlines()
    try:
        error = json.loads(lines[-1])["error"]
        return f"{error['code']}: {error['value']}"
    except (IndexError, ValueError, KeyError, TypeError):
        return f"exit code {process.returncode}"


async def _end(child: _Child) -> None:
    """In good order, or by force: it may hang."""
    if child.alive:
        assert child.process is not None
        child.process.terminate()
        try:
            await asyncio.wait_for(child.process.wait(), STOP_SECONDS)
        except TimeoutError:
            child.process.kill()
            await child.process.wait()
    child.process = None
