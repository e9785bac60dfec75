"""The process of one strategy that is a Python class: reads what the core posts, calls the class, writes what it wants.

The agent starts ``python -m engine.live.strategy_host --folder FOLDER --generation N``; the folder is the slot's
(``shared_ring``). Exit code 0 after SIGTERM, 2 when the content is not what was approved, 3 when a callback raised; the
last line of standard output says why. Nothing here can make the core wait.
"""

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.content import content_hash
from engine.errors import BadInput
from engine.live.lifetime import end_with
from engine.live.shared_ring import (
    ARTIFACT,
    BEAT_AT,
    BELL,
    DESCRIPTION,
    EVENTS,
    INTENTS,
    PROCESS_AT,
    PUBLISHED_AT,
    READY_AT,
    TAKEN_AT,
    RingFile,
)
from engine.messages import Manifest
from engine.strategies.python import Driver, PythonStrategy, StrategyFailed
from engine.strategies.registry import strategy as registered

log = logging.getLogger("engine.strategy")

SHORT_SLEEP, LONG_SLEEP = 0.0001, 0.001  # seconds; the long one after IDLE_LOOKS that found nothing
IDLE_LOOKS = 1000
AT_ONCE = 1024  # records between two signs of life


class StrategyHost:
    """Between the rings and the class."""

    def __init__(self, folder: Path, generation: int) -> None:
        self._folder, self._stopping = folder, False
        self._events = RingFile.open(folder / EVENTS, generation, writable=False)
        self._intents = RingFile.open(folder / INTENTS, generation, writable=True)
        self._bell = os.open(folder / BELL, os.O_WRONLY | os.O_NONBLOCK)
        self._driver = Driver(strategy_of(json.loads((folder / DESCRIPTION).read_bytes())), self._artifact)
        self._taken = self._wanted = 0
        self._generation = generation

    def run(self) -> None:
        """Until ``stop``. Raises StrategyFailed."""
        self._beat()
        self._intents.header[PROCESS_AT] = os.getpid()
        self._intents.put(READY_AT, self._generation)
        self._ring()
        idle = 0
        while not self._stopping:
            idle = 0 if self._hear() else idle + 1
            self._beat()
            if idle:
                time.sleep(SHORT_SLEEP if idle < IDLE_LOOKS else LONG_SLEEP)

    def stop(self) -> None:
        self._stopping = True

    def _hear(self) -> bool:
        """Takes what has been posted; whether there was anything."""
        published = min(self._events.get(PUBLISHED_AT), self._taken + AT_ONCE)
        if published == self._taken:
            return False
        rows = self._events.rows(self._taken, published).view(np.int64).tolist()
        self._taken = published
        self._intents.put(TAKEN_AT, published)
        self._driver.take(rows)
        self._write(self._driver.intents())
        return True

    def _write(self, records: np.ndarray) -> None:
        """Waits for room where the core has not taken what went before."""
        while len(records) and not self._stopping:
            room = self._intents.capacity - (self._wanted - self._events.get(TAKEN_AT))
            now, records = records[:room], records[room:]
            if len(now):
                self._intents.write(self._wanted, now)
                self._wanted += len(now)
                self._ring()
            else:
                self._beat()
                time.sleep(LONG_SLEEP)

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: the core has been called often enough
            os.write(self._bell, b"\0")

    def _beat(self) -> None:
        self._intents.put(BEAT_AT, time.monotonic_ns())

    def _artifact(self) -> bytes:
        return (self._folder / ARTIFACT).read_bytes()


def strategy_of(description: dict[str, Any]) -> PythonStrategy:
    """The class that a slot's description names. Raises BadInput when its content here is not what was approved."""
    manifest = msgspec.convert(description["manifest"], Manifest)
    own = content_hash(manifest.strategy, manifest.parameters, manifest.envelope, manifest.data)
    if own != manifest.content_hash:
        raise BadInput("content_hash", "content_hash", manifest.content_hash, f"{own}, which this process has")
    entry = registered(manifest.strategy)
    if entry.implementation is None:
        raise BadInput("strategy", "strategy", manifest.strategy, "one that is a Python class")
    made: PythonStrategy = entry.implementation(
        entry.parameters(manifest.parameters), description["instruments"], manifest.capital
    )
    return made


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.live.strategy_host", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--generation", type=int, required=True)
    parser.add_argument("--parent", type=int, default=0, help="process id of the agent; end when it ends")
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    end_with(arguments.parent)
    try:
        host = StrategyHost(arguments.folder, arguments.generation)
        signal.signal(signal.SIGTERM, lambda *_: host.stop())
        host.run()
    except StrategyFailed as error:
        log.exception("%s", error)
        print(json.dumps(error.as_json()), flush=True)
        return 3
    except BadInput as error:
        print(json.dumps(error.as_json()), flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
