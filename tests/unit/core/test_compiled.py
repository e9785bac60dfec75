"""What ``engine.core.compiled.njit`` promises of the functions it makes."""

import subprocess
import sys

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
    assert difference.linked.signatures == [(numba.int64, numba.int64)]


def test_what_is_called_by_compiled_code_alone_becomes_no_machine_code_until_python_calls_it():
    assert of_many_kinds(np.zeros(2, np.int8), np.zeros(1, np.uint32)) == -13 + 3
    assert difference.signatures == []
    assert difference(5, 3) == 2
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


def test_without_blas_no_scipy_is_loaded_and_what_was_compiled_runs(root):
    script = (
        "import sys; from engine.core.compiled import without_blas; from engine.core.order_table import home_of\n"
        "with without_blas():\n    home = home_of(1, 255)\n"
        "print(0 <= home <= 255, [name for name in sys.modules if name.startswith('scipy.linalg')])\n"
        "import scipy.linalg"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["True", "[]\n"]
