"""``python -m kdb_double reference|small [--compressed]``: a double on a free port, which it prints."""

import os
import sys
import time
from typing import Any

import numpy as np

from kdb_double.functions import Reference
from kdb_double.server import Function, Server
from kdb_double.wire import QError


def small() -> dict[str, Function]:
    """Functions for tests of the wire."""
    heard: list[int] = []

    def signal(_: Any) -> None:
        raise QError("unknown_dataset e: one of: d")

    return {
        ".t.process": lambda _: os.getpid(),
        ".t.zeros": lambda count: {"n": np.zeros(count, np.int64)},
        ".t.hear": heard.append,
        ".t.heard": lambda _: np.array(heard, np.int64),
        ".t.wait": lambda _: time.sleep(60),
        ".t.die": lambda _: os._exit(1),
        ".t.signal": signal,
    }


SETS = {"reference": lambda: Reference().functions(), "small": small}

if __name__ == "__main__":
    Server(SETS[sys.argv[1]](), "--compressed" in sys.argv).run()
