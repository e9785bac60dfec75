"""Arrays that begin on a cache line, which numpy does not promise."""

import numpy as np

CACHE_LINE = 64


def zeros(dtype: np.dtype) -> np.ndarray:
    """One record of zeros, an array of one, aligned to a cache line; pages are taken when they are first touched."""
    room = np.zeros(dtype.itemsize + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + dtype.itemsize].view(dtype)
