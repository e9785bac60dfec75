"""A core whose one strategy wants far more than the book holds, and after a while never comes back from its kernel.

``python endless_core.py --config FILE``: the engine's own core, but for where it finds the strategy.
"""

import sys

from numba import carray, cfunc, types

from engine.core.engine import Loaded
from engine.core.events import EVENT, Kind
from engine.core.kernels import SIGNATURE
from engine.core.signature import digest_of
from engine.live import core, startup

TARGET = int(Kind.TARGET)
CALLS = 30  # that come back
SHARES = 900_000


@cfunc(SIGNATURE)
def _kernel(event, market, instruments, parameters, artifact, memory, out):
    calls = carray(memory, 8, types.int64)
    calls[0] += 1
    while calls[0] > CALLS:
        calls[1] += 1
    seen = carray(event, 1, EVENT)[0]
    record = carray(out, 1, EVENT)[0]
    record.kind = TARGET
    record.instrument = seen.instrument
    record.side = 0
    record.target = SHARES
    record.qty = 0
    record.ref = 0
    return 2


def load(manifest: bytes) -> Loaded:
    return Loaded(
        int(_kernel.address), frozenset({Kind.QUOTE}), 10**12, digest_of("Endless desk"), digest_of("Endless")
    )


if __name__ == "__main__":
    startup.load_manifest = load
    sys.exit(core.main())
