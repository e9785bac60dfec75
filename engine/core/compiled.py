"""How the engine's functions are compiled: ``njit`` with four of numba's habits left out.

*No reference counts.* numba counts references to every array at every call between compiled functions, by calls of its
own that nothing removes: of the 22 ns that appending one record to the journal took, 14. The functions here borrow
their arrays from whoever calls them and allocate nothing, so there is nothing to count. Numba's option for it,
``_nrt``, also holds them to that: one that would allocate does not compile ("NRT required but not enabled") unless it
says ``allocates=True``. None may return an array to Python.

*One compilation for all integers.* Called from another compiled function, numba compiles a function anew for each
literal (``emit(..., 59)``, ``emit(..., 51)``) and each width of integer. Here every integer but a uint64 is handed over
as an int64, which holds the same value. That makes 200 compilations of 300.

*No machine code of its own for each function called*: `engine.core.linked` says how and why.

*No wrapper for C.* Nothing calls these functions as C callbacks; strategies' kernels, which are called so, are made by
``numba.cfunc``.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
from numba import types

from engine.core.linked import LinkedDispatcher

BLAS = "scipy.linalg"


def njit(*, allocates: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` with these options; ``allocates`` for the rare function that needs an array of its own."""

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(_nrt=allocates, no_cfunc_wrapper=True, **options)(function)
        linked = LinkedDispatcher(function, targetoptions=dispatcher.targetoptions)
        if options.get("cache"):
            linked.enable_caching()

        def template_for_general(args: Any, kws: Any) -> Any:
            return linked.get_call_template([_general(kind) for kind in args], {n: _general(kws[n]) for n in kws})

        dispatcher.get_call_template, dispatcher.get_overload = template_for_general, linked.get_overload
        dispatcher.linked = linked
        return dispatcher

    return compiled


def _general(kind: Any) -> Any:
    """The type as which an argument of this type is handed over."""
    kind = types.unliteral(kind)
    return types.int64 if isinstance(kind, types.Integer) and kind != types.uint64 else kind


@contextmanager
def without_blas() -> Iterator[None]:
    """For processes that want to be quick and small: no BLAS is looked for within.

    numba imports ``scipy.linalg`` for that when it loads its first function, and nothing of the engine calls one. Here
    that import fails at once; a process in which it did compiles no ``numpy.dot`` from then on.
    """
    asked_first = BLAS not in sys.modules
    if asked_first:
        sys.modules[BLAS] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if asked_first:
            del sys.modules[BLAS]
