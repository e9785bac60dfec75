"""Starts the core, and starts it again when it dies."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from engine import CACHE
from engine.errors import BadInput
from engine.live.core_client import CoreClient, CoreGone

log = logging.getLogger("engine.agent")

BAD_INPUT = 2
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0  # seconds between two starts
STEADY_SECONDS = 10.0  # a core that ran this long is started again at once
LISTEN_SECONDS = 120.0  # a cold start compiles
STOP_SECONDS = 10.0


def core_process(config: Path) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a core.

    Where Python writes no byte code beside the sources (PYTHONDONTWRITEBYTECODE), the engine's cache takes the core's:
    compiling what it imports takes longer than everything else in a start, and a start may follow a crash.
    """
    command, environment = [sys.executable, "-m", "engine.live.core", "--config", str(config)], dict(os.environ)
    if sys.dont_write_bytecode:
        command[1:1] = ["-X", f"pycache_prefix={CACHE / 'bytecode'}"]
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return command, environment


class Supervisor:
    """``client`` is the connection to the core that runs now, None while there is none."""

    def __init__(self, config_path: Path, folder: Path) -> None:
        self.client: CoreClient | None = None
        self.restarts = 0
        self._config_path, self._folder = config_path, folder
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    @property
    def alive(self) -> bool:
        return self.client is not None and not self.client.gone

    @property
    def core_pid(self) -> int:
        return self._process.pid if self._process and self._process.returncode is None else 0

    async def run(self, started: Callable[[CoreClient], Awaitable[None]]) -> None:
        """Keeps a core running until ``stop``; ``started`` is awaited for each. Raises BadInput that the core names."""
        wait, loop = FIRST_WAIT, asyncio.get_running_loop()
        while not self._stopping:
            began = loop.time()
            code, last_line = await self._run_once(started)
            if self._stopping:
                return
            if code == BAD_INPUT:
                raise _named_error(last_line)
            if loop.time() - began > STEADY_SECONDS:
                wait = FIRST_WAIT
            self.restarts += 1
            log.error("the core died (%s); it is started again in %.1f s", _how(code), wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    async def stop(self) -> None:
        """Ends the core in good order (it writes a snapshot), or by force when it hangs."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            log.error("the core does not end: it is killed")
            process.kill()
            await process.wait()

    async def _run_once(self, started: Callable[[CoreClient], Awaitable[None]]) -> tuple[int, str]:
        command, environment = core_process(self._config_path)
        self._process = await asyncio.create_subprocess_exec(
            *command, "--parent", str(os.getpid()), env=environment, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        output = asyncio.create_task(self._process.stdout.read())
        greeting = asyncio.create_task(self._greet(started))
        ended = asyncio.create_task(self._process.wait())
        await asyncio.wait({ended, greeting}, return_when=asyncio.FIRST_COMPLETED)
        if greeting.done():
            try:
                greeting.result()
            except BaseException:
                await self.stop()
                raise
        code = await ended
        greeting.cancel()
        if self.client is not None:
            self.client.close()
            self.client = None
        lines = (await output).decode().strip().splitlines()
        return code, lines[-1] if lines else ""

    async def _greet(self, started: Callable[[CoreClient], Awaitable[None]]) -> None:
        """Connects to the core as soon as it listens; it compiles before that, so a cold start takes its time."""
        while True:
            try:
                client = await CoreClient.open(self._folder, LISTEN_SECONDS)
                await client.refresh()
            except CoreGone as error:
                log.error("%s", error)
                continue
            self.client = client
            await started(client)
            return


def _named_error(last_line: str) -> BadInput:
    try:
        return BadInput(**json.loads(last_line)["error"])
    except (ValueError, KeyError, TypeError):
        return BadInput("core", "core", last_line or "exit code 2", "a core that starts")


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
