"""A core whose one strategy wants ever other positions, most of them beyond what it may hold.

``python restless_core.py --config FILE``: the engine's own core, but for where it finds the strategy.
"""

import sys

from numba import carray, cfunc, types

from engine.core.engine import Loaded
from engine.core.events import EVENT, Kind
from engine.core.kernels import SIGNATURE
from engine.live import core, startup

TARGET = int(Kind.TARGET)
STEP, STEPS, QUOTES_A_STEP = 150, 20, 3  # from -3,000 to 3,000 shares and back again


@cfunc(SIGNATURE)
def _kernel(event, market, instruments, parameters, artifact, memory, out):
    seen = carray(event, 1, EVENT)[0]
    counts = carray(memory, 64, types.int64)
    counts[seen.instrument] += 1
    place = counts[seen.instrument] // QUOTES_A_STEP % (4 * STEPS)
    record = carray(out, 1, EVENT)[0]
    record.kind = TARGET
    record.instrument = seen.instrument
    record.side = 0
    record.parent_id = 0
    record.target = STEP * (abs(place - 2 * STEPS) - STEPS)
    record.qty = 0
    record.ref = 0
    return 2


def load(manifest: bytes) -> Loaded:
    return Loaded(int(_kernel.address), frozenset({Kind.QUOTE}), 10**12, 0, 0)


if __name__ == "__main__":
    startup.load_manifest = load
    sys.exit(core.main())
