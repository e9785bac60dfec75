"""A core whose one strategy wants far more than the book holds, and never comes back once two orders are acknowledged.

``python endless_core.py --config FILE``: the engine's own core, but for where it finds the strategy.
"""

import sys

from numba import carray, cfunc, types

from engine.core.engine import Loaded
from engine.core.events import EVENT, Kind
from engine.core.kernels import SIGNATURE
from engine.core.signature import digest_of
from engine.live import core, startup

TARGET, ACCEPTED = int(Kind.TARGET), int(Kind.ACCEPTED)
ORDERS = 2
SHARES = 900_000


@cfunc(SIGNATURE)
def _kernel(event, market, instruments, parameters, artifact, memory, out):
    counts = carray(memory, 8, types.int64)
    seen = carray(event, 1, EVENT)[0]
    if seen.kind == ACCEPTED:
        counts[0] += 1
        while counts[0] >= ORDERS:
            counts[1] += 1
        return 1
    record = carray(out, 1, EVENT)[0]
    record.kind = TARGET
    record.instrument = seen.instrument
    record.side = 0
    record.target = SHARES
    record.qty = 0
    record.ref = 0
    return 2


def load(manifest: bytes) -> Loaded:
    interests = frozenset({Kind.QUOTE, Kind.ACCEPTED})
    return Loaded(int(_kernel.address), interests, 10**12, digest_of("Endless desk"), digest_of("Endless"))


if __name__ == "__main__":
    startup.load_manifest = load
    sys.exit(core.main())
