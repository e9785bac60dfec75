"""What ``engine.core.compiled.njit`` promises of the functions it makes."""

import numba
import numpy as np
import pytest
from numba.core.errors import NumbaError

from engine.core.compiled import njit


@njit()
def difference(a, b):
    return a - b


@njit()
def of_many_kinds(narrow, unsigned):
    """Sums of differences that are known by hand, by literals, by narrow integers, by name."""
    literals = difference(1, 2) + difference(-5, 7)
    return literals + difference(narrow[0], unsigned[0]) + difference(b=narrow[1], a=3)


def test_one_compilation_serves_literals_and_all_widths_of_integers():
    narrow, unsigned = np.array([-128, 127], np.int8), np.array([(1 << 32) - 1], np.uint32)
    assert of_many_kinds(narrow, unsigned) == -1 - 12 + (-128 - (2**32 - 1)) + (3 - 127)
    assert difference.signatures == [(numba.int64, numba.int64)]


def test_a_uint64_keeps_the_values_that_no_int64_has():
    @njit()
    def shifted(value):
        return value >> np.uint64(63)

    @njit()
    def of_array(words):
        return shifted(words[0])

    assert of_array(np.array([1 << 63], np.uint64)) == 1


def test_a_function_that_would_allocate_does_not_compile():
    @njit()
    def copied(values):
        return values.copy()

    with pytest.raises(NumbaError):
        copied(np.zeros(3))
