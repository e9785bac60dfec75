"""Records that begin on a cache line one behind the other."""

import numpy as np

CACHE_LINE = 64


def in_lines(fields: list[tuple]) -> np.dtype:
    """A record of whole cache lines: its own fields, aligned, and what is missing to the last line."""
    pad = -np.dtype(fields, align=True).itemsize % CACHE_LINE
    return np.dtype([*fields, ("unused", "u1", (pad,))] if pad else fields, align=True)
