"""Random numbers by counter: number n of a seed's stream is a function of both, so nothing is kept between calls and a
state that names its seed repeats itself.

SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", figure 17), whose n-th
number is the mix of seed + n * GOLDEN.
"""

import numpy as np

from engine.core.compiled import njit

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, inline="always")
def random_bits(seed, counter):
    """64 random bits: number ``counter`` (from 1) of the stream of ``seed``, as SplitMix64 gives them one by one."""
    mixed = np.uint64(seed) + np.uint64(counter) * GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@njit(cache=True, inline="always")
def random_below(seed, counter, bound):
    """A whole number from 0 to ``bound`` - 1 (``bound`` from 1 to 2**31) from the high bits of `random_bits`."""
    return np.int64(((random_bits(seed, counter) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))
